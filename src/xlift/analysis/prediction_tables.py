"""The predictions of a cell as an Arrow table, whose columns are made from the distinct answers and not row by row.

`example_predictions.read_examples` says what is in a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlift.analysis import example_predictions
from xlift.analysis.chance import is_choice
from xlift.analysis.example_predictions import ExamplePrediction
from xlift.analysis.result_tables import make_prediction_tables, make_schema, to_text
from xlift.analysis.scores import readable
from xlift.studies.plan import Cell
from xlift.studies.prediction_columns import CodedAnswers
from xlift.studies.predictions import DecisionScores, read_answers, read_scores
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import formats

if TYPE_CHECKING:
    import pyarrow as pa


def prediction_schema(columns: Collection[str] | None = None) -> pa.Schema:
    """The schema of the tables. Texts that many rows share are kept once.

    Args:
        columns: names; None for all. They are in the order of `ExamplePrediction`.
    """
    import pyarrow as pa

    fields = [field for field in make_schema(ExamplePrediction) if columns is None or field.name in columns]
    shared = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [field.with_type(shared) if field.type == pa.string() and field.name != "id" else field for field in fields]
    )


def read_tables(
    record: Record, store: Store, cells: Sequence[Cell], columns: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """The predictions of some cells.

    Raises:
        UserError: an artifact is damaged.
    """
    schema = prediction_schema(columns)
    for cell in cells:
        for layer, key in example_predictions.layers_of(store, cell).items():
            table = _read_table(record, store, cell, layer, key, schema)
            if table is None:  # row by row
                rows = example_predictions.read_layer(record, store, cell, layer, key)
                for each in make_prediction_tables(rows):
                    yield each.select(schema.names).cast(schema)
            else:
                yield table


def _read_table(record: Record, store: Store, cell: Cell, layer: str, key: str, schema: pa.Schema) -> pa.Table | None:
    """The table of one prediction job; None if its scores are not equally many in every row."""
    import pyarrow as pa

    names = set(schema.names)
    answers, ids = read_answers(store, key, with_ids="id" in names)
    n, scores, matrix = len(answers.gold_codes), None, None
    if names & {"probability", "probabilities", "score_kind", "scores"}:
        scores = read_scores(store, key)
        matrix = scores.matrix() if scores else None
        if scores is not None and (matrix is None or len(matrix) != n):
            return None
    if not n:
        return schema.empty_table()
    constant = example_predictions.identity(record, cell, layer)
    made: dict[str, Any] = {"id": ids}
    if names & {"correct", "score"}:
        made |= _judge(record, store, cell, key, answers, names)
    for name, values, codes in (
        ("gold", answers.gold, answers.gold_codes),
        ("prediction", answers.predictions, answers.prediction_codes),
    ):
        if name in names:
            texts = pa.array([to_text(value) for value in values], pa.string())
            made[name] = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), texts)
    if scores is not None and matrix is not None:
        constant["score_kind"] = scores.kind
        made |= _spread(record, cell, scores, matrix, answers)
    else:
        constant["score_kind"] = ""
    arrays = []
    for field in schema:
        if made.get(field.name) is not None:
            arrays.append(made[field.name].cast(field.type))
        elif field.name not in constant:
            arrays.append(pa.nulls(n, field.type))
        elif pa.types.is_dictionary(field.type):
            codes = pa.array(np.zeros(n, np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array([constant[field.name]], pa.string())))
        else:
            arrays.append(pa.repeat(pa.scalar(constant[field.name], field.type), n))
    return pa.table(arrays, schema=schema)


def _judge(
    record: Record, store: Store, cell: Cell, key: str, answers: CodedAnswers, names: set[str]
) -> dict[str, Any]:
    """The columns `correct` and `score`, if they are among the names, computed once for each distinct pair of answers."""
    import pyarrow as pa

    judge = example_predictions.Judge.of(record.tasks[cell.task])
    gold, predictions, index = answers.pairs()
    with readable(store, key, judge.first.name):
        judged = [judge(*pair, cell.language) for pair in zip(gold, predictions, strict=True)]
    places = pa.array(index)
    columns = {
        "correct": (pa.bool_(), [each[0] for each in judged]),
        "score": (pa.float64(), [each[1] for each in judged]),
    }
    return {name: pa.array(values, kind).take(places) for name, (kind, values) in columns.items() if name in names}


def _spread(
    record: Record, cell: Cell, scores: DecisionScores, matrix: np.ndarray, answers: CodedAnswers
) -> dict[str, Any]:
    """The columns with numbers of the model."""
    import pyarrow as pa

    n, width = matrix.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * width)
    values = pa.array(matrix.ravel())
    made: dict[str, Any] = {"scores": pa.ListArray.from_arrays(offsets, values)}
    is_probability = scores.kind == "probability"
    form = formats.get(record.tasks[cell.task].format)
    if is_probability and (scores.labels or is_choice(form)):
        names = [str(name) for name in scores.labels or range(width)][:width]
        kept = matrix[:, : len(names)]
        keys = pa.array(np.tile(np.arange(len(names), dtype=np.int32), n))
        texts = pa.DictionaryArray.from_arrays(keys, pa.array([to_text(name) for name in names], pa.string()))
        starts = pa.array(np.arange(n + 1, dtype=np.int32) * len(names))
        made["probabilities"] = pa.MapArray.from_arrays(starts, texts.cast(pa.string()), pa.array(kept.ravel()))
        place = {name: at for at, name in enumerate(names)}
        places = np.array([place.get(str(value), -1) for value in answers.predictions])[answers.prediction_codes]
        made["probability"] = pa.array(kept[np.arange(n), places], mask=places < 0)
    return made
