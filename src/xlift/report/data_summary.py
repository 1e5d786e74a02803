"""The files of custom tasks in `xlift plan`: a table of labels with counts by split and language, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xlift.tasks import formats
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.data_summary import SplitSummary, TaskSummary
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

MAX_LABELS = 20
"""Of more labels the table has the most frequent and the rarest."""
NUM_FREQUENT, NUM_RAREST = 10, 5
LABEL_WIDTH = 30
"""Most columns of the terminal that labels take."""
GAP = 2

Line = tuple[str, list[str]]
"""A label, and a cell for each split."""


def print_summary(summary: TaskSummary, console: Any) -> None:
    """Print the table, in several parts one below the other where the terminal is narrow, and a line for each oddity."""
    from rich.text import Text

    origin = _origin(summary.task)
    console.print(Text(f"{summary.task.name} ({summary.task.format})" + (f", {origin}" if origin else "")))
    lines = list(_lines(summary))
    label_width = min(max(_width(label) for label, _ in lines), LABEL_WIDTH, max(console.width // 3, 10))
    for first, last in _parts(summary.splits, lines, console.width - label_width):
        console.print(
            _table(summary.splits[first:last], [(label, cells[first:last]) for label, cells in lines], label_width)
        )
    if summary.odd:
        console.print(_bullets([str(odd) for odd in summary.odd]))
    console.print()


def summary_as_json(summary: TaskSummary) -> dict[str, Any]:
    """What `print_summary` prints, with all labels."""
    return {
        "task": summary.task.name,
        "format": summary.task.format,
        "origin": _origin(summary.task),
        "splits": [
            {
                "split": each.split,
                "language": each.language,
                "examples": each.num_examples,
                "labels": {label: each.counts.get(label, 0) for label in _labels(summary)},
                "numbers": each.numbers and each.numbers._asdict(),
            }
            for each in summary.splits
        ],
        "odd": [odd._asdict() for odd in summary.odd],
    }


def _origin(task: Task) -> str:
    """'org/name at COMMIT' of a dataset of the Hub; '' for files."""
    source = task.source
    return f"{source.repository} at {source.revision}" if isinstance(source, HubSource) else ""


def _labels(summary: TaskSummary) -> list[str]:
    """The task's labels in their order, if answers are labels, and what else is counted."""
    labels = summary.task.labels if formats.get(summary.task.format).has_classes else ()
    return list(dict.fromkeys([*labels, *sorted({label for each in summary.splits for label in each.counts})]))


def _lines(summary: TaskSummary) -> Iterator[Line]:
    splits, labels = summary.splits, _labels(summary)
    yield "examples", [f"{each.num_examples:,}" for each in splits]
    if any(each.numbers for each in splits):
        for name in ("min", "mean", "max"):
            yield name, [f"{getattr(each.numbers, name):.4g}" if each.numbers else "" for each in splits]
    omitted: list[str] = []
    if len(labels) > MAX_LABELS:
        labels.sort(key=lambda label: -sum(each.counts.get(label, 0) for each in splits))
        omitted = labels[NUM_FREQUENT:-NUM_RAREST]
        labels = [*labels[:NUM_FREQUENT], *labels[-NUM_RAREST:]]
    for n, label in enumerate(labels):
        if omitted and n == NUM_FREQUENT:
            counts = [sum(each.counts.get(other, 0) for other in omitted) for each in splits]
            yield f"({len(omitted):,} more labels)", [f"{count:,}" for count in counts]
        yield truncate(label, 100), [f"{each.counts.get(label, 0):,}" for each in splits]


def _parts(splits: Sequence[SplitSummary], lines: Sequence[Line], width: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the splits that fit side by side."""
    first, used = 0, 0
    for n, each in enumerate(splits):
        needed = GAP + max(_width(each.name), *(_width(cells[n]) for _, cells in lines))
        if n > first and used + needed > width:
            yield first, n
            first, used = n, 0
        used += needed
    if splits:
        yield first, len(splits)


def _table(splits: Sequence[SplitSummary], lines: Sequence[Line], label_width: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 0, 0, GAP), pad_edge=False, header_style="dim")
    table.add_column("", width=label_width, no_wrap=True, overflow="ellipsis")
    for each in splits:
        table.add_column(each.name, justify="right", no_wrap=True)
    for label, cells in lines:
        table.add_row(Text(label), *cells)
    return table


def _bullets(texts: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    for text in texts:
        grid.add_row("!", Text(text))
    return grid


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
