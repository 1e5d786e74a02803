"""BibTeX files: the entries by key, and the few fields that messages and tables show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from xlift.errors import UserError

MAX_BYTES = 5_000_000
_KEY = re.compile(r"@(\w+)\s*\{\s*([^\s,{}()=\"#%~\\]+)\s*,")
_NO_ENTRY = ("comment", "preamble", "string")


def parse_bibtex(text: str, where: str) -> dict[str, str]:
    """Key -> the text of its entry.

    Raises:
        UserError: a repeated key, or an entry whose braces do not match.
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
        entries[match[2]] = text[match.start() : end]
    return entries


def bibtex_field(entry: str, name: str) -> str:
    """The value of a field as one line without braces; '' if the entry lacks it."""
    match = re.search(rf"\b{name}\s*=\s*", entry, re.IGNORECASE)
    if match is None:
        return ""
    rest = entry[match.end() :]
    if rest.startswith("{"):
        value = rest[: _end_of_entry(rest, 0) or 0]
    elif rest.startswith('"'):
        value = rest[1:].partition('"')[0]
    else:
        value = re.split(r"[,\s}]", rest, maxsplit=1)[0]
    return " ".join(re.sub(r"[{}]", "", value).split())


def short_citation(key: str, bibliography: Mapping[str, str]) -> str:
    """'Phang et al. 2020'; the key itself if its entry has no author or year."""
    entry = bibliography.get(key, "")
    authors = [author.strip() for author in bibtex_field(entry, "author").split(" and ") if author.strip()]
    year = bibtex_field(entry, "year")
    if not authors or not year:
        return key
    names = [author.partition(",")[0] if "," in author else author.rpartition(" ")[2] for author in authors]
    if len(names) > 2 or "others" in names:
        return f"{names[0]} et al. {year}"
    return f"{' and '.join(names)} {year}"


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
