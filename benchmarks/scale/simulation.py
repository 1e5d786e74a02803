"""A run in virtual time: the jobs of a plan on many GPUs, in the order of the scheduler's own queue.

Nothing is trained. A job takes the seconds that the cost model gives it on a device, and a prediction loads its model unless its
worker has it. Where a job fails, its worker is gone at a random moment, the jobs it had go back to the queue, and a new worker
starts. A training stage goes on from its last checkpoint; everything else starts anew.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from xlift.estimate import PlanEstimate
from xlift.estimate.devices import LOAD_RATE, START, find_device
from xlift.execution.queue import JobQueue, model_of
from xlift.studies.job import Job
from xlift.studies.plan import Plan

CHECKPOINT_SECONDS, CHECKPOINT_SHARE, STATE_BYTES = 60.0, 0.02, 12.0
"""A stage writes a checkpoint at most this often, and in at most this share of its time (training/loop.py, which imports torch);
bytes of weights and moments for each trained parameter."""
WINDOW = 60
"""Seconds over which a rate of requests is averaged."""


@dataclass
class Worker:
    number: int
    loaded: str = ""
    """The model of its last predictions, or the one that it has just made."""


@dataclass
class Result:
    """What a simulated run took. Seconds are those of the simulated clock, except `scheduler_seconds`."""

    makespan: float = 0.0
    critical_path: float = 0.0
    """Seconds of the longest chain of jobs, with the model of its prediction loaded."""
    work: float = 0.0
    """Sum of the seconds of all jobs, without failed attempts and the loading of models."""
    gpus: int = 0
    num_jobs: int = 0
    assignments: int = 0
    """Jobs and batches of predictions that a worker was given."""
    failures: int = 0
    lost: float = 0.0
    """Seconds of failed attempts."""
    cold_loads: int = 0
    """Batches of predictions before which a model was loaded."""
    warm_loads: int = 0
    """Batches of predictions of the model that the worker had."""
    scheduler_seconds: float = 0.0
    """Processor time of the queue's calls on this machine."""
    finished: Counter[int] = field(default_factory=Counter)
    """Window of time -> jobs finished in it."""

    @property
    def bound(self) -> float:
        """No schedule takes less: the longest chain, or all work shared equally."""
        return max(self.critical_path, self.work / self.gpus)

    @property
    def peak_jobs_per_second(self) -> float:
        return max(self.finished.values()) / WINDOW


@dataclass
class Costs:
    """Seconds on a device, by the key of a job. The model of a prediction is loaded apart."""

    seconds: dict[str, float]
    loading: dict[str, float]
    checkpoints: dict[str, float]
    """Key of a training stage -> seconds between its checkpoints."""

    @classmethod
    def of(cls, plan: Plan, device: str, gpus: int, spread: float = 0.0, seed: int = 0) -> Costs:
        """The costs by the cost model.

        Args:
            spread: the logarithm of a job's real time deviates from its estimate by this much.
        """
        estimate, generator = PlanEstimate(plan, None, gpus, find_device(device)), random.Random(seed)
        seconds = {
            job.key: estimate.prior_seconds(job) * generator.lognormvariate(0.0, spread) for job in plan.jobs.values()
        }
        loading: dict[str, float] = {}
        checkpoints: dict[str, float] = {}
        for job in plan.jobs.values():
            work = estimate.workloads[job.key]
            if job.kind == "predict" and work.num_model_loads:
                assert estimate.device is not None
                loading[job.key] = estimate.device.loading_seconds(work) / work.num_model_loads
            elif job.kind == "train":
                writing = STATE_BYTES * work.trained_parameters / LOAD_RATE
                checkpoints[job.key] = max(CHECKPOINT_SECONDS, writing / CHECKPOINT_SHARE)
        return cls(seconds, loading, checkpoints)


def lower_bounds(jobs: Sequence[Job], costs: Costs) -> tuple[float, float]:
    """Seconds of the longest chain, and the sum of all."""
    rest: dict[str, float] = defaultdict(float)
    for job in reversed(jobs):
        rest[job.key] += costs.seconds[job.key]
        for parent in job.required:
            rest[parent] = max(rest[parent], rest[job.key])
    return max(rest.values()), sum(costs.seconds.values())


class Simulation:
    """
    Args:
        estimated: seconds of a job as the scheduler expects them.
        failures: share of the attempts that fail.
    """

    def __init__(
        self,
        plan: Plan,
        costs: Costs,
        gpus: int,
        estimated: Callable[[Job], float],
        failures: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.jobs, self.costs, self.failures = list(plan.jobs.values()), costs, failures
        self.generator = random.Random(seed)
        self.result = Result(gpus=gpus, num_jobs=len(self.jobs))
        self.result.critical_path, self.result.work = lower_bounds(self.jobs, costs)
        self.idle = [Worker(number) for number in range(gpus)]
        self.events: list[tuple[float, int, Worker, list[Job], bool]] = []
        """(time, number, worker, finished jobs, whether the attempt ends now), by time."""
        self.left = dict(costs.seconds)
        """Key of a job -> its seconds, less those before its last checkpoint."""
        self.given: dict[int, list[Job]] = {}
        """Number of a worker -> its jobs that are not done."""
        self.numbers = count()
        started = time.process_time()
        self.queue = JobQueue(self.jobs, plan.tasks, estimated)
        self.result.scheduler_seconds += time.process_time() - started

    def run(self) -> Result:
        now = START
        self._assign(now)
        while self.events:
            now = self.events[0][0]
            while self.events and self.events[0][0] == now:
                _, _, worker, finished, is_end = heapq.heappop(self.events)
                self._finish(worker, finished, now)
                if is_end:
                    self._end(worker)
            self._assign(now)
        self.result.makespan = now
        return self.result

    def _finish(self, worker: Worker, jobs: list[Job], now: float) -> None:
        started = time.process_time()
        for job in jobs:
            self.queue.mark_finished(job)
        self.result.scheduler_seconds += time.process_time() - started
        self.result.finished[int(now // WINDOW)] += len(jobs)
        for job in jobs:
            self.given[worker.number].remove(job)
            if job.kind != "predict":
                worker.loaded = job.key

    def _end(self, worker: Worker) -> None:
        """The worker has done its jobs, or a new one takes its place and its jobs go back."""
        for job in self.given.pop(worker.number):
            self.queue.put(job)
        self.idle.append(worker)

    def _assign(self, now: float) -> None:
        while self.idle:
            worker = self.idle[-1]
            started = time.process_time()
            job = self.queue.peek(worker.loaded)
            batch: list[Job] = []
            if job is not None:
                batch = self.queue.batch(job, len(self.idle))
                self.queue.remove(batch)
            self.result.scheduler_seconds += time.process_time() - started
            if job is None:
                return
            self.idle.pop()
            self._start(worker, batch, now)

    def _start(self, worker: Worker, jobs: list[Job], now: float) -> None:
        result, at = self.result, now
        result.assignments += 1
        self.given[worker.number] = list(jobs)
        if jobs[0].kind == "predict":
            if worker.loaded == model_of(jobs[0]):
                result.warm_loads += 1
            else:
                result.cold_loads += 1
                at += self.costs.loading[jobs[0].key]
            worker.loaded = model_of(jobs[0])
        ends = []
        for job in jobs:
            at += self.left[job.key]
            ends.append(at)
        if self.generator.random() < self.failures * len(jobs):
            failed = now + self.generator.random() * (at - now)
            kept = [job for job, end in zip(jobs, ends, strict=True) if end <= failed]
            spent = failed - max([now, *(end for end in ends if end <= failed)])
            if interval := self.costs.checkpoints.get(jobs[0].key):
                saved = spent // interval * interval
                self.left[jobs[0].key] -= saved
                spent -= saved
            result.failures += 1
            result.lost += spent
            self._push(failed, worker, kept, is_end=False)
            self._push(failed + START, worker, [], is_end=True)
            worker.loaded = ""
        else:
            self._push(at, worker, jobs, is_end=True)

    def _push(self, at: float, worker: Worker, finished: list[Job], *, is_end: bool) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), worker, finished, is_end))
