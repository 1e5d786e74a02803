"""What the files of a custom task hold: counts of its labels, and what is odd about them.

Odd is what is seldom meant: a label that looks like a misspelt one, doubled rows, a text with two labels. It is named with
its place, and the task can be trained all the same. A row that cannot be meant is an error (`checking.py`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.checking import RecordErrors
from xlift.tasks.sources.label_checks import find_odd_labels
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task

ROWS_PER_FILE, FILES_PER_KIND = 3, 6
"""Of each kind of oddity so many rows are named in a split of a language, and in so many of these. The others are counted."""
MIN_CHOICES = 10
"""Fewer questions can have the same right choice by chance."""


class Oddity(NamedTuple):
    """Something odd, and the place where it first occurs."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Numbers(NamedTuple):
    """Gold answers that are numbers."""

    min: float
    mean: float
    max: float


class _Places:
    """The place of each row, in 8 bytes where it is a line number."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._others: list[str] = []  # places that are no line numbers, whose index is ~number
        self._files: list[tuple[int, Path]] = []  # with the number of their first row

    def add(self, row: Row) -> None:
        if not self._files or self._files[-1][1] is not row.path:
            self._files.append((len(self._numbers), row.path))
        if row.position.isdecimal():
            self._numbers.append(int(row.position))
        else:
            self._numbers.append(~len(self._others))
            self._others.append(row.position)

    def __getitem__(self, n: int) -> str:
        path = next(path for first, path in reversed(self._files) if first <= n)
        number = self._numbers[n]
        return f"{path}:{number if number >= 0 else self._others[~number]}"


class SplitSummary:
    """One split in one language, filled row by row. Memory: 24 bytes per row where places are line numbers."""

    def __init__(self, task: Task, language: str, split: str) -> None:
        self.language, self.split = language, split
        self.places = _Places()
        self.counts: dict[str, int] = {}
        """Label -> number of examples or, in tagging, of words (see `Format.counted_answers`)."""
        self.first_rows: dict[str, int] = {}
        """Label -> the first row with it."""
        self.num_empty, self.empty = 0, array("q")
        """How many rows have an empty text, and the first of them."""
        self.is_complete = True
        """False if rows were left out for their errors, so that a label that is not counted may be there."""
        self._format = formats.get(task.format)
        self._compares_answers = self._format.is_trainable and not (
            self._format.ranks_pool or self._format.is_plain_text  # their answers are ids, or there are none
        )
        self._texts, self._answers = array("q"), array("q")
        self._num_numbers, self._sum, self._least, self._greatest = 0, 0.0, np.inf, -np.inf

    @property
    def name(self) -> str:
        return f"{self.split} {self.language}"

    @property
    def num_examples(self) -> int:
        return len(self._texts)

    @property
    def numbers(self) -> Numbers | None:
        """Of a format whose answers are numbers."""
        return Numbers(self._least, self._sum / self._num_numbers, self._greatest) if self._num_numbers else None

    @property
    def texts(self) -> np.ndarray:
        """(num_examples,) int64: a hash of the texts of each row. Another process has other hashes."""
        return np.frombuffer(self._texts, dtype=np.int64) if self._texts else np.zeros(0, dtype=np.int64)

    def watch(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The same rows, which are added while they pass."""
        for row in rows:
            self._add(row)
            yield row

    def _add(self, row: Row) -> None:
        number, example, format = len(self._texts), row.example, self._format
        self.places.add(row)
        is_empty = format.has_empty_text(example)
        # A row without a text repeats no other one.
        self._texts.append(hash((id(self), number)) if is_empty else hash(format.texts(example)))
        for label in format.counted_answers(example):
            if label in self.counts:
                self.counts[label] += 1
            else:
                self.counts[label], self.first_rows[label] = 1, number
        if is_empty:
            self.num_empty += 1
            if self.num_empty <= ROWS_PER_FILE:
                self.empty.append(number)
        if not self._compares_answers:
            return
        answer = format.gold(example)
        if isinstance(answer, float):
            self._num_numbers += 1
            self._sum += answer
            self._least, self._greatest = min(self._least, answer), max(self._greatest, answer)
        self._answers.append(hash(answer if isinstance(answer, str | int | float) else str(answer)))

    def find_repeated(self) -> tuple[_Rows, _Rows]:
        """The rows with the texts and the answer of an earlier row, and those with its texts and another answer, which no
        earlier row has. Each is described with the place of the earlier row."""
        repeated, contradicting = _Rows(self), _Rows(self)
        noun = "label" if self._format.has_classes else "answer"
        ordered = np.sort(self.texts)
        shared = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        seen: dict[int, dict[int, int]] = {}
        for n in np.flatnonzero(np.isin(self.texts, shared)).tolist() if len(shared) else ():
            rows = seen.setdefault(self._texts[n], {})
            answer = self._answers[n] if self._compares_answers else 0
            if answer in rows:
                repeated.add(n, "the row repeats {}", self, rows[answer])
                continue
            if rows:
                contradicting.add(n, f"the text has another {noun} in {{}}", self, next(iter(rows.values())))
            rows[answer] = n
        return repeated, contradicting


class _Rows:
    """Rows of a split with the same kind of oddity: the first few, and their number."""

    def __init__(self, summary: SplitSummary) -> None:
        self.summary, self.count = summary, 0
        self.odd: list[Oddity] = []

    def add(self, row: int, what: str, source: SplitSummary | None = None, other: int = 0) -> None:
        """Add a row; `{}` in `what` becomes the place of the row `other` of `source`."""
        self.count += 1
        if self.count <= ROWS_PER_FILE:
            described = what.format(source.places[other]) if source else what
            self.odd.append(Oddity(self.summary.places[row], described))


class Survey(NamedTuple):
    """What the files of a split hold, and what is wrong with them."""

    summary: SplitSummary
    """Of the rows without an error."""
    errors: RecordErrors
    other_errors: tuple[UserError, ...] = ()
    """Errors that concern no single record."""

    @property
    def all_errors(self) -> list[UserError]:
        return [*self.errors.listed(), *self.other_errors]


@dataclass(frozen=True)
class TaskSummary:
    """All splits of a custom task whose files are there."""

    task: Task
    splits: tuple[SplitSummary, ...]
    odd: tuple[Oddity, ...]


def summarize(
    task: Task,
    splits: Sequence[SplitSummary],
    columns: Collection[str],
    *,
    declared_labels: Collection[str] = (),
) -> TaskSummary:
    """Compare the labels and the texts of all splits of a task.

    Args:
        columns: names of the columns of the files.
        declared_labels: the labels that the task declares.
    """
    repeated = [each.find_repeated() for each in splits]
    odd_labels = list(_odd_labels(task, splits, columns, declared_labels))
    odd = [
        *(oddity for _, oddity in odd_labels),
        *_missing_labels(task, splits, odd_labels),
        *_first_files(_empty_texts(splits)),
        *_first_files(rows for rows, _ in repeated),
        *_first_files(rows for _, rows in repeated),
        *_first_files(_shared_between_splits(splits)),
    ]
    return TaskSummary(task, tuple(splits), tuple(odd))


def _odd_labels(
    task: Task, splits: Sequence[SplitSummary], columns: Collection[str], declared_labels: Collection[str]
) -> Iterator[tuple[str, Oddity]]:
    """Labels that look like a mistake, each with its first place."""
    if not formats.get(task.format).has_classes:
        return
    totals: Counter[str] = Counter()
    for each in splits:
        totals.update(each.counts)
    counts = {label: totals[label] for label in task.labels if totals[label]}
    for label, what in find_odd_labels(counts, columns, declared_labels):
        for each in (each for each in splits if label in each.counts):
            yield label, Oddity(each.places[each.first_rows[label]], what)
            if label.casefold() not in columns:
                break  # only a header is looked for in every file


def _missing_labels(
    task: Task, splits: Sequence[SplitSummary], odd_labels: Sequence[tuple[str, Oddity]]
) -> Iterator[Oddity]:
    """Labels that only training or only test has, and files with one label."""
    format, named = formats.get(task.format), {label for label, _ in odd_labels}
    for split, other in (("train", "test"), ("test", "train")) if format.has_classes else ():
        here = {label: each for each in reversed(splits) if each.split == split for label in each.counts}
        there = {label for each in splits if each.split == other for label in each.counts}
        lone = [label for label in task.labels if label in here and label not in there and label not in named]
        if lone and there and all(each.is_complete for each in splits if each.split == other):
            first = here[lone[0]]
            text = f"the label {_list(lone)} is" if len(lone) == 1 else f"the labels {_list(lone)} are"
            yield Oddity(first.places[first.first_rows[lone[0]]], f"{text} in {split} only")
    least = 2 if format.has_classes else MIN_CHOICES
    found: list[_Rows] = []
    for each in splits:
        is_single = len(each.counts) == 1 and format.usual_answer not in each.counts
        if is_single and each.is_complete and each.num_examples >= least:
            found.append(_Rows(each))
            found[-1].add(0, f"'{truncate(next(iter(each.counts)), 60)}' is the only label of {each.name}")
    yield from _first_files(found)


def _empty_texts(splits: Sequence[SplitSummary]) -> list[_Rows]:
    found = [_Rows(each) for each in splits]
    for rows in found:
        for row in rows.summary.empty:
            rows.add(row, "a text is empty")
        rows.count = rows.summary.num_empty
    return found


def _shared_between_splits(splits: Sequence[SplitSummary]) -> Iterator[_Rows]:
    """Texts of dev and test that are in training data, and texts of test that are in dev."""
    for later, earlier in (("test", "train"), ("dev", "train"), ("test", "dev")):
        sources = [each for each in splits if each.split == earlier and each.num_examples]
        texts = np.unique(np.concatenate([each.texts for each in sources])) if sources else np.zeros(0)
        for each in splits:
            if each.split == later:
                rows = _Rows(each)
                shared = np.flatnonzero(np.isin(each.texts, texts)).tolist()
                for row in shared[:ROWS_PER_FILE]:
                    source = next(source for source in sources if each.texts[row] in source.texts)
                    other = int(np.flatnonzero(source.texts == each.texts[row])[0])
                    rows.add(row, f"the text is also in {earlier}: {{}}", source, other)
                rows.count = len(shared)
                yield rows


def _first_files(found: Iterable[_Rows]) -> Iterator[Oddity]:
    """One kind of oddity: the first rows of the first files, and how many more there are."""
    found = [rows for rows in found if rows.count]
    for rows in found[:FILES_PER_KIND]:
        *others, last = rows.odd
        yield from others
        more = rows.count - len(rows.odd)
        yield Oddity(
            last.where, f"{last.what}, and so in {more:,} more {'row' if more == 1 else 'rows'}" if more else last.what
        )
    if rest := found[FILES_PER_KIND:]:
        first, count = rest[0].odd[0], sum(rows.count for rows in rest)
        yield Oddity(
            first.where,
            f"{first.what}; {count:,} such rows in {len(rest)} more {'file' if len(rest) == 1 else 'files'}",
        )


def _list(labels: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(f"'{truncate(label, 40)}'" for label in labels[:limit])
    return shown + (f" and {len(labels) - limit:,} more" if len(labels) > limit else "")
