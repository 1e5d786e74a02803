"""`token TAG` lines, as in CoNLL-2003 and MasakhaNER: the first column is the word, the last is its tag.

The files that XTREME's scripts write (udpos/, panx/) have this format too, except their test files, which have no tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from sys import intern

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import read_lines, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

_BLANKS = re.compile(r"[ \t]+")  # other white space occurs inside tokens


def sentence_reader(name: str, parse: Callable[[str, str], tuple[str, str] | None]) -> Reader:
    """Make a reader of files with one word per line and an empty line after each sentence.

    Args:
        parse: (line without its end, place) -> word and tag; None for a line that ends a sentence. Raises UserError.
    """

    def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        number = 0
        for path in paths:
            for start, words, tags in _sentences(path, parse):
                yield Row(path, str(start), TaggingExample(id=str(number), words=tuple(words), tags=tuple(tags)))
                number += 1

    return Reader(name, 1, ("tagging",), read)


def _sentences(
    path: Path, parse: Callable[[str, str], tuple[str, str] | None]
) -> Iterator[tuple[int, list[str], list[str]]]:
    """(first line, words, tags) of each sentence."""
    start, words, tags = 0, [], []
    for number, text in read_lines(path):
        parsed = parse(text.removesuffix("\n").removesuffix("\r"), f"{path}:{number}")
        if parsed is None:
            if words:
                yield start, words, tags
                start, words, tags = 0, [], []
            continue
        start = start or number
        words.append(parsed[0])
        tags.append(intern(parsed[1]))
    if words:
        yield start, words, tags


def _parse(line: str, where: str) -> tuple[str, str] | None:
    if "\r" in line:
        raise UserError(
            "a carriage return inside a line",
            where=where,
            fix="End lines with a line feed, with or without a carriage return before it.",
        )
    columns = _BLANKS.split(line.strip(" \t"))
    if columns == [""] or columns[0] == "-DOCSTART-":
        return None
    if len(columns) < 2:
        raise UserError(
            f"'{truncate(columns[0])}' has no tag",
            where=where,
            fix="Expected a word and its tag, separated by a space or a tab. An empty line ends a sentence.",
        )
    return columns[0], columns[-1]


CONLL = sentence_reader("conll", _parse)
