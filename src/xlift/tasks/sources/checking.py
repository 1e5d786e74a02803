"""Check the rows of every source: each row by its format, ids for duplicates, and test files whose labels were removed."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xlift.errors import UserError, did_you_mean
from xlift.tasks import formats
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.optional_fields import find_mixed_field
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task

MAX_ERRORS = 20
"""Most errors that are listed for one file."""
MIN_PLACEHOLDER_ROWS = 50
"""If a test set of at least this many rows has one and the same label throughout, the labels are placeholders."""


class RecordErrors:
    """The errors of single records: for each file the first place of each error, with the number of others like it."""

    def __init__(self) -> None:
        self._first: dict[Path, dict[str, UserError]] = {}
        self._counts: Counter[tuple[Path, str]] = Counter()

    def add(self, path: Path, error: UserError) -> None:
        listed = self._first.setdefault(path, {})
        if error.what in listed or len(listed) < MAX_ERRORS:
            listed.setdefault(error.what, error)
            self._counts[path, error.what] += 1
        else:
            self._counts[path, ""] += 1

    def listed(self) -> list[UserError]:
        """In the order of the files and their records."""
        errors: list[UserError] = []
        for path, first in self._first.items():
            for what, error in first.items():
                more = self._counts[path, what] - 1
                also = f" (also in {more:,} more {'row' if more == 1 else 'rows'})" if more else ""
                errors.append(UserError(what + also, where=error.where, fix=error.fix))
            if more := self._counts[path, ""]:
                errors.append(UserError(f"{more:,} more rows have other errors", where=str(path)))
        return errors


@dataclass(frozen=True)
class Checks:
    """Checks of the rows of one (task, language, split)."""

    task: Task
    language: str
    split: str
    place: str
    """The file to name in errors that concern no single row."""
    numbered: bool = False
    """Ids are the row numbers, whatever the file has."""
    published: bool = True
    """Whether equal labels throughout a test set mean placeholders: true for published sets, not for a user's own."""
    original: str = ""
    """Where to get removed labels."""
    columns: Collection[str] = ()
    """Names of the columns of the files, in lower case, by which a header among the rows is found."""
    errors: RecordErrors | None = None
    """Collects the errors of single records; without it the first one is raised."""
    first: Row | None = None
    """The first row of the task's first file. If it has a column for an optional field, every row has the field."""

    def rows(self, read: Callable[[], Iterator[Row]]) -> Iterator[Row]:
        """The rows of `read()` that have no error, in order. Memory: 8 bytes per row. `read` is called once more if ids
        look duplicated.

        Raises:
            UserError: with the row's place, if the format rejects an example, a text is not Unicode, an id occurs twice,
                there are no rows, or placeholders replace the labels.
        """
        format = formats.get(self.task.format)
        hashes = array("q")
        labels: set[str] = set()
        first_here: Row | None = None
        collects_labels = self.split == "test" and self.published and format.has_fixed_answers
        num_wrong = 0
        for row in read():
            example = row.example
            error = row.error
            if error is None:
                first_here = first_here or row
                error = self._find_error(row, first_here, format)
            if error is not None:
                if self.errors is None:
                    raise error
                self.errors.add(row.path, error)
                num_wrong += 1
                continue
            if self.numbered:
                row = replace(row, example=replace(example, id=str(len(hashes))))
            hashes.append(hash(self._id_key(row.example.id)))
            if collects_labels and len(labels) < 2:
                labels.add(str(format.gold(example)))
            yield row
        if not hashes and not num_wrong:
            raise UserError(f"no examples for {self.task.name} {self.language} {self.split}", where=self.place)
        if not self.numbered:
            self._check_duplicate_ids(hashes, read)
        if collects_labels and len(labels) == 1 and len(hashes) >= MIN_PLACEHOLDER_ROWS:
            raise self._placeholders(f"every label of the {len(hashes):,} test rows is '{labels.pop()}'")

    def _find_error(self, row: Row, first_here: Row, format: formats.Format) -> UserError | None:
        example = row.example
        self._check_placeholder_answer(example)
        if is_header(example, format, self.columns):
            return UserError(
                "the row is a header",
                where=row.where,
                fix="Remove the line. Only the first line of a file names the columns.",
            )
        mixed = find_mixed_field(row, self.first, first_here, self.task.format, checks_ids=not self.published)
        if mixed is not None:
            return mixed
        problem = format.check(example, self.task.labels)
        if problem is not None:
            return self._problem(row, problem)
        if not all(text.isascii() or _is_unicode(text) for text in (example.id, *format.texts(example))):
            return UserError("the text holds an unpaired surrogate, which is not a character", where=row.where)
        return None

    def _check_placeholder_answer(self, example: Any) -> None:
        answers, starts = getattr(example, "answers", None), getattr(example, "starts", None)
        if answers == ("",) and starts == (0,):
            raise self._placeholders("the answers are empty, at character 0")

    def _placeholders(self, evidence: str) -> UserError:
        return UserError(
            f"the labels of {self.task.name} {self.language} {self.split} were removed ({evidence}), so it cannot be scored",
            where=self.place,
            fix=f"Use the original: {self.original}." if self.original else "Use the authors' own file.",
        )

    def _problem(self, row: Row, problem: str) -> UserError:
        labels, used = self.task.labels, formats.get(self.task.format).example_labels(row.example)
        unknown = next((label for label in used if label not in labels), None)
        hidden = unknown in ("-1", "") and self.split == "test"
        near = did_you_mean(unknown, labels) if unknown is not None and len(unknown) < 100 else ""
        if unknown and not self.published:
            near += "If the label is right, list it under `labels` with the others."
        fix = "The labels of this file are hidden. Score another split." if hidden else near
        return UserError(truncate(problem, 500), where=row.where, fix=fix)

    def _check_duplicate_ids(self, hashes: array[int], read: Callable[[], Iterator[Row]]) -> None:
        """Refuse equal ids. Only rows with equal hashes are compared."""
        ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
        repeated = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        if not repeated:
            return
        seen: dict[str, Row] = {}
        for row in read():
            if row.error is not None:
                continue
            key = self._id_key(row.example.id)
            if hash(key) not in repeated:
                continue
            first = seen.setdefault(key, row)
            if first is not row:
                name, other = row.example.id, first.example.id
                twin = "" if name == other else f"; its letters are composed differently there ({other!a} and {name!a})"
                raise UserError(
                    f"duplicate id '{truncate(name)}'", where=row.where,
                    fix=f"{first.where} has it too{truncate(twin, 200)}. Give each example a unique id, or write "
                    "`columns: {id: ''}` in a task of your own: then the row numbers are the ids.",
                )  # fmt: skip

    def _id_key(self, name: str) -> str:
        """The id by which examples are compared: in a user's files equal ids may be composed differently."""
        return name if self.published or name.isascii() else unicodedata.normalize("NFC", name)


def is_header(example: Any, format: formats.Format, columns: Collection[str]) -> bool:
    """Whether every cell of a row is the name of a column. `columns` are in lower case; without any no row is a header."""
    texts = format.texts(example)
    if not columns or not texts or len(texts[0]) > 100 or texts[0].lower() not in columns:
        return False
    cells = {text.lower() for text in (*texts, *format.example_labels(example))}
    return len(cells) > 1 and cells.issubset(columns)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
