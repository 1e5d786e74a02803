"""Workers on a machine with GPUs, by fake device files: how many, and which GPUs each one sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tests.support import fake_jobs
from tests.support.fake_jobs import Recorder, job, plan

from xlift.execution.executors.local import LocalExecutor
from xlift.execution.scheduler import run_plan
from xlift.execution.work.shared import Context
from xlift.recipes import WORKERS_PER_GPU, Engine
from xlift.studies import placement
from xlift.studies.placement import default_workers, describe_workers, uses_gpu, visible_gpus
from xlift.studies.store import Store
from xlift.training import budget


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the driver's, with four devices."""
    folder = tmp_path / "gpus"
    for number in range(4):
        (folder / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setattr(placement, "GPUS", folder)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


def test_every_gpu_has_one_worker_by_default(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_workers(Engine()) == 4
    processors = default_workers(Engine(device="cpu"))
    assert processors >= 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert default_workers(Engine()) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_workers(Engine()) == processors


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2, 0", ["2", "0"]), ("-1", []), ("1,-1,2", ["1"]), ("NoDevFiles", []), ("7", []),
        ("GPU-8932f937,MIG-1e2f", ["GPU-8932f937", "MIG-1e2f"]),
    ],
)  # fmt: skip
def test_visible_gpus_are_read_as_cuda_reads_them(
    gpus: Path, monkeypatch: pytest.MonkeyPatch, visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == expected
    assert uses_gpu(Engine()) == bool(expected)


def test_no_gpu_is_seen_without_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "GPUS", tmp_path / "none")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "1 worker on GPU 0"),
        (4, "4 workers, each with its own GPU (0, 1, 2, 3)"),
        (8, "8 workers that share 4 GPUs (0, 1, 2, 3)"),
    ],
)
def test_the_workers_are_described(gpus: Path, number: int, expected: str) -> None:
    assert describe_workers(number, Engine()) == expected
    assert describe_workers(2, Engine(device="cpu")) == "2 workers"


def test_every_worker_sees_its_own_gpu(gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_jobs.replace_jobs(monkeypatch)
    store, jobs = Store(tmp_path / "store"), [job(f"{n} gpus") for n in range(2)]
    run_plan(plan(*jobs), store, Recorder(), 2)
    seen = [store.open(each.key).file("gpus").read_text() for each in jobs]
    assert set(seen) <= {"0 1", "1 1"}  # GPU, workers on it; one worker may have run both jobs
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def make_executor(slots: dict[str, int], num_slots: int, monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    """An executor on four GPUs whose processes are not started."""

    class Process:
        def __init__(self, **_: object) -> None: ...
        def start(self) -> None: ...
        def kill(self) -> None: ...
        def join(self) -> None: ...

    monkeypatch.setattr("multiprocessing.context.SpawnContext.Process", Process)
    return LocalExecutor(Context(), Path("store"), num_slots, slots, ["0", "1", "2", "3"])


def test_a_job_on_two_gpus_gets_a_worker_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = job("small"), job("large")
    executor = make_executor({small.key: 1, large.key: 2}, 4, monkeypatch)
    assert executor.start(executor.num_devices(small)).devices == ("0",)
    worker = executor.start(executor.num_devices(large))
    assert worker.devices == ("1", "2")
    assert executor.has_room(1)
    assert not executor.has_room(2)
    worker.end()  # as the scheduler ends idle workers with other GPUs
    assert executor.has_room(2)
    assert executor.start(3).devices == ("1", "2", "3")


def test_more_workers_than_gpus_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    each = job("a")
    executor = make_executor({each.key: 1}, 8, monkeypatch)
    devices = []
    while executor.has_room(1):
        devices += executor.start(1).devices
    assert devices == ["0", "1", "2", "3"] * 2


def test_a_job_may_use_more_gpus_than_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    # `--workers 1` with `devices: 2`
    each = job("a")
    executor = make_executor({each.key: 2}, 1, monkeypatch)
    assert executor.slots(each) == 1
    assert executor.has_room(2)
    assert executor.start(executor.num_devices(each)).devices == ("0", "1")


def test_idle_workers_leave_when_a_job_needs_their_gpus(
    gpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_jobs.replace_jobs(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    first = job("first gpus", examples=1)
    wide = job("wide gpus", first)
    run = plan(first, wide)
    run.engines = {wide.key: Engine(devices=2)}
    store = Store(tmp_path / "store")
    run_plan(run, store, Recorder(), 2)
    assert store.open(first.key).file("gpus").read_text() == "0 1"
    assert store.open(wide.key).file("gpus").read_text() == "0,1 1"


def test_workers_that_share_a_gpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = type("Properties", (), {"total_memory": 80})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.delenv(WORKERS_PER_GPU, raising=False)
    assert budget.machine_limits(torch.device("cuda", 0)).num_processes == 1
    monkeypatch.setenv(WORKERS_PER_GPU, "2")
    assert budget.machine_limits(torch.device("cuda", 0)).num_processes == 2
