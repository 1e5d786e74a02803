"""Papers in a folder of PDFs and BibTeX files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from xlift.errors import UserError
from xlift.evidence.search.bibtex import read_bibtex
from xlift.evidence.search.papers import Paper, Text, clean_text, make_paper
from xlift.evidence.search.pdf_text import read_pdf

MAX_FILES = 2_000


def read_files(
    folder: Path | None, bibtex: Sequence[Path], announce: Callable[[str], None]
) -> tuple[list[Paper], list[str]]:
    """The papers of BibTeX files and of the PDFs in a folder, and what is wrong with files, in one line each.

    A PDF belongs to the BibTeX entry whose key is its name, or whose title is on its first page. Otherwise its title is that
    of its metadata, or its first line.

    Raises:
        UserError: no such folder or BibTeX file.
    """
    pdfs: list[Path] = []
    if folder is not None:
        if not folder.is_dir():
            raise UserError("no such folder", where=f"--folder {folder}", fix="Name a folder of PDFs and BibTeX files.")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        pdfs = [path for path in files if path.suffix.lower() == ".pdf"]
        bibtex = [*bibtex, *(path for path in files if path.suffix.lower() == ".bib")]
    problems: list[str] = []
    if len(pdfs) > MAX_FILES:
        problems.append(f"{folder}: only the first {MAX_FILES:,} of {len(pdfs):,} PDFs are read.")
    entries: list[tuple[str, Paper]] = []
    for path in bibtex:
        found, wrong = read_bibtex(path)
        entries += found
        problems += wrong
    papers = [paper for _, paper in entries]
    for path in pdfs[:MAX_FILES]:
        name = clean_text(str(path.relative_to(folder or path.parent)), 200)
        announce(f"Reading {name}")
        title, pages, problem = read_pdf(path)
        if problem:
            problems.append(f"{name}: {problem}.")
        texts = tuple(Text(join_lines(text), name, number) for number, text in enumerate(pages, 1))
        paper = _paper_of_pdf(path, title, pages, texts, name, entries)
        if paper is not None:
            papers.append(paper)
    return papers, problems


def join_lines(text: str) -> str:
    """The text of a page with words that a line break divides put together."""
    return re.sub(r"(?<=[a-z])-[ \t]*\n[ \t]*(?=[a-z])", "", text)


def _paper_of_pdf(
    path: Path, title: str, pages: Sequence[str], texts: tuple[Text, ...], name: str, entries: Sequence[tuple[str, Paper]]
) -> Paper | None:  # fmt: skip
    start = _letters("\n".join(pages[:1])[:3_000])
    entry = next((paper for key, paper in entries if key == path.stem), None)
    entry = entry or next((p for _, p in entries if len(_letters(p.title)) >= 15 and _letters(p.title) in start), None)
    if not any(text.text.strip() for text in texts):
        return None
    if entry is not None:
        cleaned = make_paper(title=entry.title, found_in=name, texts=texts)
        return replace(entry, found_in=(name,), texts=cleaned.texts if cleaned else ())
    lines = [line for line in "\n".join(pages[:1]).splitlines() if sum(map(str.isalpha, line)) >= 10]
    if len(_letters(title)) < 10 or _letters(title) not in start:  # many PDFs have the title of another file
        title = lines[0] if lines else path.stem
    ids = re.findall(r"arXiv:\d{4}\.\d{4,5}(?:v\d+)?", "\n".join(pages[:1]))
    return make_paper(title=title, ids=ids[:1], found_in=name, texts=texts)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
