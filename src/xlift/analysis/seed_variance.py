"""The variance between seeds that the pipelines of a target show together, since each alone has too few seeds.

All pipelines of a model are trained with the same seeds. So their scores on one target and language are a table of
pipelines x seeds, and its residuals after the effects of pipelines and of seeds measure what a lift varies by: its two
pipelines have twice their variance. A score varies with the effect of its seed too, so scores use the mean variance
within pipelines. The pool moderates the
variance of each pipeline, as in Smyth (2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from xlift.analysis.estimates import MEANS, PipelineKey, ScoreEstimate, ScoreEstimates, TargetColumn
from xlift.analysis.intervals import SeedPool

GUARD = 0.99
"""A pipeline whose variance is above this quantile of F, over that of the others, keeps its own."""


class Variance(NamedTuple):
    """A mean square and its degrees of freedom."""

    mean_square: float
    freedom: float


@dataclass(frozen=True)
class SeedTable:
    """Scores of pipelines and seeds on one target, in one or several languages."""

    scores: np.ndarray
    """(P, S, L) scores of P pipelines under the same S seeds, at least two, in L languages."""

    def difference_pool(self, pipeline: int, other: int = 0) -> SeedPool | None:
        """The variance of the difference of two pipelines; None with fewer than three pipelines."""
        weights = np.zeros(len(self.scores))
        weights[[pipeline, other]] = 1.0, -1.0
        return self.contrast_pool(weights)

    def contrast_pool(self, weights: np.ndarray) -> SeedPool | None:
        """The variance of the sum of all scores times (P,) weights with sum 0; None with fewer than three pipelines."""
        own = np.tensordot(weights, self.scores, 1).var(axis=0, ddof=1).mean()
        few = len(self.scores) - 2  # at least two pipelines remain for the variance of the others
        first, second = np.flatnonzero(weights > 0), np.flatnonzero(weights < 0)
        without = next((side for side in (first, second) if len(side) <= few), [])
        return self._pool(_residual, without, float(np.square(weights).sum()), float(own))

    def score_pool(self, pipeline: int) -> SeedPool | None:
        """The variance of the score of a pipeline; None with fewer than three pipelines."""
        return self._pool(_within, [pipeline], 1.0, float(self.scores[pipeline].var(axis=0, ddof=1).mean()))

    def _pool(
        self, variance: Callable[[np.ndarray], Variance], without: Sequence[int] | np.ndarray, factor: float, own: float
    ) -> SeedPool | None:
        """The pool of all pipelines; or `own`, if it is far above that of the pipelines that are not `without`."""
        from scipy.special import fdtri

        pipelines, seeds, languages = self.scores.shape
        if pipelines < 3:
            return None
        every, others = variance(self.scores), variance(np.delete(self.scores, without, axis=0))
        # Languages of a run are not independent, so they do not count in the degrees of freedom of the guard.
        limit = float(fdtri(seeds - 1, others.freedom / languages, GUARD)) * factor * others.mean_square
        if own > limit:
            return SeedPool(own, (seeds - 1) * languages, is_unstable=True)
        return SeedPool(factor * every.mean_square, float(every.freedom), pipelines=pipelines)


@dataclass(frozen=True)
class LentTable:
    """The table of another study on the same target and language, for a study with one or two seeds."""

    study: str
    table: SeedTable
    seed_example: tuple[float, float]
    """The part of the variance between seeds that differs between examples: of a score, and of a difference."""

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance of a difference."""
        return _residual(self.table.scores).freedom

    def difference_pool(self) -> SeedPool:
        """The variance of the difference of two pipelines."""
        variance, pipelines = _residual(self.table.scores), len(self.table.scores)
        return SeedPool(2 * variance.mean_square, variance.freedom, False, pipelines, self.study, self.seed_example[1])

    def score_pool(self) -> SeedPool:
        """The variance of the score of a pipeline."""
        variance, pipelines = _within(self.table.scores), len(self.table.scores)
        return SeedPool(variance.mean_square, variance.freedom, False, pipelines, self.study, self.seed_example[0])


SeedTables = Mapping[tuple[str, TargetColumn, str], LentTable]
"""(model, target, language) -> the table that another study lends."""


@dataclass(frozen=True)
class SeedPools:
    """The pools of all scores of a study. Each covers the pipelines of one model on one target."""

    _tables: dict[tuple[str, TargetColumn, str], tuple[SeedTable, list[PipelineKey]]]
    _lent: SeedTables = field(default_factory=dict)

    @classmethod
    def of(cls, scores: ScoreEstimates, lent: SeedTables | None = None) -> SeedPools:
        """The tables of all (model, target, language) whose pipelines have two seeds in common. A single language uses
        the variances of all languages of its target.

        Args:
            lent: tables of other studies, which are used where they have more degrees of freedom.
        """
        columns: dict[tuple[str, TargetColumn], dict[str, dict[PipelineKey, ScoreEstimate]]] = {}
        for (pipeline, target, language), score in scores.items():
            by_language = columns.setdefault((pipeline.model, target), {})
            by_language.setdefault(language, {})[pipeline] = score
        tables = {}
        for (model, target), by_language in columns.items():
            singles = [code for code in by_language if code not in MEANS]
            for language in by_language:
                if found := _table([by_language[code] for code in ([language] if language in MEANS else singles)]):
                    tables[model, target, language] = found
        return cls(tables, lent or {})

    def of_score(self, pipeline: PipelineKey, target: TargetColumn, language: str) -> SeedPool | None:
        """The pool for the score of a pipeline."""
        place = (pipeline.model, target, language)
        table, pipelines = self._tables.get(place, (None, []))
        own = table.score_pool(pipelines.index(pipeline)) if table and pipeline in pipelines else None
        lent = self._lent.get(place)
        return _better(own, lent.score_pool() if lent else None)

    def of_difference(
        self, pipeline: PipelineKey, other: PipelineKey, target: TargetColumn, language: str
    ) -> SeedPool | None:
        """The pool for the difference of two pipelines of a model; None for those of different models."""
        return self.of_contrast({pipeline: 1.0, other: -1.0}, target, language)

    def of_contrast(self, weights: Mapping[PipelineKey, float], target: TargetColumn, language: str) -> SeedPool | None:
        """The pool for the sum of the scores of pipelines times weights with sum 0; None for pipelines of different models."""
        models = {pipeline.model for pipeline in weights}
        if len(models) > 1:
            return None
        place = (min(models), target, language)
        table, pipelines = self._tables.get(place, (None, []))
        own = None
        if table and all(pipeline in pipelines for pipeline in weights):
            own = table.contrast_pool(np.array([weights.get(pipeline, 0.0) for pipeline in pipelines]))
        lent = self._lent.get(place)
        factor = math.sqrt(sum(weight**2 for weight in weights.values()) / 2)  # 1 for a difference
        return _better(own, lent.difference_pool().scaled(factor) if lent else None)


def _better(own: SeedPool | None, lent: SeedPool | None) -> SeedPool | None:
    """The pool with more degrees of freedom; that of an unstable pipeline is its own."""
    if own is None or lent is None:
        return own or lent
    return own if own.is_unstable or own.freedom >= lent.freedom else lent


def lend_tables(scores: ScoreEstimates, study: str) -> SeedTables:
    """The tables of a study for others. They need two pipelines, to tell the effect of a seed on all of them."""
    found = {}
    for place, (table, pipelines) in SeedPools.of(scores)._tables.items():
        if len(pipelines) < 2:
            continue
        model, target, language = place
        codes = [language]
        if language not in MEANS:
            codes = list(
                dict.fromkeys(
                    code for row, other, code in scores if (row.model, other) == (model, target) and code not in MEANS
                )
            )
        parts = [_influences([scores[pipeline, target, code] for pipeline in pipelines]) for code in codes]
        own = [_within(each).mean_square * each.shape[2] for each in parts]
        differences = [2 * _residual(each).mean_square * each.shape[2] for each in parts]
        found[place] = LentTable(study, table, (float(np.mean(own)), float(np.mean(differences))))
    return found


def _influences(scores: list[ScoreEstimate]) -> np.ndarray:
    """(P, S, units) influences under the seeds that all pipelines share."""
    seeds = [seed for seed in scores[0].seeds if all(seed in score.seeds for score in scores)]
    return np.stack([score.select_seeds(seeds).influence for score in scores])


def _table(languages: list[dict[PipelineKey, ScoreEstimate]]) -> tuple[SeedTable, list[PipelineKey]] | None:
    """The table of the pipelines that have scores in all languages, over the seeds that all of them share."""
    pipelines = [each for each in languages[0] if all(each in language for language in languages)]
    parts = [language[pipeline] for language in languages for pipeline in pipelines]
    seeds = [seed for seed in parts[0].seeds if all(seed in part.seeds for part in parts)] if parts else []
    if len(seeds) < 2:
        return None
    scores = [[language[pipeline].select_seeds(seeds).scores for language in languages] for pipeline in pipelines]
    return SeedTable(np.moveaxis(np.array(scores), 1, 2)), pipelines


def _residual(scores: np.ndarray) -> Variance:
    """The mean square after the effects of pipelines and of seeds, averaged over languages."""
    pipelines, seeds, languages = scores.shape
    residual = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean(axis=(0, 1))
    freedom = (pipelines - 1) * (seeds - 1)
    return Variance(float(np.square(residual).sum()) / freedom / languages, freedom * languages)


def _within(scores: np.ndarray) -> Variance:
    """The variance over seeds, averaged over pipelines and languages."""
    pipelines, seeds, languages = scores.shape
    return Variance(float(scores.var(axis=1, ddof=1).mean()), pipelines * (seeds - 1) * languages)
