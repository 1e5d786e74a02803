"""PAN-X (WikiANN in the splits of Rahimi et al.): `lang:token<TAB>TAG` lines.

The token is what follows the first colon, whatever white space it holds, and the tag what follows the last tab. (XTREME
splits the line at any white space, and where that gives more than two parts the word silently gets the tag O.)
"""

from __future__ import annotations

from xlift.errors import UserError
from xlift.tasks.sources.base import clipped
from xlift.tasks.sources.readers.conll import sentence_reader


def _parse(line: str, where: str) -> tuple[str, str] | None:
    if not line.strip(" \t"):
        return None
    token, tab, tag = line.rpartition("\t")
    _, colon, word = token.partition(":")
    if not tab or not colon or "\r" in line:
        raise UserError(
            f"'{clipped(line)}' is no token with a tag",
            where=where,
            fix="Expected `lang:token`, a tab and the tag; an empty line ends a sentence.",
        )
    return word.strip(), tag.strip()


PANX = sentence_reader("panx", _parse)
