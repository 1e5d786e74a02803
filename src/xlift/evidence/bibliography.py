"""BibTeX files of evidence: the text of each entry by key, and short citations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from xlift import bibtex
from xlift.errors import UserError

MAX_BYTES = 5_000_000
_KEY = re.compile(r"@(\w+)\s*\{\s*([^\s,{}()=\"#%~\\]+)\s*,")
_NO_ENTRY = ("comment", "preamble", "string")


def parse_bibtex(text: str, where: str) -> dict[str, str]:
    """Key -> the text of its entry.

    Raises:
        UserError: a repeated key, or an entry that cannot be read.
    """
    entries: dict[str, str] = {}
    at = 0
    while match := _KEY.search(text, at):
        end = _end_of_entry(text, match.start())
        line = text.count("\n", 0, match.start()) + 1
        if end is None:
            raise UserError(
                f"the braces of the BibTeX entry '{match[2]}' do not match",
                where=f"{where}:{line}",
                fix="close the entry with '}'.",
            )
        at = end
        if match[1].lower() in _NO_ENTRY:
            continue
        if match[2] in entries:
            raise UserError(
                f"the BibTeX key '{match[2]}' is repeated", where=f"{where}:{line}", fix="keep one of the entries."
            )
        try:
            bibtex.parse(text[match.start() : end])
        except ValueError as error:
            raise UserError(
                f"the BibTeX entry cannot be read: {error}", where=f"{where}:{line}", fix="write `field = {value},`."
            ) from None
        entries[match[2]] = text[match.start() : end]
    return entries


def short_citation(key: str, bibliography: Mapping[str, str]) -> str:
    """'Phang et al. 2020'; the key itself if its entry has no author or year."""
    entry = bibtex.parse(bibliography.get(key, "")).get(key)
    return bibtex.short_citation(entry) if entry and entry.text("author") and entry.text("year") else key


@cache
def shipped_bibliography() -> dict[str, str]:
    """The sources of the shipped evidence and the citations of the tasks."""
    from xlift.tasks import catalog

    path = Path(__file__).parents[1] / "shipped" / "evidence" / "sources.bib"
    return {**catalog.citations(), **parse_bibtex(path.read_text(encoding="utf-8"), path.name)}


def _end_of_entry(text: str, start: int) -> int | None:
    """The position after the brace that closes the first one at or after `start`."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.end()
    return None
