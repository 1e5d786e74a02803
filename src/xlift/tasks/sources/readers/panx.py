"""PAN-X (WikiANN in the splits of Rahimi et al.): `lang:token<TAB>TAG` lines.

The token is what follows the first colon, whatever white space it holds, and the tag what follows the last tab. (XTREME
splits the line at any white space, and where that gives more than two parts the word silently gets the tag O.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from sys import intern

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import clipped, lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row


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
        line = text.removesuffix("\n").removesuffix("\r")
        if not line.strip(" \t"):
            if words:
                yield start, words, tags
                start, words, tags = 0, [], []
            continue
        token, tab, tag = line.rpartition("\t")
        _, colon, word = token.partition(":")
        if not tab or not colon or "\r" in line:
            raise UserError(
                f"'{clipped(line)}' is no token with a tag",
                where=f"{path}:{number}",
                fix="Expected `lang:token`, a tab and the tag; an empty line ends a sentence.",
            )
        start = start or number
        words.append(word.strip())
        tags.append(intern(tag.strip()))
    if words:
        yield start, words, tags


PANX = Reader("panx", 1, ("tagging",), read)
