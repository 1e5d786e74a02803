"""Scored cells, and estimates of every pipeline, target and language over their seeds and examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xlift.analysis.intervals import Estimate, LeaveOneOut, Value, example_floor, linearise
from xlift.analysis.training_status import OK, worst_status
from xlift.errors import UserError
from xlift.language_tags import has_language

BASELINE = "none"
"""The intermediate of a pipeline without an intermediate stage."""
ALL = "all"
"""As a language: the unweighted mean over a target's languages. As a target: the mean over a model's targets."""
ZERO_SHOT = "zero-shot"
"""As a language: the unweighted mean over the languages that the target was not trained on, where it is scored in others too."""
MEANS = (ALL, ZERO_SHOT)
OTHER_TASKS = "other-tasks"
"""As a target: the mean over a model's targets on which no pipeline has been trained by its intermediate stage, where there are
others too."""
TARGET_MEANS = (ALL, OTHER_TASKS)
MEAN = "mean"
"""The metric of target 'all', which averages different metrics (as the average in XTREME's tables)."""


class GuessScores(NamedTuple):
    """Scores of two models that ignore the input, on the same examples."""

    chance: float | None
    """Of an answer drawn uniformly from the labels or choices: the score of its expected counts. None if unknown."""
    majority: float
    """Of the most frequent gold answer for every example."""


@dataclass(frozen=True)
class ScoredCell:
    """The predictions of one run (pipeline and seed) on one target in one language, as counts."""

    model: str
    intermediate: str
    """'none' is the baseline."""
    intermediate_language: str
    size: str
    seed: int
    target: str
    language: str
    metric: str
    ids: list[str]
    """(n,) ids of the examples. Rows with the same id, in any language, are one unit."""
    counts: np.ndarray
    """(n, K) sufficient counts: accuracy (correct, total), F1 (tp, predicted, gold), SQuAD F1 (sum, 1)."""
    value: Value
    """(..., K) summed counts -> (...) scores; with `leave_one_out`: (n, K) counts -> the score."""
    leave_one_out: LeaveOneOut | None = None
    """For a score that is no function of sums (tasks/metrics/base.py)."""
    lowest_score: float = 0.0
    """Scores are in `lowest_score`..1."""
    train_language: str = ""
    """Language of the target labels in training; '' if there were none. Lifts compare only equal ones."""
    training_status: str = OK
    """Of the training behind it: 'ok', 'fp32', 'retried' or 'collapsed' (analysis/training_status.py)."""
    noise: str = ""
    """Noise in the texts of the examples; '' for none. Lifts use only cells without noise."""
    units: list[str | None] | None = None
    """(n,) what an example shares with others of its language (a paragraph, a premise), or None. They are one unit too."""
    control: str = ""
    """Of a control: its kind, such as 'shuffled'."""
    control_of: str = ""
    """Of a control: the intermediate that it belongs to, with the same language and size."""
    examples: str = ""
    """Name of the examples. Rows with the same id are one unit in all targets with the same examples; '' for examples
    that only this target has."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task."""
    steps: int | None = None
    """Optimizer steps of all training behind it, without pretraining; None if unknown."""
    guesses: GuessScores | None = None
    """Of a target whose answers are a choice."""


class PipelineKey(NamedTuple):
    """A pipeline without its target."""

    model: str
    intermediate: str
    intermediate_language: str
    size: str


class TargetColumn(NamedTuple):
    """A target, its metric and its conditions: one column of the results."""

    name: str
    metric: str
    train_language: str
    noise: str = ""

    @property
    def clean(self) -> TargetColumn:
        """The same target without noise. Both use the same columns of examples."""
        return self._replace(noise="")


@dataclass(frozen=True)
class ScoreEstimate:
    """The estimate for one pipeline, target and language (or mean over languages), with its seeds and examples."""

    seeds: tuple[int, ...]
    estimate: Estimate
    columns: np.ndarray
    """(units,) number of each unit of the estimate among all units of the study. Estimates with a unit in common have the
    same number for it."""
    n: int
    training_status: str
    lowest_score: float = 0.0
    """The score is in `lowest_score`..1."""
    floor: float = 0.0
    """What is added to the variance of a difference over these examples (`intervals.example_floor`)."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task; of a mean: of one of its targets."""
    steps: float | None = None
    """Mean number of optimizer steps over the seeds, without pretraining; None if one is unknown."""
    guesses: GuessScores | None = None
    """Of a mean: the means of those of its parts, if all have them."""

    def select_seeds(self, seeds: Sequence[int]) -> Estimate:
        """The estimate for some of its seeds, in the given order."""
        indices = [self.seeds.index(seed) for seed in seeds]
        return Estimate(self.estimate.scores[indices], self.estimate.influence[indices])


ScoreEstimates = dict[tuple[PipelineKey, TargetColumn, str], ScoreEstimate]


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


class _Units(NamedTuple):
    """The examples of a target and language, which all its cells have."""

    reference: ScoredCell
    names: dict[str, str]
    """Example -> unit, where it is not the example alone."""
    index: np.ndarray
    """(n,) `_unit_index` of the reference."""
    columns: np.ndarray
    """(units,) their columns among those of all targets."""


def estimate_scores(scored: Iterable[ScoredCell]) -> ScoreEstimates:
    """Estimates by (pipeline, target, language).

    Raises:
        UserError: as `compute_lifts`.
    """
    groups: dict[tuple[PipelineKey, TargetColumn, str], dict[int, ScoredCell]] = {}
    for cell in scored:
        pipeline = PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)
        if cell.intermediate == BASELINE:
            pipeline = PipelineKey(cell.model, BASELINE, "", "")
        key = (pipeline, TargetColumn(cell.target, cell.metric, cell.train_language, cell.noise), cell.language)
        if cell.seed in groups.setdefault(key, {}):
            raise UserError("two scores for the same pipeline, seed and language", where=_describe(cell))
        if len(cell.ids) != len(cell.counts) or not len(cell.ids):
            raise UserError(
                f"{len(cell.ids)} ids but {len(cell.counts)} scored examples",
                where=_describe(cell),
                fix="give every scored example one id, and at least one example.",
            )
        groups[key][cell.seed] = cell

    joined = _join_units(groups)
    columns: dict[tuple[str, str], int] = {}
    first: dict[tuple[TargetColumn, str], _Units] = {}
    scores: ScoreEstimates = {}
    for (pipeline, target, language), by_seed in groups.items():
        cells = list(by_seed.values())
        if (target.clean, language) not in first:
            units = joined.get(_examples(cells[0]), {})
            names, index = np.unique(_unit_names(cells[0], units), return_inverse=True)
            numbers = [columns.setdefault((_examples(cells[0]), str(name)), len(columns)) for name in names]
            first[target.clean, language] = _Units(cells[0], units, index, np.array(numbers))
        reference, units, index, column = first[target.clean, language]
        for cell in cells:
            if (
                cell.ids is not reference.ids
                and cell.ids != reference.ids
                and sorted(cell.ids) != sorted(reference.ids)
            ):
                raise UserError(
                    "scored on other examples than the pipeline it is compared with",
                    where=_describe(cell),
                    fix=f"predict again on the same test set as {_describe(reference)}.",
                )
        linearised = [
            _linearise(
                cell,
                index if cell.ids is reference.ids or cell.ids == reference.ids else _unit_index(cell, units),
                len(column),
            )
            for cell in cells
        ]
        estimate = Estimate(
            np.array([score for score, _ in linearised]), np.stack([influence for _, influence in linearised])
        )
        training_status = worst_status(cell.training_status for cell in cells)
        scores[pipeline, target, language] = ScoreEstimate(
            tuple(by_seed),
            estimate,
            column,
            len(reference.ids),
            training_status,
            reference.lowest_score,
            example_floor(len(set(reference.ids))),
            any(cell.same_task for cell in cells),
            _mean_steps([cell.steps for cell in cells]),
            cells[0].guesses,
        )
    return scores


def _mean_steps(steps: Sequence[float | None]) -> float | None:
    known = [each for each in steps if each is not None]
    return sum(known) / len(known) if known and len(known) == len(steps) else None


def _examples(cell: ScoredCell) -> str:
    """The name of the examples of a cell; no name of a task has a blank."""
    return cell.examples or f"{cell.target} only"


def _join_units(
    groups: dict[tuple[PipelineKey, TargetColumn, str], dict[int, ScoredCell]],
) -> dict[str, dict[str, str]]:
    """The unit of each example id, by name of the examples. Examples of one unit in any language are one unit in all of
    them, since translations of an example are one too."""
    cells: dict[tuple[TargetColumn, str], ScoredCell] = {}
    for (_, target, language), by_seed in groups.items():
        cells.setdefault((target.clean, language), next(iter(by_seed.values())))
    parents: dict[str, dict[str, str]] = {}
    for (_, language), cell in cells.items():
        if cell.units is None or not any(cell.units):
            continue
        parent = parents.setdefault(_examples(cell), {})
        for name, unit in zip(cell.ids, cell.units, strict=True):
            if unit is not None:  # names of units have their language, so they differ from ids of examples
                parent[_root(parent, str(name))] = _root(parent, f"{language} {unit} unit")
    return {examples: {name: _root(parent, name) for name in parent} for examples, parent in parents.items()}


def _root(parent: dict[str, str], name: str) -> str:
    """The representative of a name's set. Paths are halved on the way."""
    while parent.setdefault(name, name) != name:
        parent[name] = parent[parent[name]]
        name = parent[name]
    return name


def _unit_names(cell: ScoredCell, units: dict[str, str]) -> list[str]:
    """(n,) the unit of each example: its own id if it shares nothing."""
    return [units.get(str(name), str(name)) for name in cell.ids] if units else cell.ids


def _unit_index(cell: ScoredCell, units: dict[str, str]) -> np.ndarray:
    """(n,) the place of each example's unit among the sorted names."""
    return np.unique(_unit_names(cell, units), return_inverse=True)[1]


def _linearise(cell: ScoredCell, unit: np.ndarray, units: int) -> tuple[float, np.ndarray]:
    """The score of a cell, and (units,) influences by sorted name of the unit.

    Args:
        unit: `_unit_index`.
    """
    if cell.leave_one_out:
        score, influence = linearise(cell.counts, cell.value, cell.leave_one_out)
        return score, np.bincount(unit, influence, minlength=units)
    counts = np.stack([np.bincount(unit, column, minlength=units) for column in cell.counts.T], axis=1)
    return linearise(counts, cell.value)


def _describe(cell: ScoredCell) -> str:
    return f"{cell.model} / {cell.intermediate} / {cell.target} ({cell.language}), seed {cell.seed}"


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
        _mean_steps([part.steps for part in present]),
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
