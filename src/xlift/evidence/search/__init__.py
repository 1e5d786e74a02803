"""Searches the literature for what bears on claims, and writes a draft that waits for a person.

`services.py`: OpenAlex, arXiv and the ACL Anthology, over `fetching.py`. `folder.py`: PDFs and BibTeX files. `papers.py`: found
papers and their duplicates. `ranking.py` and `sentences.py`: what bears on a claim. `draft.py`: the draft evidence file.
Nothing here reads or changes a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlift.errors import UserError
from xlift.evidence.search.fetching import Fetcher
from xlift.evidence.search.folder import find_files, read_pdfs
from xlift.evidence.search.papers import Paper, merge_duplicates
from xlift.evidence.search.ranking import Embed, keywords, rank
from xlift.evidence.search.sentences import Sentence, choose_sentences, numbered_sentences
from xlift.evidence.search.services import SERVICES

SERVICE_NAMES = tuple(service.name for service in SERVICES)


@dataclass(frozen=True)
class SearchResult:
    """What a search has found."""

    papers: tuple[Paper, ...]
    """Best first."""
    sentences: Mapping[str, tuple[Sentence, ...]]
    """Name of a claim -> sentences, best first. The name is '' for a question without claims."""
    duplicates: int
    """Found papers that were another one's duplicate."""
    retracted: tuple[Paper, ...]
    """Left out."""
    problems: tuple[str, ...]
    """What went wrong, in one line each."""


def search_literature(
    question: str, claims: Mapping[str, str], *, fetcher: Fetcher, services: Sequence[str] = SERVICE_NAMES,
    folder: Path | None = None, bibtex: Sequence[Path] = (), num_papers: int = 20, num_sentences: int = 5,
    embed: Embed | None = None, announce: Callable[[str], None] = lambda message: None,
) -> SearchResult:  # fmt: skip
    """Search services and files for papers, and the best papers for sentences with numbers.

    Args:
        claims: name -> text of each claim; empty to search for the question alone.
        services: names of `SERVICE_NAMES`; empty to search files only.
        num_papers: papers that are kept.
        num_sentences: sentences that are kept for each claim.
        embed: the encoder of `rank`.
        announce: receives a line before each part of the work.

    Raises:
        UserError: a file is missing, or nothing could be searched at all.
    """
    texts = [text for text in dict.fromkeys([question, *claims.values()]) if text]
    queries = [words for words in dict.fromkeys(tuple(keywords(text)) for text in texts) if words]
    if not queries:
        raise UserError(
            "no word to search for", where=question or "the claims", fix="Ask with a few words of the subject."
        )
    files = find_files(folder, bibtex)
    found, problems = [paper for _, paper in files.entries], list(files.problems)
    for service in SERVICES:
        if service.name in services:
            announce(f"Searching {service.title} for {len(queries)} {'query' if len(queries) == 1 else 'queries'}")
            papers, wrong = service.find(queries, num_papers, fetcher)
            problems += wrong
            found += papers
    papers, wrong = read_pdfs(files, found, announce)
    found += papers
    problems += wrong
    if not found and problems:
        raise UserError(
            "no paper was found, and not everything could be searched:\n  " + "\n  ".join(problems),
            fix="Check the network; or search a folder of PDFs or a BibTeX file with --folder, --bibtex and --offline.",
        )
    found = list(dict.fromkeys(found))  # several queries find the same
    merged = merge_duplicates(found)
    kept = [paper for paper in merged if not paper.retracted]
    scores = rank(" ".join(texts), [paper.search_text for paper in kept], embed)
    papers = [kept[at] for at in np.argsort(-scores, kind="stable")[:num_papers]]
    sentences = numbered_sentences(papers)
    return SearchResult(
        tuple(papers),
        {
            name: tuple(choose_sentences(text, sentences, num_sentences, embed))
            for name, text in (claims or {"": question}).items()
        },
        len(found) - len(merged), tuple(paper for paper in merged if paper.retracted), tuple(problems),
    )  # fmt: skip
