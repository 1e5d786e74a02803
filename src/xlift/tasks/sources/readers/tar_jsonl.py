"""JSON lines inside a .tar.gz archive, read in memory: nothing is unpacked to the disk.

Every record has the column `member`, the path of its file in the archive, so `where: {member: ...}` chooses a file. Only
files whose names end in .jsonl are read, without hidden ones (macOS adds `._train.jsonl` beside `train.jsonl`).
"""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from xlift.errors import UserError
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import DOCUMENT_LIMIT, decode_lines, open_bytes, truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import record_reader
from xlift.tasks.sources.readers.records import RecordsOrErrors, parse_json_lines

if TYPE_CHECKING:
    from tarfile import TarInfo


def _records(path: Path, layout: Layout) -> RecordsOrErrors:
    for member, content in _members(path):
        name = truncate(member)
        inside = Path(f"{path}:{name}")
        for line, record in parse_json_lines(decode_lines(io.BytesIO(content), inside), inside):
            yield f"{name}:{line}", {**record, "member": member} if isinstance(record, dict) else record


def _members(path: Path) -> list[tuple[str, bytes]]:
    """(path in the archive, bytes) of each file of JSON lines.

    Raises:
        UserError: the archive is damaged, or larger than DOCUMENT_LIMIT when unpacked.
    """
    import gzip  # these take 15 ms to import, which `xlift --help` would wait for
    import tarfile
    import zlib

    try:
        with open_bytes(path) as file, gzip.GzipFile(fileobj=file) as unpacked:
            raw = unpacked.read(DOCUMENT_LIMIT + 1)
        if len(raw) > DOCUMENT_LIMIT:
            raise UserError(
                f"the archive has more than {DOCUMENT_LIMIT >> 20} MB, the limit for reading it in memory",
                where=str(path),
                fix="Unpack it, and read its files.",
            )
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            files = [member for member in archive if _is_wanted(member)]
            return [(member.name, content.read()) for member in files if (content := archive.extractfile(member))]
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise UserError(
            f"not a whole .tar.gz archive: {type(error).__name__}", where=str(path), fix="Fetch the file again."
        ) from None


def _is_wanted(member: TarInfo) -> bool:
    name = PurePosixPath(member.name).name
    # A sparse file can be far larger than its archive.
    return member.isreg() and not member.issparse() and name.endswith(".jsonl") and not name.startswith(".")


TAR_JSONL = record_reader("tar-jsonl", 1, tuple(FORMATS), _records)
