"""Parquet: what the Hub serves, and a user's own tables. Columns mean what they mean in JSON lines.

Read a thousand rows at a time, in bounded memory however large the file or its row groups. Page checksums are verified
where the file has them. Lists and structs come as JSON lists and objects; of dictionaries only the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import clipped
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import EXAMPLES, Record, record_reader

ROWS = 1000
"""Rows made into Python objects at a time."""
BUFFER = 1 << 20
"""Bytes of a column that are held undecoded: some files of the Hub are one row group, and pyarrow would load all of it."""


def _records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    if path.stat().st_size == 0:
        raise UserError("the file is empty", where=str(path))
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER) as file:
            expected = file.metadata.num_rows
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise UserError(f"two columns are named '{clipped(twice)}'", where=str(path))
            for batch in file.iter_batches(ROWS, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UserError(
            f"broken Parquet: {clipped(' '.join(str(error).split()))}",
            where=f"{path}:row {number + 1}" if number else str(path),
            fix="Fetch the file again, or write it again.",
        ) from None
    if number != expected:
        raise UserError(f"broken Parquet: {number:,} rows where its footer says {expected:,}", where=str(path))


PARQUET = record_reader("parquet", 1, tuple(EXAMPLES), _records)
