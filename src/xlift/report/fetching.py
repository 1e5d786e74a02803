"""Progress and result of `xlift fetch`: a progress bar on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from xlift.tasks.fetching import FetchResult
from xlift.units import count_noun, format_duration


def format_bytes(count: float) -> str:
    """'512 B', '12.3 MB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


class PlainDisplay:
    """Lines for a log file: the first file of each task, then at most one line every few seconds."""

    SECONDS_BETWEEN_LINES = 10.0
    """Minimum seconds between two lines of the same task."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = stream or sys.stderr
        self.files = self.total = self.done = 0
        self.started_files = 0
        self.task = ""
        self.started = self.last_printed = time.monotonic()

    def start_transfer(self, files: int, bytes: int) -> None:
        self.files, self.total = files, bytes
        self.started = time.monotonic()
        if files:
            self._print(f"{files} file{'s' * (files != 1)} to fetch, {format_bytes(bytes)}")

    def start_file(self, task: str, name: str) -> None:
        self.started_files += 1
        self._line(f"{task}: {name}", force=task != self.task)
        self.task = task

    def add_bytes(self, bytes: int) -> None:
        self.done += bytes
        self._line(self.task)

    def start_check(self, task: str) -> None:
        if task != self.task or time.monotonic() - self.last_printed >= self.SECONDS_BETWEEN_LINES:
            self._print(f"{task}: checking")
        self.task = task

    def time_left(self) -> str:
        """Format the remaining time at the current rate; '' while the rate is unknown."""
        seconds = time.monotonic() - self.started
        left = seconds / self.done * (self.total - self.done) if self.done and seconds > 1 else 0.0
        return f", about {format_duration(left)} left" if left >= 1 else ""

    def _line(self, what: str, force: bool = False) -> None:
        if force or time.monotonic() - self.last_printed >= self.SECONDS_BETWEEN_LINES:
            amount = f"[{self.started_files}/{self.files}] {format_bytes(self.done)} of {format_bytes(self.total)}{self.time_left()}  "
            self._print((amount if self.files else "") + what)

    def _print(self, line: str) -> None:
        self.last_printed = time.monotonic()
        print(line, file=self.stream, flush=True)


class LiveDisplay:
    """A progress bar over all bytes with the rate and the remaining time. Use as a context manager."""

    def __init__(self, console: Any) -> None:
        from rich import progress
        from rich.table import Column

        cut = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.progress = progress.Progress(
            progress.BarColumn(bar_width=20), progress.DownloadColumn(), progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(), progress.TextColumn("{task.description}", markup=False, table_column=cut),
            console=console, transient=True, expand=True,
        )  # fmt: skip
        self.bar = self.progress.add_task("listing files on the Hub", total=None)

    def __enter__(self) -> LiveDisplay:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def start_transfer(self, files: int, bytes: int) -> None:
        self.progress.update(self.bar, total=bytes, description=count_noun(files, "file"))

    def start_file(self, task: str, name: str) -> None:
        self.progress.update(self.bar, description=f"{task}: {name}")

    def add_bytes(self, bytes: int) -> None:
        self.progress.advance(self.bar, bytes)

    def start_check(self, task: str) -> None:
        self.progress.update(self.bar, description=f"{task}: checking")


def print_fetched(results: Sequence[FetchResult], console: Any) -> None:
    """Print a line for each task with data, and below them the missing files and differences from the published data."""
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
        if not counts and not result.elsewhere and (result.kind == "data" or not result.is_complete):
            continue
        origin = [f"{result.repository} at {result.commit[:8]}"] if result.commit else []
        if result.elsewhere:
            origin.append(f"{count_noun(result.elsewhere, 'file')} in another layout")
        cells = [
            result.task,
            f"{sum(counts):,}" if counts else "",
            format_bytes(result.bytes) if counts or result.kind == "model" else "",
            ", ".join(origin),
        ]
        table.add_row(*map(Text, cells[: len(table.columns)]))
    if table.row_count:
        console.print(table)
        if len(table.columns) < 4:
            console.print("Hidden, since this terminal is narrow: from, the repository of each task.", highlight=False)
    problems = [f"{result.task}: {problem}" for result in results for problem in result.problems]
    if problems:
        console.print("\nmissing, or different from the published data", style="bold", highlight=False)
    for problem in problems:
        console.print(problem, markup=False, highlight=False)
