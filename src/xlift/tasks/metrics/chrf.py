"""chrF++ (Popović 2017) of a corpus, as sacrebleu computes it: F2 of n-grams of 1 to 6 characters and of 1 and 2 words.

The counts of sentences add up. Unlike BLEU it needs no tokenizer for languages written without spaces: most of it is
characters, without white space.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from xlift.tasks.metrics.base import Metric

CHARACTERS, WORDS = 6, 2
"""Longest n-grams."""
BETA = 2
"""Weight of recall relative to precision."""


def chrf_counts(gold: dict[str, Any], prediction: str) -> tuple[float, ...]:
    """(predicted, reference, matching n-grams) of one sentence, for each of the eight orders of n-grams.

    Args:
        gold: 'text', the reference; None: all counts are 0.
    """
    if gold["text"] is None:
        return (0.0,) * (3 * (CHARACTERS + WORDS))
    (statistics,) = _scorer()._extract_corpus_statistics([prediction], [[gold["text"]]])
    return tuple(map(float, statistics))


def chrf(sums: np.ndarray) -> np.ndarray:
    """(..., 24) -> (...) chrF++ in 0..1: F of the mean precision and the mean recall over the orders of which both
    sides have n-grams; 0 if there is none."""
    sums = np.asarray(sums, dtype=float)
    predicted, reference, matches = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    both = (predicted > 0) & (reference > 0)
    orders = np.maximum(both.sum(axis=-1), 1)
    precision, recall = (
        np.divide(matches, side, out=np.zeros_like(side), where=both).sum(axis=-1) / orders
        for side in (predicted, reference)
    )
    weighted = BETA**2 * precision + recall
    return np.divide((1 + BETA**2) * precision * recall, weighted, out=np.zeros_like(weighted), where=weighted > 0)


def chrf_signature() -> str:
    """sacrebleu's signature."""
    scorer = _scorer()
    scorer.corpus_score(["a"], [["a"]])  # sets the number of references in the signature
    return scorer.get_signature().format()


@lru_cache(maxsize=1)
def _scorer() -> Any:
    import sacrebleu  # slow to import, and few studies translate

    return sacrebleu.CHRF(char_order=CHARACTERS, word_order=WORDS, beta=BETA)


_KINDS = [*(f"{n} characters" for n in range(1, CHARACTERS + 1)), *(f"{n} words" for n in range(1, WORDS + 1))]
CHRF = Metric(
    "chrf++",
    "chrF++ (sacrebleu)",
    tuple(f"{what} of {kind}" for kind in _KINDS for what in ("predicted", "reference", "matches")),
    chrf_counts,
    chrf,
    formats=("translation",),
    signature=chrf_signature,
)
