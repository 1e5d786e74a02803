"""Two files of aligned lines (LASER's Tatoeba, FLORES-200, OPUS): line n of one translates line n of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import build_pair
from xlift.units import count_noun


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    """Read the texts of the first file and their translations in the second. The first is in the split's language, or, in a
    translation task, in the source language; there a line that is blank on either side is skipped."""
    if len(paths) != 2:
        raise UserError(f"{count_noun(len(paths), 'file')} given, expected two of aligned lines", where=str(paths[0]))
    path, other = paths
    for number, line, line_other in read_aligned_lines(path, other):
        name, text, translation = str(number - 1), line.strip(), line_other.strip()
        if formats.get(layout.format).has_direction and not (text and translation):
            yield Row(path, str(number), None, skip_reason="blank on one side")
        else:
            yield Row(path, str(number), build_pair(name, text, translation, layout, f"{path}:{number}"))


def read_aligned_lines(path: Path, other: Path) -> Iterator[tuple[int, str, str]]:
    """(number, line of `path`, line of `other`) of each line.

    Raises:
        UserError: one file is longer.
    """
    for number, (line, line_other) in enumerate(zip_longest(read_lines(path), read_lines(other)), start=1):
        if line is None or line_other is None:
            longer, shorter = (path, other) if line_other is None else (other, path)
            raise UserError(
                f"line {number} has no counterpart in {shorter.name}",
                where=f"{longer}:{number}",
                fix="Both files must have the same number of lines.",
            )
        yield number, line[1], line_other[1]


PAIRS = Reader("pairs", 1, ("retrieval", "text", "translation"), read)
