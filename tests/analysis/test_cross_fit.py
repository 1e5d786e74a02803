"""The best row of each target, chosen on other runs and examples than it is scored on."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.test_lift import cell
from tests.analysis.test_seed_variance import draw

from xlift.analysis.cross_fit import best_per_target, cross_fit
from xlift.analysis.estimates import PipelineKey, ScoredCell, ScoreEstimate
from xlift.analysis.intervals import Estimate

ROWS, TARGETS = 6, 3


def null_lifts(rng: np.random.Generator, seeds: int = 2, n: int = 60) -> list[list[ScoreEstimate]]:
    """Lifts of rows that equal their baseline in truth. Examples, runs and both together vary."""
    lifts = []
    for target in range(TARGETS):
        answers = (
            rng.normal(size=(1, 1, n))
            + rng.normal(size=(ROWS + 1, 1, n))
            + rng.normal(size=(ROWS + 1, seeds, n)) * 0.5
            + rng.normal(size=(ROWS + 1, seeds, 1)) * 0.1
        )
        score = answers.mean(axis=2)
        influence = (answers - score[:, :, None]) / np.sqrt(n * (n - 1))
        columns = np.arange(n) + target * n
        lifts.append(
            [
                ScoreEstimate(
                    tuple(range(seeds)),
                    Estimate(score[row] - score[0], influence[row] - influence[0]),
                    columns,
                    n,
                    "ok",
                )
                for row in range(1, ROWS + 1)
            ]
        )
    return lifts


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3])
def test_without_any_difference_the_bias_is_zero_within_error(seeds: int):
    rng = np.random.default_rng(seeds)
    studies = [null_lifts(rng, seeds) for _ in range(100)]
    fits = [cross_fit(lifts) for lifts in studies]
    found = np.array([fit.estimate.value for fit in fits if fit is not None])
    naive = np.array([np.mean([max(lift.estimate.value for lift in target) for target in lifts]) for lifts in studies])
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean()) < 3 * error
    assert naive.mean() > 10 * error


def test_a_row_that_is_best_beyond_doubt_has_its_own_lift_and_interval():
    lifts = null_lifts(np.random.default_rng(1))
    for target in lifts:
        target[2].estimate.scores[:] += 5
    fit = cross_fit(lifts)
    assert fit is not None
    assert fit.shares[:, 2] == pytest.approx([1.0] * TARGETS)
    assert fit.estimate.value == pytest.approx(np.mean([target[2].estimate.value for target in lifts]))
    own = np.concatenate([target[2].estimate.influence.mean(axis=0) for target in lifts]) / TARGETS
    assert np.square(fit.estimate.influence.mean(axis=0)).sum() == pytest.approx(np.square(own).sum(), rel=0.25)


def test_one_seed_gives_none():
    assert cross_fit(null_lifts(np.random.default_rng(2), seeds=1)) is None


def study(seeds: int = 2, targets: tuple[str, ...] = ("a", "b")) -> list[ScoredCell]:
    """nli is best on a, qa on b."""
    rng = np.random.default_rng(5)
    best = {("nli", "a"): 0.9, ("qa", "b"): 0.9}
    return [
        cell(draw(rng, best.get((name, target), 0.5), 100), intermediate=name, seed=seed, target=target)
        for name in ("none", "nli", "qa")
        for target in targets
        for seed in range(seeds)
    ]


def test_best_per_target_of_a_study():
    (found,) = best_per_target(study())
    assert (found.rows, found.targets, found.seeds) == (2, 2, 2)
    assert found.lift.low < 0.4 < found.lift.high
    assert found.lift.value > 0.3
    assert best_per_target(study()) == [found]  # the splits are the same each time


def test_rows_that_are_left_out_are_no_choice():
    left_out = {(PipelineKey("xlmr", "nli", "en", "full"), "a")}
    assert best_per_target(study(), left_out) == []  # one row on a target is no choice


def test_one_seed_or_one_target_has_none():
    assert best_per_target(study(seeds=1)) == []
    assert best_per_target(study(targets=("a",))) == []
