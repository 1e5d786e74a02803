"""Metrics of ranked candidates: mAP@20 (LAReQA), MRR@20 (Mewsli-X, whose benchmark calls it mAP@20), mAP.

Gold is the list of relevant ids. A prediction, from the format dual-encoding, is {'top': the 20 nearest ids in order,
'ranks': rank (from 1) of every relevant candidate, None if it is not in the pool}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xlift.tasks.metrics.base import Metric, mean

TOP_K = 20
"""Candidates of a ranking that XTREME-R scores."""


def average_precision(relevant: Sequence[str], ranked: Sequence[str], top: int = TOP_K) -> float:
    """Mean, over the relevant candidates, of the precision at their ranks; 0 for ranks after `top`.

    As `average_precision_at_k` of XTREME-R's utils_lareqa.py: a repeated candidate counts at its first rank, and the
    divisor is the number of relevant candidates or `top`, whichever is less. 0 if nothing is relevant (the script
    divides by zero).
    """
    remaining, hits, total = set(relevant), 0, 0.0
    divisor = min(len(remaining), top)
    for rank, id in enumerate(ranked[:top], start=1):
        if id in remaining:
            remaining.remove(id)
            hits += 1
            total += hits / rank
    return total / divisor if divisor else 0.0


def reciprocal_rank(relevant: Sequence[str], ranked: Sequence[str], top: int = TOP_K) -> float:
    """1 / rank of the first relevant candidate, 0 after `top`, as XTREME-R's utils_mewslix.py computes it."""
    return next((1 / rank for rank, id in enumerate(ranked[:top], start=1) if id in relevant), 0.0)


def full_average_precision(ranks: Sequence[int | None]) -> float:
    """Average precision over the whole ranking, as in LAReQA's paper; a candidate that is not in the pool counts 0."""
    found = sorted(rank for rank in ranks if rank is not None)
    return sum(hits / rank for hits, rank in enumerate(found, start=1)) / len(ranks) if ranks else 0.0


def _top_counts(measure: Callable[[Sequence[str], Sequence[str]], float]) -> Callable[[Any, Any], tuple[float, ...]]:
    def counts(gold: Sequence[str] | None, prediction: dict[str, Any] | None) -> tuple[float, ...]:
        if gold is None:  # a candidate of the pool, not a query
            return 0.0, 0.0
        return measure(gold, prediction["top"]) if prediction else 0.0, 1.0

    return counts


def _rank_counts(gold: Sequence[str] | None, prediction: dict[str, Any] | None) -> tuple[float, ...]:
    if gold is None:
        return 0.0, 0.0
    return full_average_precision(prediction["ranks"]) if prediction else 0.0, 1.0


_COUNT_NAMES = ("precision", "queries")
MAP_AT_20 = Metric(
    "map@20",
    "mean average precision at 20",
    _COUNT_NAMES,
    _top_counts(average_precision),
    mean,
    formats=("dual-encoding",),
)
MRR_AT_20 = Metric(
    "mrr@20", "mean reciprocal rank at 20", ("reciprocal", "queries"), _top_counts(reciprocal_rank), mean,
    formats=("dual-encoding",),
)  # fmt: skip
MAP = Metric("map", "mean average precision", _COUNT_NAMES, _rank_counts, mean, formats=("dual-encoding",))
