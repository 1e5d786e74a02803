"""A store with any number of finished jobs, and the time of the commands that ask it for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

from tests.support import fake_jobs

from xlift.studies.artifact import write_manifest
from xlift.studies.store import Store


def make_jobs_store(root: Path, jobs: int) -> list[str]:
    """Write artifacts with one small file each. Returns their keys."""
    root.mkdir(parents=True, exist_ok=True)
    store, keys = Store(root), []
    with store.write("0" * 64, "predict", {}):  # the marker and the folders
        pass
    with mock.patch.object(os, "fsync"):
        for number in range(jobs - 1):
            job = fake_jobs.job(f"job{number}", kind="predict")
            folder = root / "artifacts" / job.key[:2] / job.key
            folder.mkdir(parents=True)
            (folder / "predictions.parquet").write_bytes(b"x" * 100)
            manifest = {"key": job.key, "kind": job.kind, "spec": {}, "parents": [], "started": "", "seconds": 1.0}
            write_manifest(folder, {**manifest, "numbers": {}, "machine": {}, "versions": {}})
            keys.append(job.key)
    return ["0" * 64, *keys]


def time_listing(root: Path, cache: Path, *words: str) -> tuple[float, float]:
    """Processor and wall seconds of an `xlift store` command."""
    environment = {**os.environ, "XLIFT_CACHE": str(cache)}
    started = time.perf_counter()
    command = [sys.executable, "-m", "xlift", "store", *words, "--store", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"xlift store {words[0]} failed")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started


def time_find_done(root: Path, keys: list[str]) -> float:
    """Processor seconds of `Store.find_done`, which `xlift plan` and `xlift run` ask."""
    store, started = Store(root), time.process_time()
    assert len(store.find_done(keys)) == len(keys)
    return time.process_time() - started
