"""Workers that connect over TCP, as threads with fake jobs: jobs, and workers that end."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_jobs import Recorder, after, job, logged, plan, run_fake_jobs, send_signal
from tests.support.remote import ThreadLauncher, run_remotely

from xlift.errors import UserError
from xlift.execution.executors import remote
from xlift.execution.executors.server import Server
from xlift.execution.remote_worker import RemoteWorker
from xlift.execution.scheduler import Stopped
from xlift.execution.worker import WorkerBug
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


# -- jobs --------------------------------------------------------------------------------------------------------------


def test_every_job_runs_once_after_its_parents(store: Store) -> None:
    a, b = job("a"), job("b")
    c = job("c", a, b)
    predictions = [job(f"p{n}", parent, kind="predict") for n, parent in enumerate((a, b, c, c))]
    jobs, display = plan(a, b, c, *predictions), Recorder()
    assert run_remotely(jobs, store, display, ThreadLauncher(jobs)).done == 7
    begun = [name for _, word, name in logged(store) if word == "begin"]
    assert sorted(begun) == ["a", "b", "c", "p0", "p1", "p2", "p3"]
    assert begun.index("c") > max(begun.index("a"), begun.index("b"))
    assert display.all("warning") == []


def test_no_more_workers_start_than_there_are_jobs(store: Store) -> None:
    jobs = plan(job("a"), job("b"))
    launcher = ThreadLauncher(jobs)
    run_remotely(jobs, store, Recorder(), launcher, workers=9)
    assert sorted(launcher.workers) == [1, 2]
    assert launcher.exit_codes == {1: 0, 2: 0}


def test_a_child_goes_to_the_worker_that_made_its_parent(store: Store) -> None:
    first, a = job("first", examples=1000), job("a")  # the first worker takes `first`
    b = job("b", a)
    c = job("c", b)
    workers: dict[str, str] = {}
    both_started = threading.Barrier(2, timeout=20)

    def run_jobs(jobs: Any, *others: Any) -> Any:
        name = jobs[0].label
        workers[name] = threading.current_thread().name
        if name in ("first", "a"):
            both_started.wait()
        if name == "a":
            time.sleep(0.3)  # `first` ends before, so that both workers are idle
        return run_fake_jobs(jobs, *others)

    jobs = plan(first, a, b, c)
    run_remotely(jobs, store, Recorder(), ThreadLauncher(jobs, run_jobs))
    assert workers["first"] != workers["a"] == workers["b"] == workers["c"]


@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [("fail", UserError, "own.csv:7: a row is wrong\n  mend it."), ("bug", WorkerBug, "ZeroDivisionError")],
)
def test_errors_of_jobs_arrive_as_they_are(store: Store, order: str, kind: type[Exception], text: str) -> None:
    jobs = plan(job(f"a {order}"))
    with pytest.raises(kind, match=text):
        run_remotely(jobs, store, Recorder(), ThreadLauncher(jobs), workers=1)


def test_ctrl_c_leaves_checkpoints(store: Store) -> None:
    endless, display = job("endless until stopped"), Recorder()
    after(display, "started", endless.label, send_signal(signal.SIGINT), delay=0.1)
    launcher = ThreadLauncher(plan(endless))
    with pytest.raises(Stopped):
        run_remotely(plan(endless), store, display, launcher, workers=1)
    assert (store.partial(endless.key) / "checkpoint").exists()
    assert [entry.status for entry in store.ls()] == ["partial"]


# -- workers that end --------------------------------------------------------------------------------------------------


def test_a_worker_that_must_leave_hands_its_job_on(store: Store) -> None:
    # as before the end of a time limit
    long, display = job("long resumes"), Recorder()
    launcher = ThreadLauncher(plan(long))
    after(display, "started", long.label, lambda: launcher.workers[1].leave(), delay=0.1)
    assert run_remotely(plan(long), store, display, launcher, workers=1).done == 1
    assert launcher.exit_codes == {1: 0, 2: 0}
    assert display.all("warning") == []
    assert display.all("started") == ["long resumes"] * 2


def lose(worker: RemoteWorker) -> None:
    """Cut a worker's connection, as the end of its machine does."""
    worker.connection.socket.shutdown(socket.SHUT_RDWR)


def test_the_job_of_a_lost_worker_goes_on_in_another(store: Store) -> None:
    long, display = job("long resumes"), Recorder()
    launcher = ThreadLauncher(plan(long))
    after(display, "started", long.label, lambda: lose(launcher.workers[1]), delay=0.1)
    assert run_remotely(plan(long), store, display, launcher, workers=1).done == 1
    assert launcher.exit_codes[1] == 1  # it has seen that the scheduler is gone, and has written a checkpoint
    host = socket.gethostname()
    assert f"worker 1 on {host} was lost; another one goes on with: long resumes" in display.all("warning")


def test_a_job_that_loses_every_worker_fails_the_run(store: Store) -> None:
    fatal, display = job("fatal"), Recorder()

    def run_jobs(jobs: Any, context: Any, store: Any, progress: Any) -> Any:
        lose(launcher.workers[max(launcher.workers)])
        time.sleep(0.2)
        raise UserError("the scheduler does not hear this")

    launcher = ThreadLauncher(plan(fatal), run_jobs)
    with pytest.raises(UserError, match="worker 3 on .* was lost in the middle of: fatal\n.*resume"):
        run_remotely(plan(fatal), store, display, launcher, workers=1)
    assert len(display.all("warning")) == 2


def test_workers_that_cannot_start_end_the_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = ThreadLauncher(plan(job("a")))
    monkeypatch.setattr(launcher, "_work", lambda number: None)
    with pytest.raises(UserError, match="the workers that the test starts end before they can run a job\n  its log"):
        run_remotely(plan(job("a")), store, Recorder(), launcher, workers=1)
    assert len(launcher.workers) == 3


def test_a_warning_says_that_workers_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.1)
    jobs, display = plan(job("a")), Recorder()
    launcher = ThreadLauncher(jobs)
    work = launcher._work

    def work_later(number: int) -> None:
        time.sleep(0.5)
        work(number)

    monkeypatch.setattr(launcher, "_work", work_later)
    run_remotely(jobs, store, display, launcher, workers=1)
    assert display.all("warning") == ["no worker has started yet. It waits."]


def test_a_worker_ends_when_its_scheduler_is_gone(store: Store) -> None:
    busy = job("busy until stopped")
    server = Server(only_here=True)
    launcher = ThreadLauncher(plan(busy))
    launcher.server = server
    launcher.start([1])
    connection = take(server).connection
    connection.send({"do": "plan", "study": study_of(store), "repeated": []})
    connection.send({"do": "run", "keys": [busy.key]})
    while not logged(store):
        time.sleep(0.01)
    connection.close()  # as when the scheduler is killed
    launcher.threads[1].join(10)
    assert launcher.exit_codes == {1: 1}
    assert (store.partial(busy.key) / "checkpoint").exists()
    assert Store(store.root).try_lock(busy.key) is not None
    server.close()


def study_of(store: Store) -> dict[str, Any]:
    return {"study": "", "text": "", "overrides": [], "data": "", "store": store.where}


def take(server: Server) -> Any:
    while not (accepted := server.take()[0]):
        time.sleep(0.01)
    return accepted[0]
