"""What an 8-bit model loses: both models answer the same test rows of every scored language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.analysis.pipelines import Pipeline
from xlift.errors import UserError
from xlift.execution.export_calibration import read_examples
from xlift.execution.work.evaluator import compute_score
from xlift.studies.job import Data, PredictSpec
from xlift.studies.store import Store
from xlift.studies.study_file import StudyFile
from xlift.tasks import formats
from xlift.tasks.sources.base import draw_subset

if TYPE_CHECKING:
    from xlift.models.export import ExportMetadata

INT8 = "onnx/model_int8.onnx"
"""The name that transformers.js looks for with `dtype: "int8"`."""
ROWS = 200
"""Most rows of a language. A drop of 3 points is then about twice its standard error, since both models answer the same rows."""
OPTION = "--quantize"


@dataclass(frozen=True)
class QuantizationRow:
    language: str
    n: int
    metric: str
    before: float
    """Score of the model in float32, from 0 to 1."""
    after: float
    """Score of the 8-bit model on the same rows."""
    equal: float
    """Share of rows with the same answer."""


def find_test_data(pipeline: Pipeline, store: Store, kind: str) -> tuple[Data, ...]:
    """Return the test data of every scored language.

    Raises:
        UserError: the model has no head of transformers, or no study scored it.
    """
    from xlift.models.export import CLASSES

    if kind not in CLASSES:
        raise UserError(
            "only encoders with a head for labels, spans, choices or numbers are quantized",
            where=OPTION,
            fix="Leave the option out.",
        )
    cells = [cell for cell in pipeline.cells if not cell.noise]
    specs = (PredictSpec.model_validate(store.open(cell.key, verify=False).manifest["spec"]) for cell in cells)
    if found := tuple({spec.data.language: spec.data for spec in specs}.values()):
        return found
    raise UserError(
        "no study scored this model, so its loss cannot be measured",
        where=OPTION,
        fix="Export it by its study, or leave the option out.",
    )


def measure_loss(
    folder: Path, metadata: ExportMetadata, data: Sequence[Data], study: StudyFile, root: Path | None
) -> list[QuantizationRow]:
    """Score the exported model and its file `INT8` on the same rows.

    Args:
        data: `find_test_data`.
        root: folder of the data files.

    Raises:
        UserError: the data is not on this machine or has changed.
    """
    from xlift.execution.file_prediction import InputRow, load_exported_model, predict_rows
    from xlift.models.export.onnx_int8 import OnnxModel

    model = load_exported_model(folder, "cpu")
    models = model, replace(model, model=OnnxModel(folder / INT8, model.model.config))
    rows = []
    for each, task, examples in read_examples(data, study, root):
        format = formats.get(task.format)
        known = [example for example in examples if format.gold(example) is not None]
        drawn = draw_subset(len(known), ROWS, "quantization", task.name, each.language)
        known = [known[at] for at in sorted(drawn)]
        before, after = (
            [found.label for found in predict_rows(one, (InputRow(row.id, row) for row in known))] for one in models
        )
        full, quantized = (compute_score(task, known, answers, each.language) for answers in (before, after))
        equal = sum(map(eq, before, after)) / len(known)
        rows.append(QuantizationRow(each.language, len(known), task.metrics[0], full, quantized, equal))
    return rows


def describe(folder: Path, full: str, rows: Sequence[QuantizationRow]) -> dict[str, Any]:
    """Return `onnx.int8` of `xlift.json`.

    Args:
        full: the file in float32.
    """
    sizes = [
        sum(path.stat().st_size for path in (folder / name).parent.glob(f"{Path(name).name}*")) for name in (full, INT8)
    ]
    return {"file": INT8, "bytes": sizes[1], "float32_bytes": sizes[0], "rows": [asdict(row) for row in rows]}
