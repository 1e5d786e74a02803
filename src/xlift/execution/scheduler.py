"""The scheduler: run the jobs of a plan in the workers of an executor, or in this process.

Several runs may share a store, on one or more machines. If another process has the lock of a job, the run waits for it.
With workers, this process does not import torch; each worker imports it once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from xlift.errors import UserError
from xlift.execution.executors.base import Executor, OneSlotExecutor, Worker, WorkerLost
from xlift.execution.executors.local import LocalExecutor
from xlift.execution.progress import Display, batch_label
from xlift.execution.queue import JobQueue
from xlift.execution.stop_signals import StopNow, Stopped, record_stop_signals
from xlift.execution.work import prediction, run_jobs
from xlift.execution.work.shared import Context
from xlift.execution.worker import WorkerBug, import_libraries, run_batch
from xlift.studies.job import Job
from xlift.studies.placement import default_workers, slots_by_job, uses_gpu, visible_gpus
from xlift.studies.plan import Plan
from xlift.studies.remaining import list_jobs_to_run
from xlift.studies.store import Store

LOCK_POLL_SECONDS = 0.5
"""Seconds between checks of jobs that another process is running."""
STOP_TIMEOUT = 60.0
"""Seconds that running jobs get to write checkpoints when a run is stopped."""
POLL_SECONDS = 0.2
"""Seconds between two looks at the stop signals while nothing else happens."""


@dataclass(frozen=True)
class Outcome:
    done: int
    """Jobs done by this run."""
    seconds: float


OpenExecutor = Callable[[Context, int, Callable[[str], object]], Executor]
"""Opens an executor for the jobs of a run: called with what they share, the number of workers, and a function that shows a
warning."""


def run_plan(
    plan: Plan,
    store: Store,
    display: Display,
    workers: int | None = None,
    on_finished: Callable[[str], object] = lambda key: None,
    seconds: Callable[[Job], float] | None = None,
    open_executor: OpenExecutor | None = None,
) -> Outcome:
    """Run every job of the plan that is not in the store.

    Args:
        workers: number of workers (default: `default_workers`). A job that takes several slots leaves fewer running. 0
            runs the jobs in this process. No result depends on it.
        on_finished: called with the key of every job that is finished.
        seconds: expected seconds of a job. The job with the longest chain of jobs behind it comes first; default: by examples.
        open_executor: default: worker processes on this machine.

    Raises:
        UserError: a job's data or an artifact cannot be used, or workers were killed. Running jobs are finished first, and
            finished jobs are kept.
        Stopped: a signal of `STOP_SIGNALS` arrived.
        WorkerBug: an internal error in a job.
    """
    todo = list_jobs_to_run(plan, store)
    display.begin(todo, len(plan.jobs) - len(todo))
    if not todo:
        return Outcome(0, 0.0)
    started = time.monotonic()
    if workers is None:
        workers = default_workers(plan.engine)
    repeated = frozenset(job.key for job in todo if store.is_done(job.key))
    context = Context(plan.data, plan.tasks, plan.models, plan.engine, plan.engines, repeated, plan.name)
    queue = JobQueue(todo, context.tasks, *([seconds] if seconds else []))
    # opened first: libraries of clusters set signal handlers of their own
    executor = (
        (open_executor or partial(_open_local, plan, store))(context, workers, display.warning) if workers else None
    )
    display.starting(min(workers, len(todo)))
    with record_stop_signals(at_once_from=None if workers else 2) as received:
        runner = (
            _PlanRunner(queue, context, store, display, received, executor)
            if executor
            else _InProcessRunner(queue, context, store, display, received)
        )
        runner.on_finished, runner.num_left = on_finished, len(todo)
        try:
            runner.run()
        except StopNow:
            raise Stopped(received[0]) from None
        finally:
            runner.close()
    return Outcome(runner.num_done, time.monotonic() - started)


def _open_local(plan: Plan, store: Store, context: Context, workers: int, warn: object) -> Executor:
    gpus = visible_gpus() if uses_gpu(plan.engine) else []
    return LocalExecutor(context, store.where, workers, slots_by_job(plan, gpu=bool(gpus)), gpus)


@dataclass
class _Worker:
    handle: Worker
    jobs: dict[str, Job] = field(default_factory=dict)
    """Key -> assigned job that is not done."""
    has_started: bool = False
    """Whether it has started these jobs. A new worker imports modules for seconds first."""
    models: tuple[str, ...] = ()
    """Models that it has in memory or on disk nearby: what its last job made, if it made one, and what it read."""

    @property
    def loaded(self) -> str:
        return self.models[0] if self.models else ""


class _PlanRunner:
    def __init__(
        self, queue: JobQueue, context: Context, store: Store, display: Display, received: list[int], executor: Executor
    ) -> None:
        self.queue, self.context, self.store, self.display, self.received = queue, context, store, display, received
        self.executor = executor
        self.waiting: dict[str, Job] = {}
        """Jobs that another process has locked."""
        self.workers: list[_Worker] = []
        self.failure: UserError | WorkerBug | None = None
        self.num_done, self.num_left = 0, 0
        self.losses: Counter[str] = Counter()
        """Key of a job -> how many workers it has lost."""
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
        self.executor.close()

    def _busy_workers(self) -> list[_Worker]:
        return [worker for worker in self.workers if worker.jobs]

    def _assign_jobs(self) -> None:
        while True:
            idle = [worker for worker in self.workers if not worker.jobs]
            job = self._next_job(idle)
            used = sum(self.executor.slots(next(iter(worker.jobs.values()))) for worker in self._busy_workers())
            if job is None or used + self.executor.slots(job) > self.executor.num_slots:
                return
            worker = self._find_worker(job, idle)
            if worker is None:
                return
            jobs = self.queue.batch(job, (self.executor.num_slots - used) // self.executor.slots(job))
            try:
                worker.handle.assign(jobs)
            except OSError:  # the worker was killed while idle
                self._end_worker(worker)
                continue
            self.queue.remove(jobs)
            worker.jobs, worker.has_started = {each.key: each for each in jobs}, False
            worker.models = tuple(filter(None, ("" if job.kind == "predict" else job.key, _start_of(job))))

    def _next_job(self, idle: list[_Worker]) -> Job | None:
        """The job that comes next. Of predictions, one whose model an idle worker has."""
        for worker in idle:
            job = self.queue.peek(worker.loaded)
            if job is None or job.kind != "predict" or _start_of(job) == worker.loaded:
                return job
        return self.queue.peek()

    def _find_worker(self, job: Job, idle: list[_Worker]) -> _Worker | None:
        """An idle worker with the devices that a job needs, if possible one that has its model; else a new one, perhaps in place
        of idle ones with other devices."""
        need = self.executor.num_devices(job)
        fitting = [worker for worker in idle if not need or len(worker.handle.devices) == need]
        if fitting:
            return next((worker for worker in fitting if _start_of(job) in worker.models), fitting[0])
        while idle and not self.executor.has_room(need):
            self._end_worker(idle.pop())
        handle = self.executor.start(need)
        if handle is None:
            return None
        self.workers.append(_Worker(handle))
        return self.workers[-1]

    def _end_worker(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.handle.end()

    def _receive_messages(self) -> None:
        wanted = 0 if self.failure or self.received else self.num_left
        try:
            handles = self.executor.wait(POLL_SECONDS, wanted)
        except UserError as error:  # no worker can be started
            self.failure = self.failure or error
            return
        for handle in handles:
            worker = next((each for each in self.workers if each.handle is handle), None)
            if worker is None:
                worker = _Worker(handle)
                self.workers.append(worker)
            try:
                for message in handle.receive():
                    self._handle_message(worker, *message)
            except WorkerLost as lost:
                self._handle_lost_worker(worker, lost)

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
        self.num_left -= 1
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

    def _handle_lost_worker(self, worker: _Worker, lost: WorkerLost) -> None:
        """Put the jobs of a lost worker back, unless they have lost too many."""
        self._end_worker(worker)
        if not worker.jobs:
            return
        job, *others = worker.jobs.values()
        label = batch_label(job, len(others))
        if not lost.announced:
            self.losses.update(list(worker.jobs))
        if max(self.losses[key] for key in worker.jobs) <= self.executor.max_losses:
            for each in worker.jobs.values():
                self.queue.put(each)
            if not lost.announced:
                self.display.warning(f"{worker.handle.name} {lost.how}; another one goes on with: {label}")
            return
        fix = f"{lost.fix}run the same command again to resume: finished jobs are kept."
        self._record_failure(job, UserError(f"{worker.handle.name} {lost.how} in the middle of: {label}", fix=fix))

    def _stop_workers(self) -> None:
        """Wait until running jobs have written their checkpoints, or until a second signal."""
        for worker in self._busy_workers():
            with suppress(OSError):  # `_receive_messages` handles dead workers
                worker.handle.request_stop()
        self.display.stopping(sum(len(worker.jobs) for worker in self._busy_workers() if worker.has_started))
        deadline = time.monotonic() + STOP_TIMEOUT
        num_signals = len(self.received)
        while any(worker.has_started for worker in self._busy_workers()):
            if len(self.received) > num_signals or time.monotonic() > deadline:
                return
            self._receive_messages()


class _InProcessRunner(_PlanRunner):
    """Runs the jobs in this process, one batch after another, with the order and the messages of a single worker."""

    def __init__(self, queue: JobQueue, context: Context, store: Store, display: Display, received: list[int]) -> None:
        super().__init__(queue, context, store, display, received, _ThisProcess())
        self.is_stopping = False

    def close(self) -> None:
        prediction.clear_model_cache()

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


class _ThisProcess(OneSlotExecutor):
    """The executor of `_InProcessRunner`, and its only worker. `_InProcessRunner._receive_messages` runs the jobs."""

    name, devices, num_slots, max_losses = "this process", (), 1, 0

    def start(self, num_devices: int) -> Worker:
        import_libraries()
        return self

    def assign(self, jobs: Sequence[Job]) -> None: ...
    def request_stop(self) -> None: ...
    def end(self) -> None: ...
    def close(self) -> None: ...

    def receive(self) -> list[tuple[Any, ...]]:
        return []

    def wait(self, timeout: float, num_jobs: int) -> Sequence[Worker]:
        return []


def _start_of(job: Job) -> str:
    """Identity of the model that a job starts from (`ModelRef.id`); '' in pretraining."""
    return job.start.id if job.start else ""
