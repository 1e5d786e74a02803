"""`keep: predictions` of a study: weights leave the store once all predictions that depend on them exist."""

from __future__ import annotations

from collections.abc import Iterator

from xlift.errors import UserError
from xlift.studies.maintenance import Removal
from xlift.studies.plan_types import Plan
from xlift.studies.record import list_studies, read_record
from xlift.studies.remaining import list_jobs_to_run
from xlift.studies.store import Store

KINDS_WITH_WEIGHTS = ("pretrain", "train", "merge")


class WeightRemover:
    """Removes the weights of a run's jobs as soon as no job of the plan needs them.

    The weights of a job stay if no prediction depends on it, or if another study of the store has the job, unless that study
    is finished and has `keep: predictions` too.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._descendants: dict[str, set[str]] = {key: set() for key in plan.jobs}
        """The jobs that need the weights of a job, themselves or by what they start from."""
        self._candidates: set[str] = set()
        """Jobs whose dev scores choose a learning rate. Their weights are needed until one of them is taken over."""
        for job in reversed(plan.jobs.values()):  # children before parents
            for parent in job.parents:
                self._descendants[parent] |= {job.key} | self._descendants[job.key]
            for choice in job.lr_choices:
                self._candidates.add(choice.job)
                self._descendants[choice.job] |= {job.key} if job.repeats_choice else set()
        self._pending = {job.key for job in list_jobs_to_run(plan, store)}
        self.num_bytes = 0
        """Removed so far."""

    def sweep(self) -> None:
        """Remove what no job needs already, such as what a killed run left."""
        self._remove(list(self.plan.jobs))

    def mark_finished(self, key: str) -> None:
        """Remove what is not needed after a job of the plan has finished."""
        self._pending.discard(key)
        self._remove(list(self._ancestors(key)))

    def _ancestors(self, key: str) -> Iterator[str]:
        """The jobs that a job depends on, the nearest first."""
        for parent in self.plan.jobs[key].required:
            yield parent
            yield from self._ancestors(parent)

    def _remove(self, keys: list[str]) -> None:
        jobs = self.plan.jobs
        removable = [
            key
            for key in dict.fromkeys(keys)
            if jobs[key].kind in KINDS_WITH_WEIGHTS
            and key not in self._pending
            and self._pending.isdisjoint(self._descendants[key])
            and (key in self._candidates or any(jobs[child].kind == "predict" for child in self._descendants[key]))
            and self.store.has(key)
        ]
        if removable:
            needed = needed_by_others(self.store, self.plan.name)
            # children first: a delta checkpoint never loses its parent
            for key in sorted(removable, key=list(jobs).index, reverse=True):
                if key not in needed:
                    self.num_bytes += self.store.release(key)


def needed_by_others(store: Store, name: str) -> set[str]:
    """The jobs whose weights other studies of the store need: those of every study that is not finished or keeps all."""
    needed: set[str] = set()
    for other in list_studies(store):
        if other == name:
            continue
        record = read_record(store, other)
        if record.study.keep == "all" or not all(map(store.is_done, record.keys)):
            needed.update(record.keys)
    return needed


def remove_weights(store: Store, *, dry_run: bool = False) -> list[Removal]:
    """Remove the weights of all finished studies of a store, except jobs that an unfinished study has too.

    Raises:
        UserError: a record is damaged.
    """
    finished: dict[str, None] = {}
    needed: set[str] = set()
    for name in list_studies(store):
        record = read_record(store, name)
        if all(map(store.is_done, record.keys)):
            finished.update(dict.fromkeys(record.keys))
        else:
            needed.update(record.keys)
    removals: list[Removal] = []
    for key in reversed(list(finished)):  # children before parents
        if key in needed or not store.has(key):
            continue
        try:
            artifact = store.open(key, verify=False)
        except UserError:  # damaged: `xlift store verify` reports it
            continue
        if artifact.kind in KINDS_WITH_WEIGHTS:
            size = sum(file["bytes"] for file in artifact.manifest["files"].values())
            if dry_run or (size := store.release(key)):
                removals.append(Removal(key, "weights", size))
    return removals
