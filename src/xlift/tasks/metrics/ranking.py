"""Rankings of a pool of candidates: mAP@20 (LAReQA), MRR@20 (Mewsli-X, whose benchmark calls it mAP@20), mAP.

Gold is the list of relevant ids. A prediction is what dual encoding gives: {'top': the 20 nearest ids in order, 'ranks':
rank from 1 of every relevant candidate, None for one that is not in the pool}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xlift.tasks.metrics.base import Metric, mean

TOP = 20
"""Where XTREME-R cuts rankings."""


def average_precision(relevant: Sequence[str], ranked: Sequence[str], top: int = TOP) -> float:
    """Mean, over the relevant candidates, of the precision at their ranks; those below `top` count 0.

    As `average_precision_at_k` of XTREME-R's utils_lareqa.py: a candidate named twice counts where it stands first, and
    the divisor is the number of relevant ones or `top`, whichever is less. 0 where nothing is relevant (there it
    divides by zero).
    """
    wanted, hits, total = set(relevant), 0, 0.0
    divisor = min(len(wanted), top)
    for place, name in enumerate(ranked[:top], start=1):
        if name in wanted:
            wanted.remove(name)
            hits += 1
            total += hits / place
    return total / divisor if divisor else 0.0


def reciprocal_rank(relevant: Sequence[str], ranked: Sequence[str], top: int = TOP) -> float:
    """1 / rank of the first relevant candidate, 0 below `top` (`mean_reciprocal_rank` of XTREME-R's utils_mewslix.py)."""
    return next((1 / place for place, name in enumerate(ranked[:top], start=1) if name in relevant), 0.0)


def full_average_precision(ranks: Sequence[int | None]) -> float:
    """Average precision over the whole ranking, as LAReQA's paper reports it; one that is not in the pool counts 0."""
    found = sorted(rank for rank in ranks if rank is not None)
    return sum(hits / rank for hits, rank in enumerate(found, start=1)) / len(ranks) if ranks else 0.0


def _of_top(measure: Callable[[Sequence[str], Sequence[str]], float]) -> Callable[[Any, Any], tuple[float, ...]]:
    def counts(gold: Sequence[str] | None, prediction: dict[str, Any] | None) -> tuple[float, ...]:
        if gold is None:  # a candidate of the pool is no query
            return 0.0, 0.0
        return measure(gold, prediction["top"]) if prediction else 0.0, 1.0

    return counts


def _of_ranks(gold: Sequence[str] | None, prediction: dict[str, Any] | None) -> tuple[float, ...]:
    if gold is None:
        return 0.0, 0.0
    return full_average_precision(prediction["ranks"]) if prediction else 0.0, 1.0


MAP_AT_20 = Metric("map@20", "mean average precision at 20", ("precision", "queries"), _of_top(average_precision), mean)
MRR_AT_20 = Metric("mrr@20", "mean reciprocal rank at 20", ("reciprocal", "queries"), _of_top(reciprocal_rank), mean)
MAP = Metric("map", "mean average precision", ("precision", "queries"), _of_ranks, mean)
