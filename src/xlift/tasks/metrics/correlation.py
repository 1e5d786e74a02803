"""Pearson's and Spearman's correlation of predicted numbers with gold ones: semantic textual similarity (GLUE's STS-B),
estimated quality of translations (WMT).

A correlation is in -1..1, and 0 if all gold numbers or all predictions are equal (scipy gives nan).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlift.tasks.metrics.base import Metric

MIN_SHARE = 1e-13
"""A variance below this share of the mean square is rounding, as in scipy's warning for nearly constant numbers."""
MAX_CELLS = 1 << 20
"""Pairs of examples that are compared at a time (memory)."""


def pearson_counts(gold: float | None, prediction: float) -> tuple[float, ...]:
    """(1, x, y, x², y², xy) of gold x and prediction y; zeros without gold."""
    if gold is None:
        return (0.0,) * 6
    return 1.0, gold, prediction, gold * gold, prediction * prediction, gold * prediction


def pearson(sums: np.ndarray) -> np.ndarray:
    """(..., 6) sums of `pearson_counts` -> (...) correlations."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    variances = [
        np.where(variance > MIN_SHARE * n * square, variance, 0.0)
        for variance, square in ((n * xx - x * x, xx), (n * yy - y * y, yy))
    ]
    return _quotient(n * xy - x * y, *variances)


def spearman_counts(gold: float | None, prediction: float) -> tuple[float, ...]:
    """(gold, prediction); nan without gold."""
    return math.nan if gold is None else gold, prediction


def spearman(pairs: np.ndarray) -> np.ndarray:
    """(n, 2) pairs -> () the correlation of their ranks; equal numbers share the mean of their ranks."""
    x, y = (_centred_ranks(column)[0] for column in _known(pairs).T)
    return _quotient(x @ y, x @ x, y @ y)


def spearman_leave_one_out(pairs: np.ndarray) -> np.ndarray:
    """(n, 2) pairs -> (n,) Spearman's correlation without each of them: exact, in O(n²).

    The centred rank of j is half of the sum of sign(x_j - x_k) over all k, so leaving out i takes half of
    sign(x_j - x_i) from it. The three sums of the correlation follow from the ranks and these signs.
    """
    known = ~np.isnan(pairs[:, 0])
    (x, x_code, x_sizes), (y, y_code, y_sizes) = (_centred_ranks(column) for column in _known(pairs).T)
    n = len(x)
    concordance = np.zeros(n)  # sum of sign(x_j - x_i) sign(y_j - y_i) over j
    step = max(1, MAX_CELLS // max(1, n))
    for start in range(0, n, step):
        block = slice(start, start + step)
        signs = np.sign(x_code - x_code[block, None]) * np.sign(y_code - y_code[block, None])
        concordance[block] = signs.sum(axis=1)
    xx = x @ x - _signed_sums(x_code, x) + (n - x_sizes[x_code]) / 4 - x * x
    yy = y @ y - _signed_sums(y_code, y) + (n - y_sizes[y_code]) / 4 - y * y
    xy = x @ y - (_signed_sums(x_code, y) + _signed_sums(y_code, x)) / 2 + concordance / 4 - x * y
    left_out = np.full(len(pairs), spearman(pairs))
    left_out[known] = _quotient(xy, xx, yy)
    return left_out


def _known(pairs: np.ndarray) -> np.ndarray:
    return pairs[~np.isnan(pairs[:, 0])]


def _centred_ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rank of each number minus the mean rank, its place among the distinct numbers, and how often each of those
    occurs."""
    _, code, sizes = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(sizes) - sizes
    return (below + (sizes - len(values)) / 2)[code], code.astype(np.int32), sizes


def _signed_sums(code: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) sum over j of sign(code_j - code_i) * values_j."""
    sums = np.bincount(code, values)
    up_to = np.cumsum(sums)
    return (up_to[-1:] - 2 * up_to + sums)[code]


def _quotient(covariance: Any, x_variance: Any, y_variance: Any) -> np.ndarray:
    """The correlation; 0 without variance."""
    covariance = np.asarray(covariance, dtype=float)
    scale = np.sqrt(np.maximum(x_variance, 0)) * np.sqrt(np.maximum(y_variance, 0))
    return np.clip(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0), -1.0, 1.0)


PEARSON = Metric(
    "pearson", "Pearson's correlation", ("examples", "x", "y", "x²", "y²", "xy"), pearson_counts, pearson,
    formats=("regression",), lowest_score=-1.0,
)  # fmt: skip
SPEARMAN = Metric(
    "spearman", "Spearman's correlation of ranks", ("gold", "prediction"), spearman_counts, spearman,
    formats=("regression",), leave_one_out=spearman_leave_one_out, lowest_score=-1.0,
)  # fmt: skip
