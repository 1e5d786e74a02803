"""Examples from the Parquet files of dataset repositories of the Hub. No code of a repository is run.

The files are read with pyarrow, batch by batch, instead of with the library `datasets`, which would write every dataset a
second time as Arrow files and add a dozen dependencies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xlift import hub
from xlift.errors import UserError
from xlift.tasks.faults import FaultyRows
from xlift.tasks.sources.division import TRAIN, Holdout
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.parallel import ENGLISH
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task

LOG_BYTES = 5_000_000
"""A download on demand of at least this many bytes is logged; on a terminal the client also shows progress bars."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubSource:
    """A repository and how to read its files. A declaration: nothing is opened or requested before it is needed.

    Files on this machine are used first (`xlift.hub.cache_folders`: DATA/hub, then the Hub client's cache); others are
    downloaded into the client's cache by the first call of `read`, `size` or `fingerprint`.
    """

    repository: str
    """ORG/NAME."""
    files: Mapping[str, str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]]
    """Split -> pattern of Parquet files ('{lang}/test-*.parquet'), with {lang} for the language's code; several patterns
    are read one after the other; or language -> pattern."""
    available: Mapping[str, tuple[str, ...]]
    """Split -> languages."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Language -> code in file names, if different."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    """Column -> value of the rows to read, with {lang} as in patterns, if one file holds all languages."""
    numbered: bool = False
    """Use row numbers as ids, because the files' ids are not unique."""
    direction: tuple[str, ...] = ()
    """See `FileSource.direction`."""
    joined: bool = False
    """See `FileSource.joined`. Labels are compared with English if it is in the same cache."""
    holdout: Holdout | None = None
    """See `FileSource.holdout`."""
    revision: str = "main"
    """Branch, tag or commit; `refs/convert/parquet` is the Hub's own conversion of repositories without Parquet."""
    branch: str = ""
    """Branch or tag whose commit `revision` is. A download notes it in the cache, where it is then found without a network."""
    is_custom: bool = False
    """Declared in a study: its rows are checked as those of a user's own files."""
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
        patterns = (files,) if isinstance(files, str) else files
        return tuple(pattern.replace("{lang}", self.codes.get(language, language)) for pattern in patterns)

    def is_present(self, language: str, split: str, data: Path | None) -> bool:
        """Whether the files are on this machine. Uses no network."""
        return language in self.languages(split) and self._find_local(language, split, data) is not None

    def size(self, task: Task, language: str, split: str, data: Path | None) -> int:
        return self._files(task, language, split, data).size(task, language, split, None)

    def read(
        self, task: Task, language: str, split: str, data: Path | None, *, size: int | None = None, seed: int = 0
    ) -> Iterator[Any]:
        return self._files(task, language, split, data).read(task, language, split, None, size=size, seed=seed)

    def notes(self, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
        return self._files(task, language, split, data).notes(task, language, split, None)

    def faulty_rows(self, task: Task, language: str, split: str, data: Path | None) -> tuple[FaultyRows, ...]:
        return self._files(task, language, split, data).faulty_rows(task, language, split, None)

    def fingerprint(self, task: Task, language: str, split: str, data: Path | None) -> str:
        """Digest of the files' bytes and how they are read. The commit is not included: a new README changes no data."""
        return self._files(task, language, split, data).fingerprint(task, language, split, None)

    def commit(self, language: str, split: str, data: Path | None) -> str | None:
        """The commit of the files that are on this machine."""
        local = self._find_local(language, split, data)
        return local[0].commit if local else None

    def _find_local(self, language: str, split: str, data: Path | None) -> tuple[hub.Snapshot, Path] | None:
        """The snapshot on this machine that has all the files, and its cache."""
        patterns = self.needed_patterns(language, split)
        for cache in hub.cache_folders(data):
            snapshot = hub.find_snapshot(self.repository, self.revision, cache)
            if snapshot and snapshot.complete_paths(patterns, cache):
                return snapshot, cache
        return None

    def list_files(self) -> hub.Snapshot:
        """The files on the Hub (see `xlift.hub.list_files`)."""
        return replace(hub.list_files(self.repository, self.revision), revision=self.branch or self.revision)

    def find_all(self, data: Path | None) -> FileSource | None:
        """All files of a custom task as one source; None if not all of them are in one cache."""
        return next((each for each in self._find_present(data) if dict(each.available) == dict(self.available)), None)

    def read_labels(self, task: Task, data: Path | None) -> tuple[str, ...]:
        """The labels in the training files of a custom task that are on this machine, sorted."""
        files = next((each for each in self._find_present(data) if TRAIN in each.available), None)
        return files.read_labels(task, (TRAIN,), data) if files else ()

    def _find_present(self, data: Path | None) -> Iterator[FileSource]:
        """The files in each cache as one source."""
        for cache in hub.cache_folders(data):
            if snapshot := hub.find_snapshot(self.repository, self.revision, cache):
                yield self._file_source(snapshot, cache, self._present_patterns(snapshot, cache))

    def download_all(self, task_name: str) -> FileSource:
        """Download the files of a custom task that are not in the user's cache, and return `find_all`."""
        snapshot, cache = self.list_files(), hub.cache_folders(None)[0]
        patterns = (
            each for split in self.splits() for code in self.languages(split) for each in self.patterns(code, split)
        )
        self._download(snapshot, tuple(dict.fromkeys(patterns)), cache, task_name)
        return self._file_source(snapshot, cache, self._present_patterns(snapshot, cache))

    def first_row(self, task: Task, data: Path | None) -> Row | None:
        """See `FileSource.first_row`. None unless all files of the task are on this machine."""
        files = self.find_all(data)
        return files.first_row(task, data) if files else None

    def needed_patterns(self, language: str, split: str) -> tuple[str, ...]:
        """The patterns of a language's files, and of the training files by which its rows are divided."""
        patterns, reference = self.patterns(language, split), self._reference(language, split)
        return patterns + (self.patterns(reference, TRAIN) if reference else ())

    def _reference(self, language: str, split: str) -> str:
        """The language of the training files by which the rows of a split are divided; '' if they are not."""
        return self.holdout.divided_language(language, split) if self.holdout else ""

    def _files(self, task: Task, language: str, split: str, data: Path | None) -> FileSource:
        """The files as a source of this one language and split, downloaded if they are not on this machine.

        Raises:
            UserError: the Hub lacks the files or cannot be reached (see `xlift.hub`).
        """
        if language not in self.languages(split):
            available = "; ".join(f"{name}: {' '.join(codes)}" for name, codes in self.available.items())
            raise UserError(f"task '{task.name}' has no {split} examples in '{language}'", fix=f"It has {available}.")
        patterns = self.needed_patterns(language, split)
        local = self._find_local(language, split, data)
        if local is None:
            snapshot, cache = self.list_files(), hub.cache_folders(None)[0]
            self._download(snapshot, patterns, cache, f"{task.name} {language} {split}")
        else:
            snapshot, cache = local
        if self.is_custom:
            return self._file_source(snapshot, cache, self._present_patterns(snapshot, cache))
        patterns_by_language = {language: self.patterns(language, split)}
        compares_labels = self.joined or any(fault.differs_from_english for fault in task.faults)
        if compares_labels and ENGLISH in self.languages(split):
            english = self.patterns(ENGLISH, split)
            patterns_by_language |= {ENGLISH: english} if snapshot.complete_paths(english, cache) else {}
        patterns_by_split = {split: patterns_by_language}
        if reference := self._reference(language, split):
            patterns_by_split.setdefault(TRAIN, {})[reference] = self.patterns(reference, TRAIN)
        return self._file_source(snapshot, cache, patterns_by_split)

    def _download(self, snapshot: hub.Snapshot, patterns: tuple[str, ...], cache: Path, what: str) -> None:
        """Download the files that match some patterns.

        Args:
            what: the examples in them, for the log.
        """
        entries = hub.match_files(snapshot, patterns)
        size = sum(entry.bytes for entry in entries)
        if size >= LOG_BYTES:
            message = "downloading %s from the Hub: %d files of %s, %.0f MB"
            _LOG.warning(message, what, len(entries), self.repository, size / 1e6)
        hub.download_files(snapshot, entries, cache)

    def _present_patterns(self, snapshot: hub.Snapshot, cache: Path) -> dict[str, dict[str, tuple[str, ...]]]:
        """Split -> language -> patterns, where their files are in a cache."""
        return {
            split: present
            for split in self.splits()
            if (present := {
                code: patterns for code in self.languages(split)
                if snapshot.complete_paths(patterns := self.patterns(code, split), cache)
            })
        }  # fmt: skip

    def _file_source(
        self, snapshot: hub.Snapshot, cache: Path, patterns: Mapping[str, Mapping[str, tuple[str, ...]]]
    ) -> FileSource:
        """The files of some splits and languages in a cache as a source.

        Args:
            patterns: split -> language -> patterns.
        """
        return FileSource(
            reader="parquet",
            files={
                name: {
                    code: tuple(entry.path for entry in snapshot.matching(code_patterns))
                    for code, code_patterns in by_language.items()
                }
                for name, by_language in patterns.items()
            },
            available={name: tuple(by_language) for name, by_language in patterns.items()},
            holdout=self.holdout,
            codes=self.codes,
            columns=self.columns,
            values=self.values,
            drop=self.drop,
            where=self.where,
            direction=self.direction,
            numbered=self.numbered,
            joined=self.joined,
            root=snapshot.folder(cache),
            kind="custom" if self.is_custom else self.kind,
        )
