"""Scores of seeds and results of SQL for the terminal and as files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.analysis.example_predictions import ExamplePrediction
from xlift.new_files import write_atomically
from xlift.report.csv_rows import iterate_csv
from xlift.report.fitting_table import FittingTable
from xlift.report.tables import HEADINGS, to_percent

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, ConsoleOptions, RenderResult

NAMES: tuple[str, ...] = (
    "study",
    "model",
    "intermediate",
    "intermediate_language",
    "size",
    "target",
    "language",
    "noise",
    "layer",
    "metric",
)
"""What names a line of the table: all columns but those of a seed."""
ALWAYS = ("intermediate", "target", "language")
"""Columns that every table has. The others are there if they vary."""


@dataclass(frozen=True)
class TerminalScoreTable:
    """A line for each pipeline, target, language, noise and metric, and a column for each seed, in percent."""

    rows: Sequence[Mapping[str, Any]]
    """Fields of `SeedScore`."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        values = {name: {row[name] for row in self.rows} for name in NAMES}
        for name in ("intermediate_language", "size"):
            values[name] -= {""}  # the baseline has none
        varied = [name for name in NAMES if len(values[name]) > 1]
        several_metrics = len({(row["target"], row["metric"]) for row in self.rows}) > len(
            {row["target"] for row in self.rows}
        )
        shown = [name for name in NAMES if name in ALWAYS or (name in varied and (name != "metric" or several_metrics))]
        seeds = sorted({row["seed"] for row in self.rows})
        lines: dict[tuple[str, ...], dict[int, float]] = {}
        for row in self.rows:
            lines.setdefault(tuple(row[name] for name in NAMES), {})[row["seed"]] = row["value"]
        table = []
        for names, scores in lines.items():
            by_name = dict(zip(NAMES, names, strict=True))
            numbers = [f"{to_percent(scores[seed]):.1f}" if seed in scores else "–" for seed in seeds]
            table.append([*(_printable(by_name[name]) or "–" for name in shown), *numbers])
        headings = [*(HEADINGS.get(name, name) for name in shown), *(f"seed {seed}" for seed in seeds)]
        yield FittingTable(headings, table, len(shown))
        yield Text("Percent.", style="dim")


@dataclass(frozen=True)
class TerminalTable:
    """An Arrow table as it is."""

    table: pa.Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [
            ["–" if value is None else _printable(str(_plain(value))) for value in row] for row in _rows(self.table)
        ]
        yield FittingTable([_printable(name) for name in self.table.column_names], rows, self.table.num_columns)


def _printable(text: str) -> str:
    """A text without control characters, which a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def to_json(table: pa.Table) -> str:
    """Return a table as a JSON list of its rows."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist(maps_as_pydicts="strict")]
    return json.dumps(rows, indent=1, ensure_ascii=False, default=str) + "\n"


def iterate_table_csv(table: pa.Table) -> Iterator[str]:
    """Lines of CSV."""
    return iterate_csv(table.column_names, ((_plain(value) for value in row) for row in _rows(table)))


def iterate_prediction_csv(rows: Iterable[ExamplePrediction]) -> Iterator[str]:
    """Lines of CSV; gold and prediction are texts as they are, else JSON."""
    return iterate_csv(list(ExamplePrediction.__dataclass_fields__), (_values(row) for row in rows))


def iterate_prediction_json(rows: Iterable[ExamplePrediction]) -> Iterator[str]:
    """Lines of JSON, one for each prediction."""
    return (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def _values(row: ExamplePrediction) -> list[Any]:
    return [getattr(row, name) for name in ExamplePrediction.__dataclass_fields__]


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        yield from zip(*(column.to_pylist(maps_as_pydicts="strict") for column in batch.columns), strict=True)


def _plain(value: Any) -> Any:
    """A value as JSON and CSV hold it: dates, decimal numbers and others as texts; not-a-number and infinity as texts too."""
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if value is None or isinstance(value, str | bool | int | float | list | dict):
        return value
    return str(value)


def write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write tables of one schema to a Parquet file, atomically. Returns the number of rows.

    Raises:
        UserError: the disk refuses the file.
    """
    import pyarrow.parquet as pq

    count = 0
    with write_atomically(path) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            count += table.num_rows
    return count
