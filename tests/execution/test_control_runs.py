"""A study with all controls, from its jobs to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.report.study import make_report
from xlift.report.tables import to_markdown
from xlift.studies.job import Job, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Plan
from xlift.studies.record import make_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

ALL = ["steps", "text", "shuffled"]
TRAINING = {"lr": 0.001, "batch_size": 8, "epochs": 1, "max_length": 64, "retries": 0}


def run(folder: Path, rows: list[Any], targets: list[Any]) -> tuple[Path, Plan, Store]:
    study = write_study(folder, intermediate=["none", *rows], targets=targets, training=TRAINING)
    plan, store = plan_of(study), Store(folder / "store")
    run_inline(plan, store)
    return study, plan, store


def numbers(store: Store, job: Job) -> TrainNumbers:
    found = store.open(job.key).numbers
    assert isinstance(found, TrainNumbers)
    return found


def test_text_of_the_same_examples_has_equal_steps_and_tokens(tmp_path: Path) -> None:
    rows = [
        {"task": "isle-pos", "size": 20, "controls": ["text"]},
        {"task": "isle-commonsense", "size": 12, "controls": ["text"]},
        {"task": "isle-qa", "size": 10, "controls": ["text"]},
    ]
    study = write_study(tmp_path, intermediate=["none", *rows], training=TRAINING)
    plan, store = plan_of(study), Store(tmp_path / "store")
    stages = [job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec) and not job.spec.model.job]
    run_inline(plan, store, stages)
    found: dict[str, list[tuple[int, int]]] = {}
    for job in stages:
        assert isinstance(job.spec, TrainSpec)
        own = numbers(store, job)
        assert own.tokens is not None
        found.setdefault(job.spec.mixture[0].task, []).append((own.steps or 0, int(own.tokens)))
    for name in ("isle-pos", "isle-commonsense", "isle-qa"):
        (own, text) = found[name]
        assert own == text, name


@pytest.mark.slow
def test_a_study_with_all_controls_is_reported_with_differences(tmp_path: Path) -> None:
    targets = [{"task": "isle-nli", "train": {"size": 16}, "languages": ["qta", "qtu"], "size": 12}]
    study, plan, store = run(tmp_path, [{"task": "isle-pos", "size": 20, "controls": ALL}], targets)
    steps = {
        job.spec.more_steps: numbers(store, job).steps
        for job in plan.jobs.values()
        if isinstance(job.spec, TrainSpec) and job.spec.mixture[0].task == "isle-nli"
    }
    assert steps == {0: 2, 3: 5}  # 16 examples in batches of 8, and the 3 steps of 20 examples
    report = make_report(make_record(read_study(str(study)), plan), store)
    means = [row for row in report.rows if row.language == "all"]
    assert [row.intermediate for row in means] == ["none", "isle-pos", *(f"isle-pos ({kind})" for kind in ALL)]
    own = next(row for row in means if row.intermediate == "isle-pos")
    assert own.lift is not None
    for row in means:
        if row.control:
            assert row.lift is not None
            assert row.lift_minus_control == pytest.approx(own.lift - row.lift)
    page = to_markdown(report.rows)
    assert page.count("Δ ") == 2 * 3 + 1  # a line in each control's row of both tables, and the legend
    assert "'shuffled', the same examples with shuffled labels" in report.info.method
