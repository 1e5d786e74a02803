"""Which jobs of a plan have to run, given what a store has."""

from __future__ import annotations

from contextlib import suppress

from xlift.errors import UserError
from xlift.studies.job import Job
from xlift.studies.maintenance import DELTA_FILE
from xlift.studies.plan_types import Plan
from xlift.studies.store import Store


def list_jobs_to_run(plan: Plan, store: Store) -> list[Job]:
    """The jobs that are not done, and finished ones whose files are gone and which one of those starts from. Parents come
    first."""
    keys = plan.jobs.keys() - store.find_done(plan.jobs)
    present: set[str] = set()
    """Whose files are here; many jobs start from the same one."""

    def require_files(key: str) -> None:
        if key not in plan.jobs or key in keys or key in present:
            return
        if not store.has(key):
            keys.add(key)
            return
        present.add(key)
        with suppress(UserError):  # damaged: the job that reads it reports that
            manifest = store.open(key, verify=False).manifest
            for parent in manifest["parents"] if DELTA_FILE in manifest["files"] else ():
                require_files(parent)

    for job in reversed(plan.jobs.values()):  # children before parents
        if job.key in keys:
            for parent in job.parents:
                require_files(parent)
    return [job for job in plan.jobs.values() if job.key in keys]


def describe_repeated(jobs: list[Job], store: Store) -> str:
    """A line on those of the jobs to run that are finished and run again; '' if there are none."""
    count = len(store.find_done(job.key for job in jobs))
    if not count:
        return ""
    what = "1 finished job runs" if count == 1 else f"{count} finished jobs run"
    return f"{what} again: the store has their results but no longer their weights, and other jobs start from them."
