"""The progress bar of `xlift predict` on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class _Rows(ProgressColumn):
    """'12,000 of 50,000 rows, 410/s'."""

    def render(self, task: Task) -> Text:
        of = "" if task.total is None else f" of {task.total:,.0f}"
        rate = task.finished_speed or task.speed
        text = f"{task.completed:,.0f}{of} rows" + (f", {rate:,.0f}/s" if rate else "")
        return Text(text, no_wrap=True)


@contextmanager
def row_progress(total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that takes the number of rows done. It draws a bar on stderr, which is removed at the end.

    Args:
        total: number of rows; None if it is unknown.
        shown: False to draw nothing.
    """
    if not shown:
        yield lambda done: None
        return
    columns = BarColumn(bar_width=10), _Rows(), TimeRemainingColumn()  # a million rows fit 60 columns
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)
