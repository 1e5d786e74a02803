"""Export models in the classes of transformers, so that they can be used without xlift."""

from __future__ import annotations

from xlift.models.export.metadata import METADATA_FILE, ExportMetadata, read_export_metadata
from xlift.models.export.stock import CLASSES, class_of, stock_model, write_model

__all__ = [
    "CLASSES",
    "METADATA_FILE",
    "ExportMetadata",
    "class_of",
    "read_export_metadata",
    "stock_model",
    "write_model",
]
