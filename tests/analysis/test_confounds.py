"""Cells of the same task, means without the source language, baselines that were retried, and unequal steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_lift import cell, find

from xlift.analysis.confounds import compared_lifts, main_means, same_task_pairs, uncontrolled_steps, unequal_steps
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import LiftRow, compute_lifts

TARGETS = ("xnli", "pos")
LANGUAGES = ("en", "sw")


def study(**more) -> list[ScoredCell]:
    """Rows none, nli and qa on two targets in two languages. nli trains on the task of xnli, and is best on it."""
    rng = np.random.default_rng(5)
    cells = []
    for intermediate, share in (("none", 0.4), ("nli", 0.95), ("qa", 0.5)):
        for target in TARGETS:
            for seed in (1, 2, 3):
                for language in LANGUAGES:
                    right = "".join("1" if each < share else "0" for each in rng.random(80))
                    same = intermediate == "nli" and target == "xnli"
                    cells.append(
                        cell(right, intermediate=intermediate, seed=seed, target=target, language=language,
                             train_language="en", same_task=same, **more)
                    )  # fmt: skip
    return cells


def test_a_cell_of_the_same_task_is_in_no_best_set():
    rows = compute_lifts(study())
    marked = find(rows, intermediate="nli", target="xnli", language="all")
    assert marked.same_task
    assert marked.in_best_set is False
    assert marked.sign == 1  # it is a lift all the same
    assert find(rows, intermediate="qa", target="xnli", language="all").in_best_set
    assert find(rows, intermediate="nli", target="pos", language="all").in_best_set
    assert not find(rows, intermediate="nli", target="pos", language="all").same_task


def test_p_values_of_the_same_task_are_no_family_with_those_of_other_rows():
    chosen = {"intermediate": "nli", "target": "xnli", "language": "all"}
    apart = find(compute_lifts(study()), **chosen).lift_p
    together = find(compute_lifts([replace(each, same_task=False) for each in study()]), **chosen).lift_p
    assert apart is not None
    assert together == pytest.approx(2 * apart)  # Holm doubles the smaller of two


def test_the_mean_of_other_tasks_leaves_out_the_target():
    rows = compute_lifts(study())
    for language in ("all", "zero-shot"):
        mean = find(rows, intermediate="nli", target="other-tasks", language=language)
        assert mean.value == find(rows, intermediate="nli", target="pos", language=language).value
        assert not mean.same_task
        assert find(rows, intermediate="nli", target="all", language=language).same_task
    plain = compute_lifts([each for each in study() if each.intermediate != "nli"])
    assert "other-tasks" not in {row.target for row in plain}


def test_the_zero_shot_mean_over_targets_averages_those_of_the_targets():
    rows = compute_lifts(study())
    for intermediate in ("none", "qa"):
        parts = [find(rows, intermediate=intermediate, target=each, language="zero-shot").value for each in TARGETS]
        mean = find(rows, intermediate=intermediate, target="all", language="zero-shot")
        assert abs(mean.value - sum(parts) / 2) < 1e-12
        assert parts == [find(rows, intermediate=intermediate, target=each, language="sw").value for each in TARGETS]


def test_a_target_without_labels_counts_with_all_its_languages_and_one_of_the_source_alone_not_at_all():
    cells = study()
    mixed = [each for each in cells if each.target == "pos"]
    retrieval = [
        cell_of(each, "tatoeba", "", language) for each in mixed for language in ("sw",) if each.language == "sw"
    ]
    source = [cell_of(each, "own", "en", "en") for each in mixed if each.language == "en"]
    rows = compute_lifts([*mixed, *retrieval, *source])
    both = [find(rows, intermediate="qa", target=name, language=language).value for name, language in (("pos", "zero-shot"), ("tatoeba", "all"))]  # fmt: skip
    assert find(rows, intermediate="qa", target="all", language="zero-shot").value == sum(both) / 2
    assert {(row.target, row.language) for row in main_means(rows)} == {
        ("pos", "zero-shot"), ("tatoeba", "all"), ("own", "all"), ("all", "zero-shot"),
    }  # fmt: skip


def cell_of(other: ScoredCell, target: str, train_language: str, language: str) -> ScoredCell:
    return replace(other, target=target, train_language=train_language, language=language)


def test_conclusions_compare_zero_shot_means_of_other_tasks():
    compared = compared_lifts(compute_lifts(study()))
    assert {(row.intermediate, row.target, row.language) for row in compared} == {
        ("nli", "other-tasks", "zero-shot"), ("qa", "other-tasks", "zero-shot"),
    }  # fmt: skip
    only = compared_lifts(compute_lifts([each for each in study() if each.target == "xnli"]))
    assert {(row.intermediate, row.target, row.language) for row in only} == {("qa", "xnli", "zero-shot")}
    assert same_task_pairs(compute_lifts(study())) == {"xnli": ["nli"]}


def test_rows_are_compared_without_those_of_the_same_task_if_every_target_has_one():
    cells = [each if each.target == "xnli" else marked(each, "qa") for each in study()]
    assert compared_lifts(compute_lifts(cells)) == []
    third = [cell_of(each, each.target, "en", each.language) for each in cells if each.intermediate in ("none", "qa")]
    compared = compared_lifts(compute_lifts(third))
    assert [(row.intermediate, row.target) for row in compared] == [("qa", "other-tasks")]


def marked(other: ScoredCell, intermediate: str) -> ScoredCell:
    return replace(other, same_task=other.intermediate == intermediate)


def test_a_lift_has_the_training_status_of_its_baseline():
    cells = [
        cell("1100", intermediate=name, seed=seed, training_status="retried" if name == "none" and seed == 2 else "ok")
        for name in ("none", "nli") for seed in (1, 2)
    ]  # fmt: skip
    rows = compute_lifts(cells)
    row = find(rows, intermediate="nli", language="sw")
    assert (row.training_status, row.baseline_status) == ("ok", "retried")
    assert find(rows, intermediate="none", language="sw").baseline_status == "ok"  # it has no lift


def with_steps(**steps: int) -> list[LiftRow]:
    return compute_lifts(
        [
            cell("1100", intermediate=name.replace("_", " "), steps=count, control=name.partition("_")[2],
                 control_of=name.partition("_")[0] if "_" in name else "", language=language)
            for name, count in steps.items() for language in ("sw", "ur")
        ]
    )  # fmt: skip


def test_unequal_steps_of_rows_without_a_control():
    assert uncontrolled_steps(with_steps(none=26, nli=214, qa=214)) == {"none": 26, "nli": 214, "qa": 214}
    assert uncontrolled_steps(with_steps(nli=214, qa=214)) == {}
    assert uncontrolled_steps(with_steps(nli=214, both=778)) == {"nli": 214, "both": 778}
    assert uncontrolled_steps(with_steps(none=26, nli=214, nli_steps=214)) == {}
    assert uncontrolled_steps(with_steps(none=26, nli=214, nli_steps=214, qa=100)) == {"none": 26, "qa": 100}
    assert uncontrolled_steps(with_steps(none=26, nli=214, nli_text=214)) == {}


def test_a_control_counts_for_all_rows_with_as_many_steps():
    assert uncontrolled_steps(with_steps(none=26, nli=214, nli_text=214, qa=214)) == {}
    assert uncontrolled_steps(with_steps(none=26, nli=214, nli_text=214, qa=220)) == {}
    counts = with_steps(none=26, nli=214, nli_shuffled=214, qa=214, both=778)
    assert uncontrolled_steps(counts) == {"none": 26, "both": 778}


def test_steps_that_are_unknown_are_not_compared():
    cells = [cell("1100", intermediate=name, steps=count) for name, count in (("none", 26), ("nli", None))]
    rows = compute_lifts(cells)
    assert {row.intermediate: row.steps for row in rows} == {"none": 26, "nli": None}
    assert uncontrolled_steps(rows) == {}


def test_names_have_what_differs_between_rows_of_one_intermediate():
    steps = {("none", "", "", "m"): [1], ("nli", "en", "100", "m"): [2], ("nli", "en", "1000", "m"): [3, 5]}
    assert unequal_steps(steps, set()) == {"none": 1, "nli 100": 2, "nli 1000": 4}
