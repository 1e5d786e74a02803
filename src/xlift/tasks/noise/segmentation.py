"""Split a text into words, as runs of grapheme clusters: the units that noise counts, samples and changes.

A cluster is a user-perceived character (tasks/grapheme_clusters.py). Noise moves, drops and replaces whole clusters.

A word is a run of letters; an apostrophe or a tatweel between two letters counts as a letter: `don't` is one word,
`well-known` two, `1,5` none. Digits, punctuation and emoji belong to no word, since a misspelt number is another number.

Scripts without spaces do not mark words, and segmenting by dictionary would tie every result to its version. There a word is
a fixed number of characters, the average length of words, counted from the start of the run: 2 for Han and Hiragana, 4 for
Katakana, 3 for Thai, Lao, Khmer and Burmese. So 10% is about as much noise as in other scripts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import regex

from xlift.tasks.grapheme_clusters import clusters

CLUSTERS_PER_WORD = {"Han": 2, "Hiragana": 2, "Katakana": 4, "Thai": 3, "Lao": 3, "Khmer": 3, "Myanmar": 3}
"""Script without spaces -> number of clusters that count as a word."""
WORD_INTERNAL = "'’ʼ·ـ"
"""Characters that belong to a word if they are between two letters."""

_SCRIPT = regex.compile("|".join(rf"(?P<{script}>\p{{Script={script}}})" for script in CLUSTERS_PER_WORD))
_LETTER = regex.compile(r"\p{L}")
_PROLONGED_SOUND_MARK = "ー"
"""Lengthens the kana before it; Unicode assigns it to no script."""


@dataclass(frozen=True)
class SegmentedText:
    """The clusters of a text and its words."""

    clusters: tuple[str, ...]
    starts: tuple[int, ...]
    """(clusters + 1,) start of each cluster in characters; the last value is the length of the text."""
    words: tuple[tuple[int, int], ...]
    """First cluster of each word and the one after its last, in order."""

    def word(self, number: int) -> tuple[str, ...]:
        first, stop = self.words[number]
        return self.clusters[first:stop]


def segment(text: str, boundaries: Collection[int] = ()) -> SegmentedText:
    """Split a text into clusters and words.

    Args:
        boundaries: character offsets that end a word: the start and end of an answer. A cluster with a boundary inside belongs
            to no word, so it gets no noise.
    """
    parts = clusters(text)
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    inside = set(boundaries) - set(starts)
    kinds = [_word_class(part) for part in parts]
    for boundary in inside:
        kinds[next(n for n in range(len(parts)) if starts[n] < boundary < starts[n + 1])] = ""
    for n in range(1, len(parts)):
        if parts[n][0] == _PROLONGED_SOUND_MARK and kinds[n - 1] in ("Hiragana", "Katakana"):
            kinds[n] = kinds[n - 1]
    for n in range(1, len(parts) - 1):
        if parts[n] in WORD_INTERNAL and kinds[n - 1] == kinds[n + 1] == "spaced" and kinds[n] != "spaced":
            kinds[n] = "spaced"
    return SegmentedText(tuple(parts), tuple(starts), tuple(_find_words(kinds, starts, set(boundaries))))


@lru_cache(maxsize=65536)
def _word_class(cluster: str) -> str:
    """'' outside words, the script if it has no spaces, otherwise 'spaced'."""
    if not _LETTER.match(cluster):
        return ""
    match = _SCRIPT.match(cluster)
    return (match.lastgroup or "") if match else "spaced"


def _find_words(kinds: list[str], starts: list[int], boundaries: set[int]) -> list[tuple[int, int]]:
    words: list[tuple[int, int]] = []
    first = 0
    for n, kind in enumerate([*kinds, ""]):
        if n == first:
            continue
        continues = n < len(kinds) and kind == kinds[first] and starts[n] not in boundaries
        if continues and not (kind in CLUSTERS_PER_WORD and n - first == CLUSTERS_PER_WORD[kind]):
            continue
        if kinds[first]:
            words.append((first, n))
        first = n
    return words
