"""Writes what a search has found as a draft evidence file, and a BibTeX file beside it.

Every entry quotes its source and has `accepted: false`. Found texts are values of YAML and fields of BibTeX, and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from xlift import bibtex
from xlift.errors import UserError
from xlift.evidence.bibliography import shipped_bibliography
from xlift.evidence.search import SearchResult
from xlift.evidence.search.papers import Paper
from xlift.evidence.search.ranking import tokenize
from xlift.evidence.search.sentences import Sentence, number_spans

MAX_QUOTE = 300
"""Characters of a quote in an evidence file."""

_HEADER = """\
# A draft of `xlift evidence search`: sentences with numbers that may bear on claims. None of them counts yet.
# For each entry: read the place in the source. Remove the entry, or write `statement` (what the source says, in your
# words) and `bears` (supports or contradicts), correct the rest, and set `accepted: true`.
"""
_DOUBT = "found by a search; no person has read it in its place"


def write_draft(result: SearchResult, path: Path) -> int:
    """Write the draft to a new file, and its sources to a new file of the same name that ends in `.bib`.

    Returns:
        The number of entries.

    Raises:
        UserError: one of the files exists, or cannot be written.
    """
    sources = path.with_suffix(".bib")
    check_draft_path(path)
    entries, bibliography = _entries(result)
    content = {"title": "Draft of a literature search", "bibliography": sources.name, "entries": entries}
    _write_new(sources, "\n".join(bibliography))
    _write_new(path, _HEADER + yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=120))
    return len(entries)


def check_draft_path(path: Path) -> None:
    """Raises UserError where the draft would replace a file, or where its name does not end in .yaml."""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError("the name does not end in .yaml", where=f"--out {path}", fix="Name a new YAML file.")
    for file in (path, path.with_suffix(".bib")):
        if file.exists() or file.is_symlink():
            raise UserError(
                "the file exists", where=str(file), fix="Name a new file: a search never changes one, so that what a "
                "person has accepted stays as it is.",
            )  # fmt: skip


def _entries(result: SearchResult) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries of the draft, a sentence once for all claims that it bears on; and BibTeX of their papers."""
    claims: dict[Sentence, list[str]] = {}
    for name, sentences in result.sentences.items():
        for sentence in sentences:
            claims.setdefault(sentence, []).append(name)
    shipped = shipped_bibliography()
    keys: dict[Paper, str] = {}
    entries, bibliography = [], []
    for number, (sentence, names) in enumerate(claims.items(), 1):
        paper = sentence.paper
        same_title = _shipped_titles().get(_letters(paper.title), ())
        key = _shipped_key(sentence, {key: shipped[key] for key in same_title})
        if key is None:
            if paper not in keys:
                keys[paper] = _new_key(paper, {*shipped, *keys.values()})
                bibliography.append(_bibtex(paper, keys[paper]))
            key = keys[paper]
        entry: dict[str, Any] = {"name": f"found-{number}", "source": key}
        if sentence.page is not None:
            entry["page"] = str(sentence.page)
        if any(names):
            entry["claims"] = names
        entry["quote"] = quote(sentence.text)
        entry["note"] = f"Read in: {sentence.where}. The paper was found in: {', '.join(paper.found_in)}."
        entries.append(entry | {"doubt": _DOUBT, "accepted": False})
    return entries, bibliography


@cache
def _shipped_titles() -> dict[str, list[str]]:
    """Letters of a title -> keys of the shipped bibliography."""
    titles: dict[str, list[str]] = {}
    for key, text in shipped_bibliography().items():
        titles.setdefault(_letters(bibtex.parse(text)[key].text("title")), []).append(key)
    return titles


def _shipped_key(sentence: Sentence, entries: dict[str, str]) -> str | None:
    """The key of the sentence's paper in the bibliography that ships with xlift, under which claims may name it as their source.

    Args:
        entries: those with the title of the paper. One of a certain arXiv version is for sentences of this version.
    """
    versions = {key: re.search(r"\d{4}\.\d{4,5}v\d+", text) for key, text in entries.items()}
    exact = (key for key, version in versions.items() if version and version[0] in sentence.where)
    return next(exact, next((key for key, version in versions.items() if not version), None))


def quote(sentence: str) -> str:
    """A sentence of at most `MAX_QUOTE` characters; a longer one is cut around its first number, with '[...]'."""
    if len(sentence) <= MAX_QUOTE:
        return sentence
    first = next(iter(number_spans(sentence)), (0, 0))[0]
    start = max(0, min(first - MAX_QUOTE // 3, len(sentence) - MAX_QUOTE + 12))
    part = sentence[start : start + MAX_QUOTE - 12]
    before, after = "[...] " if start else "", " [...]" if start + len(part) < len(sentence) else ""
    part = part.partition(" ")[2] if start and " " in part else part
    part = part.rpartition(" ")[0] if after and " " in part else part
    return f"{before}{part.strip()}{after}"


def _new_key(paper: Paper, taken: set[str]) -> str:
    """A BibTeX key such as 'phang-2020-english', of ASCII letters and digits."""
    author = paper.authors[0] if paper.authors else "unknown"
    family = author.partition(",")[0] if "," in author else author.rpartition(" ")[2]
    word = next(iter(tokenize(paper.title)), "untitled")
    key = "-".join(_ascii(part) or "x" for part in (family, str(paper.year or "undated"), word))
    return next(name for name in _numbered(key) if name not in taken)


def _numbered(key: str) -> Iterator[str]:
    yield key
    number = 2
    while True:
        yield f"{key}-{number}"
        number += 1


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain)[:40]


def _bibtex(paper: Paper, key: str) -> str:
    kind = "inproceedings" if paper.acl else "misc" if paper.arxiv or not paper.venue else "article"
    fields = {
        "title": paper.title,
        "author": " and ".join(author.replace(" and ", " ") for author in paper.authors),
        "year": str(paper.year or ""),
        {"inproceedings": "booktitle", "article": "journal", "misc": "howpublished"}[kind]: paper.venue,
        "doi": paper.doi,
        "eprint": paper.arxiv,
        "archiveprefix": "arXiv" if paper.arxiv else "",
        "url": paper.url,
    }
    lines = [f"  {name} = {{{_field(value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])


def _field(text: str) -> str:
    """A found text as the value of a BibTeX field, which LaTeX prints: without commands and braces."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[\\{}^~\"]", " ", text)).strip()


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror or error}", where=str(path), fix="Name a new file."
        ) from None
