"""F1 of mined pairs with a threshold fitted on dev, as XTREME scores BUCC.

A prediction is None or `{"text": id, "translation": id, "score": number}`, with `"repeated": true` if one of the
sentences has several ids; gold is the id of the translation or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlift.tasks.metrics.base import Metric, f1
from xlift.tasks.metrics.pairs import pair_counts

Prediction = dict[str, Any] | None


def official_threshold(scores: Sequence[float], correct: Sequence[bool], gold: int) -> float | None:
    """Threshold of `bucc_optimize` (XTREME's utils_retrieve.py): half-way between the last accepted candidate and the
    next one, where F1 is best; 0 if no candidate is correct; None if F1 is best with all candidates, where the script
    fails with an IndexError.

    The threshold may be between candidates of equal score; applying it then accepts all of them.

    Args:
        scores: of the candidates on dev; equal ones keep their order.
        gold: number of gold pairs.
    """
    descending, curve = _f1_curve(scores, correct, gold)
    if not len(curve) or not curve.max() > 0:
        return 0.0
    best = int(curve.argmax())  # ties go to the first
    return float((descending[best] + descending[best + 1]) / 2) if best + 1 < len(descending) else None


def repaired_threshold(scores: Sequence[float], correct: Sequence[bool], gold: int) -> float:
    """As `official_threshold`, but never between equal scores; the lowest score if F1 is best with all candidates."""
    descending, curve = _f1_curve(scores, correct, gold)
    if not len(curve) or not curve.max() > 0:
        return 0.0
    is_last = np.append(descending[:-1] > descending[1:], True)  # of equal scores
    best = int(np.where(is_last, curve, -1.0).argmax())
    if best + 1 == len(descending):
        return float(descending[best])
    middle = (descending[best] + descending[best + 1]) / 2  # equals one of them if they are adjacent floats
    return float(middle if middle > descending[best + 1] else descending[best])


def _f1_curve(scores: Sequence[float], correct: Sequence[bool], gold: int) -> tuple[np.ndarray, np.ndarray]:
    """Descending scores, and F1 after each of them, with the script's operations, so equal to the last bit."""
    given = np.asarray(scores, dtype=float)
    order = np.argsort(-given, kind="stable")
    hits = np.cumsum(np.asarray(correct, dtype=float)[order])
    precision, recall = hits / np.arange(1, len(order) + 1), hits / max(gold, 1)
    both = precision + recall
    return given[order], np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


def _threshold_fitter(threshold: Callable[[list[float], list[bool], int], float | None], repeated: bool) -> Any:
    """A function for `Metric.fit_threshold`.

    Args:
        repeated: whether pairs with a sentence that has several ids count.
    """

    def fit(gold: Sequence[str | None], predictions: Sequence[Prediction]) -> Callable[[Prediction], str | None]:
        pairs = [(p, g) for g, p in zip(gold, predictions, strict=True) if p and (repeated or not p.get("repeated"))]
        candidates = (
            [p["score"] for p, _ in pairs],
            [p["translation"] == g for p, g in pairs],
            sum(g is not None for g in gold),
        )
        minimum = threshold(*candidates)
        if minimum is None:
            minimum = repaired_threshold(*candidates)

        def apply_threshold(prediction: Prediction) -> str | None:
            if not prediction or (prediction.get("repeated") and not repeated) or not prediction["score"] >= minimum:
                return None
            return prediction["translation"]

        return apply_threshold

    return fit


_COUNT_NAMES = ("correct", "gold", "predicted")
BUCC_F1 = Metric(
    "bucc-f1", "F1 of mined pairs, as XTREME", _COUNT_NAMES, pair_counts, f1,
    formats=("mining",), fit_threshold=_threshold_fitter(official_threshold, repeated=False),
)  # fmt: skip
"""Gold pairs with a sentence that has several ids count as gold, but no prediction can match them."""
MINING_F1 = Metric(
    "mining-f1", "F1 of mined pairs", _COUNT_NAMES, pair_counts, f1,
    formats=("mining",), fit_threshold=_threshold_fitter(repaired_threshold, repeated=True),
)  # fmt: skip
