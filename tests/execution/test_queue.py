"""The order of jobs: parents first, longest chains first, predictions by model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_jobs import data, job

from xlift.execution.queue import JobQueue, model_of
from xlift.studies.job import Job, ModelRef, PredictSpec, make_job
from xlift.tasks import catalog


def drain(queue: JobQueue, loaded: str = "") -> list[str]:
    """The labels in the order in which a single worker runs the jobs."""
    labels = []
    while (next_job := queue.peek(loaded)) is not None:
        queue.remove([next_job])
        queue.mark_finished(next_job)
        labels.append(next_job.label)
        if next_job.kind == "predict":
            loaded = model_of(next_job)
    return labels


@st.composite
def graphs(draw: st.DrawFn) -> list[Job]:
    jobs: list[Job] = []
    for number in range(draw(st.integers(1, 12))):
        trained = [each for each in jobs if each.kind == "train"]
        parents = draw(st.lists(st.sampled_from(trained), max_size=2, unique=True)) if trained else []
        kind = draw(st.sampled_from(["train", "predict"]))
        jobs.append(job(str(number), *parents, kind=kind, examples=draw(st.integers(0, 9))))
    return jobs


@given(graphs())
def test_every_job_is_returned_once_after_its_parents(jobs: list[Job]) -> None:
    order = drain(JobQueue(jobs))
    assert sorted(order) == sorted(each.label for each in jobs)
    label = {each.key: each.label for each in jobs}
    for each in jobs:
        assert all(order.index(label[parent]) < order.index(each.label) for parent in each.parents)


def test_a_job_waits_for_all_its_parents() -> None:
    a, b = job("a"), job("b")
    child = job("child", a, b)
    queue = JobQueue([a, b, child])
    queue.remove([a])
    queue.mark_finished(a)
    assert queue.peek() == b
    queue.remove([b])
    assert queue.peek() is None
    queue.mark_finished(b)
    assert queue.peek() == child


def test_a_finished_parent_does_not_block_a_job() -> None:
    a = job("a")
    assert JobQueue([job("child", a)]).peek() is not None


def test_training_comes_before_prediction() -> None:
    a = job("a")
    assert drain(JobQueue([a, job("predict", kind="predict", examples=99), job("b", a)])) == ["a", "b", "predict"]


def test_the_longest_chain_is_started_first() -> None:
    short, long = job("short", examples=50), job("long", examples=10)
    rest = job("rest", long, examples=60)
    assert drain(JobQueue([short, long, rest])) == ["long", "rest", "short"]


def test_remaining_work_counts_predictions() -> None:
    plain, scored = job("plain", examples=10), job("scored", examples=10)
    assert drain(JobQueue([plain, scored, job("p", scored, kind="predict")]))[:2] == ["scored", "plain"]


def test_equal_chains_keep_the_order_of_the_plan() -> None:
    assert drain(JobQueue([job(name) for name in "abc"])) == ["a", "b", "c"]


def test_predictions_are_ordered_by_model_and_plan() -> None:
    jobs = [job(f"{n}{model}", kind="predict", model=model) for n in range(3) for model in "xy"]
    assert drain(JobQueue(jobs)) == ["0x", "1x", "2x", "0y", "1y", "2y"]


def test_a_worker_continues_with_its_loaded_model() -> None:
    jobs = [
        job(f"{n}{model}", kind="predict", model=model) for model, count in (("x", 5), ("y", 1)) for n in range(count)
    ]
    assert drain(JobQueue(jobs), loaded="y")[0] == "0y"


def test_a_second_worker_gets_another_model() -> None:
    jobs = [job(f"{n}{model}", kind="predict", model=model) for model in "xy" for n in range(3)]
    queue = JobQueue(jobs)
    first = queue.peek()
    assert first is not None
    queue.remove([first])
    second = queue.peek()
    assert second is not None
    assert model_of(second) != model_of(first)


def test_predictions_of_a_new_model_keep_the_order() -> None:
    a = job("a")
    predictions = [job(str(n), a, kind="predict") for n in range(3)]
    assert drain(JobQueue([a, *predictions])) == ["a", "0", "1", "2"]


def test_a_job_given_up_by_another_process_is_returned_again() -> None:
    a = job("a")
    queue = JobQueue([a])
    queue.remove([a])
    assert not queue
    queue.put(a)
    assert queue.peek() == a


# -- batches of predictions --------------------------------------------------------------------------------


def languages(*names: str, examples: int = 10, task: str = "xnli", model: str = "m") -> list[Job]:
    return [job(name, kind="predict", examples=examples, task=task, model=model) for name in names]


def batch(queue: JobQueue, workers: int = 1) -> list[str]:
    """Labels of the next batch of a worker."""
    first = queue.peek()
    assert first is not None
    given = queue.batch(first, workers)
    queue.remove(given)
    return [each.label for each in given]


def test_a_batch_has_the_languages_of_one_task_and_model() -> None:
    nli, qa, other = languages("ar", "de", "th"), languages("ar", task="xquad"), languages("ar", model="n")
    queue = JobQueue([nli[0], qa[0], nli[1], other[0], nli[2]])
    assert [batch(queue), batch(queue), batch(queue)] == [["ar", "de", "th"], ["ar"], ["ar"]]
    assert not queue


def test_a_training_job_is_a_batch_of_one() -> None:
    assert batch(JobQueue([job("a"), job("b")])) == ["a"]


def test_no_worker_gets_more_than_its_share() -> None:
    queue = JobQueue(languages(*"abcdefg"))
    assert batch(queue, workers=3) == ["a", "b", "c"]
    assert batch(queue, workers=2) == ["d", "e"]
    assert batch(queue, workers=1) == ["f", "g"]


def test_the_size_of_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlift.execution.queue.PASS_TOKENS", 3 * 10 * 128)
    assert batch(JobQueue(languages(*"abcde"))) == ["a", "b", "c"]
    assert batch(JobQueue(languages(*"abcde", examples=99))) == ["a"]  # a batch has at least one job
    monkeypatch.setattr("xlift.execution.queue.PASS_JOBS", 2)
    assert batch(JobQueue(languages(*"abcde"))) == ["a", "b"]


def test_layers_of_the_same_data_stay_in_one_batch() -> None:
    def at(language: str, layer: int) -> Job:
        spec = PredictSpec(model=ModelRef(fingerprint="m"), data=data("tatoeba", language), options={"layer": layer})
        return make_job(spec, f"{language}{layer}", 3000)  # two languages fill a pass

    queue = JobQueue([at("ar", 7), at("de", 7), at("ar", 8), at("de", 8), at("th", 7), at("th", 8)])
    assert batch(queue) == ["ar7", "ar8", "de7", "de8"]
    assert batch(queue, workers=3) == ["th7", "th8"]


@pytest.mark.parametrize(("task", "together"), [("isle-mining", 1), ("isle-retrieval", 2)])
def test_mining_languages_are_separate_batches(task: str, together: int) -> None:
    # mining keeps scores, which must not depend on other rows of a batch
    queue = JobQueue(languages("qka", "qtu", task=task), {task: catalog.get(task)})
    assert len(batch(queue)) == together
