"""Predictions that a worker is handed together, with workers that only pretend to work; and the threads of a worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.support import fake_jobs
from tests.support.fake_jobs import Recorder, after, job, plan, send

from xlift.errors import UserError
from xlift.execution import local
from xlift.execution.local import Stopped, run_plan
from xlift.studies.job import Job
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(local, "work", fake_jobs.work)
    return Store(tmp_path / "store")


def company(store: Store, job: Job) -> str:
    return store.open(job.key).file("company").read_text()


def test_a_worker_is_handed_the_languages_of_a_task_at_once(store: Store) -> None:
    jobs, display = [job(name, kind="predict", task="xnli") for name in ("ar", "de", "th")], Recorder()
    assert run_plan(plan(*jobs), store, display, 1).done == 3
    assert {company(store, each) for each in jobs} == {"ar de th"}
    assert display.said[1:] == [
        ("started", "ar and 2 more"), ("finished", "ar"), ("finished", "de"), ("finished", "th"),
    ]  # fmt: skip


def test_workers_share_the_languages_of_a_task(store: Store) -> None:
    jobs = [job(f"{name} sleep 0.3", kind="predict", task="xnli") for name in ("ar", "de", "th")]
    run_plan(plan(*jobs), store, Recorder(), 2)
    assert [company(store, each) for each in jobs] == ["ar de", "ar de", "th"]


def test_what_is_wrong_with_one_language_does_not_cost_the_others(store: Store) -> None:
    names = ("ar", "bg fail", "de", "el bug", "th")
    jobs, display = [job(name, kind="predict", task="xnli") for name in names], Recorder()
    with pytest.raises(UserError, match="a row is wrong"):
        run_plan(plan(*jobs), store, display, 1)
    assert display.all("failed") == ["bg fail, 3 others"]
    assert [store.has(each.key) for each in jobs] == [True, False, True, False, True]


def test_a_language_that_another_process_does_is_left_out(store: Store) -> None:
    jobs, display = [job(name, kind="predict", task="xnli") for name in ("ar", "de", "th")], Recorder()
    lock = Store(store.root).try_lock(jobs[0].key)
    assert lock is not None
    after(display, "elsewhere", "ar", lock.release, delay=0.3)
    assert run_plan(plan(*jobs), store, display, 1).done == 3
    assert [company(store, each) for each in jobs] == ["ar", "de th", "de th"]


def test_a_stop_in_the_middle_of_several_keeps_those_that_are_done(store: Store) -> None:
    names = ("ar", "de until stopped", "th")
    jobs, display = [job(name, kind="predict", task="xnli") for name in names], Recorder()
    after(display, "finished", "ar", send(signal.SIGINT), delay=0.2)
    with pytest.raises(Stopped):
        run_plan(plan(*jobs), store, display, 1)
    assert [store.has(each.key) for each in jobs] == [True, False, False]
    assert display.all("stopping") == ["2"]
    again = Store(store.root)
    assert all(again.try_lock(each.key) for each in jobs)  # nothing is left locked


def test_a_worker_that_dies_among_several_is_named_with_all(store: Store) -> None:
    jobs = [job(name, kind="predict", task="xnli") for name in ("ar", "de die", "th")]
    with pytest.raises(UserError, match="killed by signal 9 in the middle of: de die and 1 more"):
        run_plan(plan(*jobs), store, Recorder(), 1)
    assert store.has(jobs[0].key)


def test_numpy_multiplies_with_one_thread_in_a_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    only = job("a threads")
    run_plan(plan(only), store, Recorder(), 1)
    assert store.open(only.key).file("threads").read_text() == "1 1"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"  # the run's own is left alone
    assert "MKL_NUM_THREADS" not in os.environ
