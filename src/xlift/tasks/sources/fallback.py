"""A task with several sources: the first that has the examples on this machine is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.faults import FaultyRows
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Source, Task


@dataclass(frozen=True)
class FallbackSource:
    """Sources of one task, in the order in which they are tried.

    For each (language, split) the first member whose files are present is used. If none has them, they are downloaded from
    the Hub, if it is a member. Members may declare different languages and splits.
    """

    members: tuple[Source, ...]

    @property
    def kind(self) -> str:
        """The members' kinds, in order: 'native, hub'."""
        return ", ".join(dict.fromkeys(member.kind for member in self.members))

    def languages(self, split: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(code for member in self.members for code in member.languages(split)))

    def splits(self) -> tuple[str, ...]:
        return tuple(
            split for split in ("train", "dev", "test") if any(split in member.splits() for member in self.members)
        )

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        return any(member.is_present(language, split, data) for member in self.members)

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        return self.select_source(task, language, split, data).size(task, language, split, data)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        return self.select_source(task, language, split, data).read(task, language, split, data, size=size, seed=seed)

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        return self.select_source(task, language, split, data).fingerprint(task, language, split, data)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        return self.select_source(task, language, split, data).notes(task, language, split, data)

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        return self.select_source(task, language, split, data).faulty_rows(task, language, split, data)

    def select_source(self, task: Task, language: str, split: str, data: Path | None) -> Source:
        """The member that has the examples, else the first that can download them (the Hub).

        Raises:
            UserError: no member can; the message names each one tried.
        """
        declared = [member for member in self.members if language in member.languages(split)]
        if not declared:
            available = "; ".join(f"{name}: {' '.join(self.languages(name))}" for name in self.splits())
            raise UserError(f"task '{task.name}' has no {split} examples in '{language}'", fix=f"It has {available}.")
        for member in declared:
            if member.is_present(language, split, data):
                return member
        if len(declared) == 1:
            return declared[0]  # its own error message is the most precise
        failures = []
        for member in declared:
            try:
                member.fingerprint(task, language, split, data)  # files: raises the reason; the Hub: downloads them
                return member
            except UserError as error:
                failures.append(f"{member.kind}: {_one_line(error)}")
        raise UserError(
            f"none of its {len(declared)} sources has examples of {task.name} {language} {split}",
            fix="\n  ".join(failures),
        )


def _one_line(error: UserError) -> str:
    """An error as one line of text."""
    return " ".join(f"{error.where}: {error.what}. {error.fix}".removeprefix(": ").split())


def find_origins(source: Source, language: str, split: str, data: Path | None) -> tuple[str, ...]:
    """Origins of the examples on this machine: 'facebook/xnli@COMMIT' for the Hub, else the kind of the source."""
    if isinstance(source, ConcatenatedSource):
        by_part = (find_origins(part.source, language, split, data) for part in source.parts)
        return tuple(dict.fromkeys(origin for origins in by_part for origin in origins))
    if isinstance(source, FallbackSource):
        members = (member for member in source.members if member.is_present(language, split, data))
        return next((find_origins(member, language, split, data) for member in members), ())
    if isinstance(source, HubSource):
        commit = source.commit(language, split, data)
        return (f"{source.repository}@{commit}",) if commit else ()
    return (source.kind,)


def find_optional_fields(task: Task, data: Path | None) -> dict[str, bool]:
    """Field that `xlift predict` reads and tasks of the format may lack -> whether this one, on a user's files, has it."""
    source, input_fields = task.source, formats.get(task.format).input_fields
    row = None
    if (isinstance(source, FileSource) and source.kind == "custom") or (
        isinstance(source, HubSource) and source.is_custom
    ):
        row = source.first_row(task, data)
    return {name: found is not None for name, found in row.optional.items() if name in input_fields} if row else {}


def keep_kind(source: Source, kind: str) -> Source:
    """The source with only its members of the kind that a study names; unchanged if it has none of that kind."""
    if isinstance(source, ConcatenatedSource):
        return replace(source, parts=tuple(replace(part, source=keep_kind(part.source, kind)) for part in source.parts))
    if isinstance(source, FallbackSource):
        return FallbackSource(tuple(member for member in source.members if member.kind == kind) or source.members)
    return source
