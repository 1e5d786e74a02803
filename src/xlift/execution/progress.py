"""Progress of `xlift run`: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from typing import Any, Protocol

from xlift.estimate import Estimator
from xlift.studies.job import Job
from xlift.units import count_noun, format_duration

CTRL_C_ROOM = 4
"""Columns on the right that bars leave to ^C, pressed twice."""


class Display(Protocol):
    """Callbacks of the executor while a plan runs."""

    def begin(self, todo: list[Job], done: int) -> None: ...
    def starting(self, workers: int) -> None:
        """Worker processes are starting, which takes seconds; 0: this process runs the jobs, and imports libraries."""

    def started(self, job: Job, others: int = 0) -> None:
        """A job started, with `others` more in the same pass. Their steps are reported for the first job only."""

    def step(self, job: Job, done: int, total: int) -> None: ...
    def finished(self, job: Job, seconds: float) -> None:
        """The artifact is in the store; `seconds` is 0 if another process made it."""

    def running_elsewhere(self, job: Job) -> None:
        """Another process is running the job."""

    def failed(self, job: Job, others: int) -> None:
        """A job failed. The run ends with its error when the `others` running jobs are finished."""

    def stopping(self, others: int) -> None:
        """The run ends when `others` running jobs have written their checkpoints."""

    def warning(self, text: str) -> None:
        """Something that a user should know, and that stops nothing."""


class PlainDisplay:
    """Lines for a log file: training jobs when they start and end, predictions every few seconds."""

    MIN_INTERVAL = 0.4
    """Fewest seconds between two lines."""
    PREDICTION_INTERVAL = 5.0
    """Fewest seconds between the last line and a line about a prediction."""
    STEP_INTERVAL = 30.0
    """Fewest seconds between the last line and a line about a step."""

    def __init__(self, estimator: Estimator, workers: int, stream: Any = None) -> None:
        self.estimator, self.workers, self.stream = estimator, workers, stream or sys.stderr
        self.remaining: dict[str, Job] = {}
        self.labels: dict[str, str] = {}
        """Key of a running job -> label of its batch."""
        self.total = 0
        self.last_print = 0.0

    def begin(self, todo: list[Job], done: int) -> None:
        self.remaining = {job.key: job for job in todo}
        self.total = len(todo) + done
        if todo:
            self._print_line(f"{count_noun(len(todo), 'job')} to do, {done} done already, {self.time_left()} left")

    def starting(self, workers: int) -> None:
        self._print_line(_starting_message(workers))

    def started(self, job: Job, others: int = 0) -> None:
        self.labels[job.key] = batch_label(job, others)
        self._print_line(f"{self._counter()} {self.labels[job.key]}", min_interval=self._min_interval(job))

    def step(self, job: Job, done: int, total: int) -> None:
        label = self.labels.get(job.key, job.label)
        self._print_line(f"{self._counter()} {label}: {done} of {total}", min_interval=self.STEP_INTERVAL)

    def finished(self, job: Job, seconds: float) -> None:
        self._mark_finished(job, seconds)
        min_interval = self._min_interval(job) if self.remaining else 0.0
        if (
            time.monotonic() - self.last_print >= min_interval
        ):  # checked first: time_left() is slow for thousands of jobs
            how = f"done in {seconds:.1f} s" if seconds else "done by another process"
            self._print_line(f"{self._counter()} {how}: {job.label}; {self.time_left()} left")

    def running_elsewhere(self, job: Job) -> None:
        self._print_line(f"{self._counter()} {_elsewhere_message(job)}", min_interval=self._min_interval(job))

    def failed(self, job: Job, others: int) -> None:
        self._print_line(_failed_message(job, others))

    def stopping(self, others: int) -> None:
        if others:
            self._print_line(_stopping_message(others))

    def warning(self, text: str) -> None:
        self._print_line(f"xlift: warning: {text}")

    def time_left(self) -> str:
        seconds = sum(map(self.estimator.seconds, self.remaining.values())) / self.workers
        return f"about {format_duration(seconds)}" if seconds >= 1 else "under 1 s"

    def _mark_finished(self, job: Job, seconds: float) -> None:
        self.remaining.pop(job.key, None)
        if seconds:
            self.estimator.observe(job, seconds)

    def _counter(self) -> str:
        return f"[{self.total - len(self.remaining)}/{self.total}]"

    def _min_interval(self, job: Job) -> float:
        return self.PREDICTION_INTERVAL if job.kind == "predict" else self.MIN_INTERVAL

    def _print_line(self, line: str, min_interval: float = 0.0) -> None:
        """Print a line, unless the last one was less than `min_interval` seconds ago."""
        if self.stream is None or time.monotonic() - self.last_print < min_interval:
            return
        self.last_print = time.monotonic()
        try:
            print(line, file=self.stream, flush=True)
        except OSError:  # the reader is gone (`xlift run ... 2>&1 | head`); the run continues
            self.stream = None


class SilentDisplay:
    """Prints nothing."""

    def begin(self, todo: list[Job], done: int) -> None: ...
    def starting(self, workers: int) -> None: ...
    def started(self, job: Job, others: int = 0) -> None: ...
    def step(self, job: Job, done: int, total: int) -> None: ...
    def finished(self, job: Job, seconds: float) -> None: ...
    def running_elsewhere(self, job: Job) -> None: ...
    def failed(self, job: Job, others: int) -> None: ...
    def stopping(self, others: int) -> None: ...
    def warning(self, text: str) -> None: ...


class LiveDisplay(PlainDisplay):
    """One bar for the whole study and a line for each running job, cut to the width of the terminal."""

    def __init__(self, estimator: Estimator, workers: int, console: Any) -> None:
        from rich.constrain import Constrain
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.table import Column

        class Bars(Progress):
            def get_renderables(self) -> Iterable[Any]:
                # A terminal writes ^C behind the last bar. At the edge it would wrap, and a bar would stay on the screen.
                yield Constrain(self.make_tasks_table(self.tasks), console.width - CTRL_C_ROOM)

        super().__init__(estimator, workers)
        self.console = console
        fixed, cut = Column(no_wrap=True, min_width=9), Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.progress = Bars(
            SpinnerColumn(), BarColumn(bar_width=20 if console.width >= 60 else 12), TextColumn("{task.fields[amount]}", "right", table_column=fixed),
            TextColumn("{task.description}", markup=False, table_column=cut), console=console, transient=True, expand=True,
        )  # fmt: skip
        self.job_bars: dict[str, Any] = {}
        self.study_bar: Any = None
        self.starting_bar: Any = None
        """Until the first job starts."""
        self.estimate, self.estimate_time = "", -math.inf

    def __enter__(self) -> LiveDisplay:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def begin(self, todo: list[Job], done: int) -> None:
        self.remaining = {job.key: job for job in todo}
        self.total = len(todo) + done
        self.study_bar = self.progress.add_task("", total=self.total, completed=done, amount="")
        self._refresh()

    def starting(self, workers: int) -> None:
        self.starting_bar = self.progress.add_task(_starting_message(workers), total=None, amount="")

    def started(self, job: Job, others: int = 0) -> None:
        self._remove_starting_bar()
        self.job_bars[job.key] = self.progress.add_task(batch_label(job, others), total=None, amount="")

    def step(self, job: Job, done: int, total: int) -> None:
        if job.key in self.job_bars:
            self.progress.update(self.job_bars[job.key], completed=done, total=total, amount=f"{done}/{total}")

    def finished(self, job: Job, seconds: float) -> None:
        self._mark_finished(job, seconds)
        self._remove_bar(job)
        self._refresh()

    def running_elsewhere(self, job: Job) -> None:
        self._print_above(_elsewhere_message(job))

    def failed(self, job: Job, others: int) -> None:
        self._remove_bar(job)
        self._print_above(_failed_message(job, others))

    def stopping(self, others: int) -> None:
        self._remove_starting_bar()
        if others:
            self._print_above(_stopping_message(others))

    def warning(self, text: str) -> None:
        self._print_above(f"xlift: warning: {text}")

    def _remove_starting_bar(self) -> None:
        if self.starting_bar is not None:
            self.progress.remove_task(self.starting_bar)
            self.starting_bar = None

    def _remove_bar(self, job: Job) -> None:
        if job.key in self.job_bars:
            self.progress.remove_task(self.job_bars.pop(job.key))

    def _print_above(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, markup=False, highlight=False)

    def _refresh(self) -> None:
        done = self.total - len(self.remaining)
        if time.monotonic() - self.estimate_time > 1 or not self.remaining:
            self.estimate = f"job{'s' * (self.total != 1)}, {self.time_left()} left"
            self.estimate_time = time.monotonic()
        self.progress.update(self.study_bar, completed=done, amount=f"{done}/{self.total}", description=self.estimate)


def batch_label(job: Job, others: int) -> str:
    """'predict xnli/ar (English) and 3 more': a job and how many others run in the same pass."""
    return f"{job.label} and {others} more" if others else job.label


def _starting_message(workers: int) -> str:
    return f"starting {count_noun(workers, 'worker')}" if workers else "loading PyTorch"


def _elsewhere_message(job: Job) -> str:
    return f"another process is running: {job.label}"


def _failed_message(job: Job, others: int) -> str:
    running = count_noun(others, "other running job")
    wait = f"; the error is printed after {running} (Ctrl-C: now)" if others else ""
    return f"failed: {job.label}{wait}"


def _stopping_message(others: int) -> str:
    return f"stopping: {count_noun(others, 'running job')}, writing checkpoints (Ctrl-C again: stop now)"
