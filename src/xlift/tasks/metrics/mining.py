"""F1 of mined pairs whose cut is chosen on dev, as XTREME scores BUCC.

A prediction is `{"text": id, "translation": id, "score": number}`, with `"repeated": true` where one of the sentences
stands under several ids, or None; gold is the id of the counterpart or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlift.tasks.metrics.base import Metric, f1
from xlift.tasks.metrics.pairs import mined

Prediction = dict[str, Any] | None


def official_threshold(scores: Sequence[float], correct: Sequence[bool], gold: int) -> float | None:
    """The cut of `bucc_optimize` (XTREME's utils_retrieve.py): half-way from the last candidate of the best cut to the
    next one; 0 where no candidate is right; None where it fails with an IndexError, the best cut being after the last.

    Between candidates of equal score it may cut too, and then takes all of them at extraction.

    Args:
        scores: of the candidates on dev; equal ones are gone through in the order given.
        gold: number of gold pairs.
    """
    falling, curve = _curve(scores, correct, gold)
    if not len(curve) or not curve.max() > 0:
        return 0.0
    best = int(curve.argmax())  # the first of equal ones
    return float((falling[best] + falling[best + 1]) / 2) if best + 1 < len(falling) else None


def repaired_threshold(scores: Sequence[float], correct: Sequence[bool], gold: int) -> float:
    """As `official_threshold`, but it parts no equal scores, and a best cut after the last candidate is its score."""
    falling, curve = _curve(scores, correct, gold)
    if not len(curve) or not curve.max() > 0:
        return 0.0
    last = np.append(falling[:-1] > falling[1:], True)
    best = int(np.where(last, curve, -1.0).argmax())
    if best + 1 == len(falling):
        return float(falling[best])
    middle = (falling[best] + falling[best + 1]) / 2
    return float(
        middle if middle > falling[best + 1] else falling[best]
    )  # of neighbouring floats the middle is one of them


def _curve(scores: Sequence[float], correct: Sequence[bool], gold: int) -> tuple[np.ndarray, np.ndarray]:
    """Falling scores, and F1 after each of them by the operations of the script, to the last bit."""
    given = np.asarray(scores, dtype=float)
    order = np.argsort(-given, kind="stable")
    hits = np.cumsum(np.asarray(correct, dtype=float)[order])
    precision, recall = hits / np.arange(1, len(order) + 1), hits / max(gold, 1)
    both = precision + recall
    return given[order], np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


def _chooser(threshold: Callable[[list[float], list[bool], int], float | None], repeated: bool) -> Any:
    """What `Metric.choose` asks for.

    Args:
        repeated: whether pairs with a sentence that stands under several ids count.
    """

    def choose(gold: Sequence[str | None], predictions: Sequence[Prediction]) -> Callable[[Prediction], str | None]:
        pairs = [(p, g) for g, p in zip(gold, predictions, strict=True) if p and (repeated or not p.get("repeated"))]
        candidates = (
            [p["score"] for p, _ in pairs],
            [p["translation"] == g for p, g in pairs],
            sum(g is not None for g in gold),
        )
        cut = threshold(*candidates)
        if cut is None:
            cut = repaired_threshold(*candidates)

        def kept(prediction: Prediction) -> str | None:
            if not prediction or (prediction.get("repeated") and not repeated) or not prediction["score"] >= cut:
                return None
            return prediction["translation"]

        return kept

    return choose


_COLUMNS = ("correct", "gold", "predicted")
BUCC_F1 = Metric(
    "bucc-f1", "F1 of mined pairs, as XTREME", _COLUMNS, mined, f1, choose=_chooser(official_threshold, repeated=False)
)
"""Gold pairs with a sentence that stands under several ids count as gold and cannot be found."""
MINING_F1 = Metric(
    "mining-f1", "F1 of mined pairs", _COLUMNS, mined, f1, choose=_chooser(repaired_threshold, repeated=True)
)
