"""Papers in PDFs and BibTeX files on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xlift.errors import UserError
from xlift.evidence.search.bibtex import read_bibtex
from xlift.evidence.search.papers import Paper, Text, clean_text, make_paper
from xlift.evidence.search.pdf_text import read_pdf

MAX_FILES = 2_000
_NO_TITLE = re.compile(
    r"proceedings of|findings of|transactions of|journal of|published as|under review|preprint|accepted (at|to)|arxiv:|doi:|https?:|"
    r"volume \d|pages? \d|copyright|\u00a9|this paper|workshop on",
    re.IGNORECASE,
)
"""Starts of the first lines of a PDF that are no title."""


@dataclass(frozen=True)
class Files:
    """Files to search."""

    folder: Path
    pdfs: tuple[Path, ...]
    entries: tuple[tuple[str, Paper], ...]
    """Key and paper of each BibTeX entry."""
    problems: tuple[str, ...]


def find_files(folder: Path | None, bibtex: Sequence[Path]) -> Files:
    """The PDFs in a folder, and the entries of BibTeX files in it and elsewhere.

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
    return Files(folder or Path(), tuple(pdfs[:MAX_FILES]), tuple(entries), tuple(problems))


def read_pdfs(files: Files, known: Sequence[Paper], announce: Callable[[str], None]) -> tuple[list[Paper], list[str]]:
    """The papers of the PDFs, and what is wrong with them, in one line each.

    A PDF belongs to the BibTeX entry whose key is its name, or to the entry or known paper whose title is on its first page.
    Otherwise its title is that of its metadata if it is on the page, or its first line.
    """
    papers: list[Paper] = []
    problems: list[str] = []
    for path in files.pdfs:
        name = clean_text(str(path.relative_to(files.folder)), 200)
        announce(f"Reading {name}")
        title, pages, problem = read_pdf(path)
        if problem:
            problems.append(f"{name}: {problem}.")
        texts = tuple(Text(join_lines(text), name, number) for number, text in enumerate(pages, 1))
        made = make_paper(title=clean_text(path.stem) or "untitled", found_in=name, texts=texts)
        if made is None or not made.texts:
            continue
        entry = next((paper for key, paper in files.entries if key == path.stem), None) or _find_by_title(
            pages[0], [*(paper for _, paper in files.entries), *known]
        )
        if entry is not None:
            papers.append(replace(entry, found_in=(name,), texts=made.texts))
        else:
            papers.append(_name(made, title, pages[0]))
    return papers, problems


def join_lines(text: str) -> str:
    """The text of a page with words that a line break divides put together."""
    return re.sub(r"(?<=[a-z])-[ \t]*\n[ \t]*(?=[a-z])", "", text)


def _find_by_title(page: str, papers: Sequence[Paper]) -> Paper | None:
    """The paper whose title, of 15 letters or more, is in the first 3,000 characters of a page; of several the longest."""
    start = _letters(page[:3_000])
    found = [paper for paper in papers if len(_letters(paper.title)) >= 15 and _letters(paper.title) in start]
    return max(found, key=lambda paper: len(paper.title), default=None)


def _name(paper: Paper, title: str, page: str) -> Paper:
    """A paper with the best title that its PDF gives, and the arXiv id on its first page."""
    is_printed = len(_letters(title)) >= 10 and _letters(title) in _letters(
        page[:3_000]
    )  # many have that of another file
    if not is_printed:
        lines = [line for line in page.splitlines() if sum(map(str.isalpha, line)) >= 10]
        title = next((line for line in lines if not _NO_TITLE.match(line.strip())), paper.title)
    ids = re.findall(r"arXiv:\d{4}\.\d{4,5}(?:v\d+)?", page)
    named = make_paper(title=title, ids=ids[:1], found_in=paper.found_in[0]) or paper
    return replace(named, texts=paper.texts, title_is_guessed=not is_printed)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
