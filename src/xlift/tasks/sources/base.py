"""Shared by all sources: nested random subsets, checksums of files, and reading of text and JSON with located errors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xlift.errors import UserError

LINE_LIMIT = 16 * 2**20
"""Most bytes of one line. The longest lines of published files (a paragraph, a JSON record) have a few kilobytes. A longer
line means another kind of file, which is refused before all of it is read."""
DOCUMENT_LIMIT = 256 * 2**20
"""Most bytes of a file that is one JSON document and is held in memory (SQuAD 2.0's training file has 42 MB)."""

STDIN = Path("<stdin>")
"""The path of standard input in messages. `open_bytes` opens standard input for it."""

GZIP = b"\x1f\x8b"
_UTF_16 = "Convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`. Excel writes UTF-8 as 'CSV UTF-8'."
_OTHER_CONTENT = {
    b"\xff\xfe": ("the file is UTF-16 text", _UTF_16),
    b"\xfe\xff": ("the file is UTF-16 text", _UTF_16),
    b"PK\x03\x04": ("the file is a ZIP archive (so is .xlsx)", "Unpack it, or save the sheet as 'CSV UTF-8'."),
    b"BZh91AY&SY": ("the file is compressed by bzip2", "Unpack it, or compress it by gzip."),
    b"\xfd7zXZ": ("the file is compressed by xz", "Unpack it, or compress it by gzip."),
    b"\x28\xb5\x2f\xfd": ("the file is compressed by zstd", "Unpack it, or compress it by gzip."),
}
"""First bytes of files that are no UTF-8 text -> what they are, and what to do."""
_CONVERT = "Convert the file to UTF-8: `iconv -f ENCODING -t UTF-8 FILE > NEW`. Excel's is often WINDOWS-1252."


def draw_subset(available: int, size: int, *key: Any) -> set[int]:
    """Draw `size` of the positions 0..available-1 under a key; a larger subset under the same key contains the smaller.

    The key is (seed, task, language, split). It is hashed, so that neighbouring seeds give unrelated subsets.
    """
    return set(np.flatnonzero(subset_mask(available, size, *key)).tolist())


def subset_mask(available: int, size: int, *key: Any) -> np.ndarray:
    """`draw_subset` as a (available,) bool mask: one byte per row, whatever the size."""
    digest = hashlib.sha256(canonical_json(key).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    mask = np.zeros(available, dtype=bool)
    mask[generator.permutation(available)[:size]] = True
    return mask


def canonical_json(value: Any) -> str:
    """A value as JSON text in one canonical form: sorted keys, no blanks, no NaN, floats in their shortest exact form."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, cached as long as its size and modification time stay the same."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return os.fdopen(os.dup(0), "rb") if path == STDIN else path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror}", where=str(path)) from None


def file_extension(path: str | Path) -> str:
    """The extension in lower case, without that of gzip: '.csv' of 'rows.CSV.gz'."""
    name = str(path).lower()
    return Path(name.removesuffix(".gz")).suffix


@contextmanager
def open_text(path: Path) -> Iterator[BinaryIO]:
    """Open a text file, decompressed if it is gzip.

    Raises:
        UserError: it cannot be opened, its gzip data is damaged, or its first bytes are those of another kind of file.
    """
    import gzip  # these take 15 ms to import, which `xlift --help` would wait for
    import zlib

    with open_bytes(path) as file:
        head = file.peek(16)[:16]  # type: ignore[attr-defined]  (a pipe cannot be read again)
        for first_bytes, (what, fix) in _OTHER_CONTENT.items():
            if head.startswith(first_bytes):
                raise UserError(what, where=str(path), fix=fix)
        if not head.startswith(GZIP):
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"damaged gzip data: {error}", where=str(path), fix="Fetch the file again.") from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line end) of each line of a UTF-8 file, plain or gzip; a byte-order mark is removed.

    Lines end at line feeds only: `str.splitlines` would also break at U+2028 and U+0085, which occur inside texts.

    Raises:
        UserError: the file is empty, or a line is not UTF-8, holds a NUL byte or is longer than LINE_LIMIT.
    """
    with open_text(path) as file:
        yield from decode_lines(file, path)


def decode_lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    """`read_lines` of an open file, which errors call `path`."""
    number = 0
    while raw := file.readline(LINE_LIMIT + 1):
        number += 1
        if len(raw) > LINE_LIMIT:
            raise UserError(
                f"the line is longer than {LINE_LIMIT >> 20} MB",
                where=f"{path}:{number}",
                fix="Expected one record per line, each line ended by a line feed.",
            )
        yield number, _decode(raw, path, number)
    if number == 0:
        raise UserError("the file is empty", where=str(path))


def read_document(path: Path) -> str:
    """The whole text of a UTF-8 file, plain or gzip, without its byte-order mark.

    Raises:
        UserError: the file is empty, larger than DOCUMENT_LIMIT, not UTF-8, or holds a NUL byte.
    """
    with open_text(path) as file:
        raw = file.read(DOCUMENT_LIMIT + 1)
    if len(raw) > DOCUMENT_LIMIT:
        raise UserError(
            f"the file is larger than {DOCUMENT_LIMIT >> 20} MB, the limit for one document", where=str(path)
        )
    if not raw:
        raise UserError("the file is empty", where=str(path))
    return _decode(raw, path, 1)


def _decode(raw: bytes, path: Path, number: int) -> str:
    """The text of bytes whose first line has number `number`."""
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"byte 0x{raw[error.start]:02x} at {_column(raw, error.start)} is not UTF-8",
            where=f"{path}:{number + raw.count(10, 0, error.start)}",
            fix=_CONVERT,
        ) from None
    if "\0" in text:
        at = raw.index(0)
        raise UserError(
            f"a NUL byte at {_column(raw, at)}: the file is not UTF-8 text",
            where=f"{path}:{number + raw.count(10, 0, at)}",
            fix="It may be UTF-16: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`. Else fetch it again.",
        )
    return text


def _column(raw: bytes, at: int) -> str:
    return f"column {at - raw.rfind(10, 0, at)}"


class _InvalidJson(ValueError):
    pass


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):  # Python would silently keep the last one
        names = [name for name, _ in pairs]
        duplicate = next(name for name in record if names.count(name) > 1) if len(names) < 1000 else names[0]
        raise _InvalidJson(f"duplicate key '{truncate(duplicate)}'")
    return record


def _refuse_constant(constant: str) -> Any:
    raise _InvalidJson(f"{constant} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_duplicate_keys, parse_constant=_refuse_constant)


def parse_json(text: str, path: Path, line: int, expected: str) -> Any:
    """The value of a JSON text whose first line has number `line`.

    Raises:
        UserError: invalid JSON, NaN or infinity, a duplicate key, a number of thousands of digits, or brackets nested too
            deeply.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem, line = f"{error.msg}, column {error.colno}", line + error.lineno - 1
    except RecursionError:
        problem = "brackets nested too deeply"
    except ValueError as error:
        problem = str(error) if isinstance(error, _InvalidJson) else "a number has too many digits"
    raise UserError(f"invalid JSON: {problem}", where=f"{path}:{line}", fix=expected)


def truncate(value: Any, limit: int = 120) -> str:
    """A value made safe for a message: damaged data can be of any length and hold control characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= limit else f"{text[:limit]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
