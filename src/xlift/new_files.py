"""Writing a file that is whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlift.errors import UserError


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give the path of a temporary file that is renamed to `path` at the end of the block and removed after an error.

    Raises:
        UserError: the disk refuses the file.
    """
    draft = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            os.replace(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refused_by_disk(error, path) from None


def refused_by_disk(error: OSError, path: Path, kind: str = "file") -> UserError:
    """The error for a file or folder that cannot be written.

    Args:
        kind: file or folder.
    """
    return UserError(
        f"cannot be written: {error.strerror or error}",
        where=str(path),
        fix=f"Free some space, or name another {kind}.",
    )
