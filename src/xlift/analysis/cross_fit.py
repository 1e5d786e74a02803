"""The gain from the best row of every target, chosen on other runs and other examples than it is scored on.

The highest of several estimates is too high on average, since it is also the luckiest. So the seeds and the test examples
are split in halves: the row is chosen by one half of both, and scored on the other half of both. The mean over many splits
has no such bias: if no row differs from the baseline, it is 0 on average. What it estimates is the gain from a choice by
half of the data; a choice by all of the data is a little better.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from xlift.analysis.estimates import (
    ALL,
    BASELINE,
    MEAN,
    ZERO_SHOT,
    PipelineKey,
    ScoredCell,
    ScoreEstimate,
    TargetColumn,
)
from xlift.analysis.intervals import Estimate, Interval, SeedPool, lift_interval
from xlift.analysis.means import estimate_with_means, weighted_sum
from xlift.analysis.seed_variance import SeedPools

SPLITS = 50
"""Each is used in four ways: either half of the seeds, and either half of the examples, may choose."""


@dataclass(frozen=True)
class CrossFit:
    estimate: Estimate
    """The mean over targets of the lift of the chosen rows; the seeds are those that score."""
    seeds: tuple[int, ...]
    shares: np.ndarray
    """(targets, rows) how often each row was chosen; a row of it sums to 1."""
    floor: float
    """As `ScoreEstimate.floor`, of a difference."""
    n: int
    """Number of test examples."""


def cross_fit(lifts: Sequence[Sequence[ScoreEstimate]]) -> CrossFit | None:
    """The mean over targets of the lift of the best row.

    Args:
        lifts: for each target, the lift of each row.

    Returns:
        None if there are fewer than two seeds that all of them have.
    """
    every = [lift for target in lifts for lift in target]
    seeds = [seed for seed in every[0].seeds if all(seed in lift.seeds for lift in every)] if every else []
    if len(seeds) < 2:
        return None
    rng = np.random.default_rng(0)
    columns = np.unique(np.concatenate([lift.columns for lift in every]))
    is_first = rng.permuted(np.tile(np.arange(len(columns)) % 2 == 0, (SPLITS, 1)), axis=1)
    order = rng.permuted(np.tile(np.arange(len(seeds)), (SPLITS, 1)), axis=1)
    half = len(seeds) // 2
    scores, influence = np.zeros(len(seeds)), np.zeros((len(seeds), len(columns)))
    shares = np.zeros((len(lifts), max(map(len, lifts))))
    for number, target in enumerate(lifts):
        places = [np.searchsorted(columns, lift.columns) for lift in target]
        parts = [lift.select_seeds(seeds) for lift in target]
        # (R, S, splits): what half of the examples changes in the score. The halves change it by opposite amounts.
        shift = np.stack([2 * part.influence @ is_first[:, place].T for part, place in zip(parts, places, strict=True)])
        shift -= np.stack([part.influence.sum(axis=1) for part in parts])[:, :, None]
        for split in range(SPLITS):
            for choosing, scoring in (
                (order[split, :half], order[split, half:]),
                (order[split, half:], order[split, :half]),
            ):
                for sign in (1, -1):
                    values = [
                        (part.scores[choosing] + sign * shift[row, choosing, split]).mean()
                        for row, part in enumerate(parts)
                    ]
                    best = int(np.argmax(values))
                    weight = len(seeds) / len(scoring) / (4 * SPLITS) / len(lifts)
                    part, place = parts[best], places[best]
                    shares[number, best] += 1 / (4 * SPLITS)
                    scores[scoring] += weight * (part.scores[scoring] - sign * shift[best, scoring, split])
                    in_half = is_first[split, place] == (sign < 0)
                    influence[np.ix_(scoring, place)] += 2 * weight * part.influence[scoring] * in_half
    floor = sum(max(lift.floor for lift in target) / 2 for target in lifts) / len(lifts) ** 2
    return CrossFit(Estimate(scores, influence), tuple(seeds), shares, floor, sum(target[0].n for target in lifts))


@dataclass(frozen=True)
class BestPerTarget:
    """The mean lift of the best row of each target of one model. Values are fractions, not percent."""

    model: str
    lift: Interval
    rows: int
    """Number of rows to choose from, on average over targets."""
    targets: int
    seeds: int


def best_per_target(
    cells: Sequence[ScoredCell], left_out: Collection[tuple[PipelineKey, str]] = ()
) -> list[BestPerTarget]:
    """For each model with two targets, two rows on each and two seeds or more, over the zero-shot languages of a target (over all,
    where it was not trained). Controls and the baseline are no choices.

    Args:
        left_out: rows that are no choice on a target, with the name of the target.

    Raises:
        UserError: as `compute_lifts`.
    """
    scores, targets = estimate_with_means(cells)
    pools = SeedPools.of(scores)
    controls = {cell.intermediate for cell in cells if cell.control}
    pipelines = dict.fromkeys(pipeline for pipeline, _, _ in scores)
    found = []
    for model, columns in targets.items():
        baseline = PipelineKey(model, BASELINE, "", "")
        rows = [
            each for each in pipelines if each.model == model and each != baseline and each.intermediate not in controls
        ]
        lifts: list[list[ScoreEstimate]] = []
        for target in {(column.name, column.train_language): column for column in reversed(columns)}.values():
            language = ZERO_SHOT if (baseline, target, ZERO_SHOT) in scores else ALL
            parts = (
                weighted_sum(
                    [scores.get((row, target, language)), scores.get((baseline, target, language))], [1.0, -1.0]
                )
                for row in rows
                if (row, target.name) not in left_out
            )
            lifts.append([part for part in parts if part is not None])
        if len(lifts) < 2 or min(map(len, lifts)) < 2 or (fit := cross_fit(lifts)) is None:
            continue
        mean = TargetColumn(ALL, MEAN, "")
        over = ZERO_SHOT if (baseline, mean, ZERO_SHOT) in scores else ALL
        pool = widest([pools.of_difference(row, baseline, mean, over) for row in rows if (row, mean, over) in scores])
        count = round(sum(map(len, lifts)) / len(lifts))
        interval = lift_interval(fit.estimate, pool=pool, floor=fit.floor)
        found.append(BestPerTarget(model, interval, count, len(lifts), len(fit.seeds)))
    return found


def widest(pools: Sequence[SeedPool | None]) -> SeedPool | None:
    """The pool with the largest variance; None if one is missing, or there is none."""
    known = [pool for pool in pools if pool is not None]
    return max(known, key=lambda pool: pool.variance) if known and len(known) == len(pools) else None
