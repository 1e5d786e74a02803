"""`xlift.json` beside an exported model: what `xlift predict` needs and transformers ignores."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.models.outputs import OUTPUTS
from xlift.tasks import formats

METADATA_FILE = "xlift.json"
VERSION = 1


@dataclass(frozen=True)
class ExportMetadata:
    task: str
    format: str
    """Name of a task format (tasks/formats)."""
    kind: str
    """Kind of output (models/outputs.py), 'text' with `mode: text`; 'pooled' without a head."""
    labels: tuple[str, ...] = ()
    max_length: int = 128
    """Tokens of a row."""
    model_type: str = ""
    """Of config.json."""
    optional_fields: dict[str, bool] = field(default_factory=dict)
    """Field that a task may lack (`text_b` of a pair, `question` of choices) -> whether it was trained with it; without
    those that are unknown."""
    pooling: dict[str, Any] = field(default_factory=dict)
    """Of models that compute vectors: `layer` (0 being the embeddings), `pooling`, and `center`."""
    prompt: dict[str, Any] = field(default_factory=dict)
    """Of text mode: settings, templates, solved examples (execution/file_prediction)."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """`temperature`, by which `xlift predict` divides the logits, and how well probabilities fit before and after
    (execution/export_calibration.py)."""
    onnx: dict[str, Any] = field(default_factory=dict)
    """Of an export with ONNX files: `difference` of the logits, and `int8`: the 8-bit file, its size and what it loses
    (execution/export_quantization.py)."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Version of xlift, job and pipeline that made the model."""

    @property
    def is_pair(self) -> bool | None:
        """Of formats with one text or a pair: whether it was trained on pairs; None where unknown."""
        return self.optional_fields.get("text_b")

    @property
    def temperature(self) -> float:
        return float(self.calibration.get("temperature", 1.0))

    @property
    def is_text_mode(self) -> bool:
        return self.kind in OUTPUTS and OUTPUTS[self.kind].is_generated

    def write(self, folder: Path) -> None:
        content = {"version": VERSION} | {
            name: value for name, value in asdict(self).items() if value or name == "labels"
        }
        (folder / METADATA_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_export_metadata(folder: Path) -> ExportMetadata:
    """Read what the model in a folder predicts, from its `xlift.json`, or else from the class in its config.json.

    Raises:
        UserError: the folder is not a model, a file is damaged, or its class is not enough.
    """
    config = _read_config(folder)
    path = folder / METADATA_FILE
    if not path.is_file():
        return _metadata_from_class(folder, config)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise UserError("another version of xlift wrote it", where=str(path), fix="Export the model again.")
        metadata = ExportMetadata(**{**content, "labels": tuple(map(str, content["labels"]))})
        formats.get(metadata.format)
        if not isinstance(metadata.max_length, int) or metadata.max_length < 1:
            raise ValueError(f"max_length is {metadata.max_length!r}, expected a number of tokens")
        if not (math.isfinite(metadata.temperature) and metadata.temperature > 0):
            raise ValueError(f"the temperature is {metadata.temperature}, expected a number above 0")
        if not all(isinstance(found, bool) for found in metadata.optional_fields.values()):
            raise ValueError(f"optional_fields is {metadata.optional_fields!r}, expected true or false for each field")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{METADATA_FILE} is damaged: {error}", where=str(folder),
            fix=f"Export the model again, or remove {METADATA_FILE}: then the class in config.json decides.",
        ) from None  # fmt: skip
    return metadata


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir() or not path.is_file():
        problem = "not a model folder: it has no config.json" if folder.is_dir() else "no such folder"
        raise UserError(problem, where=str(folder), fix="Expected a folder that `xlift export` wrote.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("expected a JSON object")
    except (OSError, ValueError) as error:
        raise UserError(f"config.json cannot be read: {error}", where=str(folder)) from None
    return config


def _metadata_from_class(folder: Path, config: dict[str, Any]) -> ExportMetadata:
    name = str((config.get("architectures") or ["no class"])[0])
    id2label = config.get("id2label") or {}
    names = tuple(str(id2label.get(str(index), f"LABEL_{index}")) for index in range(len(id2label) or 2))
    endings = {kind: f"For{output.stock_class}" for kind, output in OUTPUTS.items() if output.stock_class}
    kinds = [kind for kind, ending in endings.items() if name.endswith(ending)]
    if not kinds:
        raise UserError(
            f"it is not known what this model predicts: there is no {METADATA_FILE}, and its class is {name}", where=str(folder),
            fix=f"Without {METADATA_FILE} its class must end with {', '.join(dict.fromkeys(endings.values()))}.",
        )  # fmt: skip
    # kinds may share a class: the problem type decides, then the number of labels
    found = config.get("problem_type"), len(names)
    kind = max(kinds, key=lambda kind: (OUTPUTS[kind].problem_type == found[0], OUTPUTS[kind].num_labels == found[1]))
    format, labels = formats.of_output(kind), names if OUTPUTS[kind].num_labels is None else ()
    return ExportMetadata("", format.name, kind, labels, format.exported_max_length)
