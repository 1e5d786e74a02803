"""A worker process: jobs come in through a pipe, messages go out, and nothing it holds outlives its run.

Messages: ("started",) and ("step", done, total) in the course of a job; at its end ("done", seconds), ("there",) when
another process had made the product, ("busy",) when one is making it, ("interrupted",) or ("error", exception).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from xlift.errors import UserError
from xlift.execution.work import do_job
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a cluster's or a system's request, a terminal that went away: a run stops cleanly on all three."""
REPORT_EVERY = 0.5
"""Seconds between two reports of a job at work."""

Do = Callable[[Job, Context, Store, Progress], None]


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
    serve(connection, context, Store(root), do_job)


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
            job = connection.recv()
        except (EOFError, OSError):
            return
        if job is None:  # came too late for the job it was to stop
            continue
        try:
            message = _do_one(job, connection, context, store, do)
        except Interrupted:
            message = ("interrupted",)
        except UserError as error:
            message = ("error", error)
        except Exception:
            message = ("error", WorkerBug(f"in {job.label}:\n{traceback.format_exc()}"))
        _say(connection, *message)


def _do_one(job: Job, connection: Connection, context: Context, store: Store, do: Do) -> tuple[Any, ...]:
    lock = None if store.has(job.key) else store.try_lock(job.key)
    if lock is None:
        return ("there",) if store.has(job.key) else ("busy",)
    with lock:
        if store.has(job.key):
            return ("there",)
        _say(connection, "started")
        said = started = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal said
            if time.monotonic() - said > REPORT_EVERY:
                said = time.monotonic()
                _say(connection, "step", done, total)

        # a run that is gone shows as something to read, too
        do(job, context, store, Progress(report, connection.poll))
        return "done", time.monotonic() - started


def _say(connection: Connection, *message: Any) -> None:
    try:
        connection.send(message)
    except OSError:
        _leave()


def _leave() -> NoReturn:
    """The run is gone: end without a word and without delay, as an orphan would go on holding its lock."""
    os._exit(1)
