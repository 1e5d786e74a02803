"""Where a store keeps its artifacts, records and locks: the interface of a folder (folder_backend.py) and of an object store
(object_backend.py).

Both keep the same promises. An artifact is whole or absent: its manifest appears last, and at once. One process writes a key.
A reader never sees half of a file.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xlift.errors import UserError
from xlift.studies.locks import Lock, LockTable
from xlift.studies.store_layout import StoreLayout, list_keyed

PlaceKind = Literal["artifact", "manifest", "weights", "partial", "temporary", "aside", "cache"]


@dataclass(frozen=True)
class Place:
    """Something in a store that can be measured, removed or moved aside as one: an artifact, a manifest, a leftover."""

    kind: PlaceKind
    key: str
    name: str
    """Its path or the name of its object."""


class StoreBackend(ABC):
    """One store. Methods raise UserError if an object store cannot be reached, and OSError where a disk refuses: see `errors`."""

    where: str
    """The path or the URL of the store; `open_backend` opens it again."""
    layout: StoreLayout
    """Folders on this machine for drafts, checkpoints and the files of artifacts: the store itself, or its cache."""
    locks: LockTable
    is_remote = False
    """Whether `layout` is a cache."""

    def errors(self) -> AbstractContextManager[None]:
        """Turn the OSErrors of a full, read-only or forbidden disk into a UserError."""
        return self.layout.disk_errors()

    @abstractmethod
    def exists(self) -> bool:
        """Whether the store exists; False if it can be created. Raises UserError if something else is there."""

    @abstractmethod
    def create(self) -> None:
        """Create the store if it does not exist."""

    # -- finished jobs

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether the artifact is finished. Raises UserError for an invalid key."""

    @abstractmethod
    def has_manifest(self, key: str) -> bool:
        """Whether the store has the manifest of a job without its files."""

    @abstractmethod
    def read_manifest(self, key: str) -> dict[str, Any]:
        """The manifest of an artifact. Raises UserError if it is missing, damaged or of another key."""

    @abstractmethod
    def read_bare_manifest(self, key: str) -> dict[str, Any]:
        """The manifest of a job without files. Raises UserError if it is missing, damaged or of another key."""

    @abstractmethod
    def write_bare_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest of a job without files, atomically."""

    @abstractmethod
    def fetch(self, key: str, files: Mapping[str, Mapping[str, Any]], *, verify: bool = False) -> None:
        """Make files of an artifact available in its folder (`layout.artifact`).

        Args:
            files: name -> {sha256, bytes}, from the manifest.
            verify: hash files that are on this machine already, once per process.

        Raises:
            UserError: a file is missing or damaged.
        """

    @abstractmethod
    def check_file(self, key: str, name: str, expected: Mapping[str, Any]) -> None:
        """Hash the stored file of an artifact. Raises UserError with both digests if it differs from the manifest."""

    def find_damage(self, key: str) -> list[str]:
        """What is wrong with an artifact. Hashes all its files."""
        try:
            files = self.read_manifest(key)["files"]
        except UserError as error:
            return [error.what]
        damage: list[str] = []
        for name, expected in files.items():
            try:
                self.check_file(key, name, expected)
            except UserError as error:
                damage.append(error.what)
        return damage

    # -- writing

    def new_draft(self, lock: Lock) -> Path:
        """A new folder for the artifact of a locked job. Removes the drafts of dead processes."""
        for other, folder in list_keyed(self.layout.tmp):
            if other == lock.key:  # its writer held this lock before, so it is dead
                shutil.rmtree(folder)
        draft = self.layout.tmp / f"{lock.key}.{lock.token}"
        draft.mkdir(parents=True)
        return draft

    @abstractmethod
    def publish(self, folder: Path, lock: Lock) -> bool:
        """Make a complete draft the artifact of its key. Returns False if another machine has taken over the lock."""

    # -- small files that are no artifacts

    @abstractmethod
    def read_file(self, name: str) -> bytes | None:
        """The content of a small file ("studies/NAME.json"); None if there is none."""

    @abstractmethod
    def write_file(self, name: str, content: bytes) -> None:
        """Write a small file atomically."""

    @abstractmethod
    def list_files(self, folder: str) -> list[str]:
        """Names of the small files of a folder, sorted, without the folder and without hidden ones."""

    # -- maintenance

    @abstractmethod
    def artifact_keys(self) -> list[str]:
        """Keys of all artifacts, sorted, broken ones too."""

    @abstractmethod
    def manifest_keys(self) -> list[str]:
        """Keys of all manifests without files, sorted, broken ones too."""

    @abstractmethod
    def place(self, kind: Literal["artifact", "manifest"], key: str) -> Place:
        """The place of an artifact, or of a manifest without files."""

    @abstractmethod
    def leftovers(self, kind: Literal["partial", "temporary", "aside", "cache"]) -> list[Place]:
        """What is in the store beside artifacts and manifests."""

    listed_fields: tuple[str, ...] = ("bytes",)
    """Fields of `manifest["files"]` that `file_sizes` and lists need."""

    @abstractmethod
    def stamp(self, kind: Literal["artifact", "manifest"], key: str) -> str:
        """Something that changes when a manifest does, such as its size and time; '' if it is gone."""

    @abstractmethod
    def file_sizes(self, key: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """Bytes of those files of an artifact that are there: of `manifest["files"]`."""

    @abstractmethod
    def measure(self, place: Place) -> int:
        """Bytes of a place; 0 if it is gone."""

    @abstractmethod
    def contains(self, place: Place) -> bool:
        """Whether a place is still there, and still what its kind says."""

    @abstractmethod
    def remove(self, place: Place, lock: Lock) -> None:
        """Remove a place, whose key this process has locked. No process ever sees half an artifact."""

    @abstractmethod
    def set_aside(self, place: Place, lock: Lock) -> Path | str:
        """Move a broken artifact or manifest aside. Returns its new path or name."""
