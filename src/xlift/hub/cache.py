"""Files of the Hub on this machine: what a cache holds, whether it is all there, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from xlift.errors import UserError
from xlift.hub.faults import unwritable

FOLDER = "hub"
"""Name of the cache inside of a data folder."""
STALE = 3600.0
"""Seconds without a byte after which a half-written file is nobody's any more."""
COMMIT = re.compile(r"[0-9a-f]{40}")

_SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})\.parquet")


@dataclass(frozen=True)
class Entry:
    """One file of a commit. Checksums are '' where they are not known."""

    path: str
    bytes: int
    sha256: str = ""
    """Of the contents; the Hub tells it for files in large-file storage."""
    blob: str = ""
    """Git's name for the contents: SHA-1 of 'blob BYTES\\0' and the contents."""


@dataclass(frozen=True)
class Snapshot:
    """The Parquet files of a repository at one commit."""

    repository: str
    revision: str
    """As asked for: a branch, a tag, or the commit itself."""
    commit: str
    """40 hexadecimal digits."""
    files: tuple[Entry, ...]

    def matching(self, patterns: Sequence[str]) -> tuple[Entry, ...]:
        """The files that patterns stand for, pattern by pattern and each in the order of names, which is that of the
        shards. '*' stands for any letters, '/' included."""
        found = [sorted((e for e in self.files if fnmatchcase(e.path, p)), key=lambda e: e.path) for p in patterns]
        return tuple(dict.fromkeys(entry for entries in found for entry in entries)) if all(found) else ()

    def folder(self, cache: Path) -> Path:
        return _home(self.repository, cache) / "snapshots" / self.commit

    def whole(self, patterns: Sequence[str], cache: Path) -> tuple[Path, ...]:
        """Where the files of some patterns lie in a cache: all of them, or nothing."""
        entries = self.matching(patterns)
        paths = tuple(self.folder(cache) / entry.path for entry in entries)
        if not all(path.is_file() for path in paths):
            return ()
        names = {entry.path for entry in self.files}
        shards = (_SHARD.fullmatch(entry.path) for entry in entries)
        there = all(
            f"{shard[1]}{number:05}-of-{shard[3]}.parquet" in names
            for shard in shards if shard
            for number in range(int(shard[3]))
        )  # fmt: skip
        return paths if there else ()


def caches(data: Path | None) -> tuple[Path, ...]:
    """Where files are looked for: the data folder's own cache, then that of this user."""
    from huggingface_hub import constants

    return ((data / FOLDER,) if data is not None else ()) + (Path(constants.HF_HUB_CACHE),)


def here(repository: str, revision: str, cache: Path) -> Snapshot | None:
    """What a cache holds of a repository, if it knows what the revision is."""
    home = _home(repository, cache)
    commit = revision if COMMIT.fullmatch(revision) else _text(home / "refs" / revision)
    if not COMMIT.fullmatch(commit):
        return None
    listing = home / "xlift" / f"{commit}.json"
    if listing.is_file():
        return _read_listing(repository, revision, commit, listing, listing.stat().st_mtime_ns)
    folder = home / "snapshots" / commit  # filled by `datasets` or `hf download`: what lies there is all that is known
    paths = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    files = tuple(Entry(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths)
    return Snapshot(repository, revision, commit, files) if files else None


@lru_cache(maxsize=256)
def _read_listing(repository: str, revision: str, commit: str, path: Path, mtime_ns: int) -> Snapshot:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Snapshot(repository, revision, commit, tuple(safe(Entry(**entry)) for entry in found["files"]))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"the list of fetched files cannot be read: {error}", where=str(path), fix="Delete it and fetch again."
        ) from None


def _home(repository: str, cache: Path) -> Path:
    return cache / ("datasets--" + repository.replace("/", "--"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def wrong(path: Path, entry: Entry) -> str:
    """What is wrong with the bytes of a file, or ''. Reads all of it, unless the size tells already."""
    size = path.stat().st_size
    if size != entry.bytes:
        return f"it has {size:,} bytes where the Hub has {entry.bytes:,}"
    if not entry.sha256 and not entry.blob:
        return ""
    expected = entry.sha256 or entry.blob
    digest = hashlib.sha256() if entry.sha256 else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    return "" if found == expected else f"its checksum is {found[:12]}... where the Hub says {expected[:12]}..."


def record(snapshot: Snapshot, cache: Path) -> None:
    """Write what the commit holds, and what the revision means in this cache."""
    home = _home(snapshot.repository, cache)
    files = {home / "xlift" / f"{snapshot.commit}.json": json.dumps(
        {"repository": snapshot.repository, "revision": snapshot.revision, "commit": snapshot.commit,
         "files": [asdict(entry) for entry in snapshot.files]}, indent=1)}  # fmt: skip
    if not COMMIT.fullmatch(snapshot.revision):
        files[home / "refs" / snapshot.revision] = snapshot.commit
    for path, text in files.items():
        if _text(path) != text:
            write(path, text)


def write(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old one or the new one.

    Raises:
        Stuck: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise unwritable(error, path) from None


def discard(path: Path) -> None:
    """Remove a file of a snapshot, and the blob that it points to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def sweep(repository: str, cache: Path) -> None:
    """Remove what killed transfers left behind: the client never goes on with another process's half of a file."""
    for path in (_home(repository, cache) / "blobs").glob("*.incomplete"):
        with suppress(OSError):  # it may be that of a transfer under way, which moves it away just now
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


def safe(entry: Entry) -> Entry:
    """Names come from a server: one that leads out of the folder is refused."""
    parts = entry.path.split("/")
    if "\\" in entry.path or any(part in ("", ".", "..") for part in parts):
        raise UserError(f"the Hub names a file '{entry.path}', which leads out of its repository")
    return entry
