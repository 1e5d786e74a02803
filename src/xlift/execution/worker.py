"""A worker process: receives jobs through a pipe, sends messages, and exits when its run does.

A job, or several to be run in one pass, arrive as a list (`run_batch`). Messages name a job by its key: ("started", key, others)
("step", key, done, total) and ("warning", key, text) during the work, for the first job that is not done; at the end of each job ("done", key, seconds),
("done elsewhere", key) if another process made the artifact, ("busy", key) if another process is making it,
("interrupted", key) or ("error", key, exception).
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

from xlift.errors import UserError
from xlift.execution.stop_signals import STOP_SIGNALS
from xlift.execution.work import run_jobs
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.locks import Lock
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

REPORT_INTERVAL = 0.5
"""Seconds between two progress reports of a job."""

RunJobs = Callable[[Sequence[Job], Context, Store, Progress], Iterator[tuple[Job, float | Exception]]]


class WorkerBug(Exception):
    """A job failed with an internal error; the message is the worker's traceback."""


def run_worker(connection: Connection, context: Context, root: str) -> None:
    """Main function of a worker process."""
    set_up_worker()
    import_libraries()
    # What is loaded now stays. A garbage collection at the end of a job would look through it for 0.2 s.
    gc.collect()
    gc.freeze()
    serve(connection, context, Store(root), run_jobs)


def import_libraries() -> None:
    """Import what jobs need, which takes seconds that must not count for a job."""
    # By default, threads of a job spin while they wait for each other. If another process uses the processor, a step of
    # pretraining then takes six times as long (1.0-1.7 s against 0.2-0.3 s on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("xlift.training.stage", "xlift.evaluation.predict"):
        importlib.import_module(name)


def set_up_worker() -> None:
    """Ignore signals meant for the parent, and exit when it exits."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # the parent starts its workers with these signals blocked
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        wait([parent.sentinel])
        _exit_now()

    threading.Thread(target=exit_with_parent, daemon=True).start()


def serve(connection: Connection, context: Context, store: Store, run_jobs: RunJobs) -> None:
    """Receive and run jobs until the parent closes the connection."""
    while True:
        try:
            jobs = connection.recv()
        except (EOFError, OSError):
            return
        if jobs is not None:  # None is a stop request that arrived after its job ended
            # poll() is true for a stop request, and also when the parent has exited
            run_batch(jobs, context, store, run_jobs, partial(_send, connection), connection.poll)


def run_batch(
    jobs: Sequence[Job],
    context: Context,
    store: Store,
    run_jobs: RunJobs,
    send: Callable[..., None],
    should_stop: Callable[[], bool],
) -> None:
    """Run jobs in one pass, except those that another process runs or has done.

    Args:
        send: called with each message (see above).
    """
    locked: dict[str, tuple[Job, Lock]] = {}
    for job in jobs:
        try:
            lock = None if context.is_finished(job.key, store) else store.try_lock(job.key)
            if lock is not None and context.is_finished(job.key, store):
                lock.release()
                lock = None
        except UserError as error:
            send("error", job.key, error)
            continue
        if lock is not None:
            locked[job.key] = job, lock
        else:
            send("done elsewhere" if context.is_finished(job.key, store) else "busy", job.key)
    if not locked:
        return
    send("started", next(iter(locked)), len(locked) - 1)
    last_report = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > REPORT_INTERVAL:
            last_report = time.monotonic()
            send("step", next(iter(locked)), done, total)

    def end(key: str, message: str, *content: Any) -> None:
        locked.pop(key)[1].release()
        send(message, key, *content)

    warn = lambda message: send("warning", next(iter(locked)), message)  # noqa: E731
    progress = Progress(report, should_stop, warn=warn)
    try:
        for job, outcome in run_jobs([job for job, _ in locked.values()], context, store, progress):
            if isinstance(outcome, Exception):
                end(job.key, "error", _wrap_error(job, outcome))
            else:
                end(job.key, "done", outcome)
    except Interrupted:
        for key in list(locked):
            end(key, "interrupted")
    except Exception as error:  # concerns all jobs of the batch
        for key, (job, _) in list(locked.items()):
            end(key, "error", _wrap_error(job, error))
    finally:
        for _, lock in locked.values():
            lock.release()


def _wrap_error(job: Job, error: Exception) -> UserError | WorkerBug:
    if isinstance(error, UserError):
        return error
    return WorkerBug(f"in {job.label}:\n{''.join(traceback.format_exception(error))}")


def _send(connection: Connection, *message: Any) -> None:
    try:
        connection.send(message)
    except OSError:
        _exit_now()


def _exit_now() -> NoReturn:
    """Exit without cleanup after the parent has exited, since an orphan would keep its lock."""
    os._exit(1)
