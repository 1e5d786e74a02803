"""F1, precision and recall of labels: of each example one (classification) or several (multi-label classification)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xlift.tasks.metrics.base import Metric, f1, labels_of


def micro_counts(gold: Sequence[str] | None, prediction: Sequence[str]) -> tuple[float, ...]:
    """(labels in both, in gold, in the prediction) of one example; zeros without gold."""
    if gold is None:
        return 0.0, 0.0, 0.0
    return float(len({*gold} & {*prediction})), float(len({*gold})), float(len({*prediction}))


def macro_counts(
    gold: str | Sequence[str] | None, prediction: str | Sequence[str], labels: Sequence[str]
) -> tuple[float, ...]:
    """(in both, in gold, in the prediction) for each of `labels`; gold and prediction are a label or several."""
    if gold is None:
        return (0.0,) * (3 * len(labels))
    expected, predicted = labels_of(gold), labels_of(prediction)
    pairs = [(float(label in expected), float(label in predicted)) for label in labels]
    return tuple(
        count for in_gold, in_prediction in pairs for count in (in_gold * in_prediction, in_gold, in_prediction)
    )


def precision(sums: np.ndarray) -> np.ndarray:
    """(..., [correct, gold, predicted]) -> (...) precision; 0 if nothing is predicted (scikit-learn's `zero_division=0`)."""
    correct, _, predicted = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    return np.divide(correct, predicted, out=np.zeros_like(correct), where=predicted > 0)


def recall(sums: np.ndarray) -> np.ndarray:
    """(..., [correct, gold, predicted]) -> (...) recall; 0 if nothing is in gold."""
    correct, gold, _ = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    return np.divide(correct, gold, out=np.zeros_like(correct), where=gold > 0)


def _macro(score: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """(..., 3 x labels) -> (...) mean of a score over the labels that occur in gold; 0 if none does.

    A label that no example has would count 0 whatever the model predicts. The labels of the mean are thus the same for
    all models, which scikit-learn gives with `labels=numpy.unique(gold)`.
    """

    def average(sums: np.ndarray) -> np.ndarray:
        sums = np.asarray(sums, dtype=float)
        by_label = sums.reshape(*sums.shape[:-1], -1, 3)
        occurs = by_label[..., 1] > 0
        number = occurs.sum(axis=-1)
        total = np.where(occurs, score(by_label), 0.0).sum(axis=-1)
        return np.divide(total, number, out=np.zeros_like(total), where=number > 0)

    return average


_COUNT_NAMES = ("correct", "gold", "predicted")
MICRO_F1 = Metric("micro-f1", "micro F1 of labels", _COUNT_NAMES, micro_counts, f1, formats=("multi-label",))
MACRO_F1, MACRO_PRECISION, MACRO_RECALL = (
    Metric(f"macro-{name}", f"macro {title} of labels", _COUNT_NAMES, macro_counts, _macro(score), formats=("classification", "multi-label"), uses_labels=True)
    for name, title, score in (("f1", "F1", f1), ("precision", "precision", precision), ("recall", "recall", recall))
)  # fmt: skip
