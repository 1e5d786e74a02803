"""Files of the Hub on this machine: what a cache holds, and whether it is complete and undamaged."""

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
from typing import Literal

from xlift.errors import UserError
from xlift.hub.errors import write_error

CACHE_FOLDER = "hub"
"""Name of the cache inside a data folder."""
STALE_SECONDS = 3600.0
"""A partial download that has not grown for this long is abandoned."""
COMMIT = re.compile(r"[0-9a-f]{40}")

Kind = Literal["dataset", "model"]
"""Of a repository."""

_SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})\.parquet")


@dataclass(frozen=True)
class FileEntry:
    """One file of a commit. Unknown checksums are ''."""

    path: str
    bytes: int
    sha256: str = ""
    """Of the contents. The Hub gives it for files in large-file storage."""
    blob: str = ""
    """Git's id of the contents: SHA-1 of 'blob BYTES\\0' and the contents."""


@dataclass(frozen=True)
class Snapshot:
    """The files of a repository at one commit: the Parquet files of a dataset, or all files of a model."""

    repository: str
    revision: str
    """As requested: a branch, a tag or a commit."""
    commit: str
    """40 hexadecimal digits."""
    files: tuple[FileEntry, ...]
    kind: Kind = "dataset"

    def matching(self, patterns: Sequence[str]) -> tuple[FileEntry, ...]:
        """The files that match the patterns, pattern by pattern, each sorted by name (the order of the shards). Empty if a
        pattern matches nothing. '*' matches any characters, '/' included."""
        matches = [sorted((e for e in self.files if fnmatchcase(e.path, p)), key=lambda e: e.path) for p in patterns]
        return tuple(dict.fromkeys(entry for entries in matches for entry in entries)) if all(matches) else ()

    def folder(self, cache: Path) -> Path:
        return _repository_folder(self.repository, cache, self.kind) / "snapshots" / self.commit

    def complete_paths(self, patterns: Sequence[str], cache: Path) -> tuple[Path, ...]:
        """Paths in a cache of all files that match the patterns; empty if one of them, or a shard of a set, is missing."""
        entries = self.matching(patterns)
        paths = tuple(self.folder(cache) / entry.path for entry in entries)
        if not all(path.is_file() for path in paths):
            return ()
        names = {entry.path for entry in self.files}
        shards = (_SHARD.fullmatch(entry.path) for entry in entries)
        has_all_shards = all(
            f"{shard[1]}{number:05}-of-{shard[3]}.parquet" in names
            for shard in shards if shard
            for number in range(int(shard[3]))
        )  # fmt: skip
        return paths if has_all_shards else ()


def cache_folders(data: Path | None) -> tuple[Path, ...]:
    """Caches to search, in order: the one in the data folder, then the user's."""
    from huggingface_hub import constants

    return ((data / CACHE_FOLDER,) if data is not None else ()) + (Path(constants.HF_HUB_CACHE),)


def find_snapshot(repository: str, revision: str, cache: Path) -> Snapshot | None:
    """The files of a repository in a cache; None if the cache does not know the commit of the revision."""
    home = _repository_folder(repository, cache)
    commit = revision if COMMIT.fullmatch(revision) else _read_text(home / "refs" / revision)
    if not COMMIT.fullmatch(commit):
        return None
    listing = home / "xlift" / f"{commit}.json"
    if listing.is_file():
        return _read_listing(repository, revision, commit, listing, listing.stat().st_mtime_ns)
    folder = home / "snapshots" / commit  # filled by `datasets` or `hf download`, which keep no list of the files
    paths = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    files = tuple(FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths)
    return Snapshot(repository, revision, commit, files) if files else None


def has_model(name: str) -> bool:
    """Whether the user's cache has a model with its config and all shards of its weights. Uses no network."""
    home = _repository_folder(name, cache_folders(None)[0], "model")
    folder = home / "snapshots" / _read_text(home / "refs" / "main")
    if not (folder / "config.json").is_file():
        return False
    for index in (*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return False
        if all((folder / shard).is_file() for shard in shards):
            return True
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model.bin")) or any(folder.glob("*.gguf"))


@lru_cache(maxsize=256)
def _read_listing(repository: str, revision: str, commit: str, path: Path, mtime_ns: int) -> Snapshot:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(check_path(FileEntry(**entry)) for entry in content["files"])
        return Snapshot(repository, revision, commit, files)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"cannot read the list of fetched files: {error}", where=str(path), fix="Delete it and fetch again."
        ) from None


def _repository_folder(repository: str, cache: Path, kind: Kind = "dataset") -> Path:
    return cache / (f"{kind}s--" + repository.replace("/", "--"))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def find_corruption(path: Path, entry: FileEntry) -> str:
    """How the bytes of a file differ from the Hub's, or ''. Reads the whole file, unless its size differs."""
    size = path.stat().st_size
    if size != entry.bytes:
        return f"it has {size:,} bytes, and the Hub's has {entry.bytes:,}"
    if not entry.sha256 and not entry.blob:
        return ""
    expected = entry.sha256 or entry.blob
    digest = hashlib.sha256() if entry.sha256 else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    actual = digest.hexdigest()
    return "" if actual == expected else f"its checksum is {actual[:12]}..., and the Hub's is {expected[:12]}..."


def save_listing(snapshot: Snapshot, cache: Path) -> None:
    """Write the list of the commit's files, and the commit of the revision, into the cache."""
    home = _repository_folder(snapshot.repository, cache, snapshot.kind)
    files = {home / "xlift" / f"{snapshot.commit}.json": json.dumps(
        {"repository": snapshot.repository, "revision": snapshot.revision, "commit": snapshot.commit,
         "files": [asdict(entry) for entry in snapshot.files]}, indent=1)}  # fmt: skip
    if not COMMIT.fullmatch(snapshot.revision):
        files[home / "refs" / snapshot.revision] = snapshot.commit
    for path, text in files.items():
        if _read_text(path) != text:
            write_atomically(path, text)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees either the old content or the new.

    Raises:
        FatalTransferError: the file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise write_error(error, path) from None


def remove_file(path: Path) -> None:
    """Remove a file of a snapshot and the blob that it links to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def remove_stale_downloads(repository: str, cache: Path, kind: Kind = "dataset") -> None:
    """Remove partial files of killed transfers. The client never resumes a partial file of another process."""
    for path in (_repository_folder(repository, cache, kind) / "blobs").glob("*.incomplete"):
        with suppress(OSError):  # a running transfer may move its file away at this moment
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def check_path(entry: FileEntry) -> FileEntry:
    """Refuse a path that leads out of the folder, since paths come from a server."""
    parts = entry.path.split("/")
    if "\\" in entry.path or any(part in ("", ".", "..") for part in parts):
        raise UserError(f"the Hub lists a file '{entry.path}', a path outside its repository")
    return entry
