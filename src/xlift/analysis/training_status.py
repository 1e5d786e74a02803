"""Training status: whether the training behind a score was retried or collapsed, and its number of steps, read from the
manifests of a store."""

from __future__ import annotations

from collections.abc import Iterable

from xlift.studies.artifact import Artifact
from xlift.studies.job_numbers import JobNumbers, TrainNumbers
from xlift.studies.store import Store

OK = "ok"
FP32 = "fp32"
"""The loss of a stage in bf16 was not a number, and an attempt in fp32 with the same learning rate succeeded."""
RETRIED = "retried"
"""A stage collapsed or diverged, and a later attempt with a lower learning rate did not."""
COLLAPSED = "collapsed"
"""The last attempt of a stage collapsed too: its model is no better than a constant answer."""
_BY_SEVERITY = (OK, FP32, RETRIED, COLLAPSED)


def worst_status(statuses: Iterable[str]) -> str:
    """The most severe status; OK if there is none."""
    return max(statuses, key=_BY_SEVERITY.index, default=OK)


def own_status(numbers: JobNumbers) -> str:
    """The training status of a single job; OK if it trains nothing."""
    if not isinstance(numbers, TrainNumbers):
        return OK
    if numbers.collapsed:
        return COLLAPSED
    went_to_fp32 = bool(numbers.went_to_fp32)
    return RETRIED if (numbers.attempts or 1) - went_to_fp32 > 1 else FP32 if went_to_fp32 else OK


class TrainingStatusReader:
    """Reads the training status of artifacts in a store. Each manifest is read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._statuses: dict[str, str] = {}
        self._steps: dict[str, int | None] = {}
        self._artifacts: dict[str, Artifact | None] = {}

    def _find(self, key: str) -> Artifact | None:
        if key not in self._artifacts:
            self._artifacts[key] = self.store.find(key)
        return self._artifacts[key]

    def status(self, key: str) -> str:
        """The worst status of an artifact and its ancestors. Ancestors that are no longer in the store are skipped.

        Raises:
            UserError: a manifest is damaged.
        """
        if key not in self._statuses:
            self._statuses[key] = self._read_status(key)
        return self._statuses[key]

    def _read_status(self, key: str) -> str:
        artifact = self._find(key)
        if artifact is None:
            return OK
        own = own_status(artifact.numbers)
        return worst_status([own, *(self.status(parent) for parent in artifact.manifest["parents"])])

    def steps(self, key: str) -> int | None:
        """The optimizer steps of all stages behind an artifact, without pretraining; None if those of a stage are unknown."""
        if key not in self._steps:
            self._steps[key] = self._count_steps(key)
        return self._steps[key]

    def _count_steps(self, key: str) -> int | None:
        artifact = self._find(key)
        if artifact is None:
            return None
        if artifact.kind == "pretrain":
            return 0
        counts = [self.steps(parent) for parent in artifact.manifest["parents"]]
        if isinstance(artifact.numbers, TrainNumbers):
            counts.append(artifact.numbers.steps)
        return None if None in counts else sum(count for count in counts if count is not None)
