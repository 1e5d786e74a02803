from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, stdtrit
from tests.support.profile import scaled

from xlift.analysis.estimates import ScoreEstimate
from xlift.analysis.intervals import Estimate, lift_interval, linearise, score_interval, spread
from xlift.analysis.means import average_estimates


def accuracy(counts: np.ndarray) -> np.ndarray:
    return counts[..., 0] / counts[..., 1]


def f1(counts: np.ndarray) -> np.ndarray:
    return 2 * counts[..., 0] / (counts[..., 1] + counts[..., 2])


def answers(right: np.ndarray) -> np.ndarray:
    """(..., n) of 0 and 1 -> (..., n, 2) counts."""
    return np.stack([right, np.ones_like(right)], axis=-1).astype(float)


def estimate(runs: np.ndarray, value=accuracy) -> Estimate:
    parts = [linearise(run, value) for run in runs]
    return Estimate(np.array([score for score, _ in parts]), np.stack([influence for _, influence in parts]))


def test_variance_of_a_mean_is_the_textbook_one():
    right = np.random.default_rng(0).random(80) < 0.7
    score, influence = linearise(answers(right), accuracy)
    assert score == pytest.approx(right.mean())
    assert np.square(influence).sum() == pytest.approx(right.var(ddof=1) / 80)


def test_f1_uses_summed_counts_and_its_variance_matches_the_bootstrap():
    # Sentence lengths vary a lot, so the mean F1 per sentence would be a different number.
    rng = np.random.default_rng(1)
    gold = rng.integers(1, 20, size=300)
    tp = rng.binomial(gold, 0.6)
    counts = np.stack([tp, tp + rng.poisson(1, 300), gold], axis=-1).astype(float)
    score, influence = linearise(counts, f1)
    assert score == pytest.approx(2 * tp.sum() / (counts[:, 1].sum() + gold.sum()))
    assert abs(score - f1(counts).mean()) > 0.005
    drawn = f1(rng.multinomial(300, np.full(300, 1 / 300), size=4000) @ counts)
    assert np.sqrt(np.square(influence).sum()) == pytest.approx(drawn.std(), rel=0.05)


def test_zero_over_zero_counts_as_zero():
    score, influence = linearise(np.zeros((5, 3)), f1)
    assert score == 0
    assert not influence.any()


@pytest.mark.parametrize(("seeds", "least", "most"), [(2, 0.90, 1.0), (3, 0.91, 1.0), (5, 0.92, 0.99)])
@pytest.mark.parametrize("interval", [score_interval, lift_interval])
def test_coverage_is_near_the_nominal_level(seeds: int, least: float, most: float, interval):
    # 600 repeats measure a coverage of 95% within +-1.8 points. The true score is ndtr(0.7 / total sd).
    rng, n, held = np.random.default_rng(seeds), 200, 0
    truth = ndtr(0.7 / np.sqrt(1 + 0.05**2)) - (0.5 if interval is lift_interval else 0)
    for _ in range(600):
        example = rng.normal(size=n) * np.sqrt(0.6)

        def runs(level: float, example: np.ndarray = example) -> Estimate:
            noise = rng.normal(size=(seeds, 1)) * 0.05 + rng.normal(size=(seeds, n)) * np.sqrt(0.4)
            return estimate(answers(level + example + noise > 0))

        e = runs(0.7) - runs(0.0) if interval is lift_interval else runs(0.7)
        _, low, high = interval(e)
        held += low <= truth <= high
    assert least <= held / 600 <= most


def test_disagreement_between_seeds_widens_the_interval():
    steady = answers(np.tile(np.arange(100) < 60, (2, 1)))
    moved = answers(np.arange(100) < np.array([[50], [70]]))
    low = spread(estimate(steady)).variance
    high = spread(estimate(moved)).variance
    assert high > 2 * low


def test_with_few_degrees_of_freedom_the_quantile_is_the_weighted_mean():
    # Cochran (1964): t = (V1 t1 + V2 t2) / (V1 + V2), with 1 degree of freedom over seeds and 199 over examples.
    runs = estimate(answers(np.random.default_rng(3).random(200) < [[0.6], [0.66]]))
    over_seeds = np.ptp(runs.scores) ** 2 / 4
    share = over_seeds / spread(runs).variance
    assert 0.2 < share < 0.8
    t = share * stdtrit(1, 0.975) + (1 - share) * stdtrit(199, 0.975)
    value, low, high = lift_interval(runs)
    assert high - value == pytest.approx(t * np.sqrt(spread(runs).variance))
    # Without a difference between the seeds there is one variance. Five seeds have four degrees of freedom: Satterthwaite's.
    equal = Estimate(np.full(2, runs.value), runs.influence)
    assert spread(equal).freedom == pytest.approx(199, rel=1e-3)
    five = Estimate(runs.scores[[0, 1, 0, 1, 0]], runs.influence[[0, 1, 0, 1, 0]])
    share = five.scores.var(ddof=1) / 5 / spread(five).variance
    assert spread(five).freedom == pytest.approx(1 / (share**2 / 4 + (1 - share) ** 2 / 199))


def test_equal_runs_have_difference_exactly_zero():
    runs = estimate(answers(np.random.default_rng(0).random((3, 40)) < 0.5))
    assert lift_interval(runs - runs) == (0, 0, 0)


def test_all_correct_still_has_an_interval():
    value, low, high = score_interval(estimate(answers(np.ones((2, 50)))))
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.925, abs=0.01)  # Wilson: 50 / (50 + t²), t of 49 degrees of freedom


def test_one_example_gives_the_widest_interval():
    runs = estimate(answers(np.ones((3, 1))))
    assert score_interval(runs) == (1, 0, 1)
    assert lift_interval(runs - runs) == (0, -1, 1)


def correlation(counts: np.ndarray) -> np.ndarray:
    """(..., [n, x, y, xx, yy, xy]) -> Pearson's correlation."""
    n, x, y, xx, yy, xy = np.moveaxis(counts, -1, 0)
    return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, 6) counts of `correlation`."""
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def test_a_function_that_leaves_out_each_example_replaces_sums():
    x = np.random.default_rng(0).normal(size=(2, 40))
    counts = points(x[0], x[0] + x[1])

    def leave_one_out(rows: np.ndarray) -> np.ndarray:
        return np.array([correlation(np.delete(rows, i, axis=0).sum(axis=0)) for i in range(len(rows))])

    score, influence = linearise(counts, lambda rows: correlation(rows.sum(axis=0)), leave_one_out)
    expected_score, expected = linearise(counts, correlation)
    assert score == pytest.approx(expected_score)
    assert influence == pytest.approx(expected)


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_interval_of_a_correlation_is_close_to_fishers(strength):
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 400))
    y = strength * x + np.sqrt(1 - strength**2) * noise
    value, low, high = score_interval(estimate(points(x, y)[None], correlation), lowest=-1.0)
    assert value == pytest.approx(np.corrcoef(x, y)[0, 1])
    half = 1.96 / np.sqrt(397)
    assert (low, high) == pytest.approx(
        (np.tanh(np.arctanh(value) - half), np.tanh(np.arctanh(value) + half)), abs=0.02
    )


def test_interval_of_a_correlation_stays_in_its_range():
    x = np.arange(20.0)
    assert score_interval(estimate(points(x, x)[None], correlation), lowest=-1.0).high == 1
    value, low, high = score_interval(estimate(points(x, -x)[None], correlation), lowest=-1.0)
    assert (value, low) == (-1, -1)
    assert -1 < high < 0
    one = Estimate(np.array([0.3]), np.zeros((1, 1)))
    assert score_interval(one, lowest=-1.0) == (0.3, -1, 1)


def test_translations_are_resampled_together():
    # Equal answers in two languages have no more information than in one; on different examples they have.
    runs = estimate(answers(np.random.default_rng(0).random((1, 100)) < 0.6))
    first, same, other = (ScoreEstimate((0,), runs, np.arange(start, start + 100), 100, "ok") for start in (0, 0, 100))
    joint, apart = average_estimates([first, same]), average_estimates([first, other])
    assert joint is not None
    assert apart is not None
    joint, apart = joint.estimate, apart.estimate
    assert spread(joint).variance == pytest.approx(spread(runs).variance)
    assert spread(apart).variance == pytest.approx(spread(runs).variance / 2)


runs_of_answers = st.tuples(st.integers(1, 4), st.integers(2, 30), st.integers(0, 2**32 - 1), st.floats(0, 1)).map(
    lambda p: answers(np.random.default_rng(p[2]).random((p[0], p[1])) < p[3])
)


@settings(max_examples=scaled(60), deadline=None)
@given(runs_of_answers, st.randoms(use_true_random=False))
def test_order_of_seeds_and_examples_does_not_matter(runs: np.ndarray, random):
    seeds, examples = list(range(runs.shape[0])), list(range(runs.shape[1]))
    random.shuffle(seeds)
    random.shuffle(examples)
    # Up to rounding of about 1e-16 in a variance, which is 1e-8 in its root.
    assert score_interval(estimate(runs[seeds][:, examples])) == pytest.approx(score_interval(estimate(runs)), abs=1e-6)


@settings(max_examples=scaled(60), deadline=None)
@given(runs_of_answers)
def test_bounds_contain_the_value_and_stay_in_range(runs: np.ndarray):
    value, low, high = score_interval(estimate(runs))
    assert 0 <= low <= value <= high <= 1


@settings(max_examples=scaled(60), deadline=None)
@given(runs_of_answers)
def test_inverting_every_answer_mirrors_the_interval(runs: np.ndarray):
    value, low, high = score_interval(estimate(runs))
    wrong = answers(1 - runs[..., 0])
    assert score_interval(estimate(wrong)) == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-6)


@settings(max_examples=scaled(60), deadline=None)
@given(runs_of_answers, st.floats(-0.3, 0.3))
def test_shifting_every_seed_shifts_a_lift(runs: np.ndarray, shift: float):
    e = estimate(runs)
    small = Estimate(e.scores / 10, e.influence / 10)  # far from the bounds of -1 and 1
    moved = Estimate(small.scores + shift, small.influence)
    value, low, high = lift_interval(small)
    if low > -0.6 and high < 0.6:
        assert lift_interval(moved) == pytest.approx((value + shift, low + shift, high + shift), abs=1e-6)
