"""Files of aligned lines, one for each column: line n of every file belongs to row n. InferSent and e-SNLI have s1.dev,
s2.dev and labels.dev. `header` names the columns in the order of the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import Record, record_reader
from xlift.units import count_noun

FORMATS = ("classification", "regression")


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    """Read the rows. Their place is the line in the first file.

    Raises:
        UserError: the number of files is not that of the columns, or one file is longer than another.
    """
    if len(paths) != len(layout.header):
        raise UserError(
            f"{count_noun(len(paths), 'file')} given, expected one for each of {', '.join(layout.header)}",
            where=str(paths[0]),
        )

    def records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
        for number, lines in enumerate(zip_longest(*map(read_lines, paths)), start=1):
            ended = [path for path, line in zip(paths, lines, strict=True) if line is None]
            if ended:
                longer = next(path for path in paths if path not in ended)
                raise UserError(
                    f"line {number} has no counterpart in {ended[0].name}",
                    where=f"{longer}:{number}",
                    fix="All files must have the same number of lines.",
                )
            yield str(number), dict(zip(layout.header, (text for _, text in lines), strict=True))

    reader = record_reader(ALIGNED_LINES.name, ALIGNED_LINES.version, FORMATS, records)
    yield from reader.rows(paths[:1], layout)


ALIGNED_LINES = Reader("aligned-lines", 1, FORMATS, read, has_columns=True)
