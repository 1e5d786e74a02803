"""Training jobs with two processes under torchrun: artifacts, stops, killed ranks and errors. tests/training/test_devices.py
tests what ranks compute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Listener
from pathlib import Path
from typing import IO, Any

import pytest
from tests.support.tiny_study import plan_of, start, write_study

from xlift.errors import UserError
from xlift.execution.work import run_job, torchrun
from xlift.execution.work.shared import Context
from xlift.execution.work.torchrun import RankBug, train_distributed
from xlift.recipes import Engine
from xlift.studies.job import Job
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.store import Draft, Store
from xlift.training.checkpoint import CHECKPOINT_FILE, read_resume_invariants
from xlift.training.progress import Interrupted, Progress

MARK = "XLIFT_TEST_MARK"
SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One training job on two devices and its prediction. An environment variable marks its processes for `ranks`."""
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", SOURCE)
    return write_study(
        tmp_path,
        training={"lr": 0.001, "batch_size": 8, "max_steps": 6, "max_length": 64, "retries": 0},
        intermediate=["none"],
        targets=[{"task": "isle-nli", "train": {"size": 24}, "languages": ["qta"], "size": 12}],
        engine={"devices": 2},
    )


def training_of(study: Path) -> tuple[Job, Context]:
    plan = plan_of(study)
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    return job, Context(plan.data, plan.tasks, plan.models, plan.engine)


def ranks(folder: Path) -> list[int]:
    """Process ids of torchrun and its ranks that a test started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{MARK}={folder}\0".encode() in environment and b"xlift.execution.rank" in command:
            found.append(int(process.name))
    return found


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.slow
def test_a_stopped_run_resumes_and_leaves_no_processes(study: Path, tmp_path: Path) -> None:
    job, context = training_of(study)
    process = start(study, tmp_path / "store")
    assert wait_for(lambda: len(ranks(tmp_path)) == 3, 90)  # torchrun itself and two ranks
    process.send_signal(signal.SIGINT)  # reaches the ranks in their first step
    _, err = process.communicate(timeout=90)
    assert process.returncode == 130, err
    assert wait_for(lambda: not ranks(tmp_path), 10)
    store = Store(tmp_path / "store")
    assert (store.partial(job.key) / CHECKPOINT_FILE).is_file()
    assert read_resume_invariants(store.partial(job.key))["token_budget"] == "4096"

    seen: list[tuple[int, int]] = []
    with store.lock(job.key):
        run_job(job, context, store, Progress(lambda done, total: seen.append((done, total))))
    artifact = store.open(job.key)
    numbers = artifact.manifest["numbers"]
    assert numbers["steps"] == 6
    assert numbers["devices"] == 2
    assert numbers["token_budget"] == 4096
    assert numbers["peak_memory_bytes"] > 1e8
    assert seen
    assert seen[0] > (1, 6)  # resumed from the checkpoint
    assert {"heads.safetensors", "config.json"} <= {path.name for path in (artifact.folder / "model").iterdir()}
    assert not ranks(tmp_path)


RANK = """
import os, sys, time
from multiprocessing.connection import Client
from xlift.errors import UserError
from xlift.execution.work.torchrun import ADDRESS, KEY, RankBug
from xlift.studies.job_numbers import TrainNumbers
def call():
    connection = Client(os.environ[ADDRESS], authkey=bytes.fromhex(os.environ[KEY]))
    return connection, connection.recv()
"""
"""A fake rank without torch, which sends any message."""


def run_with_ranks(
    do: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: bool = False
) -> tuple[Draft[TrainNumbers], list[tuple[int, int]]]:
    def start_fake_ranks(ranks: int, environment: dict[str, str], output: IO[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RANK + do]
        return subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, text=True, start_new_session=True
        )

    monkeypatch.setattr(torchrun, "_start_torchrun", start_fake_ranks)
    job, context = training_of(study)
    draft, seen = Draft(tmp_path, TrainNumbers()), list[tuple[int, int]]()
    progress = Progress(lambda done, total: seen.append((done, total)), lambda: stop)
    train_distributed(job, context, Store(tmp_path / "store"), draft, progress)
    return draft, seen


def test_the_main_process_reports_steps_and_numbers(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = """
(a, (job, context, root, folder)), (b, _) = call(), call()
a.send(("step", 3, 6)); b.send(("finished",)); a.send(("done", TrainNumbers(steps=len(job.label), tokens=len(str(folder)))))
"""
    draft, seen = run_with_ranks(do, study, tmp_path, monkeypatch)
    assert draft.numbers.as_json() == {
        "tokens": len(str(tmp_path)),
        "steps": len(training_of(study)[0].label),
        "devices": 2,
    }
    assert seen == [(3, 6)]


def test_user_errors_have_priority_over_lost_connections(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchrun, "ERROR_GRACE_SECONDS", 1.0)
    do = """
(a, _), (b, _) = call(), call()
a.send(("error", RankBug("connection closed by peer")))
b.send(("error", UserError("the loss is not a number", fix="lower `lr`")))
time.sleep(60)  # hangs like a rank that waits for another
"""
    start_fake_ranks = time.monotonic()
    with pytest.raises(UserError, match="the loss is not a number\n  lower `lr`"):
        run_with_ranks(do, study, tmp_path, monkeypatch)
    assert time.monotonic() - start_fake_ranks < 20


def test_a_stop_reaches_every_rank(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do = """
(a, _), (b, _) = call(), call()
assert a.recv() is None and b.recv() is None
a.send(("interrupted",)); b.send(("interrupted",))
"""
    with pytest.raises(Interrupted):
        run_with_ranks(do, study, tmp_path, monkeypatch, stop=True)


def test_a_killed_rank_is_a_user_error(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do = 'call(); print("exitcode: -9 (SIGKILL)", flush=True); sys.exit(1)'
    with pytest.raises(UserError, match="one of the 2 processes of a job was killed in the middle of: train isle-nli"):
        run_with_ranks(do, study, tmp_path, monkeypatch)


def test_the_error_has_the_output_of_ranks_that_never_connect(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RankBug, match=r"(?s)exit code 1 and this output:.*no such module"):
        run_with_ranks('raise ImportError("no such module")', study, tmp_path, monkeypatch)


def test_a_rank_exits_with_its_worker(tmp_path: Path) -> None:
    with Listener(authkey=b"key") as listener:
        environment = {torchrun.ADDRESS: str(listener.address), torchrun.KEY: b"key".hex(), "PYTHONPATH": SOURCE}
        rank = subprocess.Popen(
            [sys.executable, "-m", "xlift.execution.rank"], env={**os.environ, **environment}, stderr=subprocess.PIPE
        )
        connection = listener.accept()
        task: tuple[Any, ...] = (None, Context(engine=Engine(devices=2)), tmp_path, tmp_path)
        connection.send(task)
        connection.close()
        assert rank.wait(timeout=30) == 1
        assert rank.stderr is not None
        assert rank.stderr.read() == b""  # without an error
