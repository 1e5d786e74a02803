"""Contrasts of pipelines: the difference of two rows of a table, and the trend of a row over its sizes.

A contrast is a weighted sum of the scores of pipelines of one model, with weights that sum to 0, paired by seed and
example. Its variance between seeds is that of the pool (seed_variance.py), times half the sum of the squared weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from xlift.analysis.estimates import (
    MEANS,
    TARGET_MEANS,
    ZERO_SHOT,
    PipelineKey,
    ScoredCell,
    ScoreEstimates,
    TargetColumn,
)
from xlift.analysis.intervals import Estimate, Interval, SeedPool, lift_interval, p_value
from xlift.analysis.means import estimate_with_means, weighted_sum
from xlift.analysis.multiplicity import holm
from xlift.analysis.seed_variance import SeedPools, SeedTables
from xlift.analysis.training_status import OK
from xlift.claims.effects import slope
from xlift.claims.table import Table, list_names, row_name
from xlift.errors import UserError


@dataclass(frozen=True)
class Contrast:
    """One contrast on a target and language. Fields are the keys of the JSON. Values are fractions, not percent."""

    study: str
    rows: tuple[str, ...]
    """The two rows that are compared, or the row with the trend."""
    target: str
    language: str
    metric: str
    seeds: int
    n: int
    """Number of test examples; the sum for means."""
    scores: tuple[float, ...]
    """Of the two rows, or of each size, in ascending order."""
    difference: float
    """First row minus second row, or the slope per tenfold size."""
    low: float
    high: float
    p: float | None
    """Two-sided p-value of a difference of 0, adjusted by Holm over the targets of the same language or mean. None with
    one seed."""
    p_equal: float | None = None
    """P-value of "the difference is at least the margin" (two one-sided tests): small if both are equal within it."""
    borrowed_from: str = ""
    """Name of the study whose variance between seeds it is; '' for this study."""
    same_task: bool = False
    """Whether a row was trained on the target's own task by its intermediate stage; of a mean: on that of one target."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_rows(cells: Iterable[ScoredCell], name: str) -> list[PipelineKey]:
    """The rows of a study whose intermediate, language, size and model have the values of `name`: 'mnli,en,1000'.

    Raises:
        UserError: no row has them.
    """
    return [PipelineKey(*row) for row in Table.of(cells).find_rows(name)]


def find_row(cells: Sequence[ScoredCell], name: str) -> PipelineKey:
    """The only row of a name (`find_rows`).

    Raises:
        UserError: no row or more than one has it.
    """
    table = Table.of(cells)
    found = table.find_rows(name)
    if len(found) > 1:
        listed = list_names([table.name(row) for row in found])
        raise UserError(f"'{name}' names {len(found)} rows", fix=f"Give more of its parts: {listed}.")
    return PipelineKey(*found[0])


def compare_rows(
    cells: Sequence[ScoredCell],
    first: PipelineKey,
    second: PipelineKey,
    study: str = "",
    margin: float | None = None,
    lent: SeedTables | None = None,
) -> list[Contrast]:
    """The difference of two rows on every target and language that both have, the means first.

    Args:
        margin: for `p_equal`, as a fraction.
        lent: variances between seeds of other studies (analysis/borrowed.py).

    Raises:
        UserError: the rows are one and the same, have nothing in common, or as `compute_lifts`.
    """
    _check_differ(first, second)
    contrasts = _contrasts(cells, {first: 1.0, second: -1.0}, study, margin, lent)
    if not contrasts:
        raise UserError("both rows have no target, language and seed in common")
    return contrasts


def _check_differ(first: PipelineKey, second: PipelineKey) -> None:
    if first == second:
        raise UserError(f"both rows are '{row_name(first, [first])}'", fix="give two different rows.")


def compare_pairs(
    cells: Sequence[ScoredCell],
    pairs: Sequence[tuple[PipelineKey, PipelineKey]],
    study: str = "",
    lent: SeedTables | None = None,
) -> list[Contrast]:
    """The differences of several pairs of rows on the means over the languages of each target, and on the mean over
    targets. The p-values are adjusted by Holm over the pairs, and over the pairs and targets.

    Raises:
        UserError: the rows of a pair are one and the same, or as `compute_lifts`.
    """
    for first, second in pairs:
        _check_differ(first, second)
    scores, targets = estimate_with_means(cells)
    pools = SeedPools.of(scores, lent)
    rows = list(dict.fromkeys(pipeline for pipeline, _, _ in scores))
    found = [
        replace(contrast, rows=(row_name(first, rows), row_name(second, rows)))
        for first, second in pairs
        for contrast in _on_columns(scores, targets, pools, {first: 1.0, second: -1.0}, study, None)
        if contrast.language in MEANS
    ]
    # Conclusions are about the mean over the languages without the source, where there is one.
    zero_shot = {(each.rows, each.target, each.metric) for each in found if each.language == ZERO_SHOT}
    return adjust(
        [each for each in found if each.language == ZERO_SHOT or (each.rows, each.target, each.metric) not in zero_shot]
    )


def trend_over_sizes(
    cells: Sequence[ScoredCell], rows: Sequence[PipelineKey], study: str = "", lent: SeedTables | None = None
) -> list[Contrast]:
    """The slope of the score per tenfold size, by least squares over the sizes of a row.

    Raises:
        UserError: there are fewer than two sizes, or a size is no number; or as `compute_lifts`.
    """
    sizes = {row: _size(row) for row in rows}
    if len(set(sizes.values())) < len(rows) or len(rows) < 2:
        raise UserError(
            f"a trend needs one row with two sizes or more; found {len(rows)} row{'s' * (len(rows) != 1)}",
            fix=f"Rows: {list_names([row_name(row, rows) for row in rows])}.",
        )
    return _contrasts(cells, slope(dict(sorted(sizes.items(), key=lambda item: item[1]))), study, None, lent)


def _size(row: PipelineKey) -> float:
    try:
        return float(row.size)
    except ValueError:
        raise UserError(
            f"'{row_name(row, [row])}' has {f'the size {row.size!r}' if row.size else 'no size'}, and a trend needs numbers",
            fix="give `size` a number of examples.",
        ) from None


def _contrasts(
    cells: Sequence[ScoredCell],
    weights: Mapping[PipelineKey, float],
    study: str,
    margin: float | None,
    lent: SeedTables | None,
) -> list[Contrast]:
    scores, targets = estimate_with_means(cells)
    return adjust(_on_columns(scores, targets, SeedPools.of(scores, lent), weights, study, margin))


def _on_columns(
    scores: ScoreEstimates,
    targets: Mapping[str, Mapping[TargetColumn, Sequence[str]]],
    pools: SeedPools,
    weights: Mapping[PipelineKey, float],
    study: str,
    margin: float | None,
) -> list[Contrast]:
    """On every target and language that the rows have in common, the means first, with p-values that are not adjusted."""
    rows = list(weights)
    shared = [(target, language) for row, target, language in scores if row == rows[0]]
    # Means over targets of two models are comparable only if they are over the same targets.
    if len({tuple(targets[row.model]) for row in rows}) > 1:
        shared = [each for each in shared if each[0] in targets[rows[0].model]]
    found = [
        contrast
        for target, language in shared
        if (contrast := _contrast(scores, pools, weights, target, language, study, margin)) is not None
    ]
    return sorted(found, key=lambda each: (each.target not in TARGET_MEANS, each.language not in MEANS))


class ContrastEstimate(NamedTuple):
    """A weighted sum of the scores of rows, over their common seeds, with what its interval needs."""

    estimate: Estimate
    pool: SeedPool | None
    floor: float
    seeds: int
    n: int
    """Number of test examples."""
    scores: tuple[float, ...]
    """Of the rows."""
    same_task: bool = False
    """Whether a row was trained on the target's own task by its intermediate stage."""
    training_status: str = OK
    """The worst of the training behind it (analysis/training_status.py)."""

    @property
    def covers_seeds(self) -> bool:
        """Whether its interval covers the variation between seeds."""
        return self.seeds > 1 or self.pool is not None

    def interval(self) -> Interval:
        return lift_interval(self.estimate, -math.inf, math.inf, self.pool, self.floor)

    def p_above(self, value: float = 0.0) -> float:
        """One-sided p-value of "it is at most `value`"."""
        return p_value(self.estimate, self.pool, self.floor, value)

    def p_below(self, value: float = 0.0) -> float:
        """One-sided p-value of "it is at least `value`"."""
        return 1 - self.p_above(value)


def estimate_contrast(
    scores: ScoreEstimates, pools: SeedPools, weights: Mapping[PipelineKey, float], target: TargetColumn, language: str
) -> ContrastEstimate | None:
    """The sum of the scores of rows on a target and language (or mean) times weights with sum 0.

    Returns:
        None if a row has no score there or the rows have no common seed.
    """
    parts = [scores.get((row, target, language)) for row in weights]
    combined = weighted_sum(parts, list(weights.values()))
    if combined is None:
        return None
    present = [part for part in parts if part is not None]
    return ContrastEstimate(
        combined.estimate,
        pools.of_contrast(weights, target, language),
        combined.floor / 2,  # the floor is that of a difference, which has two rows
        len(combined.seeds),
        present[0].n,
        tuple(part.select_seeds(combined.seeds).value for part in present),
        combined.same_task,
        combined.training_status,
    )


def _contrast(
    scores: ScoreEstimates,
    pools: SeedPools,
    weights: Mapping[PipelineKey, float],
    target: TargetColumn,
    language: str,
    study: str,
    margin: float | None,
) -> Contrast | None:
    """None if a row has no score there or the rows have no common seed."""
    found = estimate_contrast(scores, pools, weights, target, language)
    if found is None:
        return None
    rows, interval, has_p = list(weights), found.interval(), found.covers_seeds
    return Contrast(
        study=study,
        rows=tuple(row_name(row, rows) for row in rows) if len(rows) == 2 else (row_name(rows[0], rows[:1]),),
        target=target.name,
        language=language,
        metric=target.metric,
        seeds=found.seeds,
        n=found.n,
        scores=found.scores,
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p=2 * min(found.p_above(), found.p_below()) if has_p else None,
        p_equal=max(found.p_above(-margin), found.p_below(margin)) if has_p and margin is not None else None,
        borrowed_from=found.pool.source if found.pool else "",
        same_task=found.same_task,
    )


def adjust(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Adjust p-values by Holm over the contrasts of the same language or mean."""
    families: dict[tuple[str, str], list[int]] = {}
    for index, contrast in enumerate(contrasts):
        if contrast.p is not None:
            family = contrast.target if contrast.target in TARGET_MEANS else ""
            families.setdefault((family, contrast.language), []).append(index)
    adjusted: dict[int, float] = {}
    for indices in families.values():
        adjusted |= zip(indices, holm([p for i in indices if (p := contrasts[i].p) is not None]), strict=True)
    return [replace(contrast, p=adjusted.get(index)) for index, contrast in enumerate(contrasts)]
