"""How far off a plan was: what was foreseen before a run beside what it took, kept in the study's record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xlift.errors import UserError
from xlift.studies.estimate.estimator import human
from xlift.studies.estimate.foresight import Foresight
from xlift.studies.job import Job
from xlift.studies.store import Store

LEAST = 5.0
"""Seconds of a run below which nothing is said: most of it is start-up."""


@dataclass(frozen=True)
class Check:
    jobs: int
    workers: int
    measured: bool
    """Whether the plan rested on a calibration."""
    foreseen: float
    """Seconds of the whole run."""
    taken: float
    kinds: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Kind of job -> seconds of work foreseen and taken, over all workers."""

    def sentence(self) -> str:
        """'foreseen 4 min, taken 5 min: 12% under'."""
        said = f"foreseen {human(self.foreseen)}, taken {human(self.taken)}: {off(self.foreseen, self.taken)}"
        kinds = ", ".join(f"{kind} {off(*both)}" for kind, both in self.kinds.items() if max(both) >= LEAST)
        return f"{said} ({kinds})" if kinds and len(self.kinds) > 1 else said


def off(foreseen: float, taken: float) -> str:
    """'12% under' for a plan that said too little."""
    percent = round(100 * (foreseen - taken) / max(taken, 1e-9))
    return "as foreseen" if percent == 0 else f"{abs(percent)}% {'over' if percent > 0 else 'under'}"


@dataclass(frozen=True)
class Promise:
    """What was foreseen of the jobs that a run has to do."""

    todo: tuple[Job, ...]
    workers: int
    measured: bool
    total: float
    seconds: dict[str, float]
    """By key."""

    def check(self, store: Store, taken: float) -> Check:
        """What came of it, from the manifests of the jobs that are done now."""
        kinds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for job in self.todo:
            try:
                seconds = float(store.open(job.key, verify=False).manifest["seconds"])
            except UserError:
                continue
            kinds[job.kind][0] += self.seconds[job.key]
            kinds[job.kind][1] += seconds
        rounded = {kind: (round(both[0], 3), round(both[1], 3)) for kind, both in kinds.items()}
        return Check(len(self.todo), self.workers, self.measured, round(self.total, 3), round(taken, 3), rounded)


def promise(foresight: Foresight, todo: Sequence[Job]) -> Promise:
    """Taken before a run: what is seen in its course must not improve it."""
    seconds = {job.key: foresight.estimator.seconds(job) for job in todo}
    return Promise(tuple(todo), foresight.workers, foresight.measured, foresight.total(todo), seconds)


def from_json(value: Any) -> Check | None:
    """Raises TypeError, KeyError or ValueError for what `asdict` of a check does not give."""
    if value is None:
        return None
    kinds = {str(kind): (float(both[0]), float(both[1])) for kind, both in value["kinds"].items()}
    return Check(**{**value, "kinds": kinds})
