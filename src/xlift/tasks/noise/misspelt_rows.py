"""Pair the clean rows of a tagging task with the rows of a file that people misspelt.

Such a file may have another order than the clean one and only a part of its rows, without ids, as published files do. So
rows are paired by content. A noisy row can match any clean row with equally many words and the same tags. There are three
rounds; a noisy row is paired with the clean row that

1. has the same words: nothing in the row is misspelt;
2. is most similar, with the most similar pairs of the file first, if at least half of the words, and two of them, are equal;
3. is most similar among those between the partners of its neighbours; no word has to be equal.

The similarity is the mean over the words of difflib's ratio. It must be at least `MIN_SIMILARITY`, and that of each word at
least `MIN_WORD_SIMILARITY`. A clean row has at most one partner. Unpaired rows of both sides are left out and counted
(`Pairing`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats.tagging import FORMAT as TAGGING
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import file_sha256 as file_digest
from xlift.tasks.sources.readers import READERS
from xlift.tasks.sources.readers.base import Layout

READER_BY_EXTENSION = {".conll": "conll", ".conllu": "conllu", ".jsonl": "jsonl", ".parquet": "parquet"}
"""Extension -> reader. `.jsonl` and `.parquet` need the columns of custom tasks: words or tokens, tags or ner_tags."""
VERSION = 1
"""Version of the reading and pairing; it is part of the digest."""
MIN_SIMILARITY = 0.6
MIN_WORD_SIMILARITY, SHORT_WORD_LENGTH = 0.3, 2
"""For each word longer than `SHORT_WORD_LENGTH`: below it, it is another word. ('to' may be '2'.)"""
MAX_CANDIDATES = 8
"""Number of clean rows, those with most equal words, that the second round compares with a noisy row by letters."""
MAX_CANDIDATES_BETWEEN = 30
"""The same for the third round. Few rows are between two neighbours; only a wrong file would have more."""


@dataclass(frozen=True)
class NoisyRow:
    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str
    """File and line."""


@dataclass(frozen=True)
class Pairing:
    partner: dict[int, int]
    """Index of a clean row -> index of its noisy row."""
    num_clean: int
    """Number of clean rows."""
    num_noisy: int
    unpaired: tuple[int, ...]
    """Indices of the noisy rows without a partner."""


def is_rows_file(words: str) -> bool:
    """Whether the `words` of a noise are a file of rows instead of a dictionary."""
    return Path(words).suffix.lower() in READER_BY_EXTENSION


def rows_digest(path: Path, language: str) -> str:
    """SHA-256 of a file of rows and of the versions of its reader; the rows are validated."""
    read_rows(path, language)
    reader = READERS[READER_BY_EXTENSION[path.suffix.lower()]]
    return hashlib.sha256(f"rows {VERSION}, {reader.name} {reader.version}, {file_digest(path)}".encode()).hexdigest()


def read_rows(path: Path, language: str) -> tuple[NoisyRow, ...]:
    """Read the rows of a file, in order.

    Raises:
        UserError: the file has no rows or is invalid, or a row has not one tag for each word.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(
            f"cannot read the misspelt rows: {error.strerror}", where=str(path),
            fix="`words:` of a noise is a file under the data folder; {lang} in it is replaced by the language code.",
        ) from None  # fmt: skip
    return _read_rows(path, language, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read_rows(path: Path, language: str, modified: int, size: int) -> tuple[NoisyRow, ...]:
    rows = []
    for row in READERS[READER_BY_EXTENSION[path.suffix.lower()]].read((path,), Layout(TAGGING.name, language)):
        if row.skip_reason:
            continue
        example: TaggingExample = row.example
        tags = example.tags or ()
        if len(tags) != len(example.words) or not all(word.strip() for word in example.words):
            raise UserError(
                f"{len(example.words)} words (some may be empty) and {len(tags)} tags", where=row.where,
                fix="give one tag for each word, and no empty words.",
            )  # fmt: skip
        rows.append(NoisyRow(example.words, tags, row.where))
    if not rows:
        raise UserError("the file has no rows", where=str(path), fix="give rows of words with a tag for each word.")
    return tuple(rows)


def match_noisy_words(
    clean: Sequence[TaggingExample], path: Path, language: str, labels: Sequence[str]
) -> list[tuple[TaggingExample, tuple[str, ...]]]:
    """The clean rows that have a noisy partner, in order, each with its noisy words.

    Raises:
        UserError: as `read_rows`, or fewer than half of the possible pairs were found, so the file is not of this task.
    """
    rows = read_rows(path, language)
    pairing = pair_rows(clean, rows, labels)
    if 2 * len(pairing.partner) < min(len(clean), len(rows)) or not pairing.partner:
        raise UserError(
            f"only {len(pairing.partner):,} of {len(rows):,} misspelt rows match one of the {len(clean):,} clean rows by words and tags",
            where=str(path), fix="give the file of the same split and language, with the task's tags on the same words.",
        )  # fmt: skip
    return [(clean[number], rows[row].words) for number, row in sorted(pairing.partner.items())]


def unpaired_row_notes(
    clean: Sequence[TaggingExample], path: Path, language: str, labels: Sequence[str]
) -> tuple[str, ...]:
    """Messages with the numbers of unpaired rows; empty if every row of both sides was paired."""
    rows = read_rows(path, language)
    pairing = pair_rows(clean, rows, labels)
    num_without = pairing.num_clean - len(pairing.partner)
    notes = []
    if num_without:
        notes.append(
            f"{num_without:,} of {pairing.num_clean:,} rows have no misspelt row in {path.name} and are left out under this noise"
        )
    if pairing.unpaired:
        first = rows[pairing.unpaired[0]].where
        notes.append(
            f"{len(pairing.unpaired):,} of {pairing.num_noisy:,} misspelt rows match no clean row and are left out (the first: {first})"
        )
    return tuple(notes)


def pair_rows(clean: Sequence[TaggingExample], rows: Sequence[NoisyRow], labels: Sequence[str]) -> Pairing:
    """Pair noisy rows with clean rows (see the module's docstring).

    Args:
        labels: of the task, in order; tags that are numbers are indices into them.
    """
    return _RowMatcher(clean, rows, labels).pair()


class _RowMatcher:
    def __init__(self, clean: Sequence[TaggingExample], rows: Sequence[NoisyRow], labels: Sequence[str]) -> None:
        self.clean, self.rows = clean, rows
        self.tags = [_tag_names(row.tags, labels) for row in rows]
        self.partner: dict[int, int] = {}
        self.clean_of_row: dict[int, int] = {}
        """Index of a noisy row -> index of its clean row."""

    def pair(self) -> Pairing:
        self._pair_equal_rows()
        self._pair_similar_rows()
        self._pair_rows_between_neighbours()
        unpaired = tuple(n for n in range(len(self.rows)) if n not in self.clean_of_row)
        return Pairing(self.partner, len(self.clean), len(self.rows), unpaired)

    def _add_pair(self, row: int, number: int) -> None:
        self.partner[number], self.clean_of_row[row] = row, number

    def _unpaired_clean(self) -> Iterable[int]:
        return (number for number in range(len(self.clean)) if number not in self.partner)

    def _unpaired_rows(self) -> list[int]:
        return [row for row in range(len(self.rows)) if row not in self.clean_of_row]

    def _pair_equal_rows(self) -> None:
        index: dict[tuple[tuple[str, ...], tuple[str, ...] | None], deque[int]] = defaultdict(deque)
        for number, example in enumerate(self.clean):
            index[example.words, example.tags].append(number)
        for row, noisy in enumerate(self.rows):
            if numbers := index.get((noisy.words, self.tags[row])):
                self._add_pair(row, numbers.popleft())

    def _pair_similar_rows(self) -> None:
        """Of equally similar pairs, take the one at the most similar position in both files first."""
        index: dict[tuple[tuple[str, ...] | None, int, str], list[int]] = defaultdict(list)
        for number in self._unpaired_clean():
            for position, word in enumerate(self.clean[number].words):
                index[self.clean[number].tags, position, word].append(number)
        candidates: list[tuple[float, float, int, int]] = []
        for row in self._unpaired_rows():
            words = self.rows[row].words
            shared = Counter(
                number
                for position, word in enumerate(words)
                for number in index.get((self.tags[row], position, word), ())
            )
            for number, num_equal in shared.most_common(MAX_CANDIDATES):
                if num_equal >= max(2, len(words) / 2):
                    similarity = _similarity(self.clean[number].words, words)
                    if similarity >= MIN_SIMILARITY:
                        distance = abs(row / len(self.rows) - number / len(self.clean))
                        candidates.append((-similarity, distance, row, number))
        for _, _, row, number in sorted(candidates):
            if row not in self.clean_of_row and number not in self.partner:
                self._add_pair(row, number)

    def _pair_rows_between_neighbours(self) -> None:
        index: dict[tuple[str, ...] | None, list[int]] = defaultdict(list)
        for number in self._unpaired_clean():
            index[self.clean[number].tags].append(number)
        upper = self._partners_of_next_rows()
        lower = -1
        for row in range(len(self.rows)):
            if row in self.clean_of_row:
                lower = self.clean_of_row[row]
                continue
            candidates = index.get(self.tags[row], [])
            between = candidates[bisect_left(candidates, lower + 1) : bisect_left(candidates, upper[row])]
            free = [number for number in between if number not in self.partner][:MAX_CANDIDATES_BETWEEN]
            words = self.rows[row].words
            best = max(((_similarity(self.clean[number].words, words), -number) for number in free), default=(0.0, 0))
            if best[0] >= MIN_SIMILARITY:
                lower = -best[1]
                self._add_pair(row, lower)

    def _partners_of_next_rows(self) -> list[int]:
        """For each noisy row, the partner of the next row that has one."""
        upper, partners = len(self.clean), []
        for row in reversed(range(len(self.rows))):
            upper = self.clean_of_row.get(row, upper)
            partners.append(upper)
        return partners[::-1]


def _tag_names(tags: tuple[str, ...], labels: Sequence[str]) -> tuple[str, ...]:
    """Replace numeric tags, as in data sets of the Hub, by their names."""
    if not all(tag.isascii() and tag.isdigit() and int(tag) < len(labels) for tag in tags):
        return tags
    return tuple(labels[int(tag)] for tag in tags)


def _similarity(words: Sequence[str], others: Sequence[str]) -> float:
    if len(words) != len(others):
        return 0.0
    total = 0.0
    for word, other in zip(words, others, strict=True):
        similarity = 1.0 if word == other else SequenceMatcher(None, word, other, autojunk=False).ratio()
        if similarity < MIN_WORD_SIMILARITY and len(word) > SHORT_WORD_LENGTH:
            return 0.0
        total += similarity
    return total / len(words)
