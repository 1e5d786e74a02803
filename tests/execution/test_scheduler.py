"""The scheduler with fake workers of this machine: order, failures, signals, locks of other processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_jobs
from tests.support.fake_jobs import Recorder, after, job, logged, plan, send_signal

from xlift.errors import UserError
from xlift.execution import scheduler
from xlift.execution.scheduler import Outcome, Stopped, run_plan
from xlift.execution.stop_signals import STOP_SIGNALS
from xlift.execution.worker import WorkerBug, serve
from xlift.studies.job import Job
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    fake_jobs.replace_jobs(monkeypatch)
    return Store(tmp_path / "store")


def wait_for(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def overlap(store: Store, one: str, other: str) -> bool:
    begin = {name: when for when, word, name in logged(store) if word == "begin"}
    end = {name: when for when, word, name in logged(store) if word == "end"}
    return begin[one] < end[other] and begin[other] < end[one]


# -- normal runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_job_runs_once_after_its_parents(store: Store, workers: int) -> None:
    a, b = job("a"), job("b")
    c = job("c", a, b)
    predictions = [job(f"p{n}", parent, kind="predict") for n, parent in enumerate((a, b, c, c, c))]
    display = Recorder()
    outcome = run_plan(plan(a, b, c, *predictions), store, display, workers)
    assert outcome.done == 8
    begun = [name for _, word, name in logged(store) if word == "begin"]
    assert sorted(begun) == ["a", "b", "c", "p0", "p1", "p2", "p3", "p4"]
    when = {(word, name): at for at, word, name in logged(store)}
    assert when["begin", "c"] > max(when["end", "a"], when["end", "b"])
    assert when["begin", "p2"] > when["end", "c"]
    assert display.events[0] == ("begin", "8 0")
    assert sorted(display.all("started")) == sorted(display.all("finished")) == sorted(begun)


def test_jobs_run_in_parallel_on_the_given_number_of_workers(store: Store) -> None:
    jobs = [job(f"{n} sleep 0.5") for n in range(3)]
    run_plan(plan(*jobs), store, Recorder(), 2)
    assert overlap(store, "0", "1")
    assert len({store.open(each.key).file("pid").read_text() for each in jobs}) == 2


def test_without_workers_jobs_run_here_in_the_order_of_one_worker(store: Store, tmp_path: Path) -> None:
    a, b = job("a", examples=5), job("b", examples=50)
    jobs = [a, b, *(job(f"p{n}", parent, kind="predict", task="xnli") for n, parent in enumerate((a, b, b)))]
    here, alone = Recorder(), Recorder()
    other = Store(tmp_path / "other" / "store")
    other.root.parent.mkdir()
    before = set(multiprocessing.active_children())
    run_plan(plan(*jobs), store, here, 0)
    assert set(multiprocessing.active_children()) == before
    run_plan(plan(*jobs), other, alone, 1)
    assert here.events == alone.events
    assert {store.open(each.key).file("pid").read_text() for each in jobs} == {str(os.getpid())}
    for each in jobs:
        batches = [opened.open(each.key).file("batch").read_text() for opened in (store, other)]
        assert batches[0] == batches[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_warning_of_several_jobs_is_shown_once(store: Store, workers: int) -> None:
    display = Recorder()
    assert run_plan(plan(*(job(f"{n} warns") for n in range(3))), store, display, workers).done == 3
    assert display.num_workers == workers
    assert display.all("warning") == ["a tracker failed"]


def test_finished_jobs_are_not_run_again(store: Store) -> None:
    a, b = job("a"), job("b")
    run_plan(plan(a), store, Recorder(), 1)
    display = Recorder()
    assert run_plan(plan(a, b), store, display, 1).done == 1
    assert display.events[0] == ("begin", "1 1")
    assert run_plan(plan(a, b), store, Recorder(), 1) == Outcome(0, 0.0)


@pytest.mark.slow
def test_a_job_with_two_threads_takes_two_slots(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # with a GPU there would be one
    # the small jobs last longer than a second worker needs to start on a busy machine
    big, small = job("big sleep 0.4", kind="pretrain", examples=100), [job(f"{n} sleep 5") for n in range(2)]
    run_plan(plan(big, *small), store, Recorder(), 2)
    assert not overlap(store, "big", "0")
    assert not overlap(store, "big", "1")
    assert overlap(store, "0", "1")


def test_a_job_with_two_threads_runs_with_one_worker(store: Store) -> None:
    assert run_plan(plan(job("big", kind="pretrain")), store, Recorder(), 1).done == 1


@pytest.mark.slow
def test_two_jobs_with_two_threads_run_in_parallel_with_four_slots(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    run_plan(plan(*(job(f"{n} sleep 5", kind="pretrain") for n in range(2))), store, Recorder(), 4)
    assert overlap(store, "0", "1")


def test_a_plan_can_run_outside_the_main_thread(store: Store) -> None:
    # as notebooks and servers do; Python allows signal handlers only in the main thread
    done: list[Outcome] = []
    thread = threading.Thread(target=lambda: done.append(run_plan(plan(job("a")), store, Recorder(), 1)))
    thread.start()
    thread.join(30)
    assert done[0].done == 1


def test_the_executor_does_not_import_torch() -> None:
    # the import would take seconds, before that of the workers
    code = "import sys; from xlift.execution import progress, scheduler; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_user_error_ends_the_run_after_the_running_jobs(store: Store) -> None:
    bad, slow, later = job("bad fail", examples=30), job("slow sleep 0.8", examples=20), job("later", examples=10)
    display = Recorder()
    with pytest.raises(UserError) as error:
        run_plan(plan(bad, slow, later), store, display, 2)
    assert (error.value.what, error.value.where, error.value.fix) == ("a row is wrong", "own.csv:7", "mend it.")
    assert store.has(slow.key)
    assert not store.has(later.key)
    assert not [name for _, _, name in logged(store) if name == "later"]
    assert display.all("failed") == ["bad fail, 1 others"]


@pytest.mark.parametrize("workers", [0, 1])
def test_children_of_a_failed_job_are_not_started(store: Store, workers: int) -> None:
    bad = job("bad fail")
    with pytest.raises(UserError):
        run_plan(plan(bad, job("child", bad)), store, Recorder(), workers)
    assert [name for _, word, name in logged(store) if word == "begin"] == ["bad"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_keeps_its_traceback(store: Store, workers: int) -> None:
    good = job("good", examples=20)
    with pytest.raises(WorkerBug, match=r"(?s)in odd bug:\nTraceback.*_follow_order.*ZeroDivisionError"):
        run_plan(plan(good, job("odd bug")), store, Recorder(), workers)
    assert store.has(good.key)


def test_the_error_of_a_killed_worker_names_its_job(store: Store) -> None:
    fatal, slow = job("fatal die", examples=20), job("slow sleep 0.6")
    with pytest.raises(
        UserError, match="killed by signal 9 in the middle of: fatal die\n.*memory.*finished jobs are kept"
    ):
        run_plan(plan(fatal, slow), store, Recorder(), 2)
    assert store.has(slow.key)
    assert not store.has(fatal.key)


def test_a_run_resumes_after_a_killed_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fatal = job("fatal die")
    with pytest.raises(UserError):
        run_plan(plan(fatal), store, Recorder(), 1)
    mended = Job(fatal.spec, "fatal", fatal.key, fatal.examples)  # labels are in no key
    assert run_plan(plan(mended), store, Recorder(), 1).done == 1  # the dead worker's lock does not block it


def test_all_workers_end_with_the_run(store: Store) -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(UserError):
        run_plan(plan(job("bad fail"), job("slow sleep 0.3")), store, Recorder(), 2)
    assert set(multiprocessing.active_children()) == before


KILLED = """
import sys
from pathlib import Path
from tests.support import fake_jobs
from xlift.execution import scheduler
from xlift.execution.executors import local
from xlift.studies.store import Store
if __name__ == "__main__":
    local.run_worker = fake_jobs.run_worker
    plan = fake_jobs.plan(fake_jobs.job("busy ignores stop"))
    scheduler.run_plan(plan, Store(Path(sys.argv[1])), fake_jobs.Recorder(), 1)
"""


def test_workers_of_a_killed_run_exit_even_if_their_job_ignores_stops(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    store = Store(tmp_path / "store")
    process = subprocess.Popen([sys.executable, str(script), str(store.root)], env=environment)
    wait_for(lambda: logged(store))  # the job has started, and would last ten minutes
    process.kill()
    process.wait()

    def freed() -> bool:
        lock = store.try_lock(job("busy ignores stop").key)
        return lock is not None

    wait_for(freed)


def test_an_artifact_that_appears_before_the_lock_is_not_made_again(tmp_path: Path) -> None:
    class Late(Store):
        """The other process finishes between the check for its artifact and the lock."""

        looks = 0

        def has(self, key: str) -> bool:
            self.looks += 1
            return self.looks > 1 and super().has(key)

    done, ours = job("a"), Late(tmp_path / "store")
    with Store(tmp_path / "store").write(done.key, "train", {}):
        pass
    near, far = multiprocessing.Pipe()
    near.send([done])
    near.send(None)
    thread = threading.Thread(target=serve, args=(far, fake_jobs.Context(), ours, fake_jobs.run_fake_jobs))
    thread.start()
    assert near.recv() == ("done elsewhere", done.key)
    near.close()  # now the worker ends
    thread.join(10)
    assert not thread.is_alive()


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_checkpoints(store: Store, number: int, workers: int, request: Any) -> None:
    # A run leaves an ignored signal ignored, and under nohup pytest ignores SIGHUP.
    before = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))
    done, endless = job("done", examples=99), job("endless until stopped")
    display = Recorder()
    after(display, "started", endless.label, send_signal(number), delay=0.2)
    with pytest.raises(Stopped) as stopped:
        run_plan(plan(done, endless), store, display, workers)
    assert stopped.value.exit_code == 128 + number
    assert (store.partial(endless.key) / "checkpoint").exists()
    assert store.has(done.key)
    assert not store.has(endless.key)
    # neither is "running": no lock is left
    assert sorted(entry.status for entry in store.ls()) == ["done", "partial"]
    assert display.all("stopping") == ["1"]


def test_without_workers_a_second_ctrl_c_stops_at_once(store: Store) -> None:
    busy, display = job("busy ignores stop"), Recorder()
    for delay in (0.1, 0.3):
        after(display, "started", busy.label, send_signal(signal.SIGINT), delay=delay)
    began = time.monotonic()
    with pytest.raises(Stopped) as stopped:
        run_plan(plan(busy), store, display, 0)
    assert time.monotonic() - began < 10
    assert stopped.value.exit_code == 130
    assert Store(store.root).try_lock(busy.key) is not None  # no lock is left


def test_a_second_ctrl_c_stops_at_once(store: Store) -> None:
    busy = job("busy ignores stop")
    display = Recorder()
    after(display, "started", busy.label, send_signal(signal.SIGINT), delay=0.1)
    after(display, "stopping", "1", send_signal(signal.SIGINT), delay=0.1)
    began = time.monotonic()
    with pytest.raises(Stopped):
        run_plan(plan(busy), store, display, 1)
    assert time.monotonic() - began < 10


def test_a_job_that_ignores_stops_is_killed_after_the_timeout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "STOP_TIMEOUT", 0.3)
    busy, display = job("busy ignores stop"), Recorder()
    after(display, "started", busy.label, send_signal(signal.SIGINT))
    with pytest.raises(Stopped):
        run_plan(plan(busy), store, display, 1)
    again = Store(store.root)
    assert again.try_lock(busy.key) is not None  # its worker and its lock are gone


def test_ctrl_c_during_worker_startup_ends_the_run_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    display = Recorder()
    after(display, "begin", "1 0", send_signal(signal.SIGINT))
    began = time.monotonic()
    with pytest.raises(Stopped):
        run_plan(plan(job("busy ignores stop")), store, display, 1)
    assert time.monotonic() - began < 5


def test_signal_handlers_are_restored(store: Store) -> None:
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    run_plan(plan(job("a")), store, Recorder(), 1)
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers


def test_an_ignored_signal_stays_ignored(store: Store) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        slow, display = job("slow sleep 0.5"), Recorder()
        after(display, "started", slow.label, send_signal(signal.SIGHUP))
        assert run_plan(plan(slow), store, display, 1).done == 1
    finally:
        signal.signal(signal.SIGHUP, before)


# -- other processes in the same store ---------------------------------------------------------------------------------


def test_the_run_waits_for_a_job_of_another_process(store: Store) -> None:
    shared, display = job("shared"), Recorder()
    child = job("child", shared)
    other = Store(store.root)
    lock = other.try_lock(shared.key)
    assert lock is not None

    def finish() -> None:
        with other.write(shared.key, "train", {}) as draft:
            (draft.folder / "pid").write_text("the other's")
        lock.release()

    after(display, "running elsewhere", shared.label, finish, delay=0.3)
    assert run_plan(plan(shared, child), store, display, 2).done == 1
    assert display.all("finished elsewhere") == ["shared"]
    assert display.all("finished") == ["child"]
    assert store.open(shared.key).file("pid").read_text() == "the other's"


@pytest.mark.parametrize("workers", [0, 1])
def test_other_jobs_run_while_one_is_waiting(store: Store, workers: int) -> None:
    shared, free, display = job("shared", examples=99), job("free"), Recorder()
    lock = Store(store.root).try_lock(shared.key)
    assert lock is not None
    after(display, "finished", free.label, lock.release)
    assert run_plan(plan(shared, free), store, display, workers).done == 2


def test_a_job_given_up_by_another_process_is_taken_over(store: Store) -> None:
    shared, display = job("shared"), Recorder()
    lock = Store(store.root).try_lock(shared.key)
    assert lock is not None
    after(display, "running elsewhere", shared.label, lock.release, delay=0.2)
    assert run_plan(plan(shared, job("child", shared)), store, display, 1).done == 2


def test_a_waiting_run_can_be_stopped(store: Store) -> None:
    shared, display = job("shared"), Recorder()
    assert Store(store.root).try_lock(shared.key) is not None
    after(display, "running elsewhere", shared.label, send_signal(signal.SIGINT), delay=0.1)
    with pytest.raises(Stopped):
        run_plan(plan(shared), store, display, 1)
