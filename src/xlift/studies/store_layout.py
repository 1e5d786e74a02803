"""The folders of a store, and the errors of its disk.

    <root>/xlift-store.json          the version of this layout; a folder without it is not a store
    <root>/artifacts/ab/<key>/        one finished artifact: its files and manifest.json
    <root>/manifests/<key>.json      the manifest of a finished job whose files are not here: removed, or from a bundle
    <root>/partial/<key>/            checkpoints of an unfinished job
    <root>/tmp/<key>.<token>/        an artifact being written, or being removed
    <root>/locks/<key>               the process that works on it (studies/locks.py)
    <root>/studies/<name>.json       a study and the keys of its jobs (studies/record.py)
    <root>/contamination/<name>.json  training texts found among the scored examples (analysis/contamination_report.py)
    <root>/trackers/                 files of experiment trackers (execution/work/trackers.py)
    <root>/aside/<key>.<token>/      broken artifacts that `xlift store verify --repair` moved aside

All of it is one filesystem, so that a folder moves from `tmp` to `artifacts` by one rename.
"""

from __future__ import annotations

import errno
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xlift.errors import UserError

VERSION = 2
"""Version of this layout, written in `xlift-store.json`."""

MARKER = "xlift-store.json"
_KEY = re.compile(r"[0-9a-f]{16,64}")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOWHERE = (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP)
"""A folder cannot be created on this filesystem (/proc), or not by this name."""


class StoreLayout:
    """The paths of one store. Creates nothing before `create`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artifacts, self.partials, self.tmp = root / "artifacts", root / "partial", root / "tmp"
        self.locks, self.aside = root / "locks", root / "aside"
        self.manifests = root / "manifests"

    def artifact(self, key: str) -> Path:
        """The folder of an artifact, present or not. Raises UserError for an invalid key."""
        return self.artifacts / check_key(key)[:2] / key

    def manifest(self, key: str) -> Path:
        """The file of a manifest without files, present or not. Raises UserError for an invalid key."""
        return self.manifests / f"{self.artifact(key).name}.json"

    def manifest_keys(self) -> list[str]:
        """Keys of all manifests without files, sorted, broken ones too."""
        return _keys(self.manifests)

    def artifact_keys(self) -> list[str]:
        """Keys of all folders in `artifacts`, sorted, broken ones too."""
        shards = [self.artifacts / name for name in names(self.artifacts)]
        _refuse_links(shards)
        return [key for shard in shards for key in _keys(shard)]

    def exists(self) -> bool:
        """Whether the store exists; False if it can be created.

        Raises:
            UserError: `root` is a file, a folder with other files, or a store of another layout.
        """
        where = str(self.root)
        try:
            found = os.listdir(self.root)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            raise UserError(
                "a store is a folder, and this path is a file or leads through one",
                where=where,
                fix="name another folder",
            ) from None
        except OSError as error:
            self._refuse(error)
            raise
        try:  # after listing: a store gets its marker first, so the marker exists if any of `found` is xlift's
            marker = json.loads((self.root / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            if all(name.startswith(f".{MARKER}") for name in found):
                return False
            raise UserError(
                "this folder has other files and is not an xlift store",
                where=where,
                fix="name a new or empty folder; nothing was written here",
            ) from None
        except (ValueError, RecursionError):
            marker = None
        if marker != {"layout": VERSION}:
            raise UserError(
                f"this version of xlift cannot read the store: expected layout {VERSION}, found {marker}",
                where=str(self.root / MARKER),
                fix="use the version that made it, or name another folder",
            )
        _refuse_links([self.root / name for name in found])
        return True

    def create(self) -> None:
        """Create the store if it does not exist. Raises as `exists` does."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._refuse(error)
            raise
        if not self.exists():
            new = self.root / f".{MARKER}.{uuid.uuid4().hex}"
            new.write_text(json.dumps({"layout": VERSION}) + "\n", encoding="utf-8")
            os.replace(new, self.root / MARKER)  # if two processes do this at once, both write the same bytes

    def _refuse(self, error: OSError) -> None:
        """Raises UserError if an error means that the folder cannot be created."""
        if error.errno in _NOWHERE:
            raise UserError(
                f"the folder cannot be created: {error.strerror}", where=str(self.root), fix="name another folder"
            ) from error

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Turn OSErrors of a full, read-only or forbidden disk into a UserError.

        An error that names a file outside of the store passes through.
        """
        try:
            yield
        except OSError as error:
            if isinstance(error.filename, str):
                path = Path(error.filename)
                if not (path.is_relative_to(self.root) or self.root.is_relative_to(path)):
                    raise
            if error.errno in _FULL:
                raise UserError(
                    "no space left for the store",
                    where=str(self.root),
                    fix="free some space (`xlift store gc` removes what no study needs) and run again; "
                    "finished artifacts are safe",
                ) from error
            if error.errno in _DENIED:
                raise UserError(
                    f"the store cannot be used: {error.strerror}",
                    where=str(error.filename or self.root),
                    fix="name another folder, or ask the owner of this one for access",
                ) from error
            raise


def _refuse_links(folders: Iterable[Path]) -> None:
    """Raises UserError if a folder of a store is a link: what is removed from the store would be removed from elsewhere."""
    if link := next((folder for folder in folders if folder.is_symlink()), None):
        raise UserError(
            "it is a link, and a store has plain folders only",
            where=str(link),
            fix="move the whole store to where the link leads, or remove the link.",
        )


def check_key(key: str) -> str:
    """The key. Raises UserError for an invalid one: it may be user input, and it becomes part of a path."""
    if not _KEY.fullmatch(key):
        raise UserError(
            f"'{key}' is not a key",
            fix="a key has 16 to 64 hexadecimal digits; `xlift store ls` lists those in the store",
        )
    return key


def _keys(folder: Path) -> list[str]:
    """The keys of `list_keyed`."""
    return [key for key in (name.partition(".")[0] for name in names(folder)) if _KEY.fullmatch(key)]


def list_keyed(folder: Path) -> list[tuple[str, Path]]:
    """The entries of a folder that are named `<key>` or `<key>.<token>`, with their key, sorted by name."""
    split = [(name.partition(".")[0], folder / name) for name in names(folder)]
    return [(key, path) for key, path in split if _KEY.fullmatch(key)]


def names(folder: Path) -> list[str]:
    """Names of a folder's entries, sorted, without hidden files; empty if the folder is missing."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def move(folder: Path, target: Path) -> None:
    """Rename a folder to a path whose parents may be missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(folder, target)


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder; files that vanish meanwhile do not count."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
