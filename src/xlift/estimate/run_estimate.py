"""The estimate for the jobs of one run, fixed before the run starts, and its comparison with the finished jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from xlift.errors import UserError
from xlift.estimate.plan_estimate import PlanEstimate
from xlift.studies.estimate_check import EstimateCheck
from xlift.studies.job import Job
from xlift.studies.store import Store


@dataclass(frozen=True)
class RunEstimate:
    """The estimate for the jobs that a run has to do."""

    jobs: tuple[Job, ...]
    workers: int
    is_measured: bool
    total_seconds: float
    seconds: dict[str, float]
    """Key of a job -> its estimated seconds."""

    def compare(self, store: Store, elapsed_seconds: float) -> EstimateCheck:
        """The estimate beside the seconds in the manifests of the jobs that are finished now."""
        by_kind: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for job in self.jobs:
            try:
                artifact = store.find(job.key)
            except UserError:
                continue
            if artifact is None:
                continue
            seconds = float(artifact.manifest["seconds"])
            by_kind[job.kind][0] += self.seconds[job.key]
            by_kind[job.kind][1] += seconds
        rounded = {kind: (round(both[0], 3), round(both[1], 3)) for kind, both in by_kind.items()}
        return EstimateCheck(
            len(self.jobs),
            self.workers,
            self.is_measured,
            round(self.total_seconds, 3),
            round(elapsed_seconds, 3),
            rounded,
        )


def estimate_run(plan_estimate: PlanEstimate, jobs: Sequence[Job]) -> RunEstimate:
    """Call it before the run: the estimator learns from finished jobs, which would make the comparison too
    favourable."""
    seconds = {job.key: plan_estimate.estimator.seconds(job) for job in jobs}
    return RunEstimate(
        tuple(jobs), plan_estimate.workers, plan_estimate.is_measured, plan_estimate.total_seconds(jobs), seconds
    )
