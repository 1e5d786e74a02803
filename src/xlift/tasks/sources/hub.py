"""Examples from dataset repositories of the Hub: Parquet files, read where they lie; no code of theirs ever runs.

The files are read with pyarrow, batch by batch, and not through the library `datasets`: that would write every dataset a
second time as Arrow files, and bring a dozen dependencies for what one reader does in bounded memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlift import hub
from xlift.errors import UserError
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.translated import ENGLISH
from xlift.tasks.task import Task

SAID = 5_000_000
"""Bytes from which a download on demand is worth a line; the client shows bars on a terminal besides."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubSource:
    """A repository, and how its files are read. A declaration: nothing is opened or asked before it is needed.

    Files that are on this machine answer (`xlift.hub.caches`: DATA/hub, then the Hub client's cache); others are brought
    into the client's cache by the first call of `read`, `size` or `fingerprint`.
    """

    repository: str
    """ORG/NAME."""
    files: Mapping[str, str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]]
    """Split -> pattern of Parquet files ('{lang}/test-*.parquet'), with {lang} for the language's code; several patterns
    are read one after the other; or language -> pattern."""
    available: Mapping[str, tuple[str, ...]]
    """Split -> languages."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Language -> code that stands in file names, where it is another."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    """Column -> value of the rows to read, with {lang} as in patterns, where one file holds all languages."""
    numbered: bool = False
    """Ids are the rows' numbers, where those of the files name no single example."""
    joined: bool = False
    """See `FileSource.joined`. English is compared with where it lies in the same cache."""
    revision: str = "main"
    """Branch, tag or commit; `refs/convert/parquet` is the Hub's own conversion of repositories without Parquet."""
    kind: str = "hub"

    def languages(self, split: str) -> tuple[str, ...]:
        return self.available.get(split, ())

    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in ("train", "dev", "test") if split in self.available)

    def patterns(self, language: str, split: str) -> tuple[str, ...]:
        """The patterns of a language's files."""
        files = self.files[split]
        if isinstance(files, Mapping):
            files = files[language]
        several = (files,) if isinstance(files, str) else files
        return tuple(pattern.replace("{lang}", self.codes.get(language, language)) for pattern in several)

    def present(self, language: str, split: str, data: Path | None) -> bool:
        """Whether the files are on this machine. Asks no network."""
        return language in self.languages(split) and self._local(language, split, data) is not None

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int:
        return self._files(task, language, split, data).size(task, language, split, None)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        return self._files(task, language, split, data).read(task, language, split, None, size=size, seed=seed)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        return self._files(task, language, split, data).notes(task, language, split, None)

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        """Of the files' bytes and how they are read. Not of the commit: a new README is no new data."""
        return self._files(task, language, split, data).fingerprint(task, language, split, None)

    def commit(self, language: str, split: str, data: Path | None) -> str | None:
        """The resolved revision of the files that are on this machine."""
        found = self._local(language, split, data)
        return found[0].commit if found else None

    def _local(self, language: str, split: str, data: Path | None) -> tuple[hub.Snapshot, Path] | None:
        """The snapshot that has all the files, and its cache."""
        patterns = self.patterns(language, split)
        for cache in hub.caches(data):
            snapshot = hub.here(self.repository, self.revision, cache)
            if snapshot and snapshot.whole(patterns, cache):
                return snapshot, cache
        return None

    def _files(self, task: Task, language: str, split: str, data: Path | None) -> FileSource:
        """The files as a source of this one language and split, brought here where they are not.

        Raises:
            UserError: the Hub has them not, or cannot be asked (see `xlift.hub`).
        """
        if language not in self.languages(split):
            there = "; ".join(f"{name}: {' '.join(codes)}" for name, codes in self.available.items())
            raise UserError(f"task '{task.name}' has no {split} examples in '{language}'", fix=f"It has {there}.")
        patterns = self.patterns(language, split)
        found = self._local(language, split, data)
        if found is None:
            snapshot, cache = hub.listing(self.repository, self.revision), hub.caches(None)[0]
            entries = hub.wanted(snapshot, patterns)
            size = sum(entry.bytes for entry in entries)
            if size >= SAID:
                said = "bringing %s %s %s from the Hub: %d files of %s, %.0f MB"
                _LOG.warning(said, task.name, language, split, len(entries), self.repository, size / 1e6)
            hub.bring(snapshot, entries, cache)
        else:
            snapshot, cache = found
        wanted_patterns = {language: patterns}
        if self.joined and ENGLISH in self.languages(split):
            english = self.patterns(ENGLISH, split)
            wanted_patterns |= {ENGLISH: english} if snapshot.whole(english, cache) else {}
        return FileSource(
            reader="parquet",
            files={
                split: {
                    code: tuple(entry.path for entry in snapshot.matching(several))
                    for code, several in wanted_patterns.items()
                }
            },
            available={split: tuple(wanted_patterns)},
            codes=self.codes,
            columns=self.columns,
            values=self.values,
            drop=self.drop,
            where=self.where,
            numbered=self.numbered,
            joined=self.joined,
            root=snapshot.folder(cache),
            kind=self.kind,
        )
