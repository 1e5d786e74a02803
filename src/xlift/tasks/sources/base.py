"""What all sources share: nested random subsets, digests of files, and text and JSON read with a place for every error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xlift.errors import UserError

LINE_LIMIT = 16 * 2**20
"""Bytes of one line. The longest of the published files (a paragraph, a JSON record) have a few kilobytes: what is longer
is another kind of file, and is refused before it is read whole."""
DOCUMENT_LIMIT = 256 * 2**20
"""Bytes of a file that is one JSON document (SQuAD 2.0's training file has 42 MB) and is held whole."""


def subset(available: int, size: int, *key: Any) -> set[int]:
    """`size` of the positions 0..available-1, drawn under a key; a larger size under the same key holds the smaller.

    The key is (seed, task, language, split). It is hashed, so that neighbouring seeds give unrelated draws.
    """
    return set(np.flatnonzero(chosen(available, size, *key)).tolist())


def chosen(available: int, size: int, *key: Any) -> np.ndarray:
    """`subset` as (available,) bool: a byte a row, whatever the size."""
    digest = hashlib.sha256(canonical_json(key).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    mask = np.zeros(available, dtype=bool)
    mask[generator.permutation(available)[:size]] = True
    return mask


def canonical_json(value: Any) -> str:
    """The one way to write a value: sorted keys, no blanks, no NaN, floats by their shortest exact form."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once as long as its size and time of change stay as they are."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def open_bytes(path: Path) -> BinaryIO:
    """A file to read.

    Raises:
        UserError: the system does not let it be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"the file cannot be read: {error.strerror}", where=str(path)) from None


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of each line of a UTF-8 file; a byte-order mark is taken away.

    Lines end at line feeds only: `str.splitlines` would also break at U+2028 and U+0085, which stand inside texts.

    Raises:
        UserError: the file is empty, or a line is not UTF-8, holds a NUL byte or is longer than LINE_LIMIT.
    """
    number = 0
    with open_bytes(path) as file:
        while raw := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(raw) > LINE_LIMIT:
                raise UserError(
                    f"the line is longer than {LINE_LIMIT >> 20} MB",
                    where=f"{path}:{number}",
                    fix="Expected one record a line, each line ended by a line feed.",
                )
            yield number, _text(raw, path, number)
    if number == 0:
        raise UserError("the file is empty", where=str(path))


def document(path: Path) -> str:
    """The text of a UTF-8 file as a whole, without its byte-order mark.

    Raises:
        UserError: the file is empty, longer than DOCUMENT_LIMIT, not UTF-8, or holds a NUL byte.
    """
    with open_bytes(path) as file:
        raw = file.read(DOCUMENT_LIMIT + 1)
    if len(raw) > DOCUMENT_LIMIT:
        raise UserError(
            f"the file is larger than {DOCUMENT_LIMIT >> 20} MB, the most for one document", where=str(path)
        )
    if not raw:
        raise UserError("the file is empty", where=str(path))
    return _text(raw, path, 1)


def _text(raw: bytes, path: Path, number: int) -> str:
    """The text of bytes whose first line has that number."""
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"byte 0x{raw[error.start]:02x} at {_column(raw, error.start)} is not UTF-8",
            where=f"{path}:{number + raw.count(10, 0, error.start)}",
            fix="Convert the file to UTF-8.",
        ) from None
    if "\0" in text:
        at = raw.index(0)
        raise UserError(
            f"a NUL byte at {_column(raw, at)}: this is no UTF-8 text",
            where=f"{path}:{number + raw.count(10, 0, at)}",
            fix="Convert the file to UTF-8 (UTF-16 looks like this), or fetch it again.",
        )
    return text


def _column(raw: bytes, at: int) -> str:
    return f"column {at - raw.rfind(10, 0, at)}"


class _Refused(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):  # Python would keep the last one and say nothing
        names = [name for name, _ in pairs]
        twice = next(name for name in record if names.count(name) > 1) if len(names) < 1000 else names[0]
        raise _Refused(f"the key '{clipped(twice)}' stands twice")
    return record


def _no_number(constant: str) -> Any:
    raise _Refused(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)


def parse_json(text: str, path: Path, line: int, expected: str) -> Any:
    """The value of a JSON text whose first line has that number.

    Raises:
        UserError: it is no JSON, has NaN or infinity, a key twice in one object, a number of thousands of digits, or
            brackets nested beyond reason.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what, line = f"{error.msg}, column {error.colno}", line + error.lineno - 1
    except RecursionError:
        what = "brackets nested too deeply"
    except ValueError as error:
        what = str(error) if isinstance(error, _Refused) else "a number has too many digits"
    raise UserError(f"broken JSON: {what}", where=f"{path}:{line}", fix=expected)


def clipped(value: Any, limit: int = 120) -> str:
    """A value as it may stand in a message: damaged data can be of any length, and hold what no terminal should get."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= limit else f"{text[:limit]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
