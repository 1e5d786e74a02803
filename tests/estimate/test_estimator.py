"""Estimated seconds of jobs before and during a run, and how numbers are printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import finished_study, plan_of, study_file

from xlift.estimate import SECONDS_PER_EXAMPLE, Estimator
from xlift.studies.job import Job
from xlift.units import format_count, format_duration, format_gigabytes


def a_job(plan: dict[str, Job], kind: str) -> Job:
    return next(job for job in plan.values() if job.kind == kind)


def test_without_finished_jobs_seconds_follow_the_number_of_examples(tmp_path: Path):
    job = a_job(plan_of(study_file(tmp_path)).jobs, "train")
    assert Estimator().seconds(job) == SECONDS_PER_EXAMPLE["train"] * job.examples


def test_finished_jobs_of_the_same_task_count_most(tmp_path: Path):
    jobs = plan_of(study_file(tmp_path)).jobs
    nli = next(job for job in jobs.values() if "train isle-nli" in job.label)
    qa = next(job for job in jobs.values() if "train isle-qa" in job.label)
    estimator = Estimator()
    estimator.observe(qa, 2.0 * qa.examples)
    assert estimator.seconds(nli) == pytest.approx(2.0 * nli.examples)  # falls back to another task of the same kind
    estimator.observe(nli, 1.0 * nli.examples)
    assert estimator.seconds(nli) == pytest.approx(1.0 * nli.examples)
    assert estimator.seconds(qa) == pytest.approx(2.0 * qa.examples)


def test_first_short_job_barely_changes_the_prior(tmp_path: Path):
    job = a_job(plan_of(study_file(tmp_path)).jobs, "predict")
    estimator = Estimator(lambda job: 0.1, prior_weight=5.0)
    estimator.observe(job, 1.8)
    assert 0.1 < estimator.seconds(job) < 0.15
    for _ in range(1000):
        estimator.observe(job, 0.2)
    assert estimator.seconds(job) == pytest.approx(0.2, rel=0.1)


def test_estimator_learns_from_a_store_and_skips_damaged_artifacts(tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "store")
    predictions = [job for job in plan.jobs.values() if job.kind == "predict"]
    (store.path(predictions[0].key) / "manifest.json").write_text("{")
    estimator = Estimator()
    estimator.learn(store, plan.jobs.values())
    assert estimator.seconds(predictions[1]) < SECONDS_PER_EXAMPLE["predict"] * 20 * 100
    expected = SECONDS_PER_EXAMPLE["predict"] * 20 * (len(predictions) - 1)
    assert estimator._observed["predict", ""][1] == pytest.approx(expected)


def test_jobs_of_another_machine_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan, store = finished_study(study_file(tmp_path), tmp_path / "store")
    monkeypatch.setattr("os.cpu_count", lambda: 4096)
    estimator = Estimator()
    estimator.learn(store, plan.jobs.values())
    assert not estimator._observed


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (950, "950"), (9_940, "9.9k"), (38_400, "38k"), (999_600, "1.0M"), (4.1e6, "4.1M"), (3e15, "3.0P")],
)
def test_format_count(number: float, words: str):
    assert format_count(number) == words


def test_format_count_before_a_unit():
    assert format_count(9.8e12, " ") + "FLOP" == "9.8 TFLOP"
    assert format_gigabytes(0.44e9) == "0.4 GB"
    assert format_gigabytes(141e9) == "141 GB"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "under 1 s"),
        (1.2, "1 s"),
        (80, "80 s"),
        (600, "10 min"),
        (3 * 3600, "3.0 h"),
        (90 * 3600, "3.8 days"),
        (1500 * 86400, "1,500 days"),
    ],
)
def test_format_duration(seconds: float, words: str):
    assert format_duration(seconds) == words
