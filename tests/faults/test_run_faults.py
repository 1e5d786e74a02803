"""What goes wrong with a run: killed processes, signals of all kinds, workers that die, data that is broken.

Every run here is a process group of its own. Whatever happens to it, the same command goes on from there and ends in the
bytes of a run that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from rich.cells import cell_len
from safetensors import safe_open
from tests.support.tiny_study import digests, plan_of, run, start, write_study

from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.checkpoint import CHECKPOINT_FILE

LONG = {
    "training": {"lr": 0.001, "batch_size": 8, "max_steps": 1200, "max_length": 24},
    "intermediate": ["none"],
    "targets": [
        {"task": "isle-nli", "train": {"size": 24}, "languages": ["qta"], "size": 12},
        {"task": "isle-retrieval", "languages": ["qtu"], "size": 12},
    ],
}
"""One training job of some seconds, its prediction, and a prediction without parents."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), **LONG)


@pytest.fixture(scope="module")
def undisturbed(study: Path) -> dict[str, str]:
    store = study.parent / "undisturbed"
    done = run(study, store, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return digests(study, store)


def training(study: Path) -> Job:
    (job,) = [job for job in plan_of(study).jobs.values() if job.kind == "train"]
    return job


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def worker_of(store: Path, job: Job) -> int:
    """The pid of the worker that runs a job, from its lock."""
    path = store / "locks" / job.key

    def owner() -> int:
        return int(json.loads(path.read_text())["pid"]) if path.exists() else 0

    wait_for(lambda: owner() and alive(owner()))  # the lock of a killed worker may still exist
    return owner()


def start_training(study: Path, store: Path, *options: str) -> tuple[subprocess.Popen[str], int]:
    """A run during its training job, and the pid of the worker."""
    process = start(study, store, *options)
    worker = worker_of(store, training(study))
    time.sleep(0.3)  # some dozens of steps
    assert process.poll() is None
    return process, worker


def end(process: subprocess.Popen[str]) -> str:
    """The complete stderr of a run."""
    return process.communicate(timeout=60)[1]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie stays until its new parent reaps it
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def checkpoint_step(store: Path, job: Job) -> int:
    with safe_open(store / "partial" / job.key / CHECKPOINT_FILE, framework="np") as file:
        return int(file.metadata()["step"])


@pytest.mark.slow
def test_kill_9_of_the_run_and_of_a_worker(study: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    store, job = tmp_path / "store", training(study)

    process, worker = start_training(study, store, "--workers", "1")
    os.kill(process.pid, signal.SIGKILL)
    end(process)
    wait_for(lambda: not alive(worker), 10)  # an orphan would keep the lock and continue computing
    assert not Store(store).has(job.key)

    process, worker = start_training(study, store, "--workers", "2")
    os.kill(worker, signal.SIGSTOP)  # so that it does not finish while the second run starts
    free = [each for each in plan_of(study).jobs.values() if "isle-retrieval" in each.label]
    wait_for(lambda: Store(store).has(free[0].key))
    os.kill(worker, signal.SIGKILL)
    output = end(process)
    assert process.returncode == 2
    message = output[output.index("xlift: ") :]
    assert message.startswith("xlift: a worker process was killed by signal 9 in the middle of: train isle-nli")
    assert "finished jobs are kept" in message
    assert "Traceback" not in output
    assert Store(store).has(free[0].key)

    assert run(study, store).returncode == 0
    assert digests(study, store) == undisturbed


@pytest.mark.slow
def test_a_run_stopped_by_a_signal_resumes(study: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    store, job = tmp_path / "store", training(study)
    before = 0
    # Ctrl-C on a terminal and a cluster's scheduler reach the whole process group; `kill` reaches the run alone
    for send, number in ((os.killpg, signal.SIGINT), (os.kill, signal.SIGINT), (os.killpg, signal.SIGTERM)):
        process, worker = start_training(study, store, "--workers", "1")
        send(process.pid, number)
        output = end(process)
        assert process.returncode in (130, 128 + number)
        assert "interrupted" in output
        assert "Traceback" not in output
        assert not alive(worker)
        assert checkpoint_step(store, job) > before  # resumed instead of restarted
        before = checkpoint_step(store, job)
        assert {entry.status for entry in Store(store).ls()} <= {"done", "partial"}
    assert run(study, store).returncode == 0
    assert digests(study, store) == undisturbed


def test_ctrl_c_during_worker_startup(study: Path, tmp_path: Path) -> None:
    process = start(study, tmp_path / "store")
    assert process.stderr is not None
    process.stderr.readline()  # "3 jobs to do"
    time.sleep(0.15)  # now the workers' Python starts, and does not ignore Ctrl-C yet
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output = end(process)
    assert process.returncode == 130
    assert time.monotonic() - began < 3
    assert "Traceback" not in output


@pytest.mark.slow
def test_ctrl_c_restores_the_terminal(study: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    process = start(study, tmp_path / "store", "--workers", "1", terminal=theirs)
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # EIO: the other end is closed
            while chunk := os.read(ours, 65536):
                shown.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    worker_of(tmp_path / "store", training(study))
    wait_for(lambda: b"train isle-nli" in shown)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    reader.join(10)
    os.close(ours)
    text = shown.decode()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
    assert "stopping: 1 running job" in text
    assert "interrupted" in text
    assert "Traceback" not in text
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    assert not [line for line in lines if "train isle-nli" in line and cell_len(line) > 60]


@pytest.mark.slow
def test_an_error_in_one_job_lets_running_jobs_finish(study: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(study.parent / "model")
    # an error that only the job can find: the loss becomes infinite
    diverging = {"lr": 1e30, "retries": 0}
    wrong = {"task": "isle-pos", "train": {"size": 8}, "languages": ["qta"], "training": diverging}
    targets = [wrong, {**LONG["targets"][0], "training": {"max_steps": 100}}]
    broken = write_study(tmp_path, **{**LONG, "targets": targets})
    store = tmp_path / "store"
    result = run(broken, store, "--workers", "2")
    assert result.returncode == 2
    message = result.stderr[result.stderr.index("xlift: ") :]
    assert "is not a number at step" in message.splitlines()[0]
    assert result.stderr.count("is not a number") == 1
    assert "Traceback" not in result.stderr
    labels = {job.label.split(" (")[0]: job.key for job in plan_of(broken).jobs.values()}
    assert not Store(store).has(labels["train isle-pos/qta/8"])
    assert Store(store).has(labels["train isle-nli/qta/24"])  # it was running by then
    assert not Store(store).has(labels["predict isle-nli/qta"])  # and this one was not
