"""Export models in the classes of transformers, so that they can be used without xlift."""

from __future__ import annotations

from xlift.models.export.metadata import ExportMetadata, read_export_metadata
from xlift.models.export.stock import CLASSES, class_of, stock_logits, write_model

__all__ = ["CLASSES", "ExportMetadata", "class_of", "read_export_metadata", "stock_logits", "write_model"]
