"""Which texts of one side stand in the other: by hashes, in bounded memory.

Texts are compared as sequences of words after normalisation: NFKC, casefold, punctuation, symbols and space folded; in
scripts that are written without spaces every letter is a word. Two rules:

    same   the whole text, if it is long enough: `WORDS` words and `LETTERS` letters ("yes" or a name says nothing)
    near   not the same, but `SHARE` of its `NGRAM`-grams stand somewhere in the other side's texts. It is the rule by which
           PaLM's authors called a test example contaminated (Chowdhery et al. 2022, section 8: 70% of the 8-grams).

What is asked about (evaluation) is held as sorted 8-byte hashes; what is searched (training) only streams past.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

WORDS = 5
LETTERS = 12
NGRAM = 8
SHARE = 0.7
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""First words of the Unicode names of letters in scripts without spaces between words."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the rolling hashes (2^64 over the golden ratio): any odd number of high order would do."""


class _Folding(dict[int, str]):
    """Code point -> what stands for it, filled as letters are met."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        if unicodedata.category(letter)[0] in "PSZC":
            self[point] = " "
        elif unicodedata.name(letter, "").startswith(UNSPACED):
            self[point] = f" {letter} "
        else:
            self[point] = letter
        return self[point]


_FOLDING = _Folding()


def words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_FOLDING).split()


class _Numbers(dict[str, int]):
    """Word -> 64 bits of its hash. Emptied when it has grown large: a word has the same number again."""

    LARGEST = 1_000_000

    def __missing__(self, word: str) -> int:
        if len(self) >= self.LARGEST:
            self.clear()
        number = int.from_bytes(blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), sys.byteorder)
        self[word] = number
        return number


_NUMBERS = _Numbers()


@dataclass(frozen=True)
class Hashes:
    """Of several texts."""

    long: np.ndarray
    """(texts,) whether it is long enough to be compared."""
    whole: np.ndarray
    """(texts,) uint64; 0 for a text without words."""
    grams: np.ndarray
    """(n-grams of all texts,) uint64."""
    owner: np.ndarray
    """(n-grams,) int: the text each stands in, non-decreasing."""


def hashed(texts: Sequence[str]) -> Hashes:
    """Hashes of texts; equal words give equal hashes, in every process."""
    split = [words(text) for text in texts]
    length = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
    long = (length >= WORDS) & np.fromiter(
        (sum(map(len, line)) >= LETTERS for line in split), dtype=bool, count=len(split)
    )
    total = int(length.sum())
    numbers = np.fromiter((_NUMBERS[word] for line in split for word in line), dtype=np.uint64, count=total)
    owner = np.repeat(np.arange(len(split)), length)
    start = np.cumsum(length) - length
    powers = np.cumprod(np.full(max(1, int(length.max(initial=0))), _ODD, dtype=np.uint64))
    whole = np.zeros(len(split), dtype=np.uint64)
    there = length > 0
    if total:
        placed = numbers * powers[np.arange(total) - start[owner]]
        whole[there] = np.add.reduceat(placed, start[there])
    if total < NGRAM:
        return Hashes(long, whole, np.empty(0, np.uint64), np.empty(0, np.int64))
    count = total - NGRAM + 1
    grams = np.zeros(count, dtype=np.uint64)
    for place in range(NGRAM):
        grams = grams * _ODD + numbers[place : place + count]
    within = owner[:count] == owner[NGRAM - 1 :]
    return Hashes(long, whole, grams[within], owner[:count][within])


@dataclass
class Asked:
    """One set of examples that is asked about: which of them stand in the texts that stream past?"""

    example: np.ndarray
    """(texts,) int: the example of each text."""
    examples: int
    long: np.ndarray
    whole: np.ndarray
    """(texts,) place in `Index.whole`."""
    grams: np.ndarray
    """(n-grams,) place in `Index.grams`."""
    owner: np.ndarray
    """(n-grams,) the text of each."""


class Index:
    """The distinct hashes of all sets that are asked about."""

    def __init__(self, sets: Sequence[tuple[Hashes, np.ndarray, int]]) -> None:
        """
        Args:
            sets: hashes of the texts, the example of each text, the number of examples.
        """
        empty = np.empty(0, np.uint64)
        self.whole = np.unique(np.concatenate([empty, *(h.whole[h.long] for h, _, _ in sets)]))
        self.grams = np.unique(np.concatenate([empty, *(h.grams for h, _, _ in sets)]))
        self.sets = [
            Asked(
                example, examples, h.long, np.searchsorted(self.whole, h.whole).astype(np.int32),
                np.searchsorted(self.grams, h.grams).astype(np.int32), h.owner.astype(np.int32),
            )
            for h, example, examples in sets
        ]  # fmt: skip


@dataclass
class Seen:
    """What of an index has streamed past."""

    index: Index
    texts: int = 0
    whole: np.ndarray = field(init=False)
    grams: np.ndarray = field(init=False)
    origin: dict[int, str] = field(default_factory=dict)
    """Place in `Index.whole` -> id of the first training example with that text, of the first `ORIGINS`."""

    ORIGINS = 10_000

    def __post_init__(self) -> None:
        self.whole = np.zeros(len(self.index.whole), dtype=bool)
        self.grams = np.zeros(len(self.index.grams), dtype=bool)

    def add(self, texts: Sequence[str], ids: Sequence[str]) -> None:
        """Let texts stream past; `ids` are those of their examples."""
        self.texts += len(texts)
        found = hashed(texts)
        place, there = _places(self.index.whole, found.whole)
        for text, at in zip(np.flatnonzero(there).tolist(), place[there].tolist(), strict=True):
            if not self.whole[at] and len(self.origin) < self.ORIGINS:
                self.origin[at] = ids[text]
            self.whole[at] = True
        place, there = _places(self.index.grams, found.grams)
        self.grams[place[there]] = True

    def overlap(self, asked: Asked) -> Overlap:
        """Which examples of a set have been seen."""
        long = asked.long
        same = np.zeros(len(long), dtype=bool)
        same[long] = self.whole[asked.whole[long]]
        number = np.bincount(asked.owner, minlength=len(long))
        shared = np.bincount(asked.owner, weights=self.grams[asked.grams], minlength=len(long))
        near = long & (number > 0) & ~same & (shared >= SHARE * number)

        def any_of(texts: np.ndarray) -> np.ndarray:
            return np.bincount(asked.example[texts], minlength=asked.examples) > 0

        some, missing = any_of(same), any_of(long & ~same)
        return Overlap(some, some & ~missing, any_of(near) & ~some, same, near)


@dataclass(frozen=True)
class Overlap:
    """Masks over the examples of a set, and over its texts."""

    some: np.ndarray
    """Examples of which a whole text was seen."""
    every: np.ndarray
    """Examples of which every text (that is long enough) was seen."""
    near: np.ndarray
    """Examples of which none was seen whole, but one nearly."""
    same_texts: np.ndarray
    near_texts: np.ndarray


def _places(known: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value its place among the sorted known ones, and whether it is one of them."""
    if not len(known):
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return place, known[place] == values
