"""Accuracy: of labels, choices and retrieved sentences per example, and of tags per word."""

from __future__ import annotations

from collections.abc import Sequence

from xlift.tasks.metrics.base import Metric, mean


def accuracy_counts(gold: str | int | None, prediction: str | int | None) -> tuple[float, ...]:
    """(correct, 1). Gold and prediction are labels, indices of a choice, or ids of a sentence.

    (0, 0) without gold: a distractor of a retrieval task is not scored."""
    return (0.0, 0.0) if gold is None else (float(gold == prediction), 1.0)


def tag_accuracy_counts(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
    """(correct words, words) of one sentence."""
    return float(sum(g == p for g, p in zip(gold, prediction, strict=True))), float(len(gold))


ACCURACY = Metric(
    "accuracy", "accuracy", ("correct", "examples"), accuracy_counts, mean,
    formats=("classification", "multiple-choice", "retrieval"),
)  # fmt: skip
TAG_ACCURACY = Metric(
    "tag-accuracy", "accuracy per word", ("correct", "words"), tag_accuracy_counts, mean, formats=("tagging",)
)
