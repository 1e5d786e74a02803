"""95% intervals over seeds and test examples together, for any score that is smooth in the examples.

Every seed is scored on the same examples, so seeds and examples are crossed:

    score(seed, example) = mean + seed + example + seed x example

Three deterministic steps:

1. `linearise`: the delete-one jackknife (Efron 1982) gives the score of one run and the influence of every example on
   it. It is exact for means and also valid for smooth functions of means, such as F1 and correlations.
2. A mean over languages or targets, or a difference of two pipelines, is the same sum of scores and of influences.
   Examples that are translations of each other share a column, so they are resampled jointly.
3. `score_interval`, `lift_interval`: variance over seeds plus variance over examples, and Student's t with the degrees
   of freedom of Welch (1947) and Satterthwaite (1946), or of Cochran (1964) where the seeds have fewer than four. The
   variance between seeds contains the seed x example part, so it is taken out of the variance over examples.

Two or three seeds estimate their variance badly: with two, the width of an interval is mostly chance. A `SeedPool`
(seed_variance.py) brings in the other pipelines of the same target, weighted as `PRIOR_FREEDOM` degrees of freedom.
`benchmarks/coverage.py` measures how often the intervals contain the true value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
PRIOR_FREEDOM = 4.0
"""Weight of the pooled variance between seeds, in degrees of freedom. benchmarks/coverage.py shows what it gives."""

FEW_FREEDOM = 4.0
"""With fewer degrees of freedom, a variance between seeds may be small by chance, and the formula of Welch and
Satterthwaite then gives too many: intervals hold the true value in 88 to 93% of the cases. Cochran's (1964) mean of the
quantiles is used instead."""

Value = Callable[[np.ndarray], np.ndarray]
"""(..., K) summed counts -> (...) scores."""

LeaveOneOut = Callable[[np.ndarray], np.ndarray]
"""(n, K) counts of all examples -> (n,) scores without each of them."""


class Interval(NamedTuple):
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A score, a mean of scores or a difference of scores, for S seeds on n units (examples)."""

    scores: np.ndarray
    """(S,) one value per seed."""
    influence: np.ndarray
    """(S, n) centred, and scaled so that the squares of a row sum to the variance of that seed over examples."""

    @property
    def value(self) -> float:
        return float(self.scores.mean())

    def __sub__(self, other: Estimate) -> Estimate:
        """The paired difference: seed by seed, example by example."""
        return Estimate(self.scores - other.scores, self.influence - other.influence)


class SeedPool(NamedTuple):
    """The variance between seeds that all pipelines of a target show together."""

    variance: float
    """Of one seed's value, in squared units of the score."""
    freedom: float
    """Its degrees of freedom."""
    is_unstable: bool = False
    """Whether it is the variance of one pipeline alone, which varies far more than the others."""
    pipelines: int = 0
    """Number of pipelines that it is pooled over; 0 for the variance of one pipeline alone."""
    source: str = ""
    """Name of the study that it is borrowed from; '' for the study itself."""
    seed_example: float = 0.0
    """Of a borrowed one: the part of `variance` that differs between examples. One seed alone cannot show it."""

    def scaled(self, factor: float) -> SeedPool:
        """The pool of the values times `factor`."""
        return self._replace(variance=self.variance * factor**2, seed_example=self.seed_example * factor**2)


class Spread(NamedTuple):
    variance: float
    freedom: float
    """Degrees of freedom of `variance`; 0 if it cannot be estimated (one example)."""


def linearise(counts: np.ndarray, value: Value, leave_one_out: LeaveOneOut | None = None) -> tuple[float, np.ndarray]:
    """The score of one run and the influence of each of its examples.

    Args:
        counts: (n, K) sufficient counts of each example.
        value: maps summed counts to the score. 0/0 (no gold and no predicted spans) counts as 0, as in seqeval.
        leave_one_out: for a score that is no function of sums; `value` then maps all counts to the score.

    Returns:
        The score, and (n,) influences whose squares sum to the jackknife variance.
    """
    counts = np.asarray(counts, dtype=np.float64)
    n, total = len(counts), counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = float(np.nan_to_num(value(counts if leave_one_out else total)))
        left_out = np.nan_to_num(leave_one_out(counts) if leave_one_out else value(total - counts))
    return score, np.sqrt((n - 1) / n) * (left_out.mean() - left_out)


class VarianceParts(NamedTuple):
    """What the variance of a mean over two or more seeds is made of."""

    seed: float
    """Of one seed's value."""
    seed_freedom: float
    examples: float
    """Over examples, without the seed x example part, which `seed` has."""


def variance_parts(estimate: Estimate, pool: SeedPool | None = None, floor: float = 0.0) -> VarianceParts:
    """The parts of the variance of an estimate over two or more seeds, or over one with a pool; the arguments are those of
    `spread`."""
    seeds = len(estimate.scores)
    seed_variance, seed_freedom = float(estimate.scores.var(ddof=min(1, seeds - 1))), seeds - 1.0
    if pool is not None:
        moderated = PRIOR_FREEDOM * pool.variance + seed_freedom * seed_variance
        seed_variance = moderated / (PRIOR_FREEDOM + seed_freedom)
        # The estimate's own seeds are among those of the pool.
        seed_freedom = min(PRIOR_FREEDOM + seed_freedom, pool.freedom)
    if seeds > 1:
        seed_example = float(estimate.influence.var(axis=0, ddof=1).sum()) / seeds
    else:
        seed_example = pool.seed_example if pool else 0.0
    return VarianceParts(seed_variance, seed_freedom, max(0.0, _over_examples(estimate) + floor - seed_example))


def _over_examples(estimate: Estimate) -> float:
    return float(np.square(estimate.influence.mean(axis=0)).sum())


def spread(estimate: Estimate, pool: SeedPool | None = None, floor: float = 0.0) -> Spread:
    """Variance of the mean over seeds, and its degrees of freedom. With one seed and no pool it covers examples only.

    Args:
        pool: the variance between seeds that the pipelines share; None to use that of the estimate alone.
        floor: added to the variance over examples.
    """
    seeds, units = estimate.influence.shape
    if units < 2:
        return Spread(0.0, 0.0)
    over_examples = _over_examples(estimate) + floor
    if seeds == 1 and pool is None:
        return Spread(over_examples, units - 1.0)
    parts = variance_parts(estimate, pool, floor)
    over_seeds = parts.seed / seeds
    variance = over_seeds + parts.examples
    if pool is None or seeds == 1:  # a few seeds may agree by chance
        variance = max(variance, over_examples)
    if variance == 0:
        return Spread(0.0, units - 1.0)
    is_unstable = pool is not None and pool.is_unstable
    return Spread(variance, combined_freedom(over_seeds / variance, parts.seed_freedom, units - 1.0, is_unstable))


def combined_freedom(
    seed_share: float, seed_freedom: float, example_freedom: float, is_unstable: bool = False
) -> float:
    """Degrees of freedom of a variance over seeds and examples.

    Args:
        seed_share: the share of the seeds. Shares do not underflow when squared; tiny variances would.
        is_unstable: a pipeline keeps its own variance because it is large, so that one is not small by chance.
    """
    from scipy.special import stdtridf

    if seed_freedom < FEW_FREEDOM and not is_unstable:
        weighted = seed_share * quantile(seed_freedom) + (1 - seed_share) * quantile(example_freedom)
        found = float(stdtridf((1 + LEVEL) / 2, weighted))
        return min(max(found, min(seed_freedom, example_freedom)), example_freedom)
    return 1 / (seed_share**2 / seed_freedom + (1 - seed_share) ** 2 / example_freedom)


def quantile(freedom: float) -> float:
    """The t value of half the width of an interval."""
    from scipy.special import stdtrit  # importing scipy.stats takes a second, scipy.special a tenth

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def score_interval(estimate: Estimate, lowest: float = 0.0, pool: SeedPool | None = None) -> Interval:
    """Interval of a score in `lowest`..1: Wilson's (1927), with the effective number of examples that gives the same
    variance.

    Unlike value ± t·sd, it stays inside of the range and does not shrink to a point if every answer is correct. For a
    correlation it is close to Fisher's (1921).
    """
    if lowest:
        width = 1 - lowest
        scaled = Estimate((estimate.scores - lowest) / width, estimate.influence / width)
        interval = score_interval(scaled, pool=pool and pool.scaled(1 / width))
        return Interval(estimate.value, interval.low * width + lowest, interval.high * width + lowest)
    value, (variance, freedom) = estimate.value, spread(estimate, pool)
    if freedom == 0:
        return Interval(value, 0.0, 1.0)
    t2 = quantile(freedom) ** 2
    binomial = value * (1 - value)  # variance of a single yes-or-no answer
    if binomial <= 0:  # all correct or all wrong: the width depends on the number of examples alone
        shrink = t2 / (t2 + estimate.influence.shape[1])
        return Interval(value, min(value, 1 - shrink), max(value, shrink))
    ratio = t2 * variance / binomial  # t² over the effective number of examples
    centre = (value + ratio / 2) / (1 + ratio)
    half = np.sqrt(ratio * binomial + ratio**2 / 4) / (1 + ratio)
    return Interval(value, float(max(0.0, min(centre - half, value))), float(min(1.0, max(centre + half, value))))


def lift_interval(
    estimate: Estimate,
    lower_bound: float = -1.0,
    upper_bound: float = 1.0,
    pool: SeedPool | None = None,
    floor: float = 0.0,
) -> Interval:
    """Interval of a difference of scores: value ± t·sd, clipped to `lower_bound` and `upper_bound`."""
    value, (variance, freedom) = estimate.value, spread(estimate, pool, floor)
    if freedom == 0:
        return Interval(value, lower_bound, upper_bound)
    half = quantile(freedom) * np.sqrt(variance)
    return Interval(value, float(max(lower_bound, value - half)), float(min(upper_bound, value + half)))


def example_floor(n: int) -> float:
    """1/n², to be added to the variance of a difference over n examples (Agresti and Min 2005): a few examples may carry
    all of it, and where none of them was drawn the others show no variance."""
    return n**-2.0


def p_value(estimate: Estimate, pool: SeedPool | None = None, floor: float = 0.0, null: float = 0.0) -> float:
    """One-sided p-value of "the difference is at most `null`": small if the estimate is far above it. 1 - p is that of
    "at least `null`". 0.5 where nothing can be estimated."""
    from scipy.special import stdtr

    variance, freedom = spread(estimate, pool, floor)
    distance = estimate.value - null
    if freedom == 0 or (variance == 0 and distance == 0):
        return 0.5
    return float(stdtr(freedom, -distance / np.sqrt(variance))) if variance else float(distance < 0)


def ratio(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Mean score over mean score, paired seed by seed and example by example.

    Linearised around both means (the delta method), so a seed with a low score weighs no more than the others. The
    mean of `denominator` must not be 0.
    """
    value = numerator.value / denominator.value
    return Estimate(
        value + (numerator.scores - value * denominator.scores) / denominator.value,
        (numerator.influence - value * denominator.influence) / denominator.value,
    )


def sign_of(low: float | None, high: float | None) -> int:
    """+1 or -1 if the interval of a difference excludes zero, else 0. None is an unknown bound."""
    if low is not None and low > 0:
        return 1
    return -1 if high is not None and high < 0 else 0
