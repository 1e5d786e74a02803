"""Work that a large study may not repeat for every job: counted in calls, not in seconds."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.support import fake_jobs
from tests.support.fakes import plan_of, study_file

from xlift.estimate import PlanEstimate, plan_estimate
from xlift.execution.queue import JobQueue
from xlift.report.graph import describe_remaining, print_plan
from xlift.studies import store_layout
from xlift.studies.remaining import describe_repeated, list_jobs_to_run
from xlift.studies.store import Store


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], Counter[str]]:
    """A function that counts the calls of a function from now on."""

    def count_calls(owner: Any, name: str) -> Counter[str]:
        calls: Counter[str] = Counter()
        original = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)
        return calls

    return count_calls


def test_a_store_is_asked_for_no_job_that_it_does_not_list(tmp_path: Path, count: Callable[[Any, str], Counter[str]]):
    jobs = [fake_jobs.job(f"job{number}", kind="predict") for number in range(2000)]
    store = Store(tmp_path / "store")
    for job in jobs[5:8]:
        with store.write(job.key, job.kind, {}):
            pass
    asked, listed = count(Store, "has"), count(store_layout, "list_keyed")
    plan = fake_jobs.plan(*jobs)
    to_run = list_jobs_to_run(plan, store)
    assert len(to_run) == len(jobs) - 3
    assert asked.total() == 3
    assert listed.total() <= 4  # a shard for each of the three, and the manifests
    assert describe_repeated(to_run, store) == ""
    assert asked.total() == 3


def test_the_manifest_of_a_shared_parent_is_read_once(tmp_path: Path, count: Callable[[Any, str], Counter[str]]):
    parent = fake_jobs.job("parent")
    jobs = [fake_jobs.job(f"job{number}", parent, kind="predict") for number in range(1000)]
    store = Store(tmp_path / "store")
    with store.write(parent.key, parent.kind, {}):
        pass
    opened = count(Store, "open")
    assert len(list_jobs_to_run(fake_jobs.plan(parent, *jobs), store)) == len(jobs)
    assert opened.total() == 1


def test_a_plan_computes_the_time_and_memory_of_a_job_once(tmp_path: Path, count: Callable[[Any, str], Counter[str]]):
    plan = plan_of(study_file(tmp_path), "models=[isles]", "seeds=[1, 2, 3, 4, 5]")
    memories, times = count(plan_estimate, "memory_of"), count(PlanEstimate, "_compute_seconds")
    estimate = PlanEstimate(plan, Store(tmp_path / "store"), workers=1000)
    print_plan(plan, set(), estimate, Console(file=io.StringIO(), width=100))
    describe_remaining(plan, set(), estimate)
    assert memories.total() == times.total() == len(plan.jobs)


# -- the queue -----------------------------------------------------------------------------------------------


class Cost(float):
    """Seconds that count how often they are compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Cost.compared += 1
        return float(self) < float(other)

    def __gt__(self, other: float) -> bool:
        Cost.compared += 1
        return float(self) > float(other)

    def __neg__(self) -> Cost:
        return Cost(-float(self))

    def __add__(self, other: float) -> Cost:
        return Cost(float(self) + other)

    __radd__ = __add__

    def __sub__(self, other: float) -> Cost:
        return Cost(float(self) - other)


@pytest.mark.parametrize("num_models", [1, 2000])
def test_the_queue_does_not_look_at_every_job_for_each_that_it_gives(
    num_models: int, count: Callable[[Any, str], Counter[str]]
):
    languages = 2000 // num_models
    jobs = [
        fake_jobs.job(f"l{language}", kind="predict", task="xnli", model=f"m{model}")
        for model in range(num_models)
        for language in range(languages)
    ]
    queue = JobQueue(jobs, cost=lambda job: Cost(1 + hash(job.key) % 7))
    Cost.compared, keys = 0, count(JobQueue, "_pass_key")
    given = 0
    while (job := queue.peek()) is not None:
        batch = queue.batch(job)
        queue.remove(batch)
        given += len(batch)
    assert given == len(jobs)
    assert Cost.compared < 20 * len(jobs)
    assert keys.total() <= 2 * len(jobs)
