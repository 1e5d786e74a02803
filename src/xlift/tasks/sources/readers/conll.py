"""`token TAG` lines, as CoNLL-2003 and MasakhaNER write them: the word is the first column, its tag the last.

The files that XTREME's scripts lay out (udpos/, panx/) are of this kind too, but for their test files, which have no tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from sys import intern

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import clipped, lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row

_BLANKS = re.compile(r"[ \t]+")  # no other white space: it stands inside tokens


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    number = 0
    for path in paths:
        for start, words, tags in _sentences(path):
            yield Row(path, str(start), TaggingExample(id=str(number), words=tuple(words), tags=tuple(tags)))
            number += 1


def _sentences(path: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """(first line, words, tags) of each sentence; an empty line ends it."""
    start, words, tags = 0, [], []
    for number, text in lines(path):
        if "\r" in text.removesuffix("\n").removesuffix("\r"):
            raise UserError(
                "a carriage return inside a line",
                where=f"{path}:{number}",
                fix="Lines end in a line feed, with or without a carriage return before it.",
            )
        columns = _BLANKS.split(text.strip(" \t\r\n"))
        if columns == [""] or columns[0] == "-DOCSTART-":
            if words:
                yield start, words, tags
                start, words, tags = 0, [], []
            continue
        if len(columns) < 2:
            raise UserError(
                f"'{clipped(columns[0])}' has no tag",
                where=f"{path}:{number}",
                fix="Expected a word and its tag, parted by a space or a tab; an empty line ends a sentence.",
            )
        start = start or number
        words.append(columns[0])
        tags.append(intern(columns[-1]))
    if words:
        yield start, words, tags


CONLL = Reader("conll", 1, ("tagging",), read)
