"""The best span of each window of a question, and its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xlift.tasks.formats.features import Features

MAX_ANSWER_TOKENS = 30
"""As in SQuAD's and XTREME's `run_squad.py`."""
WINDOWS_PER_BLOCK = 256
"""Windows processed together, so that their scores fit into the cache."""
NULL_POSITION = 0
"""Position that means "no answer in this window": the first special token."""


def span_probability(
    text: str, rows: list[int], features: Features, logits: list[Any], unanswerable: bool
) -> float | None:
    """The probability of the best span over all windows of an example, or of the null span if that was chosen."""
    lengths = [len(features.extra["begins"][row]) for row in rows]
    firsts = [features.extra["context"][row] for row in rows]
    score, *_ = best_spans([logits[row] for row in rows], firsts, lengths)
    null = min(float(logits[row][0, NULL_POSITION] + logits[row][1, NULL_POSITION]) for row in rows)
    total = 0.0
    for side in range(2):
        parts = [
            logits[row][side, first : first + length] for row, first, length in zip(rows, firsts, lengths, strict=True)
        ]
        parts += [np.array([min(logits[row][side, NULL_POSITION] for row in rows)])] if unanswerable else []
        every = np.concatenate(parts).astype(np.float64)
        if not len(every):
            return None
        total += float(every.max() + np.log(np.exp(every - every.max()).sum()))
    return float(min(1.0, np.exp((float(score.max()) if text or not unanswerable else null) - total)))


def best_spans(
    outputs: Sequence[Any], firsts: ArrayLike, lengths: ArrayLike, longest: int = MAX_ANSWER_TOKENS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Highest start[i] + end[j] with i <= j < i + longest of every window, and its i and j; ties go to the first.

    Args:
        outputs: (2, tokens) start and end scores of each window.
        firsts, lengths: position and length of the context in each window; i and j count from `firsts`.

    Returns:
        (windows,) float scores, -inf for a window without context; (windows,) int i; (windows,) int j.
    """
    firsts, lengths = np.array(firsts, dtype=int), np.array(lengths, dtype=int)
    score = np.full(len(firsts), -np.inf)
    start, end = np.zeros((2, len(firsts)), dtype=int)
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    for block in range(0, len(order), WINDOWS_PER_BLOCK):
        windows = order[block : block + WINDOWS_PER_BLOCK]
        width = int(lengths[windows[0]])
        starts, ends = np.full(
            (2, len(windows), width + longest - 1), -np.inf, dtype=np.asarray(outputs[windows[0]]).dtype
        )
        for n, window in enumerate(windows.tolist()):
            context = slice(firsts[window], firsts[window] + lengths[window])
            starts[n, : lengths[window]], ends[n, : lengths[window]] = (side[context] for side in outputs[window])
        # Rounding keeps order, so the best sum of a start is the one with the highest end within `longest`.
        sums = starts[:, :width] + _sliding_max(ends, longest)[:, :width]
        rows = np.arange(len(windows))
        first = sums.argmax(axis=1)
        candidates = starts[rows, first][:, None] + ends[rows[:, None], first[:, None] + np.arange(longest)]
        score[windows], start[windows], end[windows] = sums[rows, first], first, first + candidates.argmax(axis=1)
    return score, start, end


def _sliding_max(values: np.ndarray, length: int) -> np.ndarray:
    """(rows, n) -> (rows, n - length + 1): the maximum of each `length` neighbours, by doubling the window."""
    span = 1
    while 2 * span <= length:
        values = np.maximum(values[:, :-span], values[:, span:])
        span *= 2
    return np.maximum(values[:, : values.shape[1] - (length - span)], values[:, length - span :])
