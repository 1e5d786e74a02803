"""A metric: counts per example that add up, and a score computed from their sums.

Since counts add up, the score of any subset of the examples can be computed from them: of a language, a bootstrap
resample, the examples on which two models differ. An interval needs only the counts. A metric whose score is no
function of sums (Spearman's correlation) gives the score without each example instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    name: str
    title: str
    count_names: tuple[str, ...]
    """Meaning of each count."""
    compute_counts: Callable[..., tuple[float, ...]]
    """(gold, prediction) of one example -> its counts. The language follows with `uses_language`, the labels with
    `uses_labels`."""
    compute_score: Callable[[np.ndarray], np.ndarray]
    """(..., counts) sums of counts -> (...) scores; with `leave_one_out`: (n, counts) of all examples -> their score."""
    formats: tuple[str, ...] = ()
    """Names of the formats whose predictions it scores."""
    check_labels: Callable[[Sequence[str]], str] = lambda labels: ""
    """Labels of a task -> why the metric cannot read them; '' if it can."""
    uses_language: bool = False
    """Whether the rule depends on the language (articles, words without spaces)."""
    uses_labels: bool = False
    """Whether `count_names` are repeated for each label. Gold (or None) and prediction are a label or a list of labels
    then, and the labels are those of all examples, sorted."""
    leave_one_out: Callable[[np.ndarray], np.ndarray] | None = None
    """For a score that is no function of sums: (n, counts) of all examples -> (n,) scores without each of them."""
    lowest_score: float = 0.0
    """Scores are in `lowest_score`..1: -1 for a correlation."""
    unknown_language: Callable[[str], str] | None = None
    """For a rule that depends on the language: what stands in for the rule in a language ('tokenization 13a'); '' for a
    language that has one."""
    fit_threshold: Callable[[Sequence[Any], Sequence[Any]], Callable[[Any], Any]] | None = None
    """For a metric whose threshold is fitted on dev: (gold, predictions) of dev -> a function that applies the
    threshold to one prediction, before `compute_counts`."""

    signature: Callable[[], str] | None = None
    """Version and settings of the tool that computes the score, to publish beside it."""

    def count_example(self, gold: Any, prediction: Any, language: str, labels: Sequence[str] = ()) -> tuple[float, ...]:
        """The counts of one example. `language` is ignored unless `uses_language`, `labels` unless `uses_labels`."""
        language_argument = (language,) if self.uses_language else ()
        return self.compute_counts(gold, prediction, *language_argument, *((labels,) if self.uses_labels else ()))

    def count_examples(self, golds: Sequence[Any], predictions: Sequence[Any], language: str) -> np.ndarray:
        """(n, counts) the counts of all examples."""
        labels = sorted({*chain(*map(labels_of, (*golds, *predictions)))}) if self.uses_labels else ()
        pairs = zip(golds, predictions, strict=True)
        return np.array([self.count_example(*pair, language, labels) for pair in pairs], dtype=float)

    def score(self, counts: np.ndarray) -> float:
        """The score of examples from their (n, counts)."""
        return float(self.compute_score(counts if self.leave_one_out else counts.sum(axis=0)))


def labels_of(answer: str | Sequence[str] | None) -> Sequence[str]:
    """The labels of an answer: one, several or none."""
    return (answer,) if isinstance(answer, str) else answer or ()


def mean(sums: np.ndarray) -> np.ndarray:
    """(..., [sum, number]) -> (...) their quotient; nan for no examples."""
    total, number = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def f1(sums: np.ndarray) -> np.ndarray:
    """(..., [correct, gold, predicted]) -> (...) micro F1; 0 if gold and prediction are both empty (seqeval)."""
    correct, gold, predicted = np.moveaxis(np.asarray(sums, dtype=float), -1, 0)
    total = gold + predicted
    return np.divide(2 * correct, total, out=np.zeros_like(total), where=total > 0)
