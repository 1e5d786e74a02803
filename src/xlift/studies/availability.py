"""Which data of a study is on this machine, and what stands for the rest.

A plan can be made without data: missing examples have a provisional fingerprint, and their published number (tasks/catalog/sizes.py).
A job that reads them, or that starts from a job that does, has a provisional key: such a key is in no store, since a study with
missing data is never run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from xlift.errors import UserError
from xlift.studies.job import PROVISIONAL
from xlift.studies.missing import MissingData
from xlift.tasks.catalog.sizes import published_count
from xlift.tasks.faults import FaultyRows
from xlift.tasks.fetching import find_hub_source
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.task import Task


@dataclass(frozen=True)
class Examples:
    """The examples of a (task, language, split)."""

    size: int | None
    """Their number; None if the source generates as many as requested."""
    fingerprint: str
    is_size_known: bool = True
    """False if `size` is an assumption."""
    notes: tuple[str, ...] = ()
    faulty_rows: tuple[FaultyRows, ...] = ()


class Availability:
    """Finds examples, and collects what is missing.

    Args:
        data: root folder of data files.
        to_run: whether missing files of the Hub are downloaded. After the first that cannot be had, no more are tried, since the
            study cannot be run.
    """

    def __init__(self, data: Path | None, *, to_run: bool) -> None:
        self.data, self.downloads = data, to_run
        self.missing: dict[tuple[str, str, str], MissingData] = {}
        """(task, language, split) -> what is missing."""
        self._found: dict[tuple[str, str, str], Examples] = {}

    def find(
        self, task: Task, language: str, split: str, size: int | None, locate: Callable[[UserError], UserError]
    ) -> Examples:
        """The examples of a split; provisional ones if their files are missing.

        Args:
            size: number of examples that the study uses; None for all.
            locate: adds the place in the study to an error.

        Raises:
            UserError: files are broken, or the file of a custom task is missing.
        """
        key = (task.name, language, split)
        if key not in self._found:
            self._found[key] = self._look_up(task, language, split, locate)
        if size is None and key in self.missing and not self.missing[key].uses_all:
            self.missing[key] = replace(self.missing[key], uses_all=True)
        return self._found[key]

    def find_here(self, task: Task, language: str, split: str) -> Examples:
        """The examples of a split, downloaded if the Hub has them. Raises UserError if they cannot be had, or are broken."""
        source, place = task.source, (task, language, split, self.data)
        size = source.size(*place)  # reads and checks every row of a file
        return Examples(
            size, source.fingerprint(*place), notes=source.notes(*place), faulty_rows=source.faulty_rows(*place)
        )

    def has(self, task: Task, language: str, split: str) -> bool:
        """Whether the files are on this machine."""
        return task.source.is_present(language, split, self.data)

    def can_be_provisional(self, task: Task, language: str, split: str) -> bool:
        """Whether the files are missing, and a plan does without. A custom task's own files must be there."""
        return task.source.kind != "custom" and not self.has(task, language, split)

    def lacks_files(self, task: Task) -> bool:
        """Whether any file of a task is missing, and a plan does without."""
        pairs = ((language, split) for split in task.source.splits() for language in task.source.languages(split))
        return any(self.can_be_provisional(task, *pair) for pair in pairs)

    def count(self, task: Task, language: str, split: str) -> int | None:
        """The number of examples; None if the source generates as many as requested."""
        found = self._found.get((task.name, language, split))
        return found.size if found else task.source.size(task, language, split, self.data)

    def _look_up(self, task: Task, language: str, split: str, locate: Callable[[UserError], UserError]) -> Examples:
        is_missing, reason = self.can_be_provisional(task, language, split), None
        if not is_missing or self.downloads:
            try:
                return self.find_here(task, language, split)
            except UserError as error:
                if not is_missing or self.has(task, language, split):
                    raise
                self.downloads, reason = False, locate(error)
        count, hub_source = published_count(task, language, split), find_hub_source(task.source)
        on_hub = hub_source is not None and language in hub_source.languages(split)
        self.missing[task.name, language, split] = MissingData(
            task, language, split, count, hub_source.repository if hub_source and on_hub else "", reason=reason
        )
        identity = canonical_json([task.name, task.labels, task.source.kind, language, split])
        fingerprint = PROVISIONAL + hashlib.sha256(identity.encode()).hexdigest()
        return Examples(count.examples, fingerprint, is_size_known=not count.is_assumed)
