"""The effects that claims are about, against the lift table and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.analysis.test_lift import find
from tests.analysis.test_verdicts import STUDY, N, only, study

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import compute_lifts


def test_the_effect_of_a_lift_is_that_of_the_table():
    lifts = compute_lifts(STUDY)
    for target, language, wanted in (("all", "all", "all"), ("xnli", "zero-shot", "zero-shot"), ("pos", "sw", "sw")):
        row = find(lifts, intermediate="qa", target=target, language=wanted)
        judged = only(STUDY, lift="qa", target=target, languages=language)
        assert row.lift
        assert row.lift_low
        assert row.lift_high
        found = (judged.effect, judged.low, judged.high)
        assert found == pytest.approx((100 * row.lift, 100 * row.lift_low, 100 * row.lift_high))


def by_hand(row: str, size: str, language: str, target: str = "xnli", cells: list[ScoredCell] = STUDY) -> float:
    """A mean score over seeds, in points."""
    scores = [
        100 * each.counts[:, 0].mean()
        for each in cells
        if (each.intermediate, each.size, each.language, each.target) == (row, size, language, target)
    ]
    return float(np.mean(scores))


def test_without_the_source_language_by_default():
    expected = np.mean(
        [by_hand("qa", "100", code, t) - by_hand("none", "", code, t) for code in ("sw", "ur") for t in ("xnli", "pos")]
    )
    assert only(STUDY, lift="qa").effect == pytest.approx(expected)


def test_a_side_is_averaged():
    judged = only(STUDY, contrast=["qa", ["nli,100", "nli,10000"]], target="xnli", languages="sw")
    others = (by_hand("nli", "100", "sw") + by_hand("nli", "10000", "sw")) / 2
    assert judged.effect == pytest.approx(by_hand("qa", "100", "sw") - others)


def test_a_trend_is_the_least_squares_slope():
    scores = [by_hand("nli", size, "ur") for size in ("100", "1000", "10000")]
    judged = only(STUDY, trend="nli", target="xnli", languages="ur")
    assert judged.effect == pytest.approx(np.polyfit([2, 3, 4], scores, 1)[0])
    assert judged.verdict == "supported"


def test_an_interaction_is_a_difference_of_differences():
    judged = only(STUDY, interaction={"rows": ["qa", "none"], "languages": [["sw", "ur"], "en"]}, target="xnli")
    lift = {code: by_hand("qa", "100", code) - by_hand("none", "", code) for code in ("en", "sw", "ur")}
    assert judged.effect == pytest.approx((lift["sw"] + lift["ur"]) / 2 - lift["en"])


def test_an_interaction_with_noise():
    shift = {"none": 0.2, "qa": 0.05}
    rng = np.random.default_rng(1)
    noisy = [
        replace(
            each,
            noise="typos",
            counts=each.counts * [[1 - (rng.random() < shift[each.intermediate]), 1] for _ in range(N)],
        )
        for each in STUDY
        if each.intermediate in shift
    ]
    judged = only(
        [*STUDY, *noisy], interaction={"rows": ["qa", "none"], "noise": "typos"}, target="xnli", languages="sw"
    )
    expected = [
        by_hand("qa", "100", "sw", cells=cells) - by_hand("none", "", "sw", cells=cells) for cells in (noisy, STUDY)
    ]
    assert judged.effect == pytest.approx(expected[0] - expected[1])


def test_best_per_target_is_the_lift_of_rows_that_are_best_beyond_doubt():
    judged = only(STUDY, best_per_target=["nli,10000", "tags"])
    lift = only(STUDY, lift="nli,10000")
    assert judged.effect == pytest.approx(lift.effect, abs=0.5)
    assert judged.verdict == "supported"
    none = only(STUDY, best_per_target=["tags"])
    assert none.effect == pytest.approx(only(STUDY, lift="tags").effect, abs=0.5)
    assert only(study(seeds=1), best_per_target=["nli,100", "qa"]).verdict == "not measured"
