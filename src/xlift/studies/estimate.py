"""How long the jobs that are left will take: rates seen on this store's machine, else rates measured once.

A first guess, good to a factor of two or so; it sharpens while a study runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from xlift.errors import UserError
from xlift.studies.job import Job, PredictSpec, PretrainSpec, TrainSpec
from xlift.studies.store import Store

SECONDS_PER_EXAMPLE = {"pretrain": 0.0016, "train": 0.0035, "layer": 0.0012, "predict": 0.0012}
"""For the shipped encoder on one core (`xlift run quickstart` on two cores, manifests of its store)."""
LAST = 200
"""Manifests of the store that are read for a first guess."""


class Estimator:
    """Seconds of jobs by kind and task, from the jobs that were seen to finish."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])

    def saw(self, job: Job, seconds: float) -> None:
        for name in (_task(job), ""):
            total = self._seen[job.kind, name]
            total[0] += seconds
            total[1] += job.examples

    def learn(self, store: Store, jobs: Iterable[Job]) -> None:
        """From finished products of these jobs, if their manifests can be read."""
        done = [job for job in jobs if store.has(job.key)]
        for job in done[:: max(1, len(done) // LAST)]:
            try:
                self.saw(job, float(store.open(job.key, verify=False).manifest["seconds"]))
            except UserError:
                continue  # damaged: `xlift store verify` says so, and a guess can do without it

    def seconds(self, job: Job) -> float:
        for key in ((job.kind, _task(job)), (job.kind, "")):
            spent, examples = self._seen.get(key, (0.0, 0.0))
            if examples:
                return spent / examples * job.examples
        return SECONDS_PER_EXAMPLE[job.kind] * job.examples


def _task(job: Job) -> str:
    spec = job.spec
    if isinstance(spec, PretrainSpec):
        return ""
    if isinstance(spec, PredictSpec):
        return spec.data.task
    return "+".join(sorted({data.task for data in (spec.mixture if isinstance(spec, TrainSpec) else spec.data)}))


def human(seconds: float) -> str:
    """'under 1 s', '45 s', '12 min', '3.5 h'."""
    if seconds < 0.95:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
