"""How many requests a job makes to a store in a bucket, counted by an S3-compatible server on loopback."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from tests.support import fake_jobs
from tests.support.s3_server import run_server

from xlift.studies.job import Job
from xlift.studies.locks import HEARTBEAT
from xlift.studies.store import Store

JOBS = 20


def _run(store: Store, job: Job, files: int) -> None:
    """What a worker asks of the store for one job."""
    with store.lock(job.key):
        if not store.has(job.key):
            for parent in job.parents:
                store.open(parent)
            with store.write(job.key, job.kind, {}, job.parents) as draft:
                for number in range(files):
                    (draft.folder / f"file{number}").write_bytes(b"x" * 1000)


def count_requests() -> dict[str, float]:
    """Kind of a job -> requests for one, as the worker that made its parent and as another one; and those of a heartbeat."""
    import fsspec

    with (
        run_server() as server,
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, server.environment),
    ):
        os.environ["XLIFT_STORE_CACHE"] = str(Path(folder) / "one")
        fsspec.filesystem("s3", use_listings_cache=False).mkdir("bucket")
        store, found = Store("s3://bucket/store"), {}
        parents = [fake_jobs.job(f"train{number}") for number in range(JOBS)]
        predictions = [
            [fake_jobs.job(f"predict{number}{way}", parent, kind="predict") for number, parent in enumerate(parents)]
            for way in "ab"
        ]
        _run(store, fake_jobs.job("first"), 2)
        before = server.count()
        for job in parents:
            _run(store, job, 3)
        found["a training stage with 3 files"] = (server.count() - before) / JOBS
        before = server.count()
        for job in predictions[0]:
            _run(store, job, 2)
        found["a prediction where its model is cached"] = (server.count() - before) / JOBS
        os.environ["XLIFT_STORE_CACHE"] = str(Path(folder) / "two")
        store = Store("s3://bucket/store")
        before = server.count()
        for job in predictions[1]:
            _run(store, job, 2)
        found["a prediction where it is not"] = (server.count() - before) / JOBS
        with store.lock("a" * 64) as lock:
            before = server.count()
            for _ in range(JOBS):
                if store._locks.is_owner(lock):  # as in the heartbeat of a lock
                    store._locks.touch(lock)
            found[f"a heartbeat, each {HEARTBEAT:.0f} s"] = (server.count() - before) / JOBS
    return found
