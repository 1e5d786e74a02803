"""A run in virtual time: the scheduler of xlift with an executor whose GPUs are simulated.

Nothing is trained. A job takes the seconds that the cost model gives it on a device, and a prediction loads its model unless its
worker has it. Where a job fails, its worker is lost at a random moment, the jobs that it had go back to the queue, and a new worker
starts. A training stage goes on from its last checkpoint; predictions start anew.
"""

from __future__ import annotations

import heapq
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from xlift.estimate import PlanEstimate
from xlift.estimate.devices import LOAD_RATE, START, find_device
from xlift.execution.executors.base import OneSlotExecutor, Worker, WorkerLost
from xlift.execution.progress import SilentDisplay
from xlift.execution.queue import model_of
from xlift.execution.scheduler import run_plan
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.store import Store

CHECKPOINT_SECONDS, CHECKPOINT_SHARE, STATE_BYTES = 60.0, 0.02, 12.0
"""A stage writes a checkpoint at most this often, and in at most this share of its time (training/loop.py, which imports torch);
bytes of weights and moments for each trained parameter."""
WINDOW = 60
"""Seconds over which a rate of requests is averaged."""


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
    failures: int = 0
    lost: float = 0.0
    """Seconds of failed attempts."""
    passes: int = 0
    """Batches of predictions that a worker was given."""
    warm_passes: int = 0
    """Those of the model that the worker had."""
    scheduler_seconds: float = 0.0
    """Processor time of the scheduler on this machine."""
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


class SimulatedWorker:
    """A GPU of the cluster, and the process that has it."""

    devices = ()

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster, self.name, self.loaded = cluster, f"GPU {number}", ""
        """The model of its last predictions, or the one that it has just made."""
        self.jobs: list[Job] = []
        self.is_lost = False

    def assign(self, jobs: Sequence[Job]) -> None:
        self.jobs = list(jobs)
        self.cluster.begin(self)

    def receive(self) -> list[tuple[Any, ...]]:
        if self.is_lost:
            raise WorkerLost("is lost")
        return [("done", job.key, 1.0) for job in self.jobs]

    def request_stop(self) -> None: ...
    def end(self) -> None: ...


class Cluster(OneSlotExecutor):
    """An executor whose workers do nothing: `wait` goes on to the moment at which the next one ends its jobs or is lost.

    Args:
        failures: share of the attempts at a job that fail.
    """

    max_losses = 100

    def __init__(self, costs: Costs, gpus: int, result: Result, failures: float = 0.0, seed: int = 0) -> None:
        self.costs, self.num_slots, self.result, self.failures = costs, gpus, result, failures
        self.generator = random.Random(seed)
        self.left = dict(costs.seconds)
        """Key of a job -> its seconds, less those before its last checkpoint."""
        self.now = 0.0
        self.events: list[tuple[float, int, SimulatedWorker]] = []
        """(time at which it ends its jobs or is lost, serial number, worker), a heap."""
        self.ready: dict[SimulatedWorker, float] = {}
        """Workers that start -> when they are ready."""
        self.serial = count()
        self.seconds = 0.0
        """Processor time of the simulation itself."""

    def start(self, num_devices: int) -> Worker:
        worker = SimulatedWorker(self, next(self.serial))
        self.ready[worker] = self.now + START
        return worker

    def begin(self, worker: SimulatedWorker) -> None:
        """A worker begins with its jobs."""
        started = time.process_time()
        result, jobs = self.result, worker.jobs
        begin = max(self.now, self.ready.pop(worker, 0.0))
        seconds = sum(self.left[job.key] for job in jobs)
        if jobs[0].kind == "predict":
            result.passes += 1
            if worker.loaded == model_of(jobs[0]):
                result.warm_passes += 1
            else:
                seconds += self.costs.loading[jobs[0].key]
            worker.loaded = model_of(jobs[0])
        else:
            worker.loaded = jobs[0].key
        if self.generator.random() < self.failures * len(jobs):
            worker.is_lost = True
            seconds *= self.generator.random()
            interval = self.costs.checkpoints.get(jobs[0].key, float("inf"))
            saved = seconds // interval * interval if seconds >= interval else 0.0
            self.left[jobs[0].key] -= saved
            result.failures += 1
            result.lost += seconds - saved
        heapq.heappush(self.events, (begin + seconds, next(self.serial), worker))
        self.seconds += time.process_time() - started

    def wait(self, timeout: float, num_jobs: int) -> Sequence[Worker]:
        self.now, _, worker = heapq.heappop(self.events)
        if not worker.is_lost:
            self.result.finished[int(self.now // WINDOW)] += len(worker.jobs)
        return [worker]

    def close(self) -> None: ...


def simulate(
    plan: Plan, costs: Costs, gpus: int, estimated: Callable[[Job], float], failures: float = 0.0, seed: int = 0
) -> Result:
    """Run a plan in virtual time.

    Args:
        estimated: seconds of a job as the scheduler expects them.
        failures: share of the attempts at a job that fail.
    """
    result = Result(gpus=gpus, num_jobs=len(plan.jobs))
    result.critical_path, result.work = lower_bounds(list(plan.jobs.values()), costs)
    cluster = Cluster(costs, gpus, result, failures, seed)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        run_plan(
            plan,
            Store(folder),
            SilentDisplay(),
            gpus,
            seconds=estimated,
            open_executor=lambda context, workers, warn: cluster,
        )
        result.scheduler_seconds = time.process_time() - started - cluster.seconds
    result.makespan = cluster.now
    return result
