"""The tables of `xlift report` on a terminal: columns that do not fit its width go to further tables below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlift.analysis.lift import LiftRow
from xlift.report.footer import footer
from xlift.report.tables import (
    HEADINGS,
    LEGEND,
    STYLES,
    ScoreTable,
    format_lift,
    format_lift_interval,
    format_minus_control,
    format_same_task,
    format_score,
    make_language_tables,
    make_overview_tables,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table


@dataclass(frozen=True)
class TerminalTable:
    """Tables that fit the width of the terminal: `console.print(TerminalTable(rows))`.

    Columns that do not fit go to further tables below.
    """

    rows: Sequence[LiftRow]
    per_language: bool = False
    notes: Sequence[str] = ()
    """Sentences below the table."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        score_tables = make_language_tables(self.rows) if self.per_language else make_overview_tables(self.rows)
        layouts = [_ColumnLayout.of(score_table, options.max_width) for score_table in score_tables]
        for score_table, layout in zip(score_tables, layouts, strict=True):
            if score_table.title:
                yield Text(score_table.title, style="bold")
            for columns in layout.parts:
                yield self._table(score_table, layout, columns)
        bounds = " Brackets: the interval of a lift." if any(layout.show_bounds for layout in layouts) else ""
        yield Text(f"{LEGEND}{bounds}\n{footer(self.rows, self.notes)}", style="dim")

    @staticmethod
    def _table(score_table: ScoreTable, layout: _ColumnLayout, columns: list[int]) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, layout.gap - 1, 0, 0), width=None)
        for key, width in zip(score_table.keys, layout.keys, strict=True):
            table.add_column(HEADINGS[key], overflow="fold", max_width=width)
        for column in columns:
            table.add_column(
                Text(score_table.columns[column]), overflow="fold", justify="right", max_width=layout.numbers[column]
            )
        for pipeline, line in zip(score_table.pipelines, score_table.cells, strict=True):
            texts = []
            for column in columns:
                row = line[column]
                if row is None:
                    texts.append(Text("–", style="dim"))
                    continue
                text = Text(format_score(row), style="bold" if row.in_best_set else "")
                lift = format_lift_interval(row) if layout.show_bounds else format_lift(row)
                if lift:
                    text.append("\n" + lift, style=STYLES[row.sign])
                if difference := format_minus_control(row, bounds=layout.show_bounds):
                    text.append("\n" + difference, style=STYLES[row.control_sign])
                if same_task := format_same_task(row):
                    text.append("\n" + same_task, style=STYLES[0])
                texts.append(text)
            table.add_row(*(Text(part or "–") for part in pipeline), *texts)
        for names, scores in score_table.guess_lines():
            if any(found := [scores[column] for column in columns]):
                table.add_row(*names, *found, style="dim")
        return table


COLUMN_GAP = 3
"""Characters between two columns: two blanks and one that rich reserves for rules. Each edge has one more."""


@dataclass(frozen=True)
class _ColumnLayout:
    """Column widths of a table on a terminal. Numbers are never broken, names only if there is no room."""

    keys: list[int]
    """Widths of the columns with pipeline parts."""
    numbers: list[int]
    """Widths of the columns with numbers."""
    parts: list[list[int]]
    """Column indices of each table: as few tables as fit, with about equally many columns."""
    show_bounds: bool
    """Show both bounds of lift intervals: for tables of one column, if there is room."""
    gap: int = COLUMN_GAP
    """Characters between two columns; one fewer where words would break."""

    @classmethod
    def of(cls, score_table: ScoreTable, width: int) -> _ColumnLayout:
        from rich.cells import cell_len

        def number_widths(*, bounds: bool) -> list[int]:
            widths = []
            for column, name in enumerate(score_table.columns):
                rows = [row for line in score_table.cells if (row := line[column])]
                lifts = map(format_lift_interval if bounds else format_lift, rows)
                differences = (format_minus_control(row, bounds=bounds) for row in rows)
                texts = [*name.split(), *map(format_score, rows), *lifts, *differences, *map(format_same_task, rows)]
                widths.append(max(map(cell_len, texts), default=1))
            return widths

        gap = COLUMN_GAP

        def total_width(widths: Iterable[int]) -> int:
            return sum(each + gap for each in widths) - gap + 2

        key_widths = [
            max(map(cell_len, (HEADINGS[key], *(pipeline[i] for pipeline in score_table.pipelines))))
            for i, key in enumerate(score_table.keys)
        ]
        words = [
            max(
                cell_len(word)
                for name in (HEADINGS[key], *(pipeline[i] for pipeline in score_table.pipelines))
                for word in name.split() or [""]
            )
            for i, key in enumerate(score_table.keys)
        ]
        keys = [min(each, max(18, width // 4, word)) for each, word in zip(key_widths, words, strict=True)]
        with_bounds = [*keys, *number_widths(bounds=True)]
        show_bounds = len(score_table.columns) == 1 and total_width(with_bounds) <= width
        numbers = number_widths(bounds=show_bounds)
        if total_width([*words, max(numbers, default=1)]) > width:
            gap -= 1
        while total_width([*keys, max(numbers, default=1)]) > width and max(keys) > 4:
            spare = [key - word for key, word in zip(keys, words, strict=True)]  # blanks to wrap at, before words break
            keys[spare.index(max(spare)) if max(spare) > 0 else keys.index(max(keys))] -= 1
        parts: list[list[int]] = []
        for count in range(1, len(numbers) + 1):
            size = math.ceil(len(numbers) / count)
            parts = [list(range(start, min(start + size, len(numbers)))) for start in range(0, len(numbers), size)]
            if all(total_width([*keys, *(numbers[column] for column in part)]) <= width for part in parts):
                break
        return cls(keys, numbers, parts, show_bounds, gap)
