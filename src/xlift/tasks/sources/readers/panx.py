"""PAN-X (WikiANN in the splits of Rahimi et al.): `lang:token<TAB>TAG` lines.

The token is the text after the first colon, white space included, and the tag is the text after the last tab. (XTREME
splits the line at any white space; a word that gives more than two parts silently gets the tag O.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.conll import Sentence, group_lines, sentence_reader


def _sentences(path: Path, layout: Layout) -> Iterator[Sentence | UserError]:
    return group_lines(path, lambda line, number, inside: _parse(line, f"{path}:{number}"))


def _parse(line: str, where: str) -> tuple[str, str] | None:
    if not line.strip(" \t"):
        return None
    token, tab, tag = line.rpartition("\t")
    _, colon, word = token.partition(":")
    if not tab or not colon or "\r" in line:
        raise UserError(
            f"'{truncate(line)}' is not a token with a tag",
            where=where,
            fix="Expected `lang:token`, a tab and the tag. An empty line ends a sentence.",
        )
    return word.strip(), tag.strip()


PANX = sentence_reader("panx", 1, _sentences)
