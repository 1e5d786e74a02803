"""How many seeds or test examples an interval of a given width needs, by the parts of its variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xlift.analysis.contrasts import ContrastEstimate
from xlift.analysis.intervals import PRIOR_FREEDOM, VarianceParts, combined_freedom, quantile, variance_parts

MOST_SEEDS = 20
"""More are not proposed."""


@dataclass(frozen=True)
class Needs:
    """What makes half of an interval as narrow as `half_width`, if the variances stay as they are."""

    half_width: float
    """In points."""
    seeds: int | None
    """None if even `MOST_SEEDS` are not enough."""
    rows: int | None = None
    """Test examples per language; None if those of the study are enough."""


def seeds_and_rows(contrast: ContrastEstimate, half_width: float, rows_per_language: int) -> Needs:
    """What an interval needs.

    Args:
        half_width: as a fraction, above 0.
    """
    parts, seeds = variance_parts(contrast.estimate, contrast.pool, contrast.floor), contrast.seeds
    points = 100 * half_width
    counts = range(seeds, max(seeds, MOST_SEEDS) + 1)
    for count in counts:
        if _half_width(contrast, parts, count, parts.examples) <= half_width:
            return Needs(points, count)
    # The variance over examples has half of what is allowed, as far as the seeds permit.
    count = next((n for n in counts if _half_width(contrast, parts, n, 0.0) <= half_width * math.sqrt(0.5)), counts[-1])
    low, high = 0.0, parts.examples  # the largest variance over examples that is narrow enough, by bisection
    if _half_width(contrast, parts, count, low) > half_width:
        return Needs(points, None)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _half_width(contrast, parts, count, middle) <= half_width else (low, middle)
    return Needs(points, count, math.ceil(rows_per_language * parts.examples / low) if low else None)


def _half_width(contrast: ContrastEstimate, parts: VarianceParts, seeds: int, examples: float) -> float:
    """Half of the interval with other numbers of seeds and examples, and the same variances."""
    variance = parts.seed / seeds + examples
    if variance == 0:
        return 0.0
    freedom = seeds - 1.0
    if contrast.pool is not None:
        freedom = min(PRIOR_FREEDOM + freedom, contrast.pool.freedom * freedom / (contrast.seeds - 1))
    share, units = parts.seed / seeds / variance, contrast.estimate.influence.shape[1]
    is_unstable = contrast.pool is not None and contrast.pool.is_unstable
    freedom = combined_freedom(share, freedom, max(1, units - 1), is_unstable)
    return quantile(freedom) * math.sqrt(variance)
