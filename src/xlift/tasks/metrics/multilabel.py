"""Micro and macro F1 of sets of labels (multi-label classification)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xlift.tasks.metrics.base import Metric, f1


def micro_counts(gold: Sequence[str] | None, prediction: Sequence[str]) -> tuple[float, ...]:
    """(labels in both, in gold, in the prediction) of one example; zeros without gold."""
    if gold is None:
        return 0.0, 0.0, 0.0
    return float(len({*gold} & {*prediction})), float(len({*gold})), float(len({*prediction}))


def macro_counts(gold: Sequence[str] | None, prediction: Sequence[str], labels: Sequence[str]) -> tuple[float, ...]:
    """(in both, in gold, in the prediction) for each of `labels`."""
    if gold is None:
        return (0.0,) * (3 * len(labels))
    pairs = [(float(label in gold), float(label in prediction)) for label in labels]
    return tuple(count for expected, predicted in pairs for count in (expected * predicted, expected, predicted))


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """(..., 3 x labels) -> (...) mean of F1 over the labels that occur in gold; 0 if none does.

    A label that no example has would count 0 whatever the model predicts.
    """
    sums = np.asarray(sums, dtype=float)
    by_label = sums.reshape(*sums.shape[:-1], -1, 3)
    occurs = by_label[..., 1] > 0
    number = occurs.sum(axis=-1)
    total = np.where(occurs, f1(by_label), 0.0).sum(axis=-1)
    return np.divide(total, number, out=np.zeros_like(total), where=number > 0)


_COUNT_NAMES = ("correct", "gold", "predicted")
MICRO_F1 = Metric("micro-f1", "micro F1 of labels", _COUNT_NAMES, micro_counts, f1, formats=("multi-label",))
MACRO_F1 = Metric(
    "macro-f1", "macro F1 of labels", _COUNT_NAMES, macro_counts, macro_f1, formats=("multi-label",), uses_labels=True
)
