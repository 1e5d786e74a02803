"""From scored cells to rows: score and lift of every pipeline, on every target, in every language, with intervals.

lift = score(pipeline with intermediate stage) - score(same pipeline without it), paired by seed and example
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from xlift.analysis.estimates import (
    ALL,
    BASELINE,
    MEANS,
    TARGET_MEANS,
    ZERO_SHOT,
    PipelineKey,
    ScoredCell,
    ScoreEstimate,
    ScoreEstimates,
    TargetColumn,
)
from xlift.analysis.intervals import (
    LEVEL,
    Interval,
    SeedPool,
    lift_interval,
    p_value,
    score_interval,
    sign_of,
)
from xlift.analysis.means import estimate_with_means, paired_difference
from xlift.analysis.multiplicity import benjamini_hochberg, holm
from xlift.analysis.seed_variance import SeedPools, SeedTables
from xlift.analysis.training_status import OK
from xlift.language_tags import has_language

NOT_EXPORTED = {"exported": False}
"""Metadata of a field that JSON and CSV files do not have."""


@dataclass(frozen=True)
class LiftRow:
    """One row of results. Fields are the keys of the JSON and CSV files. Values are fractions, not percent."""

    study: str
    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seeds: int
    """Number of seeds. With one seed the intervals cover examples only, and no lift has a sign, unless the variance
    between seeds is borrowed."""
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
    """The worst status of the runs behind this score: 'ok', 'fp32', 'retried' or 'collapsed'. `baseline_status` is that of the
    baseline."""
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
    lift_p: float | None = None
    """Two-sided p-value of a lift of 0, adjusted for the other rows: by Holm over the pipelines of a mean, by Benjamini
    and Hochberg over the pipelines and languages of a target. None without a lift and with one seed."""
    in_best_set: bool | None = None
    """Whether its score is the highest of its target and language, or does not differ significantly from it (Holm at 5%, paired). None
    with one seed."""
    is_unstable: bool = False
    """Whether its lift varies far more over seeds than those of the other pipelines do, so that it keeps its own variance."""
    pooled_pipelines: int = 0
    """Number of pipelines over which the variance between seeds of its lift (of a row without a lift: of its score) is
    pooled; 0 if it is the row's own, or not covered (one seed)."""
    pooled_freedom: float = 0.0
    """Degrees of freedom of that pooled variance."""
    borrowed_from: str = ""
    """Name of the study whose variance between seeds it is; '' for this study."""
    same_task: bool = False
    """Whether an intermediate stage trains on labels of the target's own task; of a mean over targets: of one of them. Such a
    lift is that of more labels. Best sets and conclusions leave it out."""
    baseline_status: str = OK
    """The worst status of the runs of the baseline that the lift is over."""
    steps: float | None = None
    """Optimizer steps of all training behind the score, without pretraining: the mean over seeds, and of 'all' over targets.
    None if unknown."""
    chance: float | None = None
    """Score of answers drawn uniformly from the labels or choices; of a mean: the mean of those scores. None if the answers
    are no choice, or the number of choices is unknown."""
    majority: float | None = None
    """Score of the most frequent gold answer for every example of the language."""
    seed_lifts: tuple[float, ...] = field(default=(), metadata=NOT_EXPORTED)
    """The lift of each seed that the baseline has too, for charts; not in JSON and CSV."""

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over languages."""
        return self.language in MEANS

    @property
    def covers_seeds(self) -> bool:
        """Whether its intervals cover the variation between seeds."""
        return self.seeds > 1 or bool(self.borrowed_from)

    @property
    def is_source(self) -> bool:
        """Whether the target was trained on labels of this language, so that the score is not zero-shot."""
        return has_language(self.train_language.split("+"), self.language)

    @property
    def sign(self) -> int:
        """+1 or -1 if the lift differs from zero after the adjustment for other rows (`lift_p`), else 0."""
        if self.lift is None or self.lift_p is None or self.lift_p >= 1 - LEVEL:
            return 0
        return 1 if self.lift > 0 else -1

    @property
    def control_sign(self) -> int:
        """+1 or -1 if the interval of `lift_minus_control` excludes zero, else 0. It is 0 if that does not cover seeds."""
        return sign_of(self.lift_minus_control_low, self.lift_minus_control_high) if self.covers_seeds else 0

    def to_dict(self) -> dict[str, Any]:
        exported = exported_fields(type(self))
        return {name: value for name, value in asdict(self).items() if name in exported}


def exported_fields(row_class: type[Any]) -> list[str]:
    """The names of the fields that JSON and CSV files have."""
    return [each.name for each in fields(row_class) if each.metadata != NOT_EXPORTED]


def compute_lifts(cells: Iterable[ScoredCell], study: str = "", lent: SeedTables | None = None) -> list[LiftRow]:
    """Rows for every (pipeline, target, language) without noise in order of first appearance, the means 'all' and
    'zero-shot' before the languages.

    Language 'zero-shot' leaves out the languages that the target was trained on. A target that is scored in no such
    language, or in no other one, has no such row. Language 'all' needs scores in every language of the target, and target
    'all' needs scores on every target of the model, since means over different sets are not comparable. If a target has
    several metrics, target 'all' uses the first. Its language 'zero-shot' averages those of the targets. Target 'other-tasks' is
    the mean over the targets on which no row has been trained before, if there are others too.

    Args:
        lent: variances between seeds of other studies (analysis/borrowed.py).

    Raises:
        UserError: a cell appears twice, has no examples, or has different numbers of ids and counts; or the examples of
            a (target, language) differ between seeds or pipelines.
    """
    cells = list(cells)
    controls = {cell.intermediate: (cell.control, cell.control_of) for cell in cells if cell.control}
    return lift_rows(*estimate_with_means(cells), controls, study, lent)


def lift_rows(
    scores: ScoreEstimates,
    targets: dict[str, dict[TargetColumn, list[str]]],
    controls: Mapping[str, tuple[str, str]],
    study: str = "",
    lent: SeedTables | None = None,
) -> list[LiftRow]:
    """Rows as those of `compute_lifts`, from its estimates.

    Args:
        scores, targets: as `estimate_with_means` gives them, or some of these estimates.
        controls: intermediate of a control -> its kind, and the intermediate that it belongs to.
        lent: variances between seeds of other studies.
    """
    pipeline_order = {key: i for i, key in enumerate(dict.fromkeys(pipeline for pipeline, _, _ in scores))}
    target_order = {key: i for i, key in enumerate(dict.fromkeys(target for _, target, _ in scores))}
    language_order = {ALL: 0, ZERO_SHOT: 1}
    pools = SeedPools.of(scores, lent)
    keys = sorted(scores, key=lambda key: (pipeline_order[key[0]], target_order[key[1]], language_order.get(key[2], 2)))
    rows = [_row(scores, pools, key, study, *controls.get(key[0].intermediate, ("", ""))) for key in keys]
    return _adjust(rows, _best_sets(scores, targets, pools), keys)


Key = tuple[PipelineKey, TargetColumn, str]


class _Lift(NamedTuple):
    interval: Interval
    p: float
    pool: SeedPool | None
    by_seed: tuple[float, ...]


def _row(scores: ScoreEstimates, pools: SeedPools, key: Key, study: str, control: str, control_of: str) -> LiftRow:
    pipeline, target, language = key
    scored = scores[key]
    score_pool = pools.of_score(*key)
    value = score_interval(scored.estimate, scored.lowest_score, score_pool)

    def difference(one: PipelineKey, other: PipelineKey) -> _Lift | None:
        first, second = scores.get((one, target, language)), scores.get((other, target, language))
        if first is None or second is None:
            return None
        return _lift(first, second, pools.of_difference(one, other, target, language))

    baseline = PipelineKey(pipeline.model, BASELINE, "", "")
    lift = difference(pipeline, baseline) if pipeline != baseline else None
    beyond = difference(pipeline._replace(intermediate=control_of), pipeline) if control else None
    pool = lift.pool if lift else score_pool
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
        lift=lift and lift.interval.value,
        lift_low=lift and lift.interval.low,
        lift_high=lift and lift.interval.high,
        n=scored.n,
        training_status=scored.training_status,
        train_language=target.train_language,
        control=control,
        control_of=control_of,
        lift_minus_control=beyond and beyond.interval.value,
        lift_minus_control_low=beyond and beyond.interval.low,
        lift_minus_control_high=beyond and beyond.interval.high,
        lift_p=lift.p if lift and (len(scored.seeds) > 1 or lift.pool) else None,
        is_unstable=bool(lift and pool and pool.is_unstable),
        pooled_pipelines=pool.pipelines if pool else 0,
        pooled_freedom=pool.freedom if pool and pool.pipelines else 0.0,
        borrowed_from=pool.source if pool else "",
        same_task=scored.same_task,
        baseline_status=scores[baseline, target, language].training_status if lift else OK,
        steps=scored.steps,
        chance=scored.guesses and scored.guesses.chance,
        majority=scored.guesses and scored.guesses.majority,
        seed_lifts=lift.by_seed if lift else (),
    )


def _lift(pipeline: ScoreEstimate, baseline: ScoreEstimate, pool: SeedPool | None) -> _Lift | None:
    """The lift, paired by example (equal columns) and by common seed; None without a common seed."""
    difference = paired_difference(pipeline, baseline)
    if difference is None:
        return None
    largest, floor = 1 - pipeline.lowest_score, pipeline.floor
    above = p_value(difference, pool, floor)
    return _Lift(
        lift_interval(difference, -largest, largest, pool, floor),
        2 * min(above, 1 - above),
        pool,
        tuple(map(float, difference.scores)),
    )


def _best_sets(
    scores: ScoreEstimates, targets: dict[str, dict[TargetColumn, list[str]]], pools: SeedPools
) -> dict[tuple[TargetColumn, str], set[PipelineKey]]:
    """For every target and language, the pipeline with the highest score and those that do not differ significantly from it,
    out of those that were not trained on the same task before."""
    columns: dict[tuple[TargetColumn, str], list[PipelineKey]] = {}
    for (pipeline, target, language), score in scores.items():
        if not score.same_task:
            columns.setdefault((target, language), []).append(pipeline)
    found = {}
    for (target, language), pipelines in columns.items():
        best = max(pipelines, key=lambda each: scores[each, target, language].estimate.value)
        others = [each for each in pipelines if each != best]
        p_values = []
        for other in others:
            # Means over different targets are not comparable.
            is_comparable = target.name not in TARGET_MEANS or targets[best.model] == targets[other.model]
            one, two = scores[best, target, language], scores[other, target, language]
            difference = paired_difference(one, two) if is_comparable else None
            pool = pools.of_difference(other, best, target, language)
            p_values.append(1.0 if difference is None else p_value(difference, pool, one.floor))
        separable = [p < 1 - LEVEL for p in holm(p_values)]
        found[target, language] = {best, *(o for o, apart in zip(others, separable, strict=True) if not apart)}
    return found


def _adjust(
    rows: list[LiftRow], best_sets: dict[tuple[TargetColumn, str], set[PipelineKey]], keys: list[Key]
) -> list[LiftRow]:
    """Adjust the p-values of the rows of each table, and mark the best sets."""
    families: dict[tuple[TargetColumn, str, bool], list[int]] = {}
    for index, (row, (_, target, language)) in enumerate(zip(rows, keys, strict=True)):
        if row.lift_p is not None:
            families.setdefault((target, language if row.is_mean else "", row.same_task), []).append(index)
    adjusted: dict[int, float] = {}
    for (_, mean, _), indices in families.items():
        p_values = [p for index in indices if (p := rows[index].lift_p) is not None]
        adjusted |= zip(indices, (holm if mean else benjamini_hochberg)(p_values), strict=True)
    return [
        replace(
            row,
            lift_p=adjusted.get(index),
            in_best_set=pipeline in best_sets.get((target, language), ()) if row.covers_seeds else None,
        )
        for index, (row, (pipeline, target, language)) in enumerate(zip(rows, keys, strict=True))
    ]
