"""The effects that claims are about (claims/effects.py), measured on the scores of a study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from xlift.analysis.contrasts import ContrastEstimate, estimate_contrast
from xlift.analysis.estimates import (
    ALL,
    MEAN,
    PipelineKey,
    ScoredCell,
    ScoreEstimate,
    ScoreEstimates,
    TargetColumn,
    estimate_scores,
)
from xlift.analysis.intervals import Interval, SeedPool, Spread, combined_freedom, quantile, spread
from xlift.analysis.means import weighted_sum
from xlift.analysis.seed_variance import SeedPools
from xlift.claims.effects import Effect
from xlift.claims.table import Column

_SUM = TargetColumn("a sum of columns", MEAN, "")


@dataclass(frozen=True)
class MeasuredEffect:
    effect: Effect
    contrast: ContrastEstimate
    """In fractions, not percent."""
    rows_per_language: int
    """Test examples of one language of one target, on average."""
    other_languages: Interval | None
    """The interval with languages drawn at random. None with one language in a group."""


class EffectMeasurer:
    """Measures effects on one set of scored cells, and keeps what several effects need."""

    def __init__(self, cells: Iterable[ScoredCell]) -> None:
        self.scores = estimate_scores(cells)
        self.pools = SeedPools.of(self.scores)
        self._targets: dict[tuple[str, str, str], TargetColumn] = {}
        for pipeline, target, _ in self.scores:  # of several metrics the first counts
            self._targets.setdefault((pipeline.model, target.name, target.noise), target)
        self._sums: dict[tuple[tuple[Column, float], ...], tuple[ScoreEstimates, SeedPools]] = {}

    def measure(self, effect: Effect) -> MeasuredEffect | None:
        """None if a row has no score in one of the columns, or the rows have no common seed."""
        weights = {PipelineKey(*row): weight for row, weight in effect.rows.items()}
        columns, any_row = effect.columns, next(iter(weights))
        if list(columns.values()) == [1.0]:  # one language, whose variance between seeds is that of all languages
            column = next(iter(columns))
            target = self._targets.get((any_row.model, column.target, column.noise), _SUM)
            contrast = estimate_contrast(self.scores, self.pools, weights, target, column.language)
        else:
            contrast = estimate_contrast(*self._sum(columns), weights, _SUM, ALL)
        if contrast is None:
            return None
        between = self._between_languages(weights, columns, contrast)
        return MeasuredEffect(effect, contrast, math.ceil(contrast.n / len(columns)), between)

    def column(self, columns: Mapping[Column, float]) -> dict[PipelineKey, ScoreEstimate]:
        """The weighted sum of some columns for every row that has them all."""
        return {pipeline: score for (pipeline, _, _), score in self._sum(columns)[0].items()}

    def pool(self, weights: Mapping[PipelineKey, float], columns: Mapping[Column, float]) -> SeedPool | None:
        """The variance between seeds of a contrast on a weighted sum of columns."""
        return self._sum(columns)[1].of_contrast(weights, _SUM, ALL)

    def _sum(self, columns: Mapping[Column, float]) -> tuple[ScoreEstimates, SeedPools]:
        """The weighted sum of some columns for every row that has them all, as one column."""
        key = tuple(columns.items())
        if key not in self._sums:
            found: ScoreEstimates = {}
            for pipeline in dict.fromkeys(pipeline for pipeline, _, _ in self.scores):
                parts = [self._score(pipeline, column) for column in columns]
                if combined := weighted_sum(parts, list(columns.values())):
                    found[pipeline, _SUM, ALL] = combined
            self._sums[key] = found, SeedPools.of(found)
        return self._sums[key]

    def _score(self, pipeline: PipelineKey, column: Column) -> ScoreEstimate | None:
        target = self._targets.get((pipeline.model, column.target, column.noise))
        return None if target is None else self.scores.get((pipeline, target, column.language))

    def _between_languages(
        self, weights: Mapping[PipelineKey, float], columns: Mapping[Column, float], contrast: ContrastEstimate
    ) -> Interval | None:
        """The interval for other languages of the same kind: the variance of the effect between languages is added to the
        variance of their mean. What the seeds and examples of a language add to its effect counts in both, so the interval
        is rather too wide than too narrow."""
        groups: dict[bool, list[tuple[float, float]]] = {}
        for code in dict.fromkeys(column.language for column in columns):
            own = {column: weight for column, weight in columns.items() if column.language == code}
            share = max(
                sum(weight for weight in own.values() if weight > 0),
                -sum(weight for weight in own.values() if weight < 0),
            )
            total = sum(
                row_weight * weight * score.estimate.value
                for row, row_weight in weights.items()
                for column, weight in own.items()
                if (score := self._score(row, column))
            )
            groups.setdefault(max(own.values()) > 0, []).append((share, total / share))
        if any(len(group) < 2 for group in groups.values()):
            return None
        fixed = spread(contrast.estimate, contrast.pool, contrast.floor)
        parts = [
            Spread(float(np.square(shares).sum() * effects.var(ddof=1)), len(effects) - 1.0)
            for shares, effects in (np.array(group).T for group in groups.values())
        ]
        between = sum(part.variance for part in parts)
        variance = fixed.variance + between
        if not between:
            return None
        freedom = 1 / sum((part.variance / between) ** 2 / part.freedom for part in parts)
        if fixed.variance:
            freedom = combined_freedom(between / variance, freedom, fixed.freedom)
        half, value = quantile(freedom) * math.sqrt(variance), contrast.estimate.value
        return Interval(value, value - half, value + half)
