"""Contrasts of pipelines: the difference of two rows of a table, and the trend of a row over its sizes.

A contrast is a weighted sum of the scores of pipelines of one model, with weights that sum to 0, paired by seed and
example. Its variance between seeds is that of the pool (seed_variance.py), times half the sum of the squared weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from xlift.analysis.estimates import (
    BASELINE,
    PipelineKey,
    ScoredCell,
    ScoreEstimates,
    TargetColumn,
    estimate_with_means,
)
from xlift.analysis.intervals import Estimate, lift_interval, p_value
from xlift.analysis.multiplicity import holm
from xlift.analysis.seed_variance import SeedPools
from xlift.errors import UserError, did_you_mean

SEPARATOR = ","


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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_rows(cells: Iterable[ScoredCell], name: str) -> list[PipelineKey]:
    """The rows of a study whose intermediate, language, size and model have the values of `name`: 'mnli,en,1000'.

    Raises:
        UserError: no row has them.
    """
    rows = list(dict.fromkeys(_key(cell) for cell in cells))
    wanted = [part.strip() for part in name.split(SEPARATOR)]
    found = [row for row in rows if all(part and part in row for part in wanted)]
    if not found:
        names = [row_name(row, rows) for row in rows]
        raise UserError(
            f"no row '{name}'",
            fix=f"{did_you_mean(name, names)}Rows: {'; '.join(names[:20])}{'; ...' if len(names) > 20 else ''}.",
        )
    return found


def find_row(cells: Sequence[ScoredCell], name: str) -> PipelineKey:
    """The only row of a name (`find_rows`).

    Raises:
        UserError: no row or more than one has it.
    """
    found = find_rows(cells, name)
    if len(found) > 1:
        rows = list(dict.fromkeys(_key(cell) for cell in cells))
        listed = "; ".join(row_name(row, rows) for row in found[:20])
        raise UserError(f"'{name}' names {len(found)} rows", fix=f"Give more of its parts: {listed}.")
    return found[0]


def row_name(row: PipelineKey, among: Sequence[PipelineKey]) -> str:
    """The intermediate of a row, and its other parts that differ among the rows: 'mnli,en,1000'."""
    parts = [row.intermediate]
    for field in ("intermediate_language", "size", "model"):
        if getattr(row, field) and len({getattr(other, field) for other in among} - {""}) > 1:
            parts.append(getattr(row, field))
    return SEPARATOR.join(parts)


def compare_rows(
    cells: Sequence[ScoredCell], first: PipelineKey, second: PipelineKey, study: str = "", margin: float | None = None
) -> list[Contrast]:
    """The difference of two rows on every target and language that both have, the means first.

    Args:
        margin: for `p_equal`, as a fraction.

    Raises:
        UserError: the rows are one and the same, have nothing in common, or as `compute_lifts`.
    """
    if first == second:
        raise UserError(f"both rows are '{row_name(first, [first])}'", fix="give two different rows.")
    contrasts = _contrasts(cells, {first: 1.0, second: -1.0}, study, margin)
    if not contrasts:
        raise UserError("both rows have no target, language and seed in common")
    return contrasts


def trend_over_sizes(cells: Sequence[ScoredCell], rows: Sequence[PipelineKey], study: str = "") -> list[Contrast]:
    """The slope of the score per tenfold size, by least squares over the sizes of a row.

    Raises:
        UserError: there are fewer than two sizes, or a size is no number; or as `compute_lifts`.
    """
    sizes = {row: _size(row) for row in rows}
    if len(set(sizes.values())) < len(rows) or len(rows) < 2:
        raise UserError(
            f"a trend needs one row with two sizes or more; found {len(rows)} row{'s' * (len(rows) != 1)}",
            fix=f"Rows: {'; '.join(row_name(row, list(rows)) for row in rows[:20])}.",
        )
    ordered = sorted(rows, key=lambda row: sizes[row])
    places = [math.log10(sizes[row]) for row in ordered]
    centre = sum(places) / len(places)
    total = sum((place - centre) ** 2 for place in places)
    return _contrasts(cells, {row: (p - centre) / total for row, p in zip(ordered, places, strict=True)}, study, None)


def _key(cell: ScoredCell) -> PipelineKey:
    if cell.intermediate == BASELINE:
        return PipelineKey(cell.model, BASELINE, "", "")
    return PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)


def _size(row: PipelineKey) -> float:
    try:
        return float(row.size)
    except ValueError:
        raise UserError(
            f"'{row_name(row, [row])}' has {f'the size {row.size!r}' if row.size else 'no size'}, and a trend needs numbers",
            fix="give `size` a number of examples.",
        ) from None


def _contrasts(
    cells: Sequence[ScoredCell], weights: Mapping[PipelineKey, float], study: str, margin: float | None
) -> list[Contrast]:
    scores, targets = estimate_with_means(cells)
    pools = SeedPools.of(scores)
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
    return _adjust(sorted(found, key=lambda each: (each.target != "all", each.language not in ("all", "zero-shot"))))


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
    rows = list(weights)
    parts = [scores.get((row, target, language)) for row in rows]
    present = [part for part in parts if part is not None]
    seeds = [seed for seed in present[0].seeds if all(seed in part.seeds for part in present)] if present else []
    if len(present) < len(rows) or not seeds:
        return None
    selected = [part.select_seeds(seeds) for part in present]
    combined = Estimate(
        sum(weight * each.scores for weight, each in zip(weights.values(), selected, strict=True)),  # pyright: ignore[reportArgumentType]
        sum(weight * each.influence for weight, each in zip(weights.values(), selected, strict=True)),  # pyright: ignore[reportArgumentType]
    )
    squared = sum(weight**2 for weight in weights.values()) / 2  # 1 for a difference
    pool = pools.of_difference(rows[0], rows[1], target, language)
    pool = pool and pool.scaled(math.sqrt(squared))
    floor = present[0].floor * squared
    interval = lift_interval(combined, -math.inf, math.inf, pool, floor)
    above = p_value(combined, pool, floor)
    p_equal = None
    if margin is not None and len(seeds) > 1:
        p_equal = max(p_value(combined, pool, floor, -margin), 1 - p_value(combined, pool, floor, margin))
    return Contrast(
        study=study,
        rows=tuple(row_name(row, rows) for row in rows) if len(rows) == 2 else (row_name(rows[0], rows[:1]),),
        target=target.name,
        language=language,
        metric=target.metric,
        seeds=len(seeds),
        n=present[0].n,
        scores=tuple(each.value for each in selected),
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p=2 * min(above, 1 - above) if len(seeds) > 1 else None,
        p_equal=p_equal,
    )


def _adjust(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Adjust p-values by Holm over the contrasts of the same language or mean."""
    families: dict[tuple[bool, str], list[int]] = {}
    for index, contrast in enumerate(contrasts):
        if contrast.p is not None:
            families.setdefault((contrast.target == "all", contrast.language), []).append(index)
    adjusted: dict[int, float] = {}
    for indices in families.values():
        adjusted |= zip(indices, holm([p for i in indices if (p := contrasts[i].p) is not None]), strict=True)
    return [replace(contrast, p=adjusted.get(index)) for index, contrast in enumerate(contrasts)]
