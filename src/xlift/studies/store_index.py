"""What `xlift store ls` needs of each manifest, kept on this machine, so that a hundred thousand of them are read once.

The manifests stay the truth. An entry of the index counts only while the manifest of its job has the size and the time that it had when
it was read, so an index that is missing, old, damaged or written by two processes at once costs time and changes no answer. It is
in the user's cache folder and not in the store: what came with a store from elsewhere could say anything.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from xlift.caches import cache_folder
from xlift.errors import UserError
from xlift.new_files import write_atomically

FORMAT = 1
MIN_JOBS = 256
"""Fewer manifests are read at once, and no index is written."""


class IndexedManifest(NamedTuple):
    """A manifest that was read, without what no list shows."""

    stamp: str
    """Size and time of the manifest (`StoreBackend.stamp`)."""
    kind: str
    sha256: str
    seconds: float
    files: Mapping[str, Mapping[str, Any]]
    """Of the manifest, with the fields that `StoreBackend.file_sizes` and a list need."""

    @property
    def bytes(self) -> int:
        return sum(each["bytes"] for each in self.files.values())


class StoreIndex:
    """The index of one store.

    Args:
        where: path or URL of the store.
    """

    def __init__(self, where: str) -> None:
        self.path = index_path(where)
        self._entries: dict[str, IndexedManifest] | None = None
        self._listed: dict[str, IndexedManifest] = {}
        self._has_changed = False

    def find(self, key: str, stamp: str) -> IndexedManifest | None:
        """The manifest of a job, unless it may have changed since it was read."""
        if self._entries is None:
            self._entries = _read(self.path)
        found = self._entries.get(key)
        if found is None or not stamp or found.stamp != stamp:
            return None
        self._listed[key] = found
        return found

    def add(self, key: str, manifest: IndexedManifest) -> None:
        """Add a manifest that was just read. Its stamp must be from before that."""
        if manifest.stamp:
            self._listed[key], self._has_changed = manifest, True

    def save(self) -> None:
        """Write what was found and added, if that is new. Nothing happens where the cache cannot be written."""
        is_new = self._has_changed or len(self._listed) != len(self._entries or ())
        if not is_new or len(self._listed) < MIN_JOBS:
            return
        lines = (
            json.dumps([key, each.stamp, each.kind, each.sha256, each.seconds, each.files], separators=(",", ":"))
            for key, each in self._listed.items()
        )
        with suppress(UserError, OSError), write_atomically(self.path) as draft:
            draft.write_text(f"[{FORMAT},[\n" + ",\n".join(lines) + "\n]]\n", encoding="utf-8")


def index_path(where: str) -> Path:
    """The file of the index of a store. It may not exist."""
    return cache_folder("store-indexes") / f"{hashlib.sha256(where.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> dict[str, IndexedManifest]:
    """The entries of an index; none if it is missing, damaged or of another version."""
    collects = gc.isenabled()
    gc.disable()  # hundreds of thousands of new objects, none of them garbage
    try:
        version, entries = json.loads(path.read_bytes())
        if version != FORMAT:
            return {}
        return {
            str(key): IndexedManifest(stamp, str(kind), str(sha256), float(seconds), _check_files(files))
            for key, stamp, kind, sha256, seconds, files in entries
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    finally:
        if collects:
            gc.enable()


def _check_files(files: Any) -> Mapping[str, Mapping[str, Any]]:
    if not all(isinstance(each["bytes"], int) for each in files.values()):
        raise ValueError("a size is no whole number")
    return files
