"""Targets that have examples in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.analysis.test_lift import cell, find
from tests.analysis.test_seed_variance import draw
from tests.support.fakes import STUDY, custom_task_study, finished_study, refused_plan, study_file

from xlift.analysis.lift import compute_lifts
from xlift.analysis.means import estimate_with_means, weighted_sum
from xlift.analysis.scores import load_cells
from xlift.studies.record import read_record
from xlift.tasks import catalog


def two_targets(examples: str, ids: list[str] | None = None):
    right = draw(np.random.default_rng(0), 0.6, 200)
    return [
        cell(right, target="xquad", ids=ids and sorted(ids), examples=examples),
        cell(right, target="lareqa", ids=ids and sorted(ids), examples=examples),
    ]


def test_the_mean_of_two_targets_over_the_same_examples_is_as_uncertain_as_one():
    apart, shared = (compute_lifts(two_targets(examples)) for examples in ("", "squad/dev"))
    one, mean = find(shared, target="xquad", language="sw"), find(shared, target="all")
    assert (mean.low, mean.high) == pytest.approx((one.low, one.high))
    independent = find(apart, target="all")
    assert independent.high - independent.low == pytest.approx((one.high - one.low) / np.sqrt(2), rel=0.02)


def test_a_difference_of_targets_is_paired_by_example():
    cells = two_targets("squad/dev")
    scores, _ = estimate_with_means(cells)
    parts = [part for (_, target, language), part in scores.items() if language == "sw" and target.name != "all"]
    difference = weighted_sum(parts, [1.0, -1.0])
    assert difference is not None
    assert np.abs(difference.estimate.influence).max() < 1e-12
    assert difference.columns.size == 200


def test_only_equal_ids_are_the_same_example():
    first, second = two_targets("squad/dev")
    second = replace(second, ids=[f"other-{name}" if int(name) % 2 else name for name in second.ids])
    mean = find(compute_lifts([first, second]), target="all")
    one, none = (find(compute_lifts(two_targets(examples)), target="all") for examples in ("squad/dev", ""))
    assert none.high - none.low < mean.high - mean.low < one.high - one.low


def test_a_paragraph_of_one_target_joins_the_questions_of_the_other():
    first, second = two_targets("squad/dev")
    first = replace(first, units=[f"p{int(name) // 5}" for name in first.ids])
    scores, _ = estimate_with_means([first, second])
    assert {score.columns.size for score in scores.values()} == {40}


def test_two_targets_of_a_task_have_the_same_examples(tmp_path: Path):
    text = (
        STUDY
        + "  - {task: isle-nli, name: again, train: {size: 40}, size: 20}\n  - {task: isle-paraphrase, size: 20, train: {size: 40}}\n"
    )
    _, store = finished_study(study_file(tmp_path, text), tmp_path / "store")
    cells, _ = load_cells(read_record(store, "study"), store)
    assert {(each.target, each.examples) for each in cells} == {
        ("isle-nli", "isle-nli/test"), ("again", "isle-nli/test"), ("isle-paraphrase", "isle-paraphrase/test"),
    }  # fmt: skip


def test_the_catalogue_names_splits_of_its_tasks():
    found = {task.name: set(task.examples_of.values()) for task in catalog.TASKS if task.examples_of}
    assert found.keys() >= {"xquad", "lareqa", "squad2"}
    for others in found.values():
        for other in others:
            name, _, split = other.partition("/")
            assert split in catalog.get(name).source.splits()
            assert not catalog.get(name).examples_of


def test_a_custom_task_names_the_task_of_its_examples(tmp_path: Path):
    text = custom_task_study(tmp_path) + "    examples_of: xquad\n"
    _, store = finished_study(study_file(tmp_path, text), tmp_path / "store")
    cells, _ = load_cells(read_record(store, "study"), store)
    assert {each.examples for each in cells} == {"squad/dev"}


def test_an_unknown_task_of_examples_is_refused(tmp_path: Path):
    message = refused_plan(tmp_path, custom_task_study(tmp_path) + "    examples_of: xqad\n")
    assert "unknown task 'xqad'" in message
    assert "xquad" in message
    assert "study.yaml:10" in message
