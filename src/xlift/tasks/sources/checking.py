"""What every source does with rows before they are examples: check each, number them, find ids that stand twice, and
recognise test files whose labels their publishers took away."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlift.errors import UserError, nearest
from xlift.tasks import formats
from xlift.tasks.sources.base import clipped
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task

ENOUGH = 50
"""Rows of a test set that, all with one and the same label, are taken for placeholders."""


@dataclass(frozen=True)
class Checks:
    """What is asked of the rows of one (task, language, split)."""

    task: Task
    language: str
    split: str
    place: str
    """The file that is named where no row can be."""
    numbered: bool = False
    """Ids are the rows' numbers, whatever stands in the file."""
    published: bool = True
    """Whether equal labels throughout a test set mean placeholders: so in published sets, not in a user's own."""
    original: str = ""
    """Where labels that were taken away can be had."""

    def rows(self, read: Callable[[], Iterator[Row]]) -> Iterator[Row]:
        """The rows of `read()`, in order. Memory: 8 bytes a row. `read` is called once more if ids seem to stand twice.

        Raises:
            UserError: what the format finds wrong with an example, a text that is no Unicode, an id that stands twice, no
                rows at all, placeholders instead of labels. With the row's place.
        """
        format = formats.get(self.task.format)
        hashes = array("q")
        labels: set[Any] = set()
        gathers = self.split == "test" and self.published and format.name in ("classification", "multiple-choice")
        for row in read():
            example = row.example
            problem = self._removed(example) or format.check(example, self.task.labels)
            if problem is not None:
                raise self._problem(row, problem)
            if not all(text.isascii() or _unicode(text) for text in (example.id, *format.texts(example))):
                raise UserError("half of a surrogate pair, which is no letter", where=row.where)
            if self.numbered:
                row = replace(row, example=replace(example, id=str(len(hashes))))
            hashes.append(hash(row.example.id))
            if gathers and len(labels) < 2:
                labels.add(example.label)
            yield row
        if not hashes:
            raise UserError(f"no examples for {self.task.name} {self.language} {self.split}", where=self.place)
        if not self.numbered:
            self._find_twins(hashes, read)
        if gathers and len(labels) == 1 and len(hashes) >= ENOUGH:
            raise self._placeholders(f"every label of the {len(hashes):,} test rows is '{labels.pop()}'")

    def _removed(self, example: Any) -> str | None:
        answers, starts = getattr(example, "answers", None), getattr(example, "starts", None)
        if answers == ("",) and starts == (0,):
            raise self._placeholders("the answers are empty, at character 0")
        return None

    def _placeholders(self, seen: str) -> UserError:
        return UserError(
            f"the labels of {self.task.name} {self.language} {self.split} were taken away ({seen}): nothing to score against",
            where=self.place,
            fix=f"Take the original: {self.original}." if self.original else "Take the authors' own file.",
        )

    def _problem(self, row: Row, problem: str) -> UserError:
        labels = self.task.labels
        used = getattr(row.example, "tags", None) or (getattr(row.example, "label", None),)
        unknown = next((label for label in used if isinstance(label, str) and label not in labels), None)
        hidden = unknown in ("-1", "") and self.split == "test"
        near = nearest(unknown, labels) if unknown is not None and len(unknown) < 100 else ""
        fix = "The labels of this file are hidden: score another split. " if hidden else near
        return UserError(clipped(problem, 500), where=row.where, fix=fix.strip() if hidden else fix)

    def _find_twins(self, hashes: array[int], read: Callable[[], Iterator[Row]]) -> None:
        """Two equal ids, looked for among the rows whose hashes are equal."""
        ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
        doubtful = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        if not doubtful:
            return
        seen: set[str] = set()
        for row in read():
            name = row.example.id
            if hash(name) in doubtful and name in seen:
                raise UserError(
                    f"the id '{clipped(name)}' stands twice", where=row.where, fix="Ids name one example each."
                )
            if hash(name) in doubtful:
                seen.add(name)


def _unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
