"""A table for a terminal that never breaks a word: where it is too wide, each row becomes a few lines."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

GAPS = (2, 1, 0)
"""Blanks between two columns: the most that fit. rich reserves one character more, for rules."""
EDGES = 2


def hidden_note(columns: Sequence[str], command: str) -> str:
    """A sentence on the columns that a narrow terminal hides; '' where it shows all.

    Args:
        command: what prints them all.
    """
    if not columns:
        return ""
    return f"Hidden, since this terminal is narrow: {', '.join(columns)}. `{command}` has {'them' if len(columns) > 1 else 'it'}."


class _Layout(NamedTuple):
    widths: list[int]
    """Of the columns."""
    gap: int


@dataclass(frozen=True)
class FittingTable:
    """`console.print(FittingTable(headings, rows, 2))`. Headings and cells may have several lines."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    num_names: int
    """The first columns, which name a row: aligned to the left, and wrapped between words. All others are aligned to the right, and
    not wrapped."""
    named_lines: bool = False
    """Where a row becomes lines, its names have their headings too: 'target isle-qa, seed 1'."""

    def fits(self, width: int) -> bool:
        """Whether it is a table at this width, with blanks between its columns."""
        layout = self._layout(width)
        return layout is not None and layout.gap > 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        layout = self._layout(options.max_width)
        if layout is None:
            yield from self._as_lines(options.max_width)
        else:
            yield self._as_table(layout)

    def _as_table(self, layout: _Layout) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, layout.gap, 0, 0))
        for number, (heading, width) in enumerate(zip(self.headings, layout.widths, strict=True)):
            justify = "left" if number < self.num_names else "right"
            table.add_column(Text(heading), justify=justify, width=width, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        return table

    def _as_lines(self, width: int) -> RenderResult:
        """For each row its names, and below them 'heading value' of the other columns, as many on a line as fit."""
        from rich.cells import cell_len
        from rich.text import Text

        headings = [" ".join(heading.split()) for heading in self.headings]
        for row in self.rows:
            cells = [", ".join(filter(None, map(str.strip, str(cell).split("\n")))) for cell in row]
            names = [
                f"{heading} {cell}" if self.named_lines else cell
                for heading, cell in zip(headings, cells[: self.num_names], strict=False)
                if cell
            ]
            yield Text(", ".join(names), style="bold")
            lines: list[str] = []
            for heading, cell in zip(headings[self.num_names :], cells[self.num_names :], strict=True):
                part = f"{heading} {cell}"
                if not cell:
                    continue
                if lines and cell_len(lines[-1]) + 2 + cell_len(part) <= width:
                    lines[-1] += f"  {part}"
                else:
                    lines.append(f"  {part}")
            yield from map(Text, lines)

    def _layout(self, max_width: int) -> _Layout | None:
        """None where no table fits. Columns share the room that their longest words and numbers leave, so that as few as possible
        wrap."""
        from rich.cells import cell_len

        def longest(texts: Sequence[str]) -> int:
            return max(map(cell_len, texts), default=1)

        columns = [[str(cell) for cell in column] for column in zip(self.headings, *self.rows, strict=True)]
        lines = [longest([line for cell in column for line in cell.split("\n")]) for column in columns]
        numbers = [longest([line for cell in column[1:] for line in cell.split("\n")]) for column in columns]
        least = [
            longest([word for cell in (column if n < self.num_names else column[:1]) for word in cell.split()])
            for n, column in enumerate(columns)
        ]
        least = [each if n < self.num_names else max(each, numbers[n]) for n, each in enumerate(least)]
        # the same, where no heading of a number wraps
        whole = [each if n < self.num_names else lines[n] for n, each in enumerate(least)]
        found: list[tuple[int, _Layout]] = []
        for gap in GAPS:
            for start in (least, whole):
                room = max_width - EDGES - (gap + 1) * (len(start) - 1) - sum(start)
                if room < 0:
                    continue
                widths = list(start)
                needs = sorted((line - width, n) for n, (line, width) in enumerate(zip(lines, widths, strict=True)))
                for rank, (need, n) in enumerate(needs):  # equal shares; what a short column leaves, longer ones get
                    more = min(need, room // (len(needs) - rank))
                    widths[n] += more
                    room -= more
                found.append((sum(map(operator.lt, widths, lines)), _Layout(widths, gap)))
            if gap == 1 and found:
                break
        return min(found, key=lambda each: each[0])[1] if found else None
