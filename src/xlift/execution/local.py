"""The local executor: run the jobs of a plan on this machine, in worker processes or in this process.

Several runs may share a store, on one or more machines. If another process has the lock of a job, the run waits for it.
With workers, this process does not import torch; each worker imports it once. Processes communicate by pipes only, since a killed worker
could leave a lock or a semaphore taken and block the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from xlift.errors import UserError
from xlift.execution.progress import Display, batch_label
from xlift.execution.queue import JobQueue, model_of
from xlift.execution.work import prediction, run_jobs
from xlift.execution.work.shared import Context
from xlift.execution.worker import STOP_SIGNALS, WorkerBug, import_libraries, run_batch, run_worker
from xlift.recipes import BLAS_THREADS, Engine
from xlift.studies.job import Job, PredictSpec
from xlift.studies.placement import slots_by_job, uses_gpu
from xlift.studies.plan import Plan
from xlift.studies.remaining import list_jobs_to_run
from xlift.studies.store import Store

LOCK_POLL_SECONDS = 0.5
"""Seconds between checks of jobs that another process is running."""
STOP_TIMEOUT = 60.0
"""Seconds that running jobs get to write checkpoints when a run is stopped."""
POLL_SECONDS = 0.2
"""Seconds between two looks at the stop signals while nothing else happens."""


class _StopNow(BaseException):
    """A second stop signal arrived while a job ran in this process."""


class Stopped(Exception):
    """The run was stopped by a signal. Finished jobs are in the store, and training jobs have written checkpoints."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """128 + signal number, as in shells: 130 after Ctrl-C, 143 after SIGTERM."""


@dataclass(frozen=True)
class Outcome:
    done: int
    """Jobs done by this run."""
    seconds: float


def run_plan(
    plan: Plan,
    store: Store,
    display: Display,
    workers: int | None = None,
    on_finished: Callable[[str], object] = lambda key: None,
) -> Outcome:
    """Run every job of the plan that is not in the store.

    Args:
        workers: number of processes (default: `default_workers`). A job that takes several slots leaves fewer running. 0
            runs the jobs in this process. No result depends on it.
        on_finished: called with the key of every job that is finished.

    Raises:
        UserError: a job's data or an artifact cannot be used, or a worker was killed. Running jobs are finished first, and
            finished jobs are kept.
        Stopped: one of STOP_SIGNALS arrived.
        WorkerBug: an internal error in a job.
    """
    todo = list_jobs_to_run(plan, store)
    display.begin(todo, len(plan.jobs) - len(todo))
    if not todo:
        return Outcome(0, 0.0)
    started = time.monotonic()
    if workers is None:
        workers = default_workers(plan.engine)
    display.starting(min(workers, len(todo)))
    with _record_stop_signals(at_once_from=2 if workers == 0 else None) as received:
        repeated = frozenset(job.key for job in todo if store.is_done(job.key))
        context = Context(plan.data, plan.tasks, plan.models, plan.engine, plan.engines, repeated, plan.name)
        job_slots = slots_by_job(plan, gpu=uses_gpu(plan.engine))
        runner_class = _PlanRunner if workers else _InProcessRunner
        runner = runner_class(todo, context, store, display, max(1, workers), job_slots, received)
        runner.on_finished = on_finished
        try:
            runner.run()
        except _StopNow:
            raise Stopped(received[0]) from None
        finally:
            runner.close()
    return Outcome(runner.num_done, time.monotonic() - started)


def default_workers(engine: Engine) -> int:
    """One worker per processor that this process may use, or a single one with a GPU, which workers would have to share."""
    if uses_gpu(engine):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _record_stop_signals(at_once_from: int | None = None) -> Iterator[list[int]]:
    """Collect the stop signals that arrive. Raising an exception could interrupt a message from a worker. A signal that is
    ignored (nohup) stays ignored.

    Args:
        at_once_from: raise `_StopNow` from this signal on.
    """
    received: list[int] = []

    def record(number: int, _: object) -> None:
        received.append(number)
        if at_once_from is not None and len(received) >= at_once_from:
            raise _StopNow

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # only the main thread can set handlers
        for number in STOP_SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, record)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Worker:
    process: Any
    connection: Any
    jobs: dict[str, Job] = field(default_factory=dict)
    """Key -> assigned job that is not done."""
    has_started: bool = False
    """Whether it has started these jobs. A new worker imports modules for seconds first."""
    loaded: str = ""
    """The model of its last predictions (`queue.model_of`)."""


class _PlanRunner:
    def __init__(
        self,
        todo: list[Job],
        context: Context,
        store: Store,
        display: Display,
        num_slots: int,
        job_slots: Mapping[str, int],
        received: list[int],
    ) -> None:
        self.context, self.store, self.display, self.received = context, store, display, received
        self.num_slots, self.job_slots = num_slots, job_slots
        self.queue = JobQueue(todo, context.tasks)
        self.waiting: dict[str, Job] = {}
        """Jobs that another process has locked."""
        self.workers: list[_Worker] = []
        self.failure: UserError | WorkerBug | None = None
        self.num_done = 0
        self.warnings: set[str] = set()
        """Those that were shown; several workers may send the same."""
        self.on_finished: Callable[[str], object] = lambda key: None

    def run(self) -> None:
        last_check = time.monotonic()
        while (self.queue or self.waiting or self._busy_workers()) and not self.received:
            if self.failure is None:
                self._assign_jobs()
                if self.waiting and time.monotonic() - last_check > LOCK_POLL_SECONDS:
                    self._check_waiting()
                    last_check = time.monotonic()
            elif not self._busy_workers():
                break
            self._receive_messages()
        if self.received:
            self._stop_workers()
        if self.failure:
            raise self.failure
        if self.queue or self.waiting or self._busy_workers():  # otherwise everything was done before the signal
            raise Stopped(self.received[0])

    def close(self) -> None:
        """End the workers. Idle ones hold nothing, and busy ones had their time to stop."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.connection.close()

    def _busy_workers(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.jobs]

    def _slots(self, job: Job) -> int:
        return min(self.job_slots[job.key], self.num_slots)

    def _assign_jobs(self) -> None:
        while True:
            idle = next((worker for worker in self.workers if not worker.jobs), None)
            job = self.queue.peek(idle.loaded if idle else "")
            used = sum(self._slots(next(iter(worker.jobs.values()))) for worker in self._busy_workers())
            if job is None or used + self._slots(job) > self.num_slots:
                return
            worker = idle or self._start_worker()
            jobs = self.queue.batch(job, (self.num_slots - used) // self._slots(job))
            try:
                self._send_jobs(worker, jobs)
            except OSError:  # the worker was killed while idle
                self._remove_worker(worker)
                continue
            self.queue.remove(jobs)
            worker.jobs, worker.has_started = {each.key: each for each in jobs}, False
            if isinstance(job.spec, PredictSpec):
                worker.loaded = model_of(job)

    def _send_jobs(self, worker: _Worker, jobs: list[Job]) -> None:
        worker.connection.send(jobs)

    def _start_worker(self) -> _Worker:
        processes = multiprocessing.get_context("spawn")  # torch does not work in processes forked from threads
        resource_tracker.ensure_running()  # its start unblocks signals, which must stay blocked below
        ours, theirs = processes.Pipe()
        process = processes.Process(target=run_worker, args=(theirs, self.context, self.store.root), daemon=True)
        # Ctrl-C on the terminal reaches the worker too, perhaps before it can ignore the signal.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with _environment(BLAS_THREADS):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _receive_messages(self) -> None:
        for connection in wait([worker.connection for worker in self.workers], timeout=POLL_SECONDS):
            worker = next(worker for worker in self.workers if worker.connection is connection)
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._handle_lost_worker(worker)
            else:
                self._handle_message(worker, *message)

    def _handle_message(self, worker: _Worker, message: str, key: str, *content: Any) -> None:
        job, worker.has_started = worker.jobs[key], True
        if message == "started":
            self.display.started(job, *content)
        elif message == "step":
            self.display.step(job, *content)
        elif message == "warning":
            if content[0] not in self.warnings:
                self.warnings.add(content[0])
                self.display.warning(content[0])
        else:  # the worker has ended this job
            del worker.jobs[job.key]
            if message == "done":
                self.num_done += 1
                self._mark_finished(job, content[0])
            elif message == "done elsewhere":
                self._mark_finished(job, 0.0)
            elif message == "busy":
                self.waiting[job.key] = job
                self.display.running_elsewhere(job)
            elif message == "error":
                self._record_failure(job, content[0])
            else:
                assert message == "interrupted"
                self.queue.put(job)

    def _mark_finished(self, job: Job, seconds: float) -> None:
        self.queue.mark_finished(job)
        self.display.finished(job, seconds)
        self.on_finished(job.key)

    def _record_failure(self, job: Job, error: UserError | WorkerBug) -> None:
        if self.failure is None:
            self.failure = error
            self.display.failed(job, sum(len(worker.jobs) for worker in self._busy_workers()))

    def _check_waiting(self) -> None:
        """Check the jobs of other processes: some are finished, and some can be taken over."""
        for job in list(self.waiting.values()):
            if self.context.is_finished(job.key, self.store):
                del self.waiting[job.key]
                self._mark_finished(job, 0.0)
                continue
            lock = self.store.try_lock(job.key)
            if lock is not None:  # the other process died or gave up
                lock.release()
                del self.waiting[job.key]
                self.queue.put(job)

    def _handle_lost_worker(self, worker: _Worker) -> None:
        code = self._remove_worker(worker)
        if not worker.jobs:
            return
        job, *others = worker.jobs.values()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        fix = "run the same command again to resume: finished jobs are kept."
        if code == -signal.SIGKILL:
            fix = f"if the machine ran out of memory, use fewer --workers; {fix}"
        label = batch_label(job, len(others))
        self._record_failure(job, UserError(f"a worker process {how} in the middle of: {label}", fix=fix))

    def _remove_worker(self, worker: _Worker) -> int:
        """Remove a dead worker. Returns its exit code, negative for a signal."""
        self.workers.remove(worker)
        worker.process.join(5)  # its pipe closes a moment before it exits
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        return worker.process.exitcode

    def _stop_workers(self) -> None:
        """Wait until running jobs have written their checkpoints, or until a second signal."""
        for worker in self._busy_workers():
            with suppress(OSError):  # `_receive_messages` handles dead workers
                worker.connection.send(None)  # any message during a job is a stop request
        self.display.stopping(sum(len(worker.jobs) for worker in self._busy_workers() if worker.has_started))
        deadline = time.monotonic() + STOP_TIMEOUT
        num_signals = len(self.received)
        while any(worker.has_started for worker in self._busy_workers()):
            if len(self.received) > num_signals or time.monotonic() > deadline:
                return
            self._receive_messages()


class _InProcessRunner(_PlanRunner):
    """Runs the jobs in this process, one batch after another, with the order and the messages of a single worker."""

    is_stopping = False

    def close(self) -> None:
        prediction.clear_model_cache()

    def _send_jobs(self, worker: _Worker, jobs: list[Job]) -> None:
        """Nothing to do: `_receive_messages` runs them."""

    def _start_worker(self) -> _Worker:
        import_libraries()
        self.workers.append(_Worker(None, None))
        return self.workers[0]

    def _receive_messages(self) -> None:
        if not self._busy_workers():  # the jobs that are left are running in other processes
            time.sleep(POLL_SECONDS)
        for worker in self._busy_workers():
            send = partial(self._handle_message, worker)
            run_batch(list(worker.jobs.values()), self.context, self.store, run_jobs, send, self._should_stop)

    def _should_stop(self) -> bool:
        if self.received and not self.is_stopping:
            self.is_stopping = True
            self.display.stopping(sum(len(worker.jobs) for worker in self._busy_workers()))
        return bool(self.received)

    def _stop_workers(self) -> None:
        """Nothing to do: a running job has stopped before its batch ended."""
