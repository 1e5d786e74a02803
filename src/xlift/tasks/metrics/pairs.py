"""F1 of mined pairs (BUCC), and the mean of accuracy and F1 of paraphrases (QQP)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from xlift.tasks.metrics.base import Metric, f1

Partners = Collection[str] | str | None
"""Ids of the translations of one sentence: none, one or several."""


def pair_counts(gold: Partners, prediction: Partners) -> tuple[float, ...]:
    """(pairs in both, in gold, in the prediction) of one source sentence.

    Summed over sentences they give F1 on the *sets* of pairs, as XTREME scores BUCC: a repeated pair counts once.
    """
    expected, predicted = _to_set(gold), _to_set(prediction)
    return float(len(expected & predicted)), float(len(expected)), float(len(predicted))


def _to_set(partners: Partners) -> set[str]:
    return {partners} if isinstance(partners, str) else set(partners or ())


PARAPHRASE = ("duplicate", "paraphrase", "equivalent", "1")
"""Positive labels in QQP, PAWS-X and MRPC: the class whose F1 GLUE reports."""


def paraphrase_counts(gold: str | None, prediction: str) -> tuple[float, ...]:
    """(correct, examples, positive in both, positive in gold, predicted positive)."""
    if gold is None:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    expected, predicted = gold in PARAPHRASE, prediction in PARAPHRASE
    return float(gold == prediction), 1.0, float(expected and predicted), float(expected), float(predicted)


def accuracy_and_f1(sums: np.ndarray) -> np.ndarray:
    """(..., 5) -> (...) mean of accuracy and F1, the major metric of QQP in jiant; nan for no examples."""
    sums = np.asarray(sums, dtype=float)
    correct, examples = sums[..., 0], sums[..., 1]
    accuracy = np.divide(correct, examples, out=np.full_like(correct, np.nan), where=examples > 0)
    return (accuracy + f1(sums[..., 2:])) / 2


def check_paraphrase_labels(labels: Sequence[str]) -> str:
    """Two labels, one of them of `PARAPHRASE`, whose F1 is taken."""
    positive = [label for label in labels if label in PARAPHRASE]
    if len(labels) == 2 and len(positive) == 1:
        return ""
    return f"it needs two labels, one of which is {', '.join(PARAPHRASE[:-1])} or {PARAPHRASE[-1]}"


PAIR_F1 = Metric("pair-f1", "F1 of pairs", ("correct", "gold", "predicted"), pair_counts, f1)
"""No format predicts sets of pairs."""
ACCURACY_F1 = Metric(
    "accuracy-f1",
    "mean of accuracy and F1",
    ("correct", "examples", "both", "gold", "predicted"),
    paraphrase_counts,
    accuracy_and_f1,
    formats=("classification",),
    check_labels=check_paraphrase_labels,
)
