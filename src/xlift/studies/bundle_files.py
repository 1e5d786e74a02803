"""The container of a bundle: a folder, or a zip file, with `bundle.json` and the files that it lists.

`bundle.json` has the version of the format, the name of the study, the SHA-256 and the size of every file, and a seal: the
digest of its own content. A bundle may come from a stranger. No file is written by the name that it has in a bundle, links are
not followed, only names of known form are accepted, and sizes are checked before anything is read.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.studies.artifact import add_seal, check_seal
from xlift.version import __version__

FORMAT = 1
"""Version of the format of bundles."""
INDEX = "bundle.json"
MAX_FILES = 200_000
MAX_BYTES = 2_000_000_000
"""Of all files of a bundle, uncompressed."""
MAX_INDEX_BYTES = 50_000_000

_NAME = re.compile(r"(record\.json|contamination\.json|manifests\.jsonl|artifacts/[0-9a-f]{16,64}/[a-z][a-z_.]*)")
_STUDY = re.compile(r"\w[\w.-]*")
_FIX = "`xlift store export STUDY --results FILE.zip` writes one."


@dataclass(frozen=True)
class BundleFiles:
    """The files of a bundle, each checked by its SHA-256 when it is read."""

    path: Path
    study: str
    files: Mapping[str, Mapping[str, Any]]
    """Name -> {sha256, bytes}."""
    _read: Callable[[str, int], bytes]

    def read(self, name: str) -> bytes:
        """Raises UserError if the file is damaged."""
        expected = self.files[name]
        content = self._read(name, expected["bytes"])
        if len(content) != expected["bytes"] or hashlib.sha256(content).hexdigest() != expected["sha256"]:
            raise damaged(self.path, f"{name} does not match its SHA-256")
        return content


def damaged(path: Path, why: object) -> UserError:
    """The error of a bundle that cannot be used."""
    return UserError(f"the bundle is damaged: {why}", where=str(path), fix=f"Get the bundle again. {_FIX}")


def is_bundle(path: Path) -> bool:
    """Whether a path is meant to be a bundle: a folder with `bundle.json`, or a zip file, complete or cut."""
    if path.is_dir():
        return os.path.lexists(path / INDEX)
    if not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return path.suffix == ".zip" or file.read(4) == b"PK\3\4"
    return False


def open_files(path: Path) -> BundleFiles:
    """Open a bundle. Reads its index only.

    Raises:
        UserError: it is missing, damaged, too large, or of a newer version of xlift.
    """
    if not path.exists():
        raise UserError("no such file or folder", where=str(path), fix=f"Give a bundle. {_FIX}")
    if path.is_dir() and not os.path.lexists(path / INDEX):
        raise UserError(f"the folder is no bundle: it has no {INDEX}", where=str(path), fix=f"Give a bundle. {_FIX}")
    try:
        reader = _read_from_folder(path) if path.is_dir() else _read_from_zip(path)
        index = check_seal(reader(INDEX, MAX_INDEX_BYTES))
        if not isinstance(index.get("format"), int):
            raise ValueError(f"{INDEX} has no version")
        if index["format"] > FORMAT:
            raise UserError(
                f"the bundle has format {index['format']}, and this version of xlift reads up to format {FORMAT}",
                where=str(path),
                fix="Use a newer version of xlift.",
            )
        _check_index(index)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from None

    def read(name: str, size: int) -> bytes:
        try:
            return reader(name, size)
        except (OSError, ValueError, KeyError) as error:
            raise damaged(path, error) from None

    return BundleFiles(path, index["study"], index["files"], read)


def write_files(path: Path, study: str, files: Mapping[str, bytes]) -> None:
    """Write a bundle: to a zip file if `path` ends in .zip, else to a new folder. Equal contents give equal bytes. Nothing is
    left of a bundle that could not be written.

    Raises:
        UserError: the path exists, or the disk refuses.
    """
    if os.path.lexists(path):
        raise UserError(f"'{path}' exists already", fix="Name another file or folder.")
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in files.items()
    }
    index = {"format": FORMAT, "study": study, "xlift": __version__, "files": dict(sorted(listed.items()))}
    contents = {INDEX: add_seal(index), **{name: files[name] for name in sorted(files)}}
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            _write_zip(draft, contents)
        else:
            _write_folder(draft, contents)
        os.rename(draft, path)
    except OSError as error:
        raise UserError(
            f"the bundle cannot be written: {error.strerror or error}", where=str(path), fix="Name another path, or free some space."
        ) from None  # fmt: skip
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _check_index(index: Mapping[str, Any]) -> None:
    if not _STUDY.fullmatch(index["study"]):
        raise ValueError(f"{index['study']!r} cannot name a study")
    files = index["files"]
    if len(files) > MAX_FILES:
        raise ValueError(f"it has {len(files)} files, more than {MAX_FILES}")
    total = 0
    for name, file in files.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a file")
        if type(file["bytes"]) is not int or file["bytes"] < 0 or not re.fullmatch("[0-9a-f]{64}", file["sha256"]):
            raise ValueError(f"the entry of {name} is wrong")
        total += file["bytes"]
    if total > MAX_BYTES:
        raise ValueError(f"it has {total / 1e9:.1f} GB, more than {MAX_BYTES / 1e9:.0f} GB")


def _read_from_folder(path: Path) -> Callable[[str, int], bytes]:
    def read(name: str, size: int) -> bytes:
        place = path
        for part in name.split("/"):
            place = place / part
            if stat.S_ISLNK(os.lstat(place).st_mode):
                raise ValueError(f"{name} is a link")
        file = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ValueError(f"{name} is no plain file")
            content = opened.read(size + 1)
        if len(content) > size:
            raise ValueError(f"{name} has more than {size} bytes")
        return content

    return read


def _read_from_zip(path: Path) -> Callable[[str, int], bytes]:
    try:
        archive = zipfile.ZipFile(path)  # closed when the reader is gone
        entries = archive.infolist()
    except (
        zipfile.BadZipFile,
        RuntimeError,
        UnicodeError,
    ) as error:  # RuntimeError: a version that zipfile does not know
        raise ValueError(f"{error} (cut, or no zip file)") from None
    if len(entries) > MAX_FILES + 1:
        raise ValueError(f"it has {len(entries)} files, more than {MAX_FILES}")
    by_name: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        if entry.filename in by_name:
            raise ValueError(f"{entry.filename!r} is there twice")
        by_name[entry.filename] = entry

    def read(name: str, size: int) -> bytes:
        entry = by_name[name]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
            raise ValueError(f"{name} is compressed in another way than by deflate, or encrypted")
        if entry.file_size > size:
            raise ValueError(f"{name} has more than {size} bytes")
        try:
            with archive.open(entry) as file:
                content = file.read(size + 1)  # the size in the header may be wrong
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{name}: {error}") from None
        if len(content) > size:
            raise ValueError(f"{name} has more than {size} bytes")
        return content

    return read


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            is_compressed = name.endswith(".parquet")
            entry.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=9)
