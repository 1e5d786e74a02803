"""Typos: two letters swapped, one dropped, one doubled, or one replaced by a neighbouring key.

Each misspelt word has one typo. The four kinds are equally likely where the word allows them (Belinkov and Bisk 2018 test
them one by one). A letter is a grapheme cluster. A word of one letter drops nothing, so no word disappears, and words stay
in their places, so tags and answers stay valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from xlift.archipelago.random_streams import random_stream
from xlift.tasks.grapheme_clusters import clusters
from xlift.tasks.noise.editing import Rewrite
from xlift.tasks.noise.keyboards import neighbour_key_typos
from xlift.tasks.noise.segmentation import WORD_INTERNAL


class TypoNoise:
    def __init__(self, language: str) -> None:
        self.language = language
        self.edits: dict[str, Callable[[list[str], Random], Iterator[list[str]]]] = {
            "swap": _swap,
            "drop": _drop,
            "double": _double,
            "neighbour": self._hit_neighbour,
        }

    def can_change(self, word: Sequence[str]) -> bool:
        return True

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        rng = random_stream("typo", *name)
        for edit_type in rng.sample(list(self.edits), len(self.edits)):
            for slots in self.edits[edit_type](list(word), rng):
                yield Rewrite(tuple(slots), edit_type)

    def _hit_neighbour(self, word: list[str], rng: Random) -> Iterator[list[str]]:
        for i in _shuffle_letter_positions(word, rng):
            others = [other for other in neighbour_key_typos(word[i], self.language) if len(clusters(other)) == 1]
            for other in rng.sample(others, len(others)):
                yield [*word[:i], other, *word[i + 1 :]]


def _shuffle_letter_positions(word: list[str], rng: Random) -> list[int]:
    """Positions of the letters, in random order."""
    letters = [i for i, cluster in enumerate(word) if cluster not in WORD_INTERNAL]
    return rng.sample(letters, len(letters))


def _swap(word: list[str], rng: Random) -> Iterator[list[str]]:
    for i in _shuffle_letter_positions(word, rng):
        if i + 1 < len(word) and word[i + 1] not in WORD_INTERNAL and word[i] != word[i + 1]:
            yield [*word[:i], word[i + 1], word[i], *word[i + 2 :]]


def _drop(word: list[str], rng: Random) -> Iterator[list[str]]:
    positions = _shuffle_letter_positions(word, rng)
    for i in positions if len(positions) > 1 else ():
        yield [*word[:i], "", *word[i + 1 :]]


def _double(word: list[str], rng: Random) -> Iterator[list[str]]:
    for i in _shuffle_letter_positions(word, rng):
        if len(clusters(2 * word[i])) == 2:  # two single jamo would merge into one cluster
            yield [*word[:i], 2 * word[i], *word[i + 1 :]]
