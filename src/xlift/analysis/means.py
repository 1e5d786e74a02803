"""Means over languages and targets, and other weighted sums of estimates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from xlift.analysis.estimates import (
    ALL,
    MEAN,
    OTHER_TASKS,
    ZERO_SHOT,
    GuessScores,
    ScoredCell,
    ScoreEstimate,
    ScoreEstimates,
    TargetColumn,
    estimate_scores,
    mean_steps,
)
from xlift.analysis.intervals import Estimate
from xlift.analysis.training_status import worst_status
from xlift.language_tags import has_language


def estimate_with_means(
    cells: Iterable[ScoredCell],
) -> tuple[ScoreEstimates, dict[str, dict[TargetColumn, list[str]]]]:
    """Estimates of all cells without noise, with the means over languages and over targets; and the languages of each
    model and target.

    Raises:
        UserError: as `lift.compute_lifts`.
    """
    scores = estimate_scores(cell for cell in cells if not cell.noise)
    targets = languages_by_target(scores)
    _add_language_means(scores, targets)
    _add_target_means(scores, targets)
    return scores, targets


def languages_by_target(scores: ScoreEstimates) -> dict[str, dict[TargetColumn, list[str]]]:
    """Model -> target -> languages, each in order of first appearance."""
    by_model: dict[str, dict[TargetColumn, list[str]]] = {}
    for pipeline, target, language in scores:
        languages = by_model.setdefault(pipeline.model, {}).setdefault(target, [])
        if language not in languages:
            languages.append(language)
    return by_model


def _add_language_means(scores: ScoreEstimates, targets: dict[str, dict[TargetColumn, list[str]]]) -> None:
    for pipeline in dict.fromkeys(pipeline for pipeline, _, _ in scores):
        for target, languages in targets[pipeline.model].items():
            parts = [scores.get((pipeline, target, language)) for language in languages]
            if combined := average_estimates(parts):
                scores[pipeline, target, ALL] = combined
            trained = target.train_language.split("+")
            zero_shot = [part for code, part in zip(languages, parts, strict=True) if not has_language(trained, code)]
            if 0 < len(zero_shot) < len(languages) and (combined := average_estimates(zero_shot)):
                scores[pipeline, target, ZERO_SHOT] = combined


def _add_target_means(scores: ScoreEstimates, targets: dict[str, dict[TargetColumn, list[str]]]) -> None:
    marked = {(pipeline.model, target.name) for (pipeline, target, _), each in scores.items() if each.same_task}
    for pipeline in dict.fromkeys(pipeline for pipeline, _, _ in scores):
        languages = targets[pipeline.model]
        primary = {(target.name, target.train_language): target for target in reversed(languages)}
        others = [target for target in primary.values() if (pipeline.model, target.name) not in marked]
        columns = {ALL: list(primary.values())}
        if 0 < len(others) < len(primary):
            columns[OTHER_TASKS] = others
        for name, averaged in columns.items() if len(primary) > 1 else ():
            by_target = {target: (ALL, zero_shot_key(target, languages[target])) for target in averaged}
            for language in (ALL, ZERO_SHOT):
                keys = {target: own if language == ZERO_SHOT else every for target, (every, own) in by_target.items()}
                if language == ZERO_SHOT and ZERO_SHOT not in keys.values():
                    continue  # it is the mean over all languages
                parts = [scores.get((pipeline, target, key)) for target, key in keys.items() if key]
                if combined := average_estimates(parts):
                    scores[pipeline, TargetColumn(name, MEAN, ""), language] = combined


def zero_shot_key(target: TargetColumn, languages: Sequence[str]) -> str:
    """The mean over the languages of a target that it was not trained on: ALL if it was trained on none of them, '' if on all."""
    trained = target.train_language.split("+")
    count = sum(not has_language(trained, code) for code in languages)
    return ALL if count == len(languages) else ZERO_SHOT if count else ""


def average_estimates(parts: Sequence[ScoreEstimate | None]) -> ScoreEstimate | None:
    """The mean of all parts over their common seeds; None if a part is missing or there is no common seed."""
    return weighted_sum(parts, [1 / len(parts)] * len(parts)) if parts else None


def weighted_sum(parts: Sequence[ScoreEstimate | None], weights: Sequence[float]) -> ScoreEstimate | None:
    """The sum of all parts times their weights, over their common seeds; None if a part is missing or there is no common
    seed. Parts may be of different pipelines, targets and languages: units that they have in common are paired."""
    present = [part for part in parts if part is not None]
    if not present or len(present) < len(parts):
        return None
    seeds = [seed for seed in present[0].seeds if all(seed in part.seeds for part in present)]
    if not seeds:
        return None
    columns = np.unique(np.concatenate([part.columns for part in present]))
    scores, influence = np.zeros(len(seeds)), np.zeros((len(seeds), len(columns)))
    for part, weight in zip(present, weights, strict=True):
        estimate = part.select_seeds(seeds)
        scores += weight * estimate.scores
        influence[:, np.searchsorted(columns, part.columns)] += weight * estimate.influence
    return ScoreEstimate(
        tuple(seeds),
        Estimate(scores, influence),
        columns,
        sum(part.n for part in present),
        worst_status(part.training_status for part in present),
        float(sum(weight * part.lowest_score for part, weight in zip(present, weights, strict=True))),
        sum(weight**2 * part.floor for part, weight in zip(present, weights, strict=True)),
        any(part.same_task for part in present),
        mean_steps([part.steps for part in present]),
        _sum_guesses([part.guesses for part in present], weights),
    )


def _sum_guesses(parts: Sequence[GuessScores | None], weights: Sequence[float]) -> GuessScores | None:
    """The sum of all parts times their weights; None if one is missing."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    chances = [part.chance for part in known if part.chance is not None]
    return GuessScores(
        float(np.dot(chances, weights)) if len(chances) == len(known) else None,
        float(np.dot([part.majority for part in known], weights)),
    )


def paired_difference(one: ScoreEstimate, other: ScoreEstimate) -> Estimate | None:
    """The difference over the common seeds, paired by example; None without a common seed."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    return one.select_seeds(seeds) - other.select_seeds(seeds) if seeds else None
