"""Whole runs with real jobs in workers that Slurm starts, or submitit as processes of this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import slurm
from tests.support.tiny_study import digests, plan_of, run, run_inline, start, write_study

from xlift.studies.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def reference(study: Path) -> dict[str, str]:
    """Digests of the artifacts that one process makes."""
    store = study.parent / "reference"
    run_inline(plan_of(study), Store(store))
    return digests(study, store)


def options(folder: Path, workers: int = 2, cluster: str = "local") -> list[str]:
    return [
        "--executor", "slurm", "--executor-option", f"cluster={cluster}", "--executor-option", f"folder={folder}",
        "--workers", str(workers),
    ]  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Slurm itself where it is installed, else submitit's processes of this machine."""
    if not slurm.is_possible():
        yield "local"
        return
    with slurm.slurm_cluster(tmp_path / "cluster") as configuration:
        monkeypatch.setenv("SLURM_CONF", str(configuration))
        yield "slurm"


def test_workers_of_slurm_make_the_same_bytes(
    study: Path, reference: dict[str, str], cluster: str, tmp_path: Path
) -> None:
    done = run(study, tmp_path / "store", *options(tmp_path / "slurm", cluster=cluster))
    assert done.returncode == 0, done.stderr
    assert "9 jobs in" in done.stderr
    assert digests(study, tmp_path / "store") == reference
    # what is left are logs; the token is gone, and was in none of them
    left = [path for path in (tmp_path / "slurm").rglob("*") if path.is_file()]
    assert left
    assert not [path for path in left if b"token" in path.read_bytes() or path.suffix == ".json"]


def wait_for(what: Callable[[], object], seconds: float = 100.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def workers_of(folder: Path) -> list[int]:
    """Processes of the workers whose connection file is in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "xlift.execution.remote_worker" in words and any(word.startswith(str(folder)) for word in words):
            found.append(int(path.parent.name))
    return found


def test_killed_workers_and_a_killed_scheduler_lose_nothing(
    study: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    store, folder = tmp_path / "store", tmp_path / "slurm"
    scheduler = start(study, store, *options(folder, workers=1))
    finished = lambda: [entry for entry in Store(store).ls() if entry.status == "done"] if store.is_dir() else []  # noqa: E731
    wait_for(finished)
    os.kill(workers_of(folder)[0], signal.SIGKILL)
    number = len(finished())
    wait_for(lambda: len(finished()) > number or scheduler.poll() is not None)  # another worker has gone on
    scheduler.kill()
    scheduler.communicate()
    kept = {entry.key: Store(store).open(entry.key).sha256 for entry in finished()}
    wait_for(lambda: not workers_of(folder))  # they end by themselves
    done = run(study, store, *options(folder, workers=1))
    assert done.returncode == 0, done.stderr
    assert digests(study, store) == reference
    assert kept.items() <= reference.items()
