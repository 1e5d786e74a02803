"""What `xlift fetch` shows: a bar with the time left on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from xlift.studies.estimate import human
from xlift.tasks.fetching import Fetched


def size(count: float) -> str:
    """'512 B', '12.3 MB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class PlainDisplay:
    """Lines for a log file: the first file of each task, then one line every few seconds at most."""

    PATIENCE = 10.0
    """Seconds between two lines of the same task."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = stream or sys.stderr
        self.files = self.total = self.done = 0
        self.seen = 0
        self.task = ""
        self.started = self.said = time.monotonic()

    def begin(self, files: int, bytes: int) -> None:
        self.files, self.total = files, bytes
        self.started = time.monotonic()
        if files:
            self._say(f"{files} files to fetch, {size(bytes)}")

    def file(self, task: str, name: str) -> None:
        self.seen += 1
        self._line(f"{task}: {name}", force=task != self.task)
        self.task = task

    def advanced(self, bytes: int) -> None:
        self.done += bytes
        self._line(self.task)

    def checking(self, task: str) -> None:
        if task != self.task or time.monotonic() - self.said >= self.PATIENCE:
            self._say(f"{task}: checking")
        self.task = task

    def time_left(self) -> str:
        """At the rate so far; '' as long as there is none."""
        seconds = time.monotonic() - self.started
        left = seconds / self.done * (self.total - self.done) if self.done and seconds > 1 else 0.0
        return f", about {human(left)} left" if left >= 1 else ""

    def _line(self, what: str, force: bool = False) -> None:
        if force or time.monotonic() - self.said >= self.PATIENCE:
            amount = f"[{self.seen}/{self.files}] {size(self.done)} of {size(self.total)}{self.time_left()}  "
            self._say((amount if self.files else "") + what)

    def _say(self, line: str) -> None:
        self.said = time.monotonic()
        print(line, file=self.stream, flush=True)


class LiveDisplay:
    """One bar over all bytes, with the rate and the time left. Use as a context manager."""

    def __init__(self, console: Any) -> None:
        from rich import progress
        from rich.table import Column

        cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.progress = progress.Progress(
            progress.BarColumn(bar_width=20), progress.DownloadColumn(), progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(), progress.TextColumn("{task.description}", markup=False, table_column=cut),
            console=console, transient=True, expand=True,
        )  # fmt: skip
        self.bar = self.progress.add_task("asking the Hub", total=None)

    def __enter__(self) -> LiveDisplay:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, files: int, bytes: int) -> None:
        self.progress.update(self.bar, total=bytes, description=f"{files} files")

    def file(self, task: str, name: str) -> None:
        self.progress.update(self.bar, description=f"{task}: {name}")

    def advanced(self, bytes: int) -> None:
        self.progress.advance(self.bar, bytes)

    def checking(self, task: str) -> None:
        self.progress.update(self.bar, description=f"{task}: checking")


def print_fetched(results: Sequence[Fetched], console: Any) -> None:
    """A line for each task of which anything is there, and under them what is missing or is not as published."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", no_wrap=True)
    table.add_column("examples", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    if console.width >= 60:
        table.add_column("from", overflow="ellipsis", no_wrap=True)
    for result in results:
        counts = [number for languages in result.counts.values() for number in languages.values()]
        if not counts and not result.elsewhere:
            continue
        origin = [f"{result.repository} at {result.commit[:8]}"] if result.commit else []
        if result.elsewhere:
            origin.append(f"{result.elsewhere} parts in another layout")
        cells = [
            result.task,
            f"{sum(counts):,}" if counts else "",
            size(result.bytes) if counts else "",
            ", ".join(origin),
        ]
        table.add_row(*map(Text, cells[: len(table.columns)]))
    if table.row_count:
        console.print(table)
    problems = [f"{result.task}: {problem}" for result in results for problem in result.problems]
    if problems:
        console.print("\nmissing, or not as published", style="bold", highlight=False)
    for problem in problems:
        console.print(problem, markup=False, highlight=False)
