"""Several tasks as one: their examples one after the other, with one set of labels.

A head trained on it sees each part in proportion to its size (ANLI+ of X-STILTs). A mixture in a study differs: its parts
are batched separately, may be sampled by another rule, and are chosen by the user.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.faults import FaultyRows
from xlift.tasks.sources.base import canonical_json, subset_mask
from xlift.tasks.task import Task
from xlift.units import count_noun


@dataclass(frozen=True)
class ConcatenatedSource:
    """The examples of several tasks, in the order of the parts; ids begin with the part's name."""

    parts: tuple[Task, ...]
    available: Mapping[str, tuple[str, ...]]
    """Split -> languages; every part has all of them."""

    @property
    def kind(self) -> str:
        """The parts' kinds, each once: 'native, xtreme, hub'."""
        return ", ".join(dict.fromkeys(kind for part in self.parts for kind in part.source.kind.split(", ")))

    def languages(self, split: str) -> tuple[str, ...]:
        return self.available.get(split, ())

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("train", "dev", "test") if split in self.available)

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        return language in self.languages(split) and all(
            part.source.is_present(language, split, data) for part in self.parts
        )

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        sizes = [part.source.size(part, language, split, data) for part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """See `tasks.task.Source`; a subset is drawn from all parts together."""
        examples = self._examples(language, split, data)
        if size is None:
            return examples
        available = self.size(task, language, split, data)
        if available is None or size > available:
            raise UserError(
                f"{task.name} {language} {split} has {count_noun(available or 0, 'example')}, fewer than the {size:,} requested",
                fix=f"Request {available or 0:,} or fewer, or leave the size out to use all of them.",
            )
        mask = subset_mask(available, size, seed, task.name, language, split)
        return (example for is_selected, example in zip(mask, examples, strict=True) if is_selected)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        by_part = [(part.name, part.source.notes(part, language, split, data)) for part in self.parts]
        return tuple(f"{name}: {note}" for name, notes in by_part for note in notes)

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        return tuple(found for part in self.parts for found in part.source.faulty_rows(part, language, split, data))

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        parts = [(part.name, part.source.fingerprint(part, language, split, data)) for part in self.parts]
        return hashlib.sha256(canonical_json(["joined", task.labels, parts]).encode()).hexdigest()

    def _examples(self, language: str, split: str, data: Path | None) -> Iterator[Any]:
        for part in self.parts:
            for example in part.source.read(part, language, split, data):
                yield replace(example, id=f"{part.name} {example.id}")
