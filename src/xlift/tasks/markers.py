"""Carry a span of a text through a translator between a pair of markers (mark, then translate: Chen et al. 2023).

Translators keep brackets most often. The text decides which pair is used: one whose brackets it does not contain.
"""

from __future__ import annotations

from typing import NamedTuple

from xlift.tasks.grapheme_clusters import widen_span

MARKER_PAIRS = (("[［【", "]］】"), ("{｛", "}｝"), ("<＜〈", ">＞〉"))
"""(opening, closing), each with the wide forms that translators into Chinese and Japanese write."""


class UnmarkedText(NamedTuple):
    """A text without its markers, and the span [start, end) that was between them."""

    text: str
    start: int
    end: int


def add_markers(text: str, start: int, end: int) -> str | None:
    """The text with markers around the whole grapheme clusters of [start, end); None if it contains brackets of every
    kind."""
    start, end = widen_span(text, start, end)
    pair = _unused_pair(text)
    if pair is None:
        return None
    (opening, *_), (closing, *_) = pair
    return text[:start] + opening + text[start:end] + closing + text[end:]


def remove_markers(text: str, translated: str) -> UnmarkedText | None:
    """The translation of a marked text without its markers; None if it does not have each once, with text between.
    White space inside the markers moves outside the span, and the span has whole grapheme clusters.

    Args:
        text: the original without markers, as passed to `add_markers`.
    """
    pair = _unused_pair(text)
    return None if pair is None else _split_at_markers(translated, *pair)


def _unused_pair(text: str) -> tuple[str, str] | None:
    return next((pair for pair in MARKER_PAIRS if not set(text) & set("".join(pair))), None)


def _split_at_markers(text: str, openings: str, closings: str) -> UnmarkedText | None:
    first, last = ([i for i, character in enumerate(text) if character in side] for side in (openings, closings))
    if len(first) != 1 or len(last) != 1 or first[0] > last[0]:
        return None
    before, inner, after = text[: first[0]], text[first[0] + 1 : last[0]], text[last[0] + 1 :]
    span = inner.strip()
    if not span:
        return None
    if before and not before[-1].isspace() and inner[0].isspace():
        before += " "
    if after and not after[0].isspace() and inner[-1].isspace():
        after = " " + after
    unmarked = before + span + after
    return UnmarkedText(unmarked, *widen_span(unmarked, len(before), len(before) + len(span)))
