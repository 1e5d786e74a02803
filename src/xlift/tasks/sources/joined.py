"""Several tasks as one: their examples one after the other, under one set of labels.

What a head learns in common is drawn from each part in proportion to its size (ANLI+ of X-STILTs). A mixture of a study
does the same with parts that are batched apart, sampled by another rule, or of one's own choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.sources.base import canonical_json, chosen
from xlift.tasks.task import Task


@dataclass(frozen=True)
class Joined:
    """The examples of some tasks, in the order of the parts; ids begin with the name of the part."""

    parts: tuple[Task, ...]
    available: Mapping[str, tuple[str, ...]]
    """Split -> languages, all of which every part has."""

    @property
    def kind(self) -> str:
        """The parts' kinds, each once: 'native, xtreme, hub'."""
        return ", ".join(dict.fromkeys(kind for part in self.parts for kind in part.source.kind.split(", ")))

    def languages(self, split: str) -> tuple[str, ...]:
        return self.available.get(split, ())

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("train", "dev", "test") if split in self.available)

    def present(self, language: str, split: str, data: Path | None) -> bool:
        return language in self.languages(split) and all(
            part.source.present(language, split, data) for part in self.parts
        )

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        sizes = [part.source.size(part, language, split, data) for part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        """See `tasks.task.Source`; a subset is drawn from all the parts together."""
        examples = self._examples(language, split, data)
        if size is None:
            return examples
        there = self.size(task, language, split, data)
        if there is None or size > there:
            raise UserError(
                f"{size:,} examples asked for, {there or 0:,} are there: {task.name} {language} {split}",
                fix=f"Ask for {there or 0:,} or fewer, or leave the size out for all of them.",
            )
        mask = chosen(there, size, seed, task.name, language, split)
        return (example for taken, example in zip(mask, examples, strict=True) if taken)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        found = [(part.name, part.source.notes(part, language, split, data)) for part in self.parts]
        return tuple(f"{name}: {note}" for name, notes in found for note in notes)

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        parts = [(part.name, part.source.fingerprint(part, language, split, data)) for part in self.parts]
        return hashlib.sha256(canonical_json(["joined", task.labels, parts]).encode()).hexdigest()

    def _examples(self, language: str, split: str, data: Path | None) -> Iterator[Any]:
        for part in self.parts:
            for example in part.source.read(part, language, split, data):
                yield replace(example, id=f"{part.name} {example.id}")
