from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.analysis.test_lift import cell, find
from tests.analysis.test_seed_variance import draw

from xlift.analysis.contrasts import compare_rows, find_row, find_rows, trend_over_sizes
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import compute_lifts
from xlift.errors import UserError


def cells(
    shares: dict[tuple[str, str], float], seeds: int = 3, languages: tuple[str, ...] = ("sw", "ur")
) -> list[ScoredCell]:
    """Cells of pipelines (intermediate, size) with a share of right answers."""
    rng = np.random.default_rng(8)
    return [
        cell(draw(rng, share), intermediate=name, size=size, seed=seed, language=language)
        for (name, size), share in shares.items()
        for seed in range(seeds)
        for language in languages
    ]


STUDY = cells(
    {("none", ""): 0.5, ("nli", "100"): 0.6, ("nli", "1000"): 0.7, ("nli", "10000"): 0.8, ("qa", "100"): 0.61}
)


def test_a_contrast_with_the_baseline_is_the_lift():
    lifts = compute_lifts(STUDY)
    for contrast in compare_rows(STUDY, find_row(STUDY, "qa"), find_row(STUDY, "none")):
        row = find(lifts, intermediate="qa", language=contrast.language)
        assert (contrast.difference, contrast.low, contrast.high) == pytest.approx(
            (row.lift, row.lift_low, row.lift_high)
        )
        assert contrast.scores[0] - contrast.scores[1] == pytest.approx(contrast.difference)
        assert contrast.rows == ("qa", "none")


def test_means_come_first():
    contrasts = compare_rows(STUDY, find_row(STUDY, "qa"), find_row(STUDY, "none"))
    assert [contrast.language for contrast in contrasts] == ["all", "sw", "ur"]


def test_equality_needs_evidence():
    def p_equal(margin: float) -> float:
        contrast = compare_rows(STUDY, find_row(STUDY, "nli,100"), find_row(STUDY, "qa"), margin=margin)[0]
        assert contrast.p_equal is not None
        return contrast.p_equal

    assert p_equal(0.2) < 0.05  # 60% and 61% are within 20 points
    assert p_equal(0.001) > 0.05  # but the data cannot show that they are within 0.1
    different = compare_rows(STUDY, find_row(STUDY, "nli,10000"), find_row(STUDY, "none"), margin=0.1)[0]
    assert different.p_equal is not None
    assert different.p_equal > 0.95
    assert different.p is not None
    assert different.p < 0.01


def test_a_trend_is_the_least_squares_slope():
    trend = trend_over_sizes(STUDY, find_rows(STUDY, "nli"))[0]
    assert trend.difference == pytest.approx(np.polyfit([2, 3, 4], trend.scores, 1)[0])
    assert trend.low < 0.1 < trend.high
    assert trend.low > 0


def test_the_slope_of_two_sizes_is_their_difference():
    two = [each for each in STUDY if each.size in ("", "100", "1000")]
    slope = trend_over_sizes(two, find_rows(two, "nli"))[0]
    difference = compare_rows(two, find_row(two, "nli,1000"), find_row(two, "nli,100"))[0]
    assert (slope.difference, slope.low, slope.high) == pytest.approx(
        (difference.difference, difference.low, difference.high)
    )


def test_one_seed_has_no_p():
    contrast = compare_rows(once := cells({("none", ""): 0.5, ("nli", "9"): 0.9}, seeds=1), *(find_row(once, n) for n in ("nli", "none")), margin=0.1)[0]  # fmt: skip
    assert (contrast.p, contrast.p_equal) == (None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_row(STUDY, "nil"), "no row 'nil'"),
        (lambda: find_row(STUDY, ""), "no row ''"),
        (lambda: find_row(STUDY, "nli"), "'nli' names 3 rows"),
        (lambda: compare_rows(STUDY, find_row(STUDY, "none"), find_row(STUDY, "none")), "both rows are 'none'"),
        (lambda: trend_over_sizes(STUDY, find_rows(STUDY, "qa")), "two sizes or more"),
        (lambda: trend_over_sizes(STUDY, find_rows(STUDY, "100")), "two sizes or more"),
        (
            lambda: trend_over_sizes(STUDY, [find_row(STUDY, "nli,100"), find_row(STUDY, "none")]),
            "a trend needs numbers",
        ),
    ],
)
def test_errors_name_the_rows(call, message: str):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "Traceback" not in str(caught.value)


def test_contrasts_on_the_same_task_are_marked():
    marked = [replace(each, same_task=each.intermediate == "nli") for each in STUDY]
    for row, expected in (("nli,100", True), ("qa", False)):
        contrasts = compare_rows(marked, find_row(marked, row), find_row(marked, "none"))
        assert {contrast.same_task for contrast in contrasts} == {expected}
