"""Rows of dataclasses as Arrow tables: what pandas frames, Parquet files and SQL are made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from xlift.analysis.example_predictions import ExamplePrediction
from xlift.analysis.lift import exported_fields

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_OF_A_BATCH = 50_000


def make_schema(row_class: type[Any]) -> pa.Schema:
    """The schema of a dataclass: a column for each exported field. Values of any kind are texts: a text as it is, others as JSON."""
    import pyarrow as pa

    kinds = {
        "str": pa.string(),
        "Any": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "list[float]": pa.list_(pa.float64()),
        "dict[str, float]": pa.map_(pa.string(), pa.float64()),
    }
    types = {field.name: str(field.type).removesuffix(" | None") for field in fields(row_class)}
    return pa.schema([(name, kinds[types[name]]) for name in exported_fields(row_class)])


def make_table(row_class: type[Any], rows: Sequence[Any]) -> pa.Table:
    """The rows of a dataclass as a table."""
    import pyarrow as pa

    schema = make_schema(row_class)
    columns = [[getattr(row, name) for row in rows] for name in schema.names]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def make_prediction_tables(rows: Iterable[ExamplePrediction]) -> Iterator[pa.Table]:
    """Predictions as tables of ROWS_OF_A_BATCH rows, so that memory does not depend on their number."""
    iterator = iter(rows)
    while batch := list(islice(iterator, ROWS_OF_A_BATCH)):
        plain = [
            replace(row, gold=to_text(row.gold), prediction=to_text(row.prediction), probabilities=_items(row))
            for row in batch
        ]
        yield make_table(ExamplePrediction, plain)


def to_text(value: Any) -> str | None:
    """A text as it is, any other value as JSON; None for None. What UTF-8 cannot hold (half of a surrogate pair) is escaped."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _items(row: ExamplePrediction) -> Any:
    """The entries of a map, as Arrow reads them."""
    return row.probabilities and [(to_text(name), number) for name, number in row.probabilities.items()]


def to_frame(table: pa.Table) -> Any:
    """A table as a pandas DataFrame: maps are dictionaries."""
    return table.to_pandas(maps_as_pydicts="strict")
