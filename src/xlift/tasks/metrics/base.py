"""A metric: counts per example that add up, and a score computed from their sums.

Since counts add up, the score of any subset of the examples can be computed from them: of a language, a bootstrap
resample, the examples on which two models differ. An interval needs only the counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    name: str
    title: str
    count_names: tuple[str, ...]
    """Meaning of each count."""
    compute_counts: Callable[..., tuple[float, ...]]
    """(gold, prediction) of one example -> its counts; with `uses_language`: (gold, prediction, language)."""
    compute_score: Callable[[np.ndarray], np.ndarray]
    """(..., counts) sums of counts -> (...) scores in 0..1."""
    uses_language: bool = False
    """Whether the rule depends on the language (articles, words without spaces)."""

    fit_threshold: Callable[[Sequence[Any], Sequence[Any]], Callable[[Any], Any]] | None = None
    """For a metric whose threshold is fitted on dev: (gold, predictions) of dev -> a function that applies the
    threshold to one prediction, before `compute_counts`."""

    signature: Callable[[], str] | None = None
    """Version and settings of the tool that computes the score, to publish beside it."""

    def count_example(self, gold: Any, prediction: Any, language: str) -> tuple[float, ...]:
        """The counts of one example; `language` is ignored unless `uses_language`."""
        arguments = (gold, prediction, language) if self.uses_language else (gold, prediction)
        return self.compute_counts(*arguments)


def mean(sums: np.ndarray) -> np.ndarray:
    """(..., [sum, number]) -> (...) their quotient; nan for no examples."""
    total, number = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def f1(sums: np.ndarray) -> np.ndarray:
    """(..., [correct, gold, predicted]) -> (...) micro F1; 0 if gold and prediction are both empty (seqeval)."""
    correct, gold, predicted = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    total = gold + predicted
    return np.divide(2 * correct, total, out=np.zeros_like(total), where=total > 0)
