"""Batches of predictions with fake workers, and the NumPy threads of a worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.support import fake_jobs
from tests.support.fake_jobs import Recorder, after, job, plan, send_signal

from xlift.errors import UserError
from xlift.execution.scheduler import Stopped, run_plan
from xlift.studies.job import Job
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    fake_jobs.replace_jobs(monkeypatch)
    return Store(tmp_path / "store")


def batch(store: Store, job: Job) -> str:
    return store.open(job.key).file("batch").read_text()


def test_a_worker_gets_the_languages_of_a_task_in_one_batch(store: Store) -> None:
    jobs, display = [job(name, kind="predict", task="xnli") for name in ("ar", "de", "th")], Recorder()
    assert run_plan(plan(*jobs), store, display, 1).done == 3
    assert {batch(store, each) for each in jobs} == {"ar de th"}
    assert display.events[1:] == [
        ("started", "ar and 2 more"), ("finished", "ar"), ("finished", "de"), ("finished", "th"),
    ]  # fmt: skip


def test_workers_divide_the_languages_of_a_task(store: Store) -> None:
    jobs = [job(f"{name} sleep 0.3", kind="predict", task="xnli") for name in ("ar", "de", "th")]
    run_plan(plan(*jobs), store, Recorder(), 2)
    assert [batch(store, each) for each in jobs] == ["ar de", "ar de", "th"]


def test_an_error_in_one_language_does_not_stop_the_others(store: Store) -> None:
    names = ("ar", "bg fail", "de", "el bug", "th")
    jobs, display = [job(name, kind="predict", task="xnli") for name in names], Recorder()
    with pytest.raises(UserError, match="a row is wrong"):
        run_plan(plan(*jobs), store, display, 1)
    assert display.all("failed") == ["bg fail, 3 others"]
    assert [store.has(each.key) for each in jobs] == [True, False, True, False, True]


def test_a_language_of_another_process_is_left_out(store: Store) -> None:
    jobs, display = [job(name, kind="predict", task="xnli") for name in ("ar", "de", "th")], Recorder()
    lock = Store(store.root).try_lock(jobs[0].key)
    assert lock is not None
    after(display, "running elsewhere", "ar", lock.release, delay=0.3)
    assert run_plan(plan(*jobs), store, display, 1).done == 3
    assert [batch(store, each) for each in jobs] == ["ar", "de th", "de th"]


def test_a_stop_during_a_batch_keeps_finished_jobs(store: Store) -> None:
    names = ("ar", "de until stopped", "th")
    jobs, display = [job(name, kind="predict", task="xnli") for name in names], Recorder()
    after(display, "finished", "ar", send_signal(signal.SIGINT), delay=0.2)
    with pytest.raises(Stopped):
        run_plan(plan(*jobs), store, display, 1)
    assert [store.has(each.key) for each in jobs] == [True, False, False]
    assert display.all("stopping") == ["2"]
    again = Store(store.root)
    assert all(again.try_lock(each.key) for each in jobs)  # no lock is left


def test_the_error_of_a_killed_worker_counts_its_batch(store: Store) -> None:
    jobs = [job(name, kind="predict", task="xnli") for name in ("ar", "de die", "th")]
    with pytest.raises(UserError, match="killed by signal 9 in the middle of: de die and 1 more"):
        run_plan(plan(*jobs), store, Recorder(), 1)
    assert store.has(jobs[0].key)


def test_numpy_uses_one_thread_in_a_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    only = job("a threads")
    run_plan(plan(only), store, Recorder(), 1)
    assert store.open(only.key).file("threads").read_text() == "1 1"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"  # the environment of the run is restored
    assert "MKL_NUM_THREADS" not in os.environ
