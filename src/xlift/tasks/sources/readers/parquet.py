"""Parquet files of the Hub or of a user. Columns are used as in JSON lines.

A thousand rows are read at a time, in bounded memory however large the file or its row groups are. Page checksums are
verified if the file has them. Lists and structs become JSON lists and objects; a dictionary column becomes its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import GZIP, open_bytes, truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Record, record_reader
from xlift.units import count_noun

ROWS = 1000
"""Rows converted to Python objects at a time."""
BUFFER = 1 << 20
"""Undecoded bytes held per column. Some files of the Hub are a single row group, all of which pyarrow would load."""


def _records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with open_bytes(path) as opened:
        head = opened.read(len(GZIP))
    if not head:
        raise UserError("the file is empty", where=str(path))
    if head == GZIP:
        raise UserError("a Parquet file inside of gzip", where=str(path), fix="Unpack it: `gunzip FILE`.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER) as file:
            expected = file.metadata.num_rows
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                duplicate = next(name for name in names if names.count(name) > 1)
                raise UserError(f"two columns are named '{truncate(duplicate)}'", where=str(path))
            for batch in file.iter_batches(ROWS, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UserError(
            f"invalid Parquet: {truncate(' '.join(str(error).split()))}",
            where=f"{path}:row {number + 1}" if number else str(path),
            fix="Fetch the file again, or write it again.",
        ) from None
    if number != expected:
        raise UserError(f"invalid Parquet: {count_noun(number, 'row')}, its footer gives {expected:,}", where=str(path))


PARQUET = record_reader("parquet", 1, tuple(FORMATS), _records)
