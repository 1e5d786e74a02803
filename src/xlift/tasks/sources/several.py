"""A task whose examples can come from several places: the first that has them on this machine answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.joined import Joined
from xlift.tasks.task import Source, Task


@dataclass(frozen=True)
class Several:
    """Sources of one task, in the order in which they are asked.

    For each (language, split) the first member answers whose files are there. Where no member has them, the Hub brings
    them, if it is one of the members. Members may differ in the languages and splits that they declare.
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

    def present(self, language: str, split: str, data: Path | None) -> bool:
        return any(member.present(language, split, data) for member in self.members)

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int | None:
        return self.answering(task, language, split, data).size(task, language, split, data)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        return self.answering(task, language, split, data).read(task, language, split, data, size=size, seed=seed)

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        return self.answering(task, language, split, data).fingerprint(task, language, split, data)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        return self.answering(task, language, split, data).notes(task, language, split, data)

    def answering(self, task: Task, language: str, split: str, data: Path | None) -> Source:
        """The member that has the examples, else the first that can bring them, which is the Hub.

        Raises:
            UserError: none can; every place that was looked at is named.
        """
        declared = [member for member in self.members if language in member.languages(split)]
        if not declared:
            there = "; ".join(f"{name}: {' '.join(self.languages(name))}" for name in self.splits())
            raise UserError(f"task '{task.name}' has no {split} examples in '{language}'", fix=f"It has {there}.")
        for member in declared:
            if member.present(language, split, data):
                return member
        if len(declared) == 1:
            return declared[0]  # its own message says it best
        looked = []
        for member in declared:
            try:
                member.fingerprint(task, language, split, data)  # files: why there are none; the Hub: brings them here
                return member
            except UserError as error:
                looked.append(f"{member.kind}: {_short(error)}")
        raise UserError(
            f"no examples of {task.name} {language} {split} can be had from any of its {len(declared)} sources",
            fix="\n  ".join(looked),
        )


def _short(error: UserError) -> str:
    """An error as one line of a list."""
    return " ".join(f"{error.where}: {error.what}. {error.fix}".removeprefix(": ").split())


def origins(source: Source, language: str, split: str, data: Path | None) -> tuple[str, ...]:
    """Where the examples on this machine came from: 'facebook/xnli@COMMIT' for the Hub, else the kind of the source."""
    if isinstance(source, Joined):
        of_parts = (origins(part.source, language, split, data) for part in source.parts)
        return tuple(dict.fromkeys(origin for found in of_parts for origin in found))
    if isinstance(source, Several):
        members = (member for member in source.members if member.present(language, split, data))
        return next((origins(member, language, split, data) for member in members), ())
    if isinstance(source, HubSource):
        commit = source.commit(language, split, data)
        return (f"{source.repository}@{commit}",) if commit else ()
    return (source.kind,)


def only(source: Source, kind: str) -> Source:
    """A source without members of other kinds, where a study names the one; as it is where there is none of that kind."""
    if isinstance(source, Joined):
        return replace(source, parts=tuple(replace(part, source=only(part.source, kind)) for part in source.parts))
    if isinstance(source, Several):
        return Several(tuple(member for member in source.members if member.kind == kind) or source.members)
    return source
