from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f as f_distribution
from tests.analysis.test_lift import cell, find

from xlift.analysis.intervals import PRIOR_FREEDOM, Estimate, SeedPool, lift_interval, p_value, spread
from xlift.analysis.lift import compute_lifts
from xlift.analysis.seed_variance import SeedTable


def least_squares(scores: np.ndarray) -> float:
    """The residual mean square of pipelines + seeds by least squares on indicator columns."""
    pipelines, seeds = scores.shape
    design = np.array(
        [
            [*(row == p for p in range(pipelines)), *(seed == s for s in range(1, seeds))]
            for row in range(pipelines)
            for seed in range(seeds)
        ],
        dtype=float,
    )
    _, residual, rank, _ = np.linalg.lstsq(design, scores.ravel(), rcond=None)
    return float(residual[0]) / (scores.size - rank)


def test_pool_of_a_difference_is_twice_the_residual_mean_square():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    pool = SeedTable(scores[:, :, None]).difference_pool(2)
    assert pool is not None
    assert pool.variance == pytest.approx(2 * least_squares(scores))
    assert pool.freedom == 4 * 2
    assert not pool.is_unstable


def test_a_single_language_averages_over_languages():
    scores = np.random.default_rng(1).normal(size=(4, 2, 3))
    pool = SeedTable(scores).difference_pool(1)
    assert pool is not None
    assert pool.variance == pytest.approx(2 * np.mean([least_squares(scores[:, :, each]) for each in range(3)]))
    assert pool.freedom == 3 * 1 * 3


def test_an_effect_of_the_seed_on_all_pipelines_does_not_widen_lifts():
    scores = np.random.default_rng(2).normal(size=(4, 3, 1))
    shifted = scores + np.array([0.0, 5.0, -3.0])[None, :, None]
    one, two = SeedTable(scores).difference_pool(1), SeedTable(shifted).difference_pool(1)
    assert one == pytest.approx(two)
    assert SeedTable(shifted).score_pool(1).variance > 5  # pyright: ignore[reportOptionalMemberAccess]


def test_two_pipelines_have_no_pool():
    table = SeedTable(np.random.default_rng(3).normal(size=(2, 3, 1)))
    assert table.difference_pool(1) is None


def estimate(scores: list[float], n: int = 100) -> Estimate:
    return Estimate(np.array(scores), np.full((len(scores), n), 1e-6) * np.resize([1, -1], n))


def test_the_pool_weighs_four_degrees_of_freedom():
    own = estimate([0.1, 0.3])
    expected = (PRIOR_FREEDOM * 0.01 + 1 * 0.02) / (PRIOR_FREEDOM + 1) / 2
    variance, freedom = spread(own, SeedPool(0.01, 12.0))
    assert variance == pytest.approx(expected, rel=1e-6)
    assert freedom == pytest.approx(PRIOR_FREEDOM + 1, rel=1e-3)
    assert spread(own, SeedPool(0.01, 2.0)).freedom == pytest.approx(2, rel=1e-3)


def test_a_pipeline_far_less_stable_than_the_others_keeps_its_own_variance():
    scores = np.random.default_rng(7).normal(size=(5, 3))
    limit = f_distribution.ppf(0.99, 2, 3 * 2) * 2 * least_squares(np.delete(scores, 2, axis=0))
    direction = np.array([-1.0, 0.0, 1.0])  # variance 1
    for factor in (0.99, 1.01):
        scores[2] = scores[0] + direction * np.sqrt(factor * limit)
        pool = SeedTable(scores[:, :, None]).difference_pool(2)
        assert pool is not None
        assert pool.is_unstable == (factor > 1)
        if pool.is_unstable:
            assert pool.variance == pytest.approx(factor * limit)
            assert spread(estimate(list(scores[2] - scores[0])), pool) == pytest.approx(
                spread(estimate(list(scores[2] - scores[0])))
            )


def test_seed_and_example_together_count_once():
    # Each seed has its own right answers: over examples, the whole variance is that of seed x example.
    rng = np.random.default_rng(4)
    answers = (rng.random((400, 50)) < 0.5).astype(float)
    score = answers.mean(axis=1)
    own = Estimate(score, (answers - score[:, None]) / np.sqrt(50 * 49))
    assert spread(own).variance == pytest.approx(0.25 / 50 / 400, rel=0.4)  # counted twice, it would be 2 times


def test_a_p_value_agrees_with_the_interval():
    difference = Estimate(np.array([0.02, 0.03, 0.05]), np.random.default_rng(5).normal(size=(3, 200)) / 2000)
    value, low, high = lift_interval(difference)
    assert p_value(difference, null=low) == pytest.approx(0.025)
    assert p_value(difference, null=high) == pytest.approx(0.975)
    assert p_value(difference, null=value) == pytest.approx(0.5)


def draw(rng: np.random.Generator, share: float, n: int = 300) -> str:
    return "".join("1" if right else "0" for right in rng.random(n) < share)


def study(shares: dict[str, float], seeds: int = 3) -> list:
    rng = np.random.default_rng(6)
    return compute_lifts(
        [
            cell(draw(rng, share), intermediate=name, seed=seed)
            for name, share in shares.items()
            for seed in range(seeds)
        ]
    )


def test_marks_and_the_best_set():
    rows = study({"none": 0.5, "nli": 0.8, "qa": 0.81, "pos": 0.5})
    found = {row.intermediate: find(rows, intermediate=row.intermediate, language="sw") for row in rows}
    assert [found[name].sign for name in ("nli", "qa", "pos")] == [1, 1, 0]
    assert [found[name].in_best_set for name in ("none", "nli", "qa", "pos")] == [False, True, True, False]
    assert found["none"].lift_p is None


def test_one_seed_has_no_marks_and_no_best():
    rows = study({"none": 0.2, "nli": 0.9}, seeds=1)
    row = find(rows, intermediate="nli", language="sw")
    assert (row.lift or 0) > 0.5
    assert (row.lift_low or 0) > 0
    assert (row.sign, row.lift_p, row.in_best_set) == (0, None, None)
