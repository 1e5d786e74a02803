from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtrit

from xlift.analysis.estimates import ScoredCell, estimate_scores
from xlift.analysis.lift import LiftRow, compute_lifts
from xlift.errors import UserError

KEYS = (
    "study model intermediate intermediate_language size seeds target language metric value low high lift lift_low "
    "lift_high n training_status train_language control control_of lift_minus_control lift_minus_control_low "
    "lift_minus_control_high lift_p in_best_set is_unstable pooled_pipelines pooled_freedom borrowed_from "
    "same_task baseline_status steps chance majority"
).split()


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0] / counts[..., 1]


def cell(
    right: str,
    *,
    intermediate: str = "nli",
    seed: int = 0,
    target: str = "xnli",
    language: str = "sw",
    ids: list[str] | None = None,
    **more,
) -> ScoredCell:
    """One cell from a string of 1 (correct) and 0 (wrong)."""
    counts = np.array([[int(c), 1] for c in right], dtype=float).reshape(-1, 2)
    rest = {
        "model": "xlmr",
        "intermediate_language": "" if intermediate == "none" else "en",
        "size": "" if intermediate == "none" else "full",
        "metric": "accuracy",
        **more,
    }
    return ScoredCell(
        intermediate=intermediate,
        seed=seed,
        target=target,
        language=language,
        ids=ids or [str(i) for i in range(len(right))],
        counts=counts,
        value=accuracy,
        **rest,
    )


def find(rows: list[LiftRow], **want) -> LiftRow:
    found = [row for row in rows if all(getattr(row, key) == value for key, value in want.items())]
    assert len(found) == 1
    return found[0]


def test_row_has_the_published_keys_in_order():
    assert list(compute_lifts([cell("10")], "s")[0].to_dict()) == KEYS


def test_means_have_the_worst_training_status_of_their_parts():
    cells = [
        cell("10", seed=seed, language=language, target=target, training_status=training_status)
        for seed, language, target, training_status in (
            (0, "sw", "xnli", "ok"), (1, "sw", "xnli", "retried"), (0, "ur", "xnli", "ok"), (1, "ur", "xnli", "ok"),
            (0, "sw", "other", "collapsed"), (1, "sw", "other", "retried"),
        )
    ]  # fmt: skip
    rows = compute_lifts(cells)
    assert find(rows, target="xnli", language="sw").training_status == "retried"
    assert find(rows, target="xnli", language="ur").training_status == "ok"
    assert find(rows, target="xnli", language="all").training_status == "retried"
    assert find(rows, target="other", language="sw").training_status == "collapsed"
    assert find(rows, target="all", language="all").training_status == "collapsed"


def test_lift_is_the_paired_difference_and_none_for_the_baseline():
    rows = compute_lifts([cell("1110"), cell("1000", intermediate="none")])
    assert find(rows, intermediate="nli", language="sw").lift == pytest.approx(0.5)
    assert find(rows, intermediate="none", language="sw").lift is None


def test_equal_predictions_have_lift_zero():
    seeds = ["1101", "0111"]
    rows = compute_lifts(
        [cell(right, intermediate=i, seed=s) for i in ("none", "nli") for s, right in enumerate(seeds)]
    )
    row = find(rows, intermediate="nli", language="all")
    # Four examples do not show that no example can differ: 1/n² is added to the variance.
    width = stdtrit(3, 0.975) / 4
    assert (row.lift, row.lift_low, row.lift_high, row.seeds) == pytest.approx((0, -width, width, 2))


def test_pairing_is_by_id():
    # The pipeline has the same correct examples as the baseline, in another order in the file.
    ids = [f"q{i}" for i in range(6)]
    rows = compute_lifts([cell("110100", intermediate="none", ids=ids), cell("001011", ids=ids[::-1])])
    row = find(rows, intermediate="nli", language="sw")
    width = stdtrit(5, 0.975) / 6
    assert (row.lift, row.lift_low, row.lift_high) == pytest.approx((0, -width, width))


def test_lift_uses_common_seeds():
    rows = compute_lifts([cell("1111", seed=0), cell("0000", seed=1), cell("1110", intermediate="none", seed=0)])
    row = find(rows, intermediate="nli", language="sw")
    assert row.seeds == 2
    assert row.value == 0.5
    assert row.lift == pytest.approx(0.25)


def test_no_lift_without_a_common_seed():
    rows = compute_lifts([cell("11", seed=0), cell("10", intermediate="none", seed=1)])
    assert find(rows, intermediate="nli", language="sw").lift is None


def test_no_lift_between_different_training_languages():
    rows = compute_lifts([cell("11", train_language="de"), cell("10", intermediate="none", train_language="en")])
    assert find(rows, intermediate="nli", language="sw").lift is None


def test_all_is_the_unweighted_mean_over_languages():
    rows = compute_lifts([cell("1" * 10, language="sw"), cell("10", language="ur")])
    row = find(rows, language="all")
    assert row.value == pytest.approx(0.75)
    assert row.n == 12


def test_the_zero_shot_mean_leaves_out_the_languages_of_training():
    cells = [
        cell(right, language=language, intermediate=intermediate, train_language="en+de")
        for intermediate, by_language in (
            ("none", {"en": "1111", "de": "1111", "sw": "1000", "ur": "1100"}),
            ("nli", {"en": "1111", "de": "1110", "sw": "1100", "ur": "1111"}),
        )
        for language, right in by_language.items()
    ]
    rows = compute_lifts(cells)
    assert [row.language for row in rows[:6]] == ["all", "zero-shot", "en", "de", "sw", "ur"]
    mean = find(rows, intermediate="nli", language="zero-shot")
    assert (mean.value, mean.lift, mean.n) == pytest.approx((0.75, 0.375, 8))
    assert find(rows, intermediate="nli", language="all").value == pytest.approx(3.25 / 4)
    assert [row.is_source for row in rows[2:6]] == [True, True, False, False]
    # The same numbers as for a target that is scored in these two languages alone.
    alone = compute_lifts([each for each in cells if each.language in ("sw", "ur")])
    assert mean == replace(find(alone, intermediate="nli", language="all"), language="zero-shot")
    assert not [row for row in alone if row.language == "zero-shot"]  # it would equal the mean over all


def test_a_region_of_the_language_of_training_is_not_zero_shot():
    rows = compute_lifts([cell("10", language=code, train_language="en") for code in ("en-GB", "sw")])
    assert [row.language for row in rows if row.is_source] == ["en-GB"]
    assert find(rows, language="zero-shot").n == 2


def test_a_target_scored_in_its_training_language_alone_has_no_zero_shot_mean():
    rows = compute_lifts([cell("10", language="en", train_language="en")])
    assert [row.language for row in rows] == ["all", "en"]


def test_translated_test_sets_are_resampled_together():
    # Equal predictions for equal ids in five languages: 'all' is as uncertain as one language, not 1/sqrt(5) of it.
    right = "1101001110" * 10
    shared = compute_lifts([cell(right, language=f"l{i}") for i in range(5)])
    apart = compute_lifts([cell(right, language=f"l{i}", ids=[f"{i}-{j}" for j in range(100)]) for i in range(5)])
    single, joint, loose = find(shared, language="l0"), find(shared, language="all"), find(apart, language="all")
    assert joint.high - joint.low == pytest.approx(single.high - single.low)
    assert loose.high - loose.low < 0.5 * (single.high - single.low)


def test_rows_of_one_id_are_one_unit():
    # Five questions on each of 20 paragraphs with equal answers: 20 observations, not 100.
    right = "".join(c * 5 for c in "11010011101101001110")
    clustered = find(compute_lifts([cell(right, ids=[f"p{i // 5}" for i in range(100)])]), language="sw")
    single = find(compute_lifts([cell("11010011101101001110")]), language="sw")
    assert (clustered.low, clustered.high) == pytest.approx((single.low, single.high))
    assert clustered.n == 100


def test_no_mean_if_a_language_is_missing():
    rows = compute_lifts([cell("10"), cell("10", language="ur"), cell("10", intermediate="qa")])
    assert {row.intermediate for row in rows if row.language == "all"} == {"nli"}


def test_mean_over_targets_uses_the_first_metric():
    f1 = [cell("1111", target="xquad", metric="f1"), cell("0000", target="xquad", metric="em")]
    row = find(compute_lifts([*f1, cell("1100")]), target="all")
    assert (row.metric, row.language, row.n) == ("mean", "all", 8)
    assert row.value == pytest.approx(0.75)


def test_single_target_has_no_mean_over_targets():
    assert not [row for row in compute_lifts([cell("10")]) if row.target == "all"]


def test_duplicate_score_is_an_error():
    with pytest.raises(UserError, match="two scores"):
        compute_lifts([cell("10"), cell("11")])


def test_different_examples_are_an_error():
    with pytest.raises(UserError, match="other examples"):
        compute_lifts([cell("10", intermediate="none"), cell("10", ids=["a", "b"])])


def test_cell_without_examples_is_an_error():
    with pytest.raises(UserError, match="0 ids"):
        compute_lifts([replace(cell("1"), ids=[], counts=np.zeros((0, 2)))])


def median_cell(values: list[float], **more) -> ScoredCell:
    """A cell of a score that is no function of sums, in -1..1: the median."""

    def leave_one_out(rows: np.ndarray) -> np.ndarray:
        return np.array([np.median(np.delete(rows, i) if len(rows) > 1 else rows) for i in range(len(rows))])

    counts = np.array(values)[:, None]
    return replace(
        cell("1" * len(values), **more), counts=counts, value=lambda rows: np.median(rows), leave_one_out=leave_one_out,
        lowest_score=-1.0,
    )  # fmt: skip


def test_scores_that_are_no_function_of_sums_have_paired_intervals():
    values = np.random.default_rng(0).uniform(-0.5, 0.5, 60)
    rows = compute_lifts([median_cell(list(values + 0.1)), median_cell(list(values), intermediate="none")])
    row = find(rows, intermediate="nli", language="sw")
    assert row.value == pytest.approx(np.median(values) + 0.1)
    assert row.low < row.value < row.high
    width = stdtrit(59, 0.975) / 60  # equal influences cancel, and 1/n² is left
    assert (row.lift, row.lift_low, row.lift_high) == pytest.approx((0.1, 0.1 - width, 0.1 + width))


def test_bounds_of_scores_below_zero():
    rows = compute_lifts([median_cell([-0.5]), median_cell([0.5], intermediate="none")])
    row = find(rows, intermediate="nli", language="sw")
    assert (row.value, row.low, row.high) == (-0.5, -1, 1)
    assert (row.lift, row.lift_low, row.lift_high) == (-1, -2, 2)
    lowest = compute_lifts([median_cell([-1.0] * 9), cell("0" * 9, target="other")])  # the mean is in -0.5..1
    row = find(lowest, target="all")
    assert (row.value, row.low) == (-0.5, -0.5)
    assert -0.5 < row.high < 0.2


def test_rows_with_the_same_id_are_one_unit_of_any_score():
    ids = ["a", "a", "b", "c", "d"]
    row = find(compute_lifts([median_cell([0.1, 0.2, 0.3, 0.4, 0.5], ids=ids)]), language="sw")
    assert row.value == pytest.approx(0.3)
    assert row.n == 5


def test_a_control_has_the_paired_difference_of_its_intermediate():
    """The difference of both lifts is the difference of both scores, by seed and example."""
    strings = {"none": ("0000", "0001"), "nli": ("1110", "1111"), "nli (shuffled)": ("1100", "1011")}
    cells = [
        cell(
            right, intermediate=name, seed=seed, **({"control": "shuffled", "control_of": "nli"} if "(" in name else {})
        )
        for name, by_seed in strings.items()
        for seed, right in enumerate(by_seed)
    ]
    rows = compute_lifts(cells)
    control = find(rows, intermediate="nli (shuffled)", language="sw")
    lift = find(rows, intermediate="nli", language="sw")
    assert (control.control, control.control_of) == ("shuffled", "nli")
    assert control.lift is not None
    assert lift.lift is not None
    assert control.lift_minus_control == pytest.approx(lift.lift - control.lift) == pytest.approx(0.25)
    # As the lift over a baseline with the scores of the control, but for the seeds of three pipelines.
    as_baseline = [replace(each, intermediate="none") for each in cells if each.control]
    same = find(
        compute_lifts([*as_baseline, *(c for c in cells if c.intermediate == "nli")]), intermediate="nli", language="sw"
    )
    assert same.lift == pytest.approx(control.lift_minus_control)
    bounds = (same.lift_low, control.lift_minus_control_low, control.lift_minus_control_high, same.lift_high)
    assert list(bounds) == sorted(bounds)
    assert control.lift_minus_control_low != same.lift_low
    assert control.control_sign == 0
    assert all(row.lift_minus_control is None for row in rows if not row.control)


def test_a_control_without_its_intermediate_has_no_difference():
    rows = compute_lifts(
        [cell("10", intermediate="nli (text)", control="text", control_of="nli"), cell("00", intermediate="none")]
    )
    assert find(rows, intermediate="nli (text)", language="sw").lift_minus_control is None


def test_examples_of_one_paragraph_are_one_unit():
    # Both questions of a paragraph are right or wrong together: four independent answers, not eight.
    right, paragraphs = "11001100", ["a", "a", "b", "b", "c", "c", "d", "d"]
    apart = find(compute_lifts([cell("1010")]), language="sw")
    joined = find(compute_lifts([cell(right, units=paragraphs)]), language="sw")
    assert (joined.low, joined.high) == pytest.approx((apart.low, apart.high))
    assert joined.n == 8
    alone = find(compute_lifts([cell(right)]), language="sw")
    assert joined.low < alone.low


def test_units_are_joined_over_languages():
    # Questions 0 and 1 share a paragraph in one language, 1 and 2 in another: the mean has one unit of three examples.
    cells = [
        cell("1101", language="sw", units=["a", "a", None, None]),
        cell("1101", language="ur", units=[None, "a", "a", None]),
    ]
    scores = estimate_scores(cells)
    assert all(score.estimate.influence.shape == (1, 2) for score in scores.values())
