"""What a plan takes: time, memory, tokens and operations of every job, and the time of the whole run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import nlargest

import numpy as np

from xlift.estimate import rates
from xlift.estimate.devices import CONTEXT, START, Device
from xlift.estimate.estimator import Estimator, seconds_by_examples
from xlift.estimate.memory import Memory, memory_of
from xlift.estimate.schedule import makespan
from xlift.estimate.work import PlanWorkloads, Workload
from xlift.model_shape import ModelShape
from xlift.processor import has_fast_bf16
from xlift.recipes import WIDE, Engine, Precision, num_threads
from xlift.studies.job import Job, MergeSpec, PretrainSpec, TrainSpec
from xlift.studies.placement import num_processes, slots_by_job, threads_by_job, uses_gpu
from xlift.studies.plan import Plan
from xlift.studies.store import Store

MAX_DEVICES = 64
"""Tried for sharding."""
PRIOR_WEIGHT = 5.0
"""Seconds of finished work; less than that is mostly the first steps of a process."""


class PlanEstimate:
    """
    Args:
        store: its finished jobs improve the estimates of the others. None: no store is read.
        workers: number of worker processes.
        device: a device of `devices.DEVICES` to estimate for; None: this machine, with its measured rates.
    """

    def __init__(self, plan: Plan, store: Store | None, workers: int, device: Device | None = None) -> None:
        self.plan, self.workers, self.device = plan, workers, device
        self.threads = threads_by_job(plan)
        self.slots = slots_by_job(plan, gpu=not device.is_cpu if device else uses_gpu(plan.engine))
        workloads = PlanWorkloads(plan, store, workers)
        self.roots = workloads.roots
        self.workloads: dict[str, Workload] = {job.key: workloads.workload(job) for job in plan.jobs.values()}
        self.rates: dict[tuple[ModelShape, Precision, Engine], rates.CachedRates] = {}
        """Rates of every shape, precision and engine that the plan trains or predicts with."""
        self.precision = _precision_by_job(plan)
        for job in plan.jobs.values():
            self._find_rates(job)
        self._prior: dict[str, float] = {}
        self._memory: dict[str, Memory] = {}
        self.estimator = Estimator(self.prior_seconds, PRIOR_WEIGHT)
        if store is not None and device is None:
            self.estimator.learn(store, workloads.finished)

    def prior_seconds(self, job: Job) -> float:
        """Seconds of a job by the formulas alone, without finished jobs."""
        if job.key not in self._prior:
            self._prior[job.key] = self._compute_seconds(job)
        return self._prior[job.key]

    def _compute_seconds(self, job: Job) -> float:
        work = self.workloads[job.key]
        if work.shape is None:
            return seconds_by_examples(job)
        if self.device is not None:
            return self.device.seconds(work, self.plan.engine_of(job.key))
        cached, engine = self._find_rates(job), self.plan.engine_of(job.key)
        threads, processes = float(self.threads[job.key]), float(num_processes(job.kind, engine))
        if cached.is_measured:  # with the threads and processes of a training stage
            threads /= num_threads("train", work.shape.hidden_size, engine)
            processes /= num_processes("train", engine)
        return rates.scale_to_threads(cached.rates, threads, processes).seconds(work)

    def seconds(self, job: Job) -> float:
        """Seconds of a job, corrected by finished ones, including its share of loading a model."""
        source = self.device or self._find_rates(job).rates
        return self.estimator.seconds(job) + source.loading_seconds(self.workloads[job.key])

    def memory(self, job: Job, engine: Engine | None = None) -> Memory:
        """Peak bytes of each process of a job.

        Args:
            engine: replaces that of the plan.
        """
        if engine is None:
            if job.key not in self._memory:
                self._memory[job.key] = self.memory(job, self.plan.engine_of(job.key))
            return self._memory[job.key]
        work = self.workloads[job.key]
        half = work.shape is not None and self._uses_bf16(job, work.shape)
        if self.device is not None and not self.device.is_cpu:
            return memory_of(work, engine, half=half, process=CONTEXT, device=self.device.memory)
        return memory_of(work, engine, half=half, process=self._find_rates(job).rates.process)

    def fits_device(self, job: Job) -> bool:
        """Whether a job fits into the memory of the device; True for this machine."""
        return self.device is None or self.memory(job).total <= self.device.memory

    def find_sharding(self, job: Job) -> tuple[int, float, float] | None:
        """The smallest number of devices that hold a stage with fsdp: their number, bytes of each, seconds. None if
        MAX_DEVICES do not suffice, or the job is no training stage."""
        work, engine = self.workloads[job.key], self.plan.engine_of(job.key)
        if self.device is None or work.kind != "train" or not work.optimizer.is_elementwise:
            return None
        for devices in range(2, MAX_DEVICES + 1):
            shared = engine.model_copy(update={"devices": devices, "strategy": "fsdp"})
            memory = self.memory(job, shared).total
            if memory <= self.device.memory:
                return devices, memory, self.device.seconds(work, shared)
        return None

    def total_seconds(self, jobs: Sequence[Job]) -> float:
        """Seconds from the start of the workers to the end of the last job. Parents come first in `jobs`."""
        start = max((each.rates.start for each in self.rates.values()), default=0.0) if self.device is None else START
        return makespan(jobs, self.seconds, self.workers, self.slots, start)

    def peak_memory(self, jobs: Iterable[Job]) -> float:
        """The most bytes of jobs that can run at once, given their worker slots."""
        by_slots: dict[int, list[float]] = defaultdict(list)
        for job in jobs:
            by_slots[min(self.slots[job.key], self.workers)].append(self.memory(job).total)
        most = np.zeros(self.workers + 1)  # index: slots in use
        for slots, sizes in by_slots.items():
            for num_bytes in nlargest(self.workers // slots, sizes):  # no more of them run at once
                most[slots:] = np.maximum(most[slots:], most[:-slots] + num_bytes)
        return float(most[-1])

    @property
    def is_measured(self) -> bool:
        """Whether every rate was measured on this machine."""
        return bool(self.rates) and all(each.is_measured for each in self.rates.values())

    def _find_rates(self, job: Job) -> rates.CachedRates:
        shape, precision = self.workloads[job.key].shape, self.precision[job.key]
        if shape is None:
            return rates.CachedRates(rates.scale_recorded_rates(None, precision), is_measured=False)
        engine = self.plan.engine_of(job.key)
        if (shape, precision, engine) not in self.rates:
            calibration = rates.load_calibration(shape, precision, engine, self.workers)
            self.rates[shape, precision, engine] = calibration or rates.CachedRates(
                rates.scale_recorded_rates(shape, precision), is_measured=False
            )
        return self.rates[shape, precision, engine]

    def _uses_bf16(self, job: Job, shape: ModelShape) -> bool:
        precision = self.precision[job.key]
        has_bf16 = has_fast_bf16() if self.device is None else True
        return precision == "bf16" or (precision == "auto" and shape.hidden_size >= WIDE and has_bf16)


def _precision_by_job(plan: Plan) -> dict[str, Precision]:
    precisions: dict[str, Precision] = {}
    for job in plan.jobs.values():
        spec = job.spec
        if isinstance(spec, MergeSpec):  # computes nothing: takes that of the merged models
            precisions[job.key] = precisions[spec.merged[-1]]
        else:
            precisions[job.key] = (
                spec.recipe.precision if isinstance(spec, TrainSpec | PretrainSpec) else spec.precision
            )
    return precisions
