"""A whole run on a Ray cluster of three nodes on loopback, one of which is lost; and what Ray is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import digests, plan_of, run_inline, start, write_study

from xlift.errors import UserError
from xlift.execution.executors import ray_cluster
from xlift.execution.executors.ray_cluster import RayLauncher
from xlift.execution.executors.server import Server
from xlift.execution.remote_worker import CONNECTION, WATCH_STDIN
from xlift.recipes import WORKERS_PER_GPU
from xlift.studies.store import Store


class FakeRay:
    """The functions of ray that the launcher calls, with workers that end as `ended` says."""

    def __init__(self, gpus: int = 0) -> None:
        self.gpus, self.ended = gpus, set[int]()
        self.options: dict[str, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.cancelled: list[int] = []

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, **({"GPU": self.gpus} if self.gpus else {})}

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 1.0, "node:10.0.0.1": 1.0}

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda function: self

    @property
    def task(self) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def wait(self, tasks: list[int], **_: object) -> tuple[list[int], list[int]]:
        return [task for task in tasks if task in self.ended], [task for task in tasks if task not in self.ended]

    def get(self, task: int, timeout: float) -> str:
        return "MemoryError"

    def cancel(self, task: int, force: bool) -> None:
        self.cancelled.append(task)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(only_here=True)
    yield server
    server.close()


def launch(
    monkeypatch: pytest.MonkeyPatch, server: Server, fake: FakeRay, devices: int = 1, **resources: Any
) -> RayLauncher:
    class Task:
        def remote(self, *call: Any) -> int:
            fake.calls.append(call)
            return call[0]

    monkeypatch.setattr(fake, "remote", lambda **options: fake.options.update(options) or (lambda function: Task()))
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    return RayLauncher(server, "", {"num_cpus": 1, **resources}, devices, must_have_gpu=False)


@pytest.mark.parametrize(
    ("gpus", "resources", "num_gpus", "share"),
    [(0, {}, None, "1"), (2, {}, 2, "1"), (2, {"num_gpus": 0.25}, 0.25, "4"), (2, {"num_gpus": 0}, 0, "1")],
)
def test_workers_ask_for_gpus_where_the_cluster_has_some(
    server: Server, monkeypatch: pytest.MonkeyPatch, gpus: int, resources: dict[str, Any], num_gpus: Any, share: str
) -> None:
    fake = FakeRay(gpus)
    launcher = launch(monkeypatch, server, fake, devices=2, **resources)
    assert fake.options.get("num_gpus") == num_gpus
    assert fake.options["max_retries"] == 0  # the executor replaces workers
    launcher.start([1])
    assert fake.calls[0][2] == {WORKERS_PER_GPU: share}


def test_ended_and_waiting_workers_are_told_apart(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    launcher = launch(monkeypatch, server, fake)
    launcher.start([1, 2, 3])
    assert launcher.find_ended(set()) == set()
    fake.ended = {2}
    assert launcher.find_ended({1, 2, 3}) == {2}
    assert launcher.explain_end(2) == "the end of its output:\nMemoryError"
    assert launcher.explain_wait().startswith("A worker needs num_cpus=1; free in the cluster are {'CPU': 1.0}.")
    launcher.close({1, 3})
    assert fake.cancelled == [1, 3]


def test_a_cluster_that_refuses_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def init(**_: object) -> None:
            raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setitem(sys.modules, "ray", Refusing)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="--executor ray:h:1: the Ray cluster does not answer: Could not find any"):
        ray_cluster.connect("h:1")


def test_the_worker_gets_the_token_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, Any] = {}

    class Process(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **options: Any) -> None:
            started.update(options, command=command)
            super().__init__([sys.executable, "-c", "print('its last words')"], **options)

    monkeypatch.setattr(ray_cluster.subprocess, "Popen", Process)
    assert ray_cluster.run_worker(7, json.dumps({"token": "secret"}), {WORKERS_PER_GPU: "2"}) == "its last words\n"
    assert started["command"][-2:] == ["xlift.execution.remote_worker", "7"]
    assert "secret" not in " ".join(started["command"])
    assert json.loads(started["env"][CONNECTION]) == {"token": "secret"}
    assert (started["env"][WATCH_STDIN], started["env"][WORKERS_PER_GPU]) == ("1", "2")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without processors and two nodes with one each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    yield cluster
    cluster.shutdown()


def wait_for(what: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_lost_node_changes_no_result(cluster: Any, tmp_path: Path) -> None:
    study, store = write_study(tmp_path), tmp_path / "store"
    process = start(study, store, "--executor", f"ray:{cluster.address}", "--workers", "2")
    wait_for(
        lambda: (
            process.poll() is not None or any((store / "manifests").glob("*")) or any((store / "artifacts").glob("*"))
        )
    )
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    reference = tmp_path / "reference"
    run_inline(plan_of(study), Store(reference))
    assert digests(study, store) == digests(study, reference)
