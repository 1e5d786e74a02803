"""Estimated seconds of jobs, corrected during a run by the seconds that jobs of the same task took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from xlift.errors import UserError
from xlift.studies.artifact import describe_environment
from xlift.studies.job import Job, MergeSpec, PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.store import Store

SECONDS_PER_EXAMPLE = {"pretrain": 0.0016, "train": 0.0035, "merge": 0.3, "layer": 0.0012, "predict": 0.0012}
"""Fallback for a model of unknown shape: measured with the shipped encoder on one core. The examples of a merge are
models."""
MAX_MANIFESTS = 200
"""Manifests of the store that are read."""


def seconds_by_examples(job: Job) -> float:
    return SECONDS_PER_EXAMPLE[job.kind] * job.examples


class Estimator:
    """
    Args:
        prior: estimates the seconds of a job before any job has finished.
        prior_weight: seconds of finished work at which the observed times count as much as the prior.
    """

    def __init__(self, prior: Callable[[Job], float] = seconds_by_examples, prior_weight: float = 0.0) -> None:
        self.prior, self.prior_weight = prior, prior_weight
        self._observed: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        """(kind, task), or (kind, "") for all tasks -> elapsed seconds and prior estimate, summed."""

    def observe(self, job: Job, seconds: float) -> None:
        for name in (_task_name(job), ""):
            total = self._observed[job.kind, name]
            total[0] += seconds
            total[1] += self.prior(job)

    def learn(self, store: Store, jobs: Iterable[Job]) -> None:
        """Observe those of the finished jobs that this machine has done, from their manifests."""
        here = _machine_key(describe_environment()["machine"])
        done = list(jobs)
        for job in done[:: max(1, len(done) // MAX_MANIFESTS)]:
            try:
                artifact = store.find(job.key)
                if artifact and _machine_key(artifact.manifest["machine"]) == here:
                    self.observe(job, float(artifact.manifest["seconds"]))
            except UserError:
                continue  # damaged; `xlift store verify` reports it

    def seconds(self, job: Job) -> float:
        for key in ((job.kind, _task_name(job)), (job.kind, "")):
            elapsed, estimated = self._observed.get(key, (0.0, 0.0))
            if estimated:
                return (elapsed + self.prior_weight) / (estimated + self.prior_weight) * self.prior(job)
        return self.prior(job)


def _machine_key(machine: dict[str, Any]) -> tuple[Any, ...]:
    """Without the host name, which is new for every container."""
    return machine.get("cpus"), machine.get("platform")


def _task_name(job: Job) -> str:
    spec = job.spec
    if isinstance(spec, PretrainSpec | MergeSpec):
        return ""
    if isinstance(spec, PredictSpec):
        return spec.data.task
    return "+".join(sorted({data.task for data in (spec.parts if isinstance(spec, TrainSpec) else spec.data)}))
