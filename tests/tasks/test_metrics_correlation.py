"""Pearson's and Spearman's correlation against scipy, brute-force leave-one-out and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xlift.analysis.intervals import Estimate, lift_interval, linearise, score_interval
from xlift.tasks import metrics

PEARSON, SPEARMAN = metrics.get("pearson"), metrics.get("spearman")


def value_of(metric, gold, predicted) -> float:
    return metric.score(metric.count_examples(list(gold), list(predicted), "sw"))


def draw(seed: int, n: int, rounded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gold in steps as annotators give it (many ties), and predictions."""
    rng = np.random.default_rng(seed)
    gold = rng.uniform(0, 5, n)
    predicted = gold + rng.normal(size=n)
    return np.round(gold), np.round(predicted, 1) if rounded else predicted


@pytest.mark.parametrize("rounded", [False, True])
def test_they_equal_scipy(rounded: bool):
    for seed, n in enumerate((3, 10, 200)):
        gold, predicted = draw(seed, n, rounded)
        assert value_of(PEARSON, gold, predicted) == pytest.approx(stats.pearsonr(gold, predicted)[0], abs=1e-12)
        assert value_of(SPEARMAN, gold, predicted) == pytest.approx(stats.spearmanr(gold, predicted)[0], abs=1e-12)


@pytest.mark.parametrize("metric", [PEARSON, SPEARMAN], ids=lambda metric: metric.name)
def test_constant_numbers_have_no_correlation(metric):
    assert value_of(metric, [1.0, 2.0, 3.0], [0.1, 0.1, 0.1]) == 0
    assert value_of(metric, [2.3] * 500, np.linspace(0.7, 0.9, 500)) == 0
    assert value_of(metric, [1.0], [2.0]) == 0


@pytest.mark.parametrize("metric", [PEARSON, SPEARMAN], ids=lambda metric: metric.name)
def test_examples_without_gold_do_not_count(metric):
    gold, predicted = draw(0, 20, True)
    counts = metric.count_examples([*gold, None], [*predicted, 9.0], "sw")
    assert metric.score(counts) == pytest.approx(value_of(metric, gold, predicted))
    _, influence = linearise(counts, metric.compute_score, metric.leave_one_out)
    assert np.isfinite(influence).all()


numbers = st.lists(st.integers(0, 6), min_size=2, max_size=25)


@settings(max_examples=150, deadline=None)
@given(numbers, st.integers(0, 2**32 - 1), st.booleans())
def test_spearman_without_each_example_equals_brute_force(gold: list[int], seed: int, has_ties: bool):
    rng = np.random.default_rng(seed)
    predicted = rng.integers(0, 4, len(gold)) if has_ties else rng.normal(size=len(gold))
    pairs = np.stack([np.array(gold, dtype=float), predicted], axis=1)
    expected = [float(SPEARMAN.compute_score(np.delete(pairs, i, axis=0))) for i in range(len(pairs))]
    assert SPEARMAN.leave_one_out is not None
    assert SPEARMAN.leave_one_out(pairs) == pytest.approx(expected, abs=1e-9)


def test_spearman_without_each_example_in_blocks(monkeypatch: pytest.MonkeyPatch):
    from xlift.tasks.metrics import correlation

    pairs = np.stack(draw(0, 50, True), axis=1)
    whole = correlation.spearman_leave_one_out(pairs)
    monkeypatch.setattr(correlation, "MAX_CELLS", 60)
    assert correlation.spearman_leave_one_out(pairs).tolist() == whole.tolist()


def bootstrap_variance(metric, counts: np.ndarray) -> float:
    rng, n = np.random.default_rng(0), len(counts)
    return float(np.var([metric.score(counts[rng.integers(0, n, n)]) for _ in range(1500)]))


@pytest.mark.parametrize("metric", [PEARSON, SPEARMAN], ids=lambda metric: metric.name)
def test_the_linearised_variance_equals_that_of_a_bootstrap(metric):
    counts = metric.count_examples(*draw(1, 300, True), "sw")
    _, influence = linearise(counts, metric.compute_score, metric.leave_one_out)
    assert np.square(influence).sum() == pytest.approx(bootstrap_variance(metric, counts), rel=0.2)


def correlated(rng: np.random.Generator, n: int, noises: tuple[float, ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Normal gold numbers, and predictions of several pipelines whose errors are partly shared."""
    gold, shared = rng.normal(size=(2, n))
    return gold, [gold + noise * (0.6 * shared + 0.8 * rng.normal(size=n)) for noise in noises]


def true_correlation(metric, noise: float) -> float:
    r = 1 / np.hypot(1, noise)
    return r if metric is PEARSON else 6 / np.pi * np.arcsin(r / 2)  # of two normal variables


@pytest.mark.slow
@pytest.mark.parametrize("metric", [PEARSON, SPEARMAN], ids=lambda metric: metric.name)
@pytest.mark.parametrize("n", [50, 300])
def test_intervals_hold(metric, n: int):
    # 1,000 repeats measure a coverage of 95% within +-1.4 points.
    rng, held, noises = np.random.default_rng(n), np.zeros(3), (0.5, 1.0)
    truths = [true_correlation(metric, noise) for noise in noises]
    for _ in range(1000):
        gold, predicted = correlated(rng, n, noises)
        estimates = []
        for each in predicted:
            counts = metric.count_examples(list(gold), list(each), "sw")
            score, influence = linearise(counts, metric.compute_score, metric.leave_one_out)
            estimates.append(Estimate(np.array([score]), influence[None]))
        intervals = [score_interval(estimate, metric.lowest_score) for estimate in estimates]
        intervals.append(lift_interval(estimates[0] - estimates[1], -2.0, 2.0))
        held += [low <= true <= high for true, (_, low, high) in zip([*truths, truths[0] - truths[1]], intervals)]
    assert (held / 1000 >= 0.925).all()
    assert (held / 1000 <= 0.975).all()
