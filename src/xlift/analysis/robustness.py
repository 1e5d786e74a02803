"""Robustness to noise: the share of its clean score that a pipeline keeps, on every target, in every language, with
intervals.

kept = score with noise / score without noise, of the same pipeline, seeds and examples

The mean over languages keeps the share that its mean score keeps. Rows also give the language that keeps least and the
spread over languages, which a mean hides. Pipelines are compared by the difference of their kept shares, paired as
lifts are. Chance level is not
subtracted: a classifier of three labels that guesses keeps all of its third. If only some rows have a noisy version
(rows misspelt by people, tasks/noise/misspelt_rows.py), the clean score uses the same rows.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from xlift.analysis.estimates import (
    ALL,
    BASELINE,
    PipelineKey,
    ScoredCell,
    ScoreEstimate,
    ScoreEstimates,
    TargetColumn,
    estimate_scores,
)
from xlift.analysis.intervals import LEVEL, Estimate, lift_interval, p_value, ratio
from xlift.analysis.means import average_estimates, languages_by_target
from xlift.analysis.multiplicity import benjamini_hochberg, holm
from xlift.analysis.seed_variance import SeedPools
from xlift.analysis.training_status import OK, worst_status


@dataclass(frozen=True)
class RobustnessRow:
    """One row of robustness. Fields are the keys of the JSON and CSV files. Values are fractions, not percent."""

    study: str
    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seeds: int
    """Number of seeds that both scores have."""
    target: str
    noise: str
    language: str
    """'all': the mean over the languages with this noise."""
    metric: str
    clean: float
    noisy: float
    kept: float | None
    """None if the clean score is 0."""
    kept_low: float | None
    kept_high: float | None
    gain: float | None
    """Kept share minus that of the pipeline without an intermediate stage."""
    gain_low: float | None
    gain_high: float | None
    worst_language: str
    """For 'all': the language with the smallest kept share."""
    worst: float | None
    """Its kept share."""
    spread: float | None
    """For 'all': standard deviation of the kept share over languages."""
    n: int
    """Number of examples in each of the two scores."""
    training_status: str = OK
    whole: int = 0
    """Number of examples in the clean set: more than `n` if only some have a noisy version."""
    gain_p: float | None = None
    """Two-sided p-value of a gain of 0, adjusted by Holm over the pipelines of a mean, by Benjamini and Hochberg over the
    pipelines and languages of a target and noise. None without a gain and with one seed."""

    @property
    def sign(self) -> int:
        """+1 or -1 if the gain differs from zero after the adjustment for other rows (`gain_p`), else 0."""
        if self.gain is None or self.gain_p is None or self.gain_p >= 1 - LEVEL:
            return 0
        return 1 if self.gain > 0 else -1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Pair:
    """The estimates of one pipeline with and without noise."""

    noisy: ScoreEstimate
    clean: ScoreEstimate

    @property
    def seeds(self) -> list[int]:
        return [seed for seed in self.noisy.seeds if seed in self.clean.seeds]

    def kept_share(self, seeds: list[int]) -> Any:
        """The estimate of the kept share for some seeds; None if the clean score is 0 or there are no seeds."""
        clean = self.clean.select_seeds(seeds)
        return ratio(self.noisy.select_seeds(seeds), clean) if seeds and clean.value > 0 else None


Pairs = dict[tuple[PipelineKey, TargetColumn, str], _Pair]


def compute_robustness(cells: Iterable[ScoredCell], study: str = "") -> list[RobustnessRow]:
    """Rows for every (pipeline, target, noise, language) that also has a clean score, 'all' before the languages it
    averages.

    Raises:
        UserError: as `lift.compute_lifts`; or a target was scored on different examples with noise than without.
    """
    cells = list(cells)
    if not any(cell.noise for cell in cells):
        return []
    pairs: Pairs = {}
    pipelines: dict[PipelineKey, None] = {}
    for part in _group_by_rows(cells):
        scores = estimate_scores(part)
        pipelines |= dict.fromkeys(pipeline for pipeline, _, _ in scores)
        for model in languages_by_target(scores).values():
            for target, languages in model.items():
                if target.noise:
                    _add_pairs(scores, target, languages, pairs)
    order, targets = list(pipelines), list(dict.fromkeys(_target(cell) for cell in cells))
    whole = {(_target(cell), cell.language): len(cell.ids) for cell in cells if not cell.noise}
    keys = sorted(pairs, key=lambda key: (targets.index(key[1]), order.index(key[0]), key[2] != ALL))
    pools = SeedPools.of(_shares(pairs))
    return _adjust([_row(pairs, pools, key, study, whole) for key in keys])


def estimate_noisy(cells: Iterable[ScoredCell]) -> ScoreEstimates:
    """Estimates of all cells with noise, and their means over languages.

    Raises:
        UserError: as `lift.compute_lifts`.
    """
    cells = list(cells)
    scores: ScoreEstimates = {}
    for part in _group_by_rows(cells) if any(cell.noise for cell in cells) else ():
        estimated = estimate_scores(part)
        noisy = {key: score for key, score in estimated.items() if key[1].noise}
        languages = languages_by_target(noisy)
        for pipeline, target in dict.fromkeys((pipeline, target) for pipeline, target, _ in noisy):
            found = [noisy.get((pipeline, target, language)) for language in languages[pipeline.model][target]]
            if mean := average_estimates(found):
                scores[pipeline, target, ALL] = mean
        scores |= noisy
    return scores


def _shares(pairs: Pairs) -> ScoreEstimates:
    """The kept shares as scores, whose variance between seeds can be pooled."""
    found: ScoreEstimates = {}
    for key, pair in pairs.items():
        if (kept := pair.kept_share(pair.seeds)) is not None:
            found[key] = replace(pair.noisy, seeds=tuple(pair.seeds), estimate=kept)
    return found


def _adjust(rows: list[RobustnessRow]) -> list[RobustnessRow]:
    """Adjust the p-values of the rows of each table."""
    families: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        if row.gain_p is not None:
            name = (row.target, row.metric, row.noise, ALL if row.language == ALL else "")
            families.setdefault(name, []).append(index)
    adjusted: dict[int, float] = {}
    for (*_, mean), indices in families.items():
        p_values = [p for index in indices if (p := rows[index].gain_p) is not None]
        adjusted |= zip(indices, (holm if mean else benjamini_hochberg)(p_values), strict=True)
    return [replace(row, gain_p=adjusted.get(index)) for index, row in enumerate(rows)]


def _target(cell: ScoredCell) -> TargetColumn:
    return TargetColumn(cell.target, cell.metric, cell.train_language, cell.noise)


def _group_by_rows(cells: list[ScoredCell]) -> list[list[ScoredCell]]:
    """Groups of cells that are scored together: the clean cells with all noise on the same rows, and one group for each
    noise on some of the rows, with the clean cells reduced to those rows."""
    clean: dict[tuple[TargetColumn, str], set[str]] = {}
    for cell in cells:
        if not cell.noise:
            clean.setdefault((_target(cell), cell.language), set(cell.ids))
    rows: dict[tuple[TargetColumn, str], set[str]] = {}
    partial: dict[TargetColumn, None] = {}
    for cell in cells:
        target = _target(cell)
        whole = clean.get((target.clean, cell.language), set())
        if cell.noise and (target, cell.language) not in rows:
            rows[target, cell.language] = set(cell.ids)
            partial |= {target: None} if rows[target, cell.language] < whole else {}
    parts = [[cell for cell in cells if _target(cell) not in partial]]
    for target in partial:
        beside = [cell for cell in cells if _target(cell) == target.clean and (target, cell.language) in rows]
        noisy = [cell for cell in cells if _target(cell) == target]
        parts.append([*(select_rows(cell, rows[target, cell.language]) for cell in beside), *noisy])
    return parts


def select_rows(cell: ScoredCell, ids: set[str]) -> ScoredCell:
    """A cell with some of its examples."""
    is_selected = np.array([name in ids for name in cell.ids])
    units = cell.units and [unit for unit, kept in zip(cell.units, is_selected, strict=True) if kept]
    return replace(cell, ids=[name for name in cell.ids if name in ids], counts=cell.counts[is_selected], units=units)


def _add_pairs(scores: ScoreEstimates, target: TargetColumn, languages: list[str], pairs: Pairs) -> None:
    """Add the pairs of every pipeline: each language, and the mean over all languages if none is missing."""
    for pipeline in dict.fromkeys(pipeline for pipeline, other, _ in scores if other == target):
        noisy, clean = ([scores.get((pipeline, t, language)) for language in languages] for t in (target, target.clean))
        for language, one, other in zip(languages, noisy, clean, strict=True):
            if one and other and set(one.seeds) & set(other.seeds):
                pairs[pipeline, target, language] = _Pair(one, other)
        one, other = average_estimates(noisy), average_estimates(clean)
        if one and other and set(one.seeds) & set(other.seeds):
            pairs[pipeline, target, ALL] = _Pair(one, other)


def _row(
    pairs: Pairs,
    pools: SeedPools,
    key: tuple[PipelineKey, TargetColumn, str],
    study: str,
    whole: dict[tuple[TargetColumn, str], int],
) -> RobustnessRow:
    pipeline, target, language = key
    languages = [language]
    if language == ALL:
        languages = [code for other, same, code in pairs if (other, same) == (pipeline, target) and code != ALL]
    pair = pairs[key]
    seeds = pair.seeds
    kept = pair.kept_share(seeds)
    lower_bound = 0.0 if pair.noisy.lowest_score >= 0 else -math.inf  # a correlation may change its sign
    share = lift_interval(kept, lower_bound, math.inf, pools.of_score(*key)) if kept is not None else None
    baseline = PipelineKey(pipeline.model, BASELINE, "", "")
    pool = pools.of_difference(pipeline, baseline, target, language)
    difference = _gain(pair, pairs.get((baseline, target, language)), pipeline)
    gain = lift_interval(difference, -math.inf, math.inf, pool) if difference is not None else None
    above = p_value(difference, pool) if difference is not None and len(difference.scores) > 1 else None
    worst, spread = _summarize_languages(pairs, key)
    return RobustnessRow(
        study=study,
        **pipeline._asdict(),
        seeds=len(seeds),
        target=target.name,
        noise=target.noise,
        language=language,
        metric=target.metric,
        clean=pair.clean.select_seeds(seeds).value,
        noisy=pair.noisy.select_seeds(seeds).value,
        kept=share.value if share else None,
        kept_low=_finite(share.low) if share else None,
        kept_high=_finite(share.high) if share else None,
        gain=gain.value if gain else None,
        gain_low=_finite(gain.low) if gain else None,
        gain_high=_finite(gain.high) if gain else None,
        worst_language=worst[1] if worst else "",
        worst=worst[0] if worst else None,
        spread=spread,
        n=pair.noisy.n,
        whole=sum(whole[target.clean, code] for code in languages),
        gain_p=None if above is None else 2 * min(above, 1 - above),
        training_status=worst_status([pair.noisy.training_status, pair.clean.training_status]),
    )


def _finite(value: float) -> float | None:
    """None for an infinite bound (one example)."""
    return value if math.isfinite(value) else None


def _gain(pair: _Pair, baseline: _Pair | None, pipeline: PipelineKey) -> Estimate | None:
    if baseline is None or pipeline.intermediate == BASELINE:
        return None
    seeds = [seed for seed in pair.seeds if seed in baseline.seeds]
    own, other = pair.kept_share(seeds), baseline.kept_share(seeds)
    return own - other if own is not None and other is not None else None


def _summarize_languages(
    pairs: Pairs, key: tuple[PipelineKey, TargetColumn, str]
) -> tuple[tuple[float, str] | None, float | None]:
    """The smallest kept share with its language, and the spread over languages; (None, None) for a single language."""
    pipeline, target, language = key
    if language != ALL:
        return None, None
    kept = []
    for (other_pipeline, other_target, code), pair in pairs.items():
        if (other_pipeline, other_target) == (pipeline, target) and code != ALL:
            estimate = pair.kept_share(pair.seeds)
            if estimate is not None:
                kept.append((estimate.value, code))
    return min(kept, default=None), statistics.stdev(value for value, _ in kept) if len(kept) > 1 else None
