"""The tables of a prediction job. In both, one row is one example, in the same order.

`predictions.parquet`, from which all metrics and intervals are computed, so that a new one needs no new predictions:

| column       | content                                                                                    |
| ------------ | ------------------------------------------------------------------------------------------ |
| `id`         | id of the example                                                                          |
| `gold`       | gold answer as JSON, in the form that the format's metrics read                            |
| `prediction` | prediction as JSON, in the same form                                                       |
| `unit`       | examples with an equal unit share a paragraph or a premise; null if the format has no unit |

`scores.parquet`, if the model decided by scores: the column `scores`, a list of numbers for each example. Its metadata says
what they are (`ScoreKind`) and, if there is one for each label of the task, lists the labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xlift.errors import UserError
from xlift.strict_json import parse_json
from xlift.studies.artifact import SCORES
from xlift.studies.prediction_columns import CodedAnswers, StoredLists, to_numbers
from xlift.studies.store import Store
from xlift.tasks.formats.base import ScoreKind

if TYPE_CHECKING:
    import numpy as np

    from xlift.tasks.metrics.base import Metric

PREDICTIONS = "predictions.parquet"
_COMPACT = ("gold", "prediction", "unit")
"""Columns in which many texts are equal."""

UNIT_DIGITS = 16
"""Hexadecimal digits of a unit: 64 bits of the SHA-256 of the text that its examples share."""


@dataclass(frozen=True)
class DecisionScores:
    """The scores of some predictions."""

    kind: ScoreKind
    labels: tuple[str, ...]
    """The label of each number of a row; empty if the numbers belong to something else."""
    rows: Sequence[Any]
    """For each example a list of numbers, or None."""

    def matrix(self) -> np.ndarray | None:
        """(n, numbers) all scores; None if an example has none, or another number of them."""
        return self.rows.matrix() if isinstance(self.rows, StoredLists) else None


class PredictedRows(NamedTuple):
    """The examples of one predict job, each list in the same order."""

    ids: list[str]
    references: list[Any]
    predictions: list[Any]
    units: list[str | None]
    """None for an example that shares no text."""
    answers: CodedAnswers | None = None
    """The same references and predictions."""

    def count(self, metric: Metric, language: str) -> np.ndarray:
        """(n, counts) the counts of a metric."""
        if self.answers is None or not self.ids:
            return metric.count_examples(self.references, self.predictions, language)
        gold, predictions, index = self.answers.pairs()
        return metric.count_examples(gold, predictions, language)[index]


Shared = dict[tuple[bytes, ...], list[Any]]
"""Columns that tables have in common, such as the ids of a test set: content -> list."""


def make_unit(text: str) -> str | None:
    """The unit of examples that share a text; None for no text."""
    return hashlib.sha256(text.encode()).hexdigest()[:UNIT_DIGITS] if text else None


def write_predictions(
    folder: Path,
    ids: Sequence[str],
    gold: Sequence[Any],
    predictions: Sequence[Any],
    units: Sequence[str | None],
) -> None:
    """Write `predictions.parquet` to a folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def to_json(values: Sequence[Any]) -> list[str]:
        return [json.dumps(value, ensure_ascii=False) for value in values]

    columns = {"id": list(ids), "gold": to_json(gold), "prediction": to_json(predictions), "unit": list(units)}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    compact: Any = list(_COMPACT)
    pq.write_table(table, folder / PREDICTIONS, compression="zstd", use_dictionary=compact, write_statistics=False)


def write_scores(folder: Path, scores: DecisionScores) -> None:
    """Write `scores.parquet` to a folder. Probabilities are rounded to float16 (three digits), other scores to float32."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, numpy_number = (pa.float16(), np.float16) if scores.kind == "probability" else (pa.float32(), np.float32)
    rows = [None if row is None else np.asarray(row, dtype=numpy_number) for row in scores.rows]
    metadata = {"kind": scores.kind, "labels": json.dumps(scores.labels, ensure_ascii=False)}
    field = pa.field("scores", pa.list_(number), metadata=metadata)
    pq.write_table(
        pa.table([pa.array(rows, field.type)], schema=pa.schema([field])),
        folder / SCORES,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"scores.list.element": "BYTE_STREAM_SPLIT"},
        write_statistics=False,
    )


def read_rows(store: Store, key: str, shared: Shared | None = None) -> PredictedRows:
    """The table of one predict job. Equal answers of a column are one object.

    Args:
        shared: lists of the tables that were read before, which are used again where they are equal.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    table = _read_columns(store, key, list(_COLUMNS[PREDICTIONS]))
    try:
        ids, units = (_to_list(_find_texts(table[name]), {} if shared is None else shared) for name in ("id", "unit"))
        answers = _decode_answers(table)
        if None in ids:
            raise ValueError("an example has no id")
    except (ValueError, TypeError) as error:
        raise _not_readable(store, key, error) from None
    return PredictedRows(ids, *answers.decode(), units, answers)


def read_answers(store: Store, key: str, *, with_ids: bool) -> tuple[CodedAnswers, Any]:
    """The answers of one predict job, and an Arrow array with the ids of the examples, or None.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    table = _read_columns(store, key, [*(["id"] if with_ids else []), "gold", "prediction"])
    try:
        ids = _find_texts(table["id"]) if with_ids else None
        if ids is not None:
            ids.validate(full=True)  # it may be no UTF-8
            if ids.null_count:
                raise ValueError("an example has no id")
        return _decode_answers(table), ids
    except (ValueError, TypeError) as error:
        raise _not_readable(store, key, error) from None


def _find_texts(column: Any) -> Any:
    """A column of texts as one Arrow array. Raises ValueError if it has other values."""
    import pyarrow as pa

    array = column.combine_chunks()
    values = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not (pa.types.is_string(values) or pa.types.is_large_string(values)):
        raise ValueError(f"a column has {column.type} in place of texts")
    return array


def _decode_answers(table: Any) -> CodedAnswers:
    (gold, gold_codes), (predictions, prediction_codes) = (
        _decode(_find_texts(table[name])) for name in ("gold", "prediction")
    )
    return CodedAnswers(gold, predictions, gold_codes, prediction_codes)


def _decode(array: Any) -> tuple[list[Any], np.ndarray]:
    """The distinct values of an array of JSON texts, and (n,) the place of each among them."""
    encoded = array.dictionary_encode()
    if encoded.null_count:
        raise ValueError("an answer is missing")
    codes = to_numbers(encoded.indices)
    texts = encoded.dictionary.to_pylist()
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(texts)):
        raise ValueError("an answer is none of its dictionary")
    return [parse_json(text) for text in texts], codes


def _to_list(array: Any, shared: Shared) -> list[Any]:
    """The texts of an array. Raises ValueError if one is no UTF-8."""
    if array.null_count == len(array):
        return [None] * len(array)
    parts = (array.indices, array.dictionary) if hasattr(array, "dictionary") else (array,)
    content = (str(array.type).encode(), *(bytes(buffer or b"") for part in parts for buffer in part.buffers()))
    if array.offset or array.null_count:  # then equal bytes may be other texts
        return array.to_pylist()
    if content not in shared:
        shared[content] = array.to_pylist()
    return shared[content]


def read_predictions(store: Store, key: str) -> tuple[list[str], list[Any], list[Any]]:
    """Ids, references and predictions of one predict job.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    return read_rows(store, key)[:3]


def read_scores(store: Store, key: str) -> DecisionScores | None:
    """The scores of one predict job, in the order of `read_rows`; None if it has none.

    Raises:
        UserError: the artifact is missing or damaged.
    """
    if SCORES not in store.open(key).manifest["files"]:
        return None
    column = _read_columns(store, key, ["scores"], SCORES)
    metadata = column.schema.field("scores").metadata or {}
    try:
        kind, labels = metadata.get(b"kind", b"").decode(), parse_json(metadata.get(b"labels", b"[]"))
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ValueError("its labels are no texts")
        return DecisionScores(kind, tuple(labels), _read_numbers(column["scores"]))  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError) as error:
        raise _not_readable(store, key, error) from None


def _read_numbers(column: Any) -> StoredLists:
    """A column of lists of numbers, where a row may have none. Raises ValueError if it has other values."""
    import pyarrow as pa

    if not pa.types.is_list(column.type) or not pa.types.is_floating(column.type.value_type):
        raise ValueError(f"the column scores has {column.type} in place of lists of numbers")
    if any(chunk.flatten().null_count for chunk in column.chunks):
        raise ValueError("a score is missing")
    return StoredLists(column)


def _read_columns(store: Store, key: str, columns: list[str], file: str = PREDICTIONS) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = store.open(key).file(file)
    try:
        # less work than `read_table` for a small file, and equal texts are one text
        compact = [name for name in columns if name in _COMPACT]
        with pq.ParquetFile(path, read_dictionary=compact or None) as opened:
            if missing := set(columns) - set(opened.schema_arrow.names):
                raise ValueError(f"it has no column '{min(missing)}'")
            return opened.read(columns=columns, use_threads=False)
    except KeyError as error:  # one of those that are to be compact
        raise _not_readable(store, key, f"it has no column '{error.args[0].decode()}'") from None
    except (pa.ArrowException, OSError, ValueError) as error:  # damaged bytes are an OSError, too
        raise _not_readable(store, key, error) from None


def _not_readable(store: Store, key: str, why: object) -> UserError:
    return UserError(
        f"the predictions {key[:12]} cannot be read: {str(why).splitlines()[0]}",
        where=store.where,
        fix="`xlift store verify --repair` moves damaged artifacts aside. `xlift run` makes them again.",
    )


MAX_ROWS = 5_000_000
MAX_TABLE_BYTES = 1_000_000_000
"""Of a table that is not from this machine, with every text written out."""


def check_tables(files: Mapping[str, bytes]) -> None:
    """Check the size of tables that are not from this machine before they are read: a small file can hold very long columns.

    Args:
        files: name -> content.

    Raises:
        ValueError: a table is too large, has other columns, or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for name, content in files.items():
        try:
            file = pq.ParquetFile(pa.BufferReader(content))
            metadata = file.metadata
            if tuple(file.schema_arrow.names) != _COLUMNS.get(name):
                raise ValueError(f"{name} has the columns {', '.join(file.schema_arrow.names)[:100]}")
            groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
            chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
            is_small = metadata.num_rows <= MAX_ROWS and sum(chunk.num_values for chunk in chunks) <= 20 * MAX_ROWS
            if not is_small or sum(chunk.total_uncompressed_size for chunk in chunks) > MAX_TABLE_BYTES:
                raise ValueError(f"{name} is too large")
            if name == PREDICTIONS:
                texts = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(_COLUMNS[name]))
                _check_texts(texts.read(), pa, pc)
        except (pa.ArrowException, OSError) as error:  # damaged bytes are an OSError, too
            raise ValueError(f"{name} cannot be read: {str(error).splitlines()[0]}") from None


_COLUMNS = {PREDICTIONS: ("id", "gold", "prediction", "unit"), SCORES: ("scores",)}


def _check_texts(table: Any, pa: Any, pc: Any) -> None:
    """Raises ValueError if the columns are no texts, or too long when they are written out."""
    total = 0
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            if not pa.types.is_dictionary(chunk.type) or not pa.types.is_string(chunk.type.value_type):
                raise ValueError(f"the column {name} has no texts")
            lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
            total += pc.sum(lengths).as_py() or 0
    if total > MAX_TABLE_BYTES:
        raise ValueError(f"{PREDICTIONS} is too large")
