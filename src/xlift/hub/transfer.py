"""Download the files of several repositories, with one display of the progress."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from xlift.errors import UserError
from xlift.hub import client
from xlift.hub.cache import FileEntry, Snapshot, find_corruption, remove_file, remove_stale_downloads
from xlift.hub.errors import FatalTransferError


class Display(Protocol):
    """Shows progress."""

    def start_transfer(self, files: int, bytes: int) -> None:
        """Called with the amount to download, without the files that are already there."""

    def start_file(self, task: str, name: str) -> None: ...
    def add_bytes(self, bytes: int) -> None: ...
    def start_check(self, task: str) -> None: ...


@dataclass(frozen=True)
class Transfer:
    """The files that are needed of one repository."""

    name: str
    """Of the task or model, for the display."""
    snapshot: Snapshot
    entries: tuple[FileEntry, ...]
    cache: Path
    problems: list[str] = field(default_factory=list)
    """Receives what could not be downloaded."""


def transfer(transfers: Sequence[Transfer], display: Display, *, verify: bool = False) -> None:
    """Download the files that are not in their caches, each whole or not at all. What fails does not stop the others.

    Args:
        verify: check the files that are there, and download those again whose checksum differs.

    Raises:
        UserError: the disk has too little space.
        FatalTransferError: no network, or the disk is full.
    """
    missing: dict[tuple[Path, Snapshot, str], int] = {}
    for each in transfers:
        remove_stale_downloads(each.snapshot.repository, each.cache, each.snapshot.kind)
        if verify:
            display.start_check(each.name)
        for entry in each.entries:
            path = each.snapshot.folder(each.cache) / entry.path
            if verify and path.is_file() and find_corruption(path, entry):
                remove_file(path)
            if not path.is_file() or path.stat().st_size != entry.bytes:
                missing[each.cache, each.snapshot, entry.path] = entry.bytes
    for cache in dict.fromkeys(each.cache for each in transfers):
        _check_disk_space(sum(size for (place, *_), size in missing.items() if place == cache), cache)
    display.start_transfer(len(missing), sum(missing.values()))
    for each in transfers:
        try:
            for entry in each.entries:
                if missing.pop((each.cache, each.snapshot, entry.path), None) is not None:
                    display.start_file(each.name, entry.path)
                client.download_files(each.snapshot, (entry,), each.cache, display.add_bytes)
        except FatalTransferError:
            raise
        except UserError as error:
            each.problems.append(str(error))


def _check_disk_space(needed: int, cache: Path) -> None:
    folder = next(parent for parent in (cache, *cache.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the download needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free", where=str(folder),
            fix="Free space, or choose a folder on another disk with --data (models: HF_HUB_CACHE).",
        )  # fmt: skip
