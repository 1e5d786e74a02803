"""Which scored texts are in the training texts: compared by hashes, in bounded memory.

Texts are compared as sequences of words after normalisation: NFKC, casefold, and punctuation, symbols and space folded.
In scripts without spaces every letter is a word. Two rules:

    exact  the whole text is equal and long enough: `WORDS` words and `LETTERS` letters (short texts such as "yes" match
    by chance) near   not exact, but `SHARE` of its `NGRAM`-grams are in the training texts. This is the rule by which
    the authors of PaLM call a
           test example contaminated (Chowdhery et al. 2022, section 8: 70% of the 8-grams).

The scored texts are held as sorted 8-byte hashes; the training texts are streamed.
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

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier of the rolling hashes (2^64 over the golden ratio). Any large odd number works."""


class _CharacterFolding(dict[int, str]):
    """Code point -> its replacement, filled on first use."""

    def __missing__(self, point: int) -> str:
        letter = chr(point)
        if unicodedata.category(letter)[0] in "PSZC":
            self[point] = " "
        elif unicodedata.name(letter, "").startswith(UNSPACED):
            self[point] = f" {letter} "
        else:
            self[point] = letter
        return self[point]


_FOLDING = _CharacterFolding()


def normalized_words(text: str) -> list[str]:
    """The normalised words of a text."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_FOLDING).split()


class _WordHashes(dict[str, int]):
    """Word -> 64-bit hash. Cleared at `MAX_SIZE`; a word always gets the same hash."""

    MAX_SIZE = 1_000_000

    def __missing__(self, word: str) -> int:
        if len(self) >= self.MAX_SIZE:
            self.clear()
        number = int.from_bytes(blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), sys.byteorder)
        self[word] = number
        return number


_WORD_HASHES = _WordHashes()


@dataclass(frozen=True)
class TextHashes:
    """TextHashes of several texts."""

    is_long: np.ndarray
    """(texts,) whether the text is long enough to be compared."""
    whole: np.ndarray
    """(texts,) uint64; 0 for a text without words."""
    ngrams: np.ndarray
    """(n-grams of all texts,) uint64."""
    owner: np.ndarray
    """(n-grams,) int: the index of its text, non-decreasing."""


def hash_texts(texts: Sequence[str]) -> TextHashes:
    """Hash texts. Equal words give equal hashes in every process."""
    split = [normalized_words(text) for text in texts]
    length = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
    is_long = (length >= WORDS) & np.fromiter(
        (sum(map(len, line)) >= LETTERS for line in split), dtype=bool, count=len(split)
    )
    total = int(length.sum())
    numbers = np.fromiter((_WORD_HASHES[word] for line in split for word in line), dtype=np.uint64, count=total)
    owner = np.repeat(np.arange(len(split)), length)
    start = np.cumsum(length) - length
    powers = np.cumprod(np.full(max(1, int(length.max(initial=0))), _MULTIPLIER, dtype=np.uint64))
    whole = np.zeros(len(split), dtype=np.uint64)
    has_words = length > 0
    if total:
        terms = numbers * powers[np.arange(total) - start[owner]]
        whole[has_words] = np.add.reduceat(terms, start[has_words])
    if total < NGRAM:
        return TextHashes(is_long, whole, np.empty(0, np.uint64), np.empty(0, np.int64))
    count = total - NGRAM + 1
    ngrams = np.zeros(count, dtype=np.uint64)
    for offset in range(NGRAM):
        ngrams = ngrams * _MULTIPLIER + numbers[offset : offset + count]
    is_within_text = owner[:count] == owner[NGRAM - 1 :]
    return TextHashes(is_long, whole, ngrams[is_within_text], owner[:count][is_within_text])


@dataclass
class ScoredSet:
    """The texts of one set of scored examples."""

    example: np.ndarray
    """(texts,) int: the example of each text."""
    num_examples: int
    is_long: np.ndarray
    whole: np.ndarray
    """(texts,) index into `Index.whole`."""
    ngrams: np.ndarray
    """(n-grams,) index into `Index.ngrams`."""
    owner: np.ndarray
    """(n-grams,) the text of each."""


class Index:
    """The distinct hashes of all scored sets."""

    def __init__(self, sets: Sequence[tuple[TextHashes, np.ndarray, int]]) -> None:
        """
        Args:
            sets: hashes of the texts, the example of each text, the number of examples.
        """
        empty = np.empty(0, np.uint64)
        self.whole = np.unique(np.concatenate([empty, *(h.whole[h.is_long] for h, _, _ in sets)]))
        self.ngrams = np.unique(np.concatenate([empty, *(h.ngrams for h, _, _ in sets)]))
        self.sets = [
            ScoredSet(
                example, num_examples, h.is_long, np.searchsorted(self.whole, h.whole).astype(np.int32),
                np.searchsorted(self.ngrams, h.ngrams).astype(np.int32), h.owner.astype(np.int32),
            )
            for h, example, num_examples in sets
        ]  # fmt: skip


@dataclass
class TrainingTexts:
    """Which hashes of an index occur in the streamed training texts."""

    index: Index
    num_texts: int = 0
    whole: np.ndarray = field(init=False)
    """Masks over `Index.whole` and `Index.ngrams`."""
    ngrams: np.ndarray = field(init=False)
    first_id: dict[int, str] = field(default_factory=dict)
    """Index into `Index.whole` -> id of the first training example with that text, for up to `MAX_IDS` texts."""

    MAX_IDS = 10_000

    def __post_init__(self) -> None:
        self.whole = np.zeros(len(self.index.whole), dtype=bool)
        self.ngrams = np.zeros(len(self.index.ngrams), dtype=bool)

    def add(self, texts: Sequence[str], ids: Sequence[str]) -> None:
        """Add training texts; `ids` are the ids of their examples."""
        self.num_texts += len(texts)
        hashes = hash_texts(texts)
        position, is_known = _look_up(self.index.whole, hashes.whole)
        for text, index in zip(np.flatnonzero(is_known).tolist(), position[is_known].tolist(), strict=True):
            if not self.whole[index] and len(self.first_id) < self.MAX_IDS:
                self.first_id[index] = ids[text]
            self.whole[index] = True
        position, is_known = _look_up(self.index.ngrams, hashes.ngrams)
        self.ngrams[position[is_known]] = True

    def find_overlap(self, scored: ScoredSet) -> Overlap:
        """Which examples of a scored set occur in the training texts."""
        is_long = scored.is_long
        exact = np.zeros(len(is_long), dtype=bool)
        exact[is_long] = self.whole[scored.whole[is_long]]
        num_ngrams = np.bincount(scored.owner, minlength=len(is_long))
        num_shared = np.bincount(scored.owner, weights=self.ngrams[scored.ngrams], minlength=len(is_long))
        near = is_long & (num_ngrams > 0) & ~exact & (num_shared >= SHARE * num_ngrams)

        def any_of(texts: np.ndarray) -> np.ndarray:
            return np.bincount(scored.example[texts], minlength=scored.num_examples) > 0

        any_exact, any_missing = any_of(exact), any_of(is_long & ~exact)
        return Overlap(any_exact, any_exact & ~any_missing, any_of(near) & ~any_exact, exact, near)


@dataclass(frozen=True)
class Overlap:
    """Masks over the examples and over the texts of a scored set."""

    exact: np.ndarray
    """Examples with a text that equals a training text."""
    all_exact: np.ndarray
    """Examples of which every text (that is long enough) equals a training text."""
    near: np.ndarray
    """Examples without an exact text but with a near one."""
    exact_texts: np.ndarray
    near_texts: np.ndarray


def _look_up(sorted_hashes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value, its index in the sorted hashes and whether it is one of them."""
    if not len(sorted_hashes):
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
    position = np.minimum(np.searchsorted(sorted_hashes, values), len(sorted_hashes) - 1)
    return position, sorted_hashes[position] == values
