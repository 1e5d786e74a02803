"""Overhead of the store: jobs per second that only write four kilobytes, against plain files.

    python -m benchmarks.store_overhead [--jobs 500] [--repeats 5] [--store xlift-store]

Takes half a minute and imports from the tests of the repository. With `--store`, a store with a finished quickstart
(`make demo` leaves one in ./xlift-store), it also prints the share of the store in the time of that study.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from tests.support import fake_jobs

from benchmarks.timing import spread, table, time_in_turns
from xlift.execution import scheduler, worker
from xlift.execution.executors import local
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.progress import Progress

CONTENT = json.dumps(list(range(10_000, 10_585)))
"""4 kB, the size of a prediction of the quickstart."""
NAME = "predictions.json"


def write_plain(jobs: list[Job], root: Path) -> None:
    """Write one file per job, as a script does."""
    root.mkdir()
    for job in jobs:
        (root / f"{job.key}.json").write_text(CONTENT, encoding="utf-8")


def write_safely(jobs: list[Job], root: Path) -> None:
    """Write one file per job atomically and safe against a power failure."""
    root.mkdir()
    folder = os.open(root, os.O_RDONLY)
    for job in jobs:
        new, path = root / f"{job.key}.new", root / f"{job.key}.json"
        with new.open("w", encoding="utf-8") as file:
            file.write(CONTENT)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
        os.fsync(folder)
    os.close(folder)


def make(store: Store, job: Job) -> None:
    with store.write(job.key, job.kind, {}, job.parents) as draft:
        (draft.folder / NAME).write_text(CONTENT, encoding="utf-8")


def write_artifacts(jobs: list[Job], root: Path) -> None:
    """Write one artifact per job: lock, files with digests, manifest, one rename."""
    store = Store(root)
    for job in jobs:
        with store.lock(job.key):
            if not store.has(job.key):
                make(store, job)


def do(
    jobs: Sequence[Job], context: Context, store: Store, progress: Progress
) -> Iterator[tuple[Job, float | Exception]]:
    for job in jobs:
        make(store, job)
        yield job, 0.0


def work(connection: Connection, context: Context, root: Path) -> None:
    """Main function of a worker that does not import torch."""
    worker.set_up_worker()
    worker.serve(connection, context, Store(root), do)


def run(jobs: list[Job], root: Path) -> None:
    """A complete run with one worker process, which receives jobs one by one."""
    local.run_worker = work
    scheduler.run_plan(fake_jobs.plan(*jobs), Store(root), fake_jobs.Recorder(), workers=1)


def read_plain(jobs: list[Job], root: Path) -> None:
    for job in jobs:
        json.loads((root / f"{job.key}.json").read_text(encoding="utf-8"))


def read_stored(jobs: list[Job], root: Path) -> None:
    """Read every artifact in a newly opened store and check every digest."""
    store = Store(root)
    for job in jobs:
        json.loads(store.open(job.key).file(NAME).read_text(encoding="utf-8"))


def check_done(jobs: list[Job], root: Path) -> None:
    """Check whether each job is done, as a second run of a study does."""
    store = Store(root)
    assert all(store.has(job.key) for job in jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="folder on the disk to measure; default: the current one"
    )
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    jobs = [fake_jobs.job(f"job{number}", kind="predict") for number in range(options.jobs)]
    assert len({job.key for job in jobs}) == len(jobs)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        fresh, files, store = count(), Path(temporary) / "files", Path(temporary) / "store"
        write_plain(jobs, files)
        write_artifacts(jobs, store)

        def fresh_folder(write: Callable[[list[Job], Path], None]) -> Callable[[], None]:
            return lambda: write(jobs, Path(temporary) / str(next(fresh)))

        seconds = time_in_turns(
            {
                "write: plain files": fresh_folder(write_plain),
                "write: files that survive a crash": fresh_folder(write_safely),
                "write: the store": fresh_folder(write_artifacts),
                "write: a run with one worker": fresh_folder(run),
                "read: plain files": lambda: read_plain(jobs, files),
                "read: the store": lambda: read_stored(jobs, store),
                "check whether done: the store": lambda: check_done(jobs, store),
            },
            options.repeats,
        )
    lines = [
        (name, spread([1000 * s / len(jobs) for s in times], ",.3f"), f"{len(jobs) / median(times):,.0f}")
        for name, times in seconds.items()
    ]
    print(table(("jobs of 4 kB", "ms per job", "jobs/s"), lines))
    if options.store:
        done = [entry for entry in Store(options.store).ls() if entry.status == "done"]
        work_seconds = sum(entry.seconds or 0 for entry in done)
        cost = len(done) * median(seconds["write: a run with one worker"]) / len(jobs)
        print(
            f"\n{options.store}: {len(done)} artifacts that took {work_seconds:,.0f} s of work; at this rate the store and the run "
            f"around them took {cost:.1f} s, {cost / (work_seconds + cost):.1%} of the total."
        )


if __name__ == "__main__":
    main()
