"""Grapheme clusters: what a reader takes for one character (UAX #29, extended clusters).

A cluster may have several code points: a letter with its accents, a Thai consonant with its vowel and tone, a flag, an
emoji sequence. Tokenizers that compose letters or drop accents return offsets that end inside of a cluster, and so do
tokens of bytes. A span of a text therefore ends where clusters end.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import regex

_CLUSTER = regex.compile(r"\X")
_JOINING = regex.compile(r"[\p{GCB=CR}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=EX}\p{GCB=ZWJ}\p{GCB=SM}\p{GCB=PP}\p{GCB=RI}]")
"""Characters that can join with a neighbour. Every cluster of several code points has one."""


def clusters(text: str) -> list[str]:
    """Split a text into extended grapheme clusters."""
    return _CLUSTER.findall(text)


def widen_spans(text: str, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move the begins of spans to the left and their ends to the right until both are ends of clusters.

    Args:
        begins, ends: (spans,) int positions in code points, 0 to len(text).

    Returns:
        The same arrays if no cluster of the text has several code points, which is found quickly.
    """
    if text.isascii() and "\r" not in text or not _JOINING.search(text):
        return begins, ends
    edges = np.cumsum([0, *map(len, clusters(text))], dtype=begins.dtype)
    return edges[np.searchsorted(edges, begins, side="right") - 1], edges[np.searchsorted(edges, ends)]


def widen_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The smallest span of whole clusters that contains [start, end)."""
    begins, ends = widen_spans(text, np.array([start]), np.array([end]))
    return int(begins[0]), int(ends[0])


def find_whole(text: str, part: str) -> int:
    """Where a part first occurs as whole clusters ("Cafe" is not in "Cafe" with an accent on its e), else where it first
    occurs; -1 if it does not."""
    first = position = text.find(part)
    while position >= 0 and widen_span(text, position, position + len(part)) != (position, position + len(part)):
        position = text.find(part, position + 1)
    return first if position < 0 else position


def normalize(text: str) -> str:
    """The text in the form NFKC, which many tokenizers give their input, and without white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())
