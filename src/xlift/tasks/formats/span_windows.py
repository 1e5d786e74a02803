"""Tokens of a context as spans of its text, and windows of them, for span QA.

Tokens begin and end at grapheme clusters, whatever the tokenizer's normalizer does to offsets: NFC and accent stripping
leave the accents of a decomposed text outside of every token, and a byte-level token may have a part of a letter. So
training targets and predicted answers are whole characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.ragged import Ragged, RaggedBuilder
from xlift.tasks.grapheme_clusters import widen_spans


def tokenize_contexts(tokenizer: Any, contexts: Sequence[str]) -> tuple[Ragged, Ragged, Ragged]:
    """Token ids of each context, and the characters at which each token begins and ends, at grapheme clusters."""
    ids, begins, ends = RaggedBuilder(), RaggedBuilder(), RaggedBuilder()
    for context, encoded in zip(contexts, encoding.tokenize(tokenizer, contexts, offsets=True), strict=True):
        offsets = np.array(encoded.offsets, dtype=np.int32).reshape(-1, 2)
        spans = widen_spans(context, offsets[:, 0], offsets[:, 1])
        for rows, values in ((ids, encoded.ids), (begins, spans[0]), (ends, spans[1])):
            rows.append(values)
    return ids.build(), begins.build(), ends.build()


def find_answer_tokens(start: int, stop: int, begins: np.ndarray, ends: np.ndarray) -> tuple[int, int] | None:
    """First and last token that share a character with the span [start, stop); None if there are none.

    An answer that is annotated to start or end inside of a cluster has all tokens of that cluster.
    """
    overlapping = np.flatnonzero((begins < stop) & (ends > start))
    return (int(overlapping[0]), int(overlapping[-1])) if len(overlapping) else None


def make_windows(length: int, width: int, stride: int) -> list[tuple[int, int]]:
    """Spans [left, right) of at most `width` tokens that cover `length` tokens; one empty span if `length` is 0."""
    step = max(1, min(stride, width // 2))
    windows = [(0, min(width, length))]
    while windows[-1][1] < length:
        left = windows[-1][0] + step
        windows.append((left, min(left + width, length)))
    return windows
