"""The gain from the best row of every target, chosen on other seeds than it is scored on.

The highest of several estimates is too high on average, since it is also the luckiest. Chosen on all seeds but one and
scored on that one, each in turn, it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xlift.analysis.contrasts import ContrastEstimate
from xlift.analysis.effects import EffectMeasurer, MeasuredEffect
from xlift.analysis.estimates import PipelineKey, ScoreEstimate, weighted_sum
from xlift.analysis.intervals import Estimate
from xlift.claims.effects import Effect
from xlift.claims.table import Column


def measure_best_per_target(lifts: Sequence[Effect], measurer: EffectMeasurer) -> MeasuredEffect | None:
    """The mean over targets of the lift of the row that has the highest lift in all other seeds.

    Args:
        lifts: of all rows on all targets; effects with the same columns are on one target.

    Returns:
        None if a score is missing or there are fewer than two common seeds.
    """
    targets: dict[tuple[tuple[Column, float], ...], list[Effect]] = {}
    for lift in lifts:
        targets.setdefault(tuple(lift.columns.items()), []).append(lift)
    pairs = [[_pair(effect, measurer) for effect in effects] for effects in targets.values()]
    parts = [part for target in pairs for pair in target for part in pair]
    if any(part is None for part in parts):
        return None
    found = [part for part in parts if part is not None]
    seeds = [seed for seed in found[0].seeds if all(seed in part.seeds for part in found)]
    if len(seeds) < 2:
        return None
    held_out = [
        weighted_sum(
            [replace(part, seeds=(seed,), estimate=part.select_seeds([seed])) for pair in chosen for part in pair],
            [1 / len(chosen), -1 / len(chosen)] * len(chosen),
        )
        for seed, chosen in ((seed, _choose(pairs, [other for other in seeds if other != seed])) for seed in seeds)
    ]
    estimates = [each for each in held_out if each is not None]
    estimate = Estimate(
        np.concatenate([each.estimate.scores for each in estimates]),
        np.concatenate([each.estimate.influence for each in estimates]),
    )
    columns = {column: weight / len(targets) for target in targets for column, weight in target}
    pools = [
        measurer.pool({PipelineKey(*row): weight for row, weight in effect.rows.items()}, columns) for effect in lifts
    ]
    known = [pool for pool in pools if pool is not None]
    pool = max(known, key=lambda each: each.variance) if len(known) == len(pools) else None
    n = sum(pair[0].n for pair in _choose(pairs, seeds))
    contrast = ContrastEstimate(estimate, pool, estimates[0].floor / 2, len(seeds), n, ())
    effect = Effect("best row of every target", {}, columns)
    return MeasuredEffect(effect, contrast, -(-n // len(columns)), None)


Pair = tuple[ScoreEstimate, ScoreEstimate]
"""Estimates of a row and of its baseline on a target."""


def _pair(lift: Effect, measurer: EffectMeasurer) -> tuple[ScoreEstimate | None, ScoreEstimate | None]:
    column = measurer.column(lift.columns)
    row, baseline = sorted(lift.rows, key=lambda each: -lift.rows[each])
    return column.get(PipelineKey(*row)), column.get(PipelineKey(*baseline))


def _choose(
    pairs: Sequence[Sequence[tuple[ScoreEstimate | None, ScoreEstimate | None]]], seeds: Sequence[int]
) -> list[Pair]:
    """The pair of every target with the highest lift in some seeds; of equal ones the first."""

    def lift(pair: Pair) -> float:
        return pair[0].select_seeds(seeds).value - pair[1].select_seeds(seeds).value

    return [max([(row, base) for row, base in target if row and base], key=lift) for target in pairs]
