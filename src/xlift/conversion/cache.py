"""Converted models that xlift keeps: `$XLIFT_CACHE/converted/KEY`, each whole or absent.

A model is converted into a temporary folder beside its final one, which is renamed at the end. A lock lets two processes convert
it once. The kernel releases the lock of a killed process, and the next process removes what that one left.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlift.caches import cache_folder
from xlift.conversion import convert
from xlift.conversion.record import RECORD
from xlift.errors import UserError

CONVERTER_VERSION = 1
"""Increased when the same files give other converted files than before."""


def find_converted(source_id: str) -> Path | None:
    """The converted folder of a model; None where it was not converted yet.

    Args:
        source_id: identifies the published files: their digest, or a commit of the Hub.
    """
    folder = _folder(source_id)
    return folder if (folder / RECORD).is_file() else None


def convert_once(source: Path, source_id: str) -> Path:
    """Convert a model folder or a GGUF file, unless that was done before.

    Returns:
        The converted folder, which is not to be changed.

    Raises:
        UserError: as `convert`, or the cache cannot be written.
    """
    folder = _folder(source_id)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f".{folder.name}.lock")):
            if (folder / RECORD).is_file():
                return folder
            for abandoned in folder.parent.glob(f".{folder.name}.new-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
            try:
                convert(source, draft)
                _sync(draft)
                draft.rename(folder)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
    except OSError as error:
        raise UserError(
            f"the converted model cannot be kept: {error.strerror or error}", where=str(folder.parent),
            fix="set the environment variable XLIFT_CACHE to a writable folder with enough space.",
        ) from None  # fmt: skip
    return folder


def _folder(source_id: str) -> Path:
    key = hashlib.sha256(f"{source_id}:{CONVERTER_VERSION}".encode()).hexdigest()[:32]
    return cache_folder("converted") / key


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock. The file stays: removed, it could be locked twice."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(folder: Path) -> None:
    """Write all files to the disk, so that a crash of the machine leaves no folder with empty files."""
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors makes its files readable by their owner only
        with path.open("rb") as file:
            os.fsync(file.fileno())
    folder.chmod(0o755)
