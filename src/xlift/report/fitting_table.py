"""A table for a terminal that never breaks a word: where it is too wide, each row becomes a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

GAP = 3
"""Characters between two columns: two blanks and one that rich reserves for rules."""
EDGES = 2


@dataclass(frozen=True)
class FittingTable:
    """`console.print(FittingTable(headings, rows, 2))`. Cells may have several lines."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int
    """The first columns, which name a row: aligned to the left, and wrapped between words. All others are aligned to the right, and
    not wrapped."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = column_widths(self.headings, self.rows, self.num_names, options.max_width)
        if widths is None:
            yield from self._as_lines(options.max_width)
        else:
            yield self._as_table(widths)

    def _as_table(self, widths: Sequence[int]) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for number, (heading, width) in enumerate(zip(self.headings, widths, strict=True)):
            justify = "left" if number < self.num_names else "right"
            table.add_column(Text(heading), justify=justify, width=width, overflow="fold")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def _as_lines(self, width: int) -> RenderResult:
        """For each row its names, and below them 'heading value' of the other columns, as many on a line as fit."""
        from rich.text import Text

        for row in self.rows:
            yield Text(", ".join(" ".join(cell.split("\n")) for cell in row[: self.num_names] if cell), style="bold")
            parts = [
                f"{heading} {' '.join(cell.split(chr(10)))}"
                for heading, cell in zip(self.headings[self.num_names :], row[self.num_names :], strict=True)
                if cell
            ]
            lines: list[str] = []
            for part in parts:
                if lines and len(lines[-1]) + 2 + len(part) <= width:
                    lines[-1] += f"  {part}"
                else:
                    lines.append(f"  {part}")
            yield from map(Text, lines)


def column_widths(
    headings: Sequence[str], rows: Sequence[Sequence[str]], num_names: int, max_width: int
) -> list[int] | None:
    """The width of each column, or None where the table does not fit. Columns of names get what the others leave."""
    from rich.cells import cell_len

    def longest(texts: Sequence[str]) -> int:
        return max(map(cell_len, texts), default=1)

    columns = list(zip(headings, *rows, strict=True))
    words = [longest([word for cell in column for word in cell.split()]) for column in columns]
    lines = [longest([line for cell in column[1:] for line in cell.split("\n")]) for column in columns]
    fixed = [max(longest(column[0].split()), line) for column, line in zip(columns, lines, strict=True)]
    widths = [*words[:num_names], *fixed[num_names:]]
    room = max_width - EDGES - GAP * (len(widths) - 1) - sum(widths)
    if room < 0:
        return None
    for number in range(len(widths)):
        whole = max(cell_len(headings[number]), lines[number])
        more = min(room, max(0, whole - widths[number]))
        widths[number] += more
        room -= more
    return widths
