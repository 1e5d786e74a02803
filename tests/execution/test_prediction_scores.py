"""The scores and units that prediction jobs keep beside predictions."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support import text_mode_jobs
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.execution.work import run_job
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.predictions import (
    PREDICTIONS,
    DecisionScores,
    make_unit,
    read_predictions,
    read_rows,
    read_scores,
    write_predictions,
    write_scores,
)
from xlift.studies.store import Store
from xlift.tasks import formats
from xlift.training.progress import Progress


def predicted(folder: Path, task: str, **target: Any) -> tuple[Plan, Store, list[Job]]:
    """A study of one target, with its prediction jobs."""
    base = {"task": task, "train": {"size": 24}, "languages": ["qta"], "size": 8}
    plan, store = plan_of(write_study(folder, intermediate=["none"], targets=[base | target])), Store(folder / "s")
    run_inline(plan, store)
    return plan, store, [job for job in plan.jobs.values() if job.kind == "predict"]


def scores_of(store: Store, job: Job) -> DecisionScores:
    scores = read_scores(store, job.key)
    assert scores is not None
    return scores


def test_a_classifier_keeps_the_probability_of_every_label(tmp_path: Path) -> None:
    plan, store, (job,) = predicted(tmp_path, "isle-nli")
    scores, (_, _, predictions) = scores_of(store, job), read_predictions(store, job.key)
    assert (scores.kind, scores.labels) == ("probability", plan.tasks["isle-nli"].labels)
    rows = np.array(scores.rows, dtype=float)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=2e-3)
    chosen = [row[scores.labels.index(label)] for row, label in zip(rows, predictions, strict=True)]
    np.testing.assert_array_equal(chosen, rows.max(axis=1))


def test_every_head_keeps_what_decided(tmp_path: Path) -> None:
    for task in ("isle-pos", "isle-reading", "isle-qa-unanswerable"):
        plan, store, (job,) = predicted(tmp_path / task, task)
        scores, (_, _, predictions) = scores_of(store, job), read_predictions(store, job.key)
        assert scores.kind == formats.get(plan.tasks[task].format).score_kind
        for row, prediction in zip(scores.rows, predictions, strict=True):
            if task == "isle-pos":  # of the tag of each word
                assert len(row) == len(prediction)
                assert all(1 / 20 < each <= 1 for each in row)
            elif task == "isle-reading":  # of each choice
                assert row[prediction] == max(row)
                assert sum(row) == pytest.approx(1, abs=2e-3)
            else:  # of the best span, and of no answer
                assert (prediction == "") == (row[1] > row[0])


def test_retrieval_keeps_similarities(tmp_path: Path) -> None:
    target = {"task": "isle-retrieval", "languages": ["qtu"], "size": 8}
    plan, store = plan_of(write_study(tmp_path, intermediate=["none"], targets=[target])), Store(tmp_path / "s")
    run_inline(plan, store)
    (job,) = plan.jobs.values()
    assert scores_of(store, job).kind == "similarity"
    assert all(len(row) == 1 and 0 < row[0] <= 1.00001 for row in scores_of(store, job).rows)
    assert read_rows(store, job.key).units == [None] * 8


def test_text_mode_keeps_the_likelihood_of_every_label(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    for normalize, kind in ((True, "log-likelihood per token"), (False, "log-likelihood")):
        (job,) = text_mode_jobs.predictions("isle-nli", ["qta"], normalize=normalize)
        run_job(job, text_mode_jobs.context(tmp_path / "m", "llama"), store, Progress())
        scores, (_, _, predictions) = scores_of(store, job), read_predictions(store, job.key)
        assert scores.kind == kind
        assert [scores.labels[int(np.argmax(row))] for row in scores.rows] == predictions
        assert all(each < 0 for row in scores.rows for each in row)


def test_generated_text_has_no_scores(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    (job,) = text_mode_jobs.predictions("isle-qa", ["qta"], size=2, max_new_tokens=2)
    run_job(job, text_mode_jobs.context(tmp_path / "m", "llama"), store, Progress())
    assert read_scores(store, job.key) is None
    assert all(read_rows(store, job.key).units)


@pytest.mark.slow
def test_questions_of_a_paragraph_share_a_unit(tmp_path: Path) -> None:
    plan, store, jobs = predicted(tmp_path, "isle-qa", languages=["qta", "qtu"], noise={"kind": "typos", "level": 0.3})
    task = plan.tasks["isle-qa"]
    assert len(jobs) == 4
    for job in jobs:  # noise does not divide a unit: it comes from the clean paragraph
        data: Any = job.spec
        examples = task.source.read(task, data.data.language, "test", None, size=8, seed=0)
        assert read_rows(store, job.key).units == [make_unit(example.context) for example in examples]


def test_pairs_have_their_premise_as_unit_and_single_texts_have_none() -> None:
    nli, choice = formats.get("classification"), formats.get("multiple-choice")
    assert nli.unit_text(nli.example_class("1", "A premise.", "A hypothesis.")) == "A premise."
    assert nli.unit_text(nli.example_class("1", "A text.", None)) == ""
    assert choice.unit_text(choice.example_class("1", "", "Which one?", ("a", "b"))) == ""
    assert make_unit("") is None


def test_tables_are_compact_and_equal_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, labels = [str(n) for n in range(10_000)], ["entailment", "neutral", "contradiction"]
    gold = rng.choice(labels, 10_000).tolist()
    rows = list(rng.dirichlet([1, 1, 1], 10_000))
    units = [make_unit(str(n // 5)) for n in range(10_000)]
    for name in "ab":
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name, ids, gold, gold, units)
        write_scores(tmp_path / name, DecisionScores("probability", tuple(labels), rows))
    for file in (PREDICTIONS, "scores.parquet"):
        one, other = ((tmp_path / name / file).read_bytes() for name in "ab")
        assert one == other
    assert (tmp_path / "a" / PREDICTIONS).stat().st_size < 85_000
    assert (tmp_path / "a" / "scores.parquet").stat().st_size < 10_000 * 3 * 2.2
    found = np.array(pq.read_table(tmp_path / "a" / "scores.parquet")["scores"].to_pylist(), dtype=float)
    np.testing.assert_allclose(found, np.array(rows), atol=3e-4)
    assert json.loads(pq.read_table(tmp_path / "a" / PREDICTIONS)["gold"][0].as_py()) == gold[0]
    assert all(a != b for a, b in pairwise(dict.fromkeys(units)))
