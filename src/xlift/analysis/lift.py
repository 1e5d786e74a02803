"""From scored cells to rows: score and lift of every pipeline, on every target, in every language, with intervals.

lift = score(pipeline with intermediate stage) - score(same pipeline without it), paired by seed and example
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from xlift.analysis.intervals import (
    Estimate,
    Interval,
    LeaveOneOut,
    Value,
    lift_interval,
    linearise,
    mean,
    score_interval,
    sign_of,
)
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
MEAN = "mean"
"""The metric of target 'all', which averages different metrics (as the average in XTREME's tables)."""


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
    """(n,) ids of the examples. Resampling treats rows with the same id, in any language, as one unit."""
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
    control: str = ""
    """Of a control: its kind, such as 'shuffled'."""
    control_of: str = ""
    """Of a control: the intermediate that it belongs to, with the same language and size."""


@dataclass(frozen=True)
class LiftRow:
    """One row of results. Fields are the keys of the JSON and CSV files. Values are fractions, not percent."""

    study: str
    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seeds: int
    """Number of seeds. With one seed the intervals cover examples only."""
    target: str
    language: str
    metric: str
    value: float
    low: float
    high: float
    lift: float | None
    """None for the baseline, and without a baseline on the same examples with a common seed."""
    lift_low: float | None
    lift_high: float | None
    n: int
    """Number of test examples; the sum for 'all'."""
    training_status: str = OK
    """The worst status of the runs behind this score: 'ok', 'fp32', 'retried' or 'collapsed'. The baseline does not count."""
    train_language: str = ""
    """Language of the target labels in training, several as 'en+de'; '' without such training and for target 'all'."""
    control: str = ""
    """Of a control: its kind ('steps', 'text' or 'shuffled')."""
    control_of: str = ""
    """Of a control: the intermediate that it belongs to, with the same language and size."""
    lift_minus_control: float | None = None
    """Of a control: the lift of that intermediate minus this lift, paired by seed and example."""
    lift_minus_control_low: float | None = None
    lift_minus_control_high: float | None = None

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over languages."""
        return self.language in MEANS

    @property
    def is_source(self) -> bool:
        """Whether the target was trained on labels of this language, so that the score is not zero-shot."""
        return has_language(self.train_language.split("+"), self.language)

    @property
    def sign(self) -> int:
        """+1 or -1 if the interval of the lift excludes zero, else 0."""
        return sign_of(self.lift_low, self.lift_high)

    @property
    def control_sign(self) -> int:
        """+1 or -1 if the interval of `lift_minus_control` excludes zero, else 0."""
        return sign_of(self.lift_minus_control_low, self.lift_minus_control_high)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    """(units,) column of each unit of the estimate among all example ids of the target."""
    n: int
    training_status: str
    lowest_score: float = 0.0
    """The score is in `lowest_score`..1."""

    def select_seeds(self, seeds: Sequence[int]) -> Estimate:
        """The estimate for some of its seeds, in the given order."""
        indices = [self.seeds.index(seed) for seed in seeds]
        return Estimate(self.estimate.scores[indices], self.estimate.influence[indices])


ScoreEstimates = dict[tuple[PipelineKey, TargetColumn, str], ScoreEstimate]


def compute_lifts(cells: Iterable[ScoredCell], study: str = "") -> list[LiftRow]:
    """Rows for every (pipeline, target, language) without noise in order of first appearance, the means 'all' and
    'zero-shot' before the languages.

    Language 'zero-shot' leaves out the languages that the target was trained on. A target that is scored in no such
    language, or in no other one, has no such row. Language 'all' needs scores in every language of the target, and target
    'all' needs scores on every target of the model, since means over different sets are not comparable. If a target has
    several metrics, target 'all' uses the first.

    Raises:
        UserError: a cell appears twice, has no examples, or has different numbers of ids and counts; or the examples of
            a (target, language) differ between seeds or pipelines.
    """
    cells = [cell for cell in cells if not cell.noise]
    controls = {cell.intermediate: (cell.control, cell.control_of) for cell in cells if cell.control}
    scores, units = estimate_scores(cells)
    targets = languages_by_target(scores)
    _add_language_means(scores, targets, units)
    _add_target_means(scores, targets, units)
    pipeline_order = {key: i for i, key in enumerate(dict.fromkeys(pipeline for pipeline, _, _ in scores))}
    target_order = {key: i for i, key in enumerate(dict.fromkeys(target for _, target, _ in scores))}
    language_order = {ALL: 0, ZERO_SHOT: 1}
    keys = sorted(scores, key=lambda key: (pipeline_order[key[0]], target_order[key[1]], language_order.get(key[2], 2)))
    return [_row(scores, key, study, *controls.get(key[0].intermediate, ("", ""))) for key in keys]


def estimate_scores(scored: Iterable[ScoredCell]) -> tuple[ScoreEstimates, dict[TargetColumn, int]]:
    """Estimates by (pipeline, target, language), and the number of distinct example ids of each target without noise.

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

    columns: dict[TargetColumn, dict[str, int]] = {}
    first: dict[tuple[TargetColumn, str], ScoredCell] = {}
    scores: ScoreEstimates = {}
    for (pipeline, target, language), by_seed in groups.items():
        cells = list(by_seed.values())
        reference = first.setdefault((target.clean, language), cells[0])
        for cell in cells:
            if cell.ids != reference.ids and sorted(cell.ids) != sorted(reference.ids):
                raise UserError(
                    "scored on other examples than the pipeline it is compared with",
                    where=_describe(cell),
                    fix=f"predict again on the same test set as {_describe(reference)}.",
                )
        linearised = [_linearise(cell) for cell in cells]
        estimate = Estimate(
            np.array([score for score, _ in linearised]), np.stack([influence for _, influence in linearised])
        )
        index = columns.setdefault(target.clean, {})
        column = np.array([index.setdefault(str(i), len(index)) for i in np.unique(reference.ids)])
        training_status = worst_status(cell.training_status for cell in cells)
        scores[pipeline, target, language] = ScoreEstimate(
            tuple(by_seed), estimate, column, len(reference.ids), training_status, reference.lowest_score
        )
    return scores, {target: len(index) for target, index in columns.items()}


def _linearise(cell: ScoredCell) -> tuple[float, np.ndarray]:
    """The score of a cell, and (units,) influences by sorted id. Rows with the same id are one unit."""
    ids, unit = np.unique(cell.ids, return_inverse=True)
    if cell.leave_one_out:
        score, influence = linearise(cell.counts, cell.value, cell.leave_one_out)
        return score, np.bincount(unit, influence)
    counts = np.zeros((len(ids), cell.counts.shape[1]))
    np.add.at(counts, unit, cell.counts)
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


def _add_language_means(
    scores: ScoreEstimates, targets: dict[str, dict[TargetColumn, list[str]]], units: dict[TargetColumn, int]
) -> None:
    for pipeline in dict.fromkeys(pipeline for pipeline, _, _ in scores):
        for target, languages in targets[pipeline.model].items():
            parts = [scores.get((pipeline, target, language)) for language in languages]
            if combined := average_estimates(parts, units[target]):
                scores[pipeline, target, ALL] = combined
            trained = target.train_language.split("+")
            zero_shot = [part for code, part in zip(languages, parts, strict=True) if not has_language(trained, code)]
            if 0 < len(zero_shot) < len(languages) and (combined := _average_alone(zero_shot)):
                scores[pipeline, target, ZERO_SHOT] = combined


def _average_alone(parts: Sequence[ScoreEstimate | None]) -> ScoreEstimate | None:
    """`average_estimates` over the examples of these parts alone."""
    used = np.unique(np.concatenate([part.columns for part in parts if part is not None] or [np.empty(0, dtype=int)]))
    return average_estimates(
        [part and replace(part, columns=np.searchsorted(used, part.columns)) for part in parts], len(used)
    )


def _add_target_means(
    scores: ScoreEstimates, targets: dict[str, dict[TargetColumn, list[str]]], units: dict[TargetColumn, int]
) -> None:
    for pipeline in dict.fromkeys(pipeline for pipeline, _, _ in scores):
        primary = {(target.name, target.train_language): target for target in reversed(targets[pipeline.model])}
        if len(primary) < 2:
            continue
        # Examples of different targets are different units, so each target gets its own columns.
        parts, offset = [], 0
        for target in primary.values():
            part = scores.get((pipeline, target, ALL))
            parts.append(part and replace(part, columns=part.columns + offset))
            offset += units[target]
        if combined := average_estimates(parts, offset):
            scores[pipeline, TargetColumn(ALL, MEAN, ""), ALL] = combined


def average_estimates(parts: Sequence[ScoreEstimate | None], units: int) -> ScoreEstimate | None:
    """The mean of all parts over their common seeds; None if a part is missing or there is no common seed."""
    present = [part for part in parts if part is not None]
    if len(present) < len(parts):
        return None
    seeds = [seed for seed in present[0].seeds if all(seed in part.seeds for part in present)]
    if not seeds:
        return None
    estimate = mean([part.select_seeds(seeds) for part in present], [part.columns for part in present], units)
    training_status = worst_status(part.training_status for part in present)
    lowest_score = float(np.mean([part.lowest_score for part in present]))
    return ScoreEstimate(
        tuple(seeds), estimate, np.arange(units), sum(part.n for part in present), training_status, lowest_score
    )


def _row(
    scores: ScoreEstimates, key: tuple[PipelineKey, TargetColumn, str], study: str, control: str, control_of: str
) -> LiftRow:
    pipeline, target, language = key
    scored = scores[key]
    value = score_interval(scored.estimate, scored.lowest_score)
    baseline = scores.get((PipelineKey(pipeline.model, BASELINE, "", ""), target, language))
    lift, low, high = _lift(scored, baseline) if baseline and pipeline.intermediate != BASELINE else (None, None, None)
    controlled = scores.get((pipeline._replace(intermediate=control_of), target, language)) if control else None
    beyond, beyond_low, beyond_high = _lift(controlled, scored) if controlled else (None, None, None)
    return LiftRow(
        study=study,
        **pipeline._asdict(),
        seeds=len(scored.seeds),
        target=target.name,
        language=language,
        metric=target.metric,
        value=value.value,
        low=value.low,
        high=value.high,
        lift=lift,
        lift_low=low,
        lift_high=high,
        n=scored.n,
        training_status=scored.training_status,
        train_language=target.train_language,
        control=control,
        control_of=control_of,
        lift_minus_control=beyond,
        lift_minus_control_low=beyond_low,
        lift_minus_control_high=beyond_high,
    )


def _lift(pipeline: ScoreEstimate, baseline: ScoreEstimate) -> Interval | tuple[None, None, None]:
    """The interval of the lift, paired by example (equal columns) and by common seed."""
    seeds = [seed for seed in pipeline.seeds if seed in baseline.seeds]
    if not seeds:
        return None, None, None
    largest = 1 - pipeline.lowest_score
    return lift_interval(pipeline.select_seeds(seeds) - baseline.select_seeds(seeds), -largest, largest)
