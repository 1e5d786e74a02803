"""One temperature that calibrates the probabilities of a classifier (Guo et al. 2017, 'On Calibration of Modern Neural Networks').

The logits of every example are divided by it. No prediction changes, only how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xlift.analysis.class_scores import expected_calibration_error
from xlift.errors import UserError
from xlift.studies.predictions import DecisionScores
from xlift.tasks.formats.base import softmax

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures that are tried. The best one of a classifier is between 0.5 and 5 in practice; one outside of these means that
the examples are too few or too easy."""
SMALLEST = 2.0**-24
"""The smallest probability above 0 in float16, as which probabilities are stored."""


@dataclass(frozen=True)
class Calibration:
    """How well probabilities fit the answers."""

    n: int
    """Number of examples."""
    log_loss: float
    """Mean negative log likelihood of the gold labels, in nats."""
    calibration_error: float
    """`expected_calibration_error`."""


def to_logits(scores: DecisionScores) -> np.ndarray:
    """(n, labels) logits of stored predictions, up to a constant of each row."""
    rows = np.array(scores.rows, dtype=np.float64)
    return np.log(np.maximum(rows, SMALLEST)) if scores.kind == "probability" else rows


def measure(logits: np.ndarray, gold: np.ndarray, temperature: float = 1.0) -> Calibration:
    """The calibration of some predictions.

    Args:
        logits: (n, labels)
        gold: (n,) int, index of the gold label of each example.
    """
    probabilities = softmax(logits / temperature)
    right = probabilities.argmax(axis=-1) == gold
    error = expected_calibration_error(probabilities.max(axis=-1), right)
    chosen = np.maximum(probabilities[np.arange(len(gold)), gold], np.finfo(float).tiny)
    return Calibration(len(gold), float(-np.log(chosen).mean()), float(error or 0.0))


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature with the lowest log loss. The arguments are those of `measure`.

    Raises:
        UserError: there is no best one: almost all examples are right, or the probabilities say nothing of the labels.
    """

    def slope(log_temperature: float) -> float:
        """Of the log loss, by the inverse of the temperature: the loss is convex in it."""
        expected = (softmax(logits / np.exp(log_temperature)) * logits).sum(axis=-1)
        return float((expected - logits[np.arange(len(gold)), gold]).mean())

    low, high = np.log(LOWEST), np.log(HIGHEST)
    if not slope(low) > 0 > slope(high):
        right = (logits.argmax(axis=-1) == gold).mean()
        raise UserError(
            f"no temperature between {LOWEST:g} and {HIGHEST:g} is best: {right:.0%} of {len(gold):,} dev examples are right",
            where="--fit-temperature",
            fix="Give more dev examples, or leave the option out.",
        )
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))
