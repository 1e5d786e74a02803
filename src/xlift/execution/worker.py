"""A worker process: jobs come in through a pipe, messages go out, and nothing it holds outlives its run.

A job, or several that are done together, come as a list. Messages name a job by its key: ("started", key, others) and
("step", key, done, total) in the course of the work, by the first that is left; at the end of each ("done", key, seconds),
("there", key) when another process had made the product, ("busy", key) when one is making it, ("interrupted", key) or
("error", key, exception).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from xlift.errors import UserError
from xlift.execution.work import do_jobs
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.locks import Lock
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a cluster's or a system's request, a terminal that went away: a run stops cleanly on all three."""
REPORT_EVERY = 0.5
"""Seconds between two reports of a job at work."""

Do = Callable[[Sequence[Job], Context, Store, Progress], Iterator[tuple[Job, float | Exception]]]


class WorkerBug(Exception):
    """A job failed with an error that is ours; the message is the worker's traceback."""


def work(connection: Connection, context: Context, root: Path) -> None:
    """The life of a worker process."""
    settle()
    # By default the threads of a job spin while they wait for each other, and where another process wants the processor a
    # step of pretraining takes six times as long (1.0-1.7 s against 0.2-0.3 s on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("xlift.training.stage", "xlift.evaluation.predict"):  # seconds, which should count to no job
        importlib.import_module(name)
    serve(connection, context, Store(root), do_jobs)


def settle() -> None:
    """Become a worker: deaf to signals that are meant for the run, and gone when the run is."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # the run starts its workers with these blocked
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        _leave()

    threading.Thread(target=watch, daemon=True).start()


def serve(connection: Connection, context: Context, store: Store, do: Do) -> None:
    """Jobs come in, messages go out, until the run hangs up."""
    while True:
        try:
            jobs = connection.recv()
        except (EOFError, OSError):
            return
        if jobs is not None:  # else it came too late for the jobs it was to stop
            _do_together(jobs, connection, context, store, do)


def _do_together(jobs: Sequence[Job], connection: Connection, context: Context, store: Store, do: Do) -> None:
    ours: dict[str, tuple[Job, Lock]] = {}
    for job in jobs:
        try:
            lock = None if store.has(job.key) else store.try_lock(job.key)
            if lock is not None and store.has(job.key):
                lock.release()
                lock = None
        except UserError as error:
            _say(connection, "error", job.key, error)
            continue
        if lock is not None:
            ours[job.key] = job, lock
        else:
            _say(connection, "there" if store.has(job.key) else "busy", job.key)
    if not ours:
        return
    _say(connection, "started", next(iter(ours)), len(ours) - 1)
    said = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > REPORT_EVERY:
            said = time.monotonic()
            _say(connection, "step", next(iter(ours)), done, total)

    def end(key: str, message: str, *content: Any) -> None:
        ours.pop(key)[1].release()
        _say(connection, message, key, *content)

    # a run that is gone shows as something to read, too
    progress = Progress(report, connection.poll)
    try:
        for job, outcome in do([job for job, _ in ours.values()], context, store, progress):
            if isinstance(outcome, Exception):
                end(job.key, "error", _told(job, outcome))
            else:
                end(job.key, "done", outcome)
    except Interrupted:
        for key in list(ours):
            end(key, "interrupted")
    except Exception as error:  # of something that all of them share
        for key, (job, _) in list(ours.items()):
            end(key, "error", _told(job, error))


def _told(job: Job, error: Exception) -> UserError | WorkerBug:
    if isinstance(error, UserError):
        return error
    return WorkerBug(f"in {job.label}:\n{''.join(traceback.format_exception(error))}")


def _say(connection: Connection, *message: Any) -> None:
    try:
        connection.send(message)
    except OSError:
        _leave()


def _leave() -> NoReturn:
    """The run is gone: end without a word and without delay, as an orphan would go on holding its lock."""
    os._exit(1)
