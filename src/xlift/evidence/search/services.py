"""Searches OpenAlex, arXiv and the ACL Anthology for papers.

OpenAlex's queries and abstracts are pyalex's work, arXiv's queries and feeds that of `arxiv`, the Anthology's BibTeX that of
bibtexparser. All requests go through `Fetcher`, so that they share a cache, pauses and attempts.
"""

from __future__ import annotations

import gzip
import heapq
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from xlift.evidence.search.bibtex import paper_of_entry, parse_bibtex
from xlift.evidence.search.fetching import DAY, Fetcher, FetchError
from xlift.evidence.search.papers import Paper, Text, make_paper

_OPENALEX_FIELDS = ["id", "doi", "display_name", "publication_year", "authorships", "primary_location", "locations", "abstract_inverted_index", "is_retracted"]  # fmt: skip
_ANTHOLOGY_BYTES = 4_000_000_000
"""Bytes of the Anthology's file after decompression, at most. It has some 200 MB."""


@dataclass(frozen=True)
class Service:
    """A service that can be searched."""

    name: str
    title: str
    address: str
    variable: str
    """Environment variable that replaces the address: a mirror, or a local stand-in."""
    search: Callable[[Sequence[Sequence[str]], int, Fetcher, str], tuple[list[Paper], list[str]]]
    """Keywords of each query, papers for each query, fetcher, address -> papers and problems."""

    def find(self, queries: Sequence[Sequence[str]], limit: int, fetcher: Fetcher) -> tuple[list[Paper], list[str]]:
        """Papers, and what went wrong, in one line each. A query that fails costs its own papers only."""
        papers, problems = self.search(queries, limit, fetcher, os.environ.get(self.variable, self.address).rstrip("/"))
        return papers, [f"{self.title}: {problem}." for problem in dict.fromkeys(problems)]


def _search_openalex(
    queries: Sequence[Sequence[str]], limit: int, fetcher: Fetcher, address: str
) -> tuple[list[Paper], list[str]]:
    key = os.environ.get("OPENALEX_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def find(query: str) -> tuple[list[Paper], str]:
        import pyalex

        url = pyalex.Works().search(query).select(_OPENALEX_FIELDS).url.partition("/works?")[2]
        path = fetcher.fetch(
            f"{address}/works?{url}&per-page={min(limit, 200)}", check=_check_openalex, pause=0.2, headers=headers
        )
        works = json.loads(path.read_bytes())["results"]
        found = [_openalex_paper(work) for work in works[:limit]]
        broken = sum(paper is None for paper in found)
        return [paper for paper in found if paper], f"broken entries left out: {broken}" if broken else ""

    return _search_each(queries, find, " ", " OR ")


def _openalex_paper(work: Any) -> Paper | None:
    import pyalex

    try:
        abstract = pyalex.Work(work)["abstract"] or "" if work.get("abstract_inverted_index") else ""
        locations = [work.get("primary_location"), *(work.get("locations") or [])]
        locations = [location for location in locations if location]
        return make_paper(
            title=work.get("display_name"),
            authors=[authorship["author"]["display_name"] for authorship in work.get("authorships") or []],
            year=work.get("publication_year"),
            venue=next((location["source"]["display_name"] for location in locations if location.get("source")), ""),
            ids=[work.get("doi"), *(location.get("landing_page_url") for location in locations)],
            found_in="OpenAlex", texts=[Text(abstract, f"abstract in OpenAlex {str(work.get('id')).rpartition('/')[2][:20]}")],
            retracted=work.get("is_retracted") is True,
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, IndexError):
        return None


def _check_openalex(path: Path) -> str:
    try:
        answer = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "the answer is no JSON"
    if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
        return "the answer has no list of results"
    return ""


def _search_arxiv(
    queries: Sequence[Sequence[str]], limit: int, fetcher: Fetcher, address: str
) -> tuple[list[Paper], list[str]]:
    import arxiv

    class Session:
        """In the place of the client's own session, which knows no cache and no Retry-After."""

        def get(self, url: str, **_: Any) -> Any:
            # arXiv asks for three seconds between requests
            return SimpleNamespace(
                status_code=200, content=fetcher.fetch(url, check=_check_arxiv, pause=3).read_bytes()
            )

    client = arxiv.Client(page_size=limit, delay_seconds=0, num_retries=0)
    client.query_url_format = address.replace("{", "").replace("}", "") + "/api/query?{}"
    client._session = Session()  # type: ignore[assignment]

    def find(query: str) -> tuple[list[Paper], str]:
        try:
            results = list(client.results(arxiv.Search(query, max_results=limit)))
        except (ValueError, arxiv.ArxivError):
            raise FetchError("the feed is broken") from None
        found = [_arxiv_paper(result) for result in results if "/api/errors" not in result.entry_id]
        return [paper for paper in found if paper], ""

    return _search_each([[f"all:{word}" for word in words] for words in queries], find, " AND ", " OR ")


def _arxiv_paper(result: Any) -> Paper | None:
    version = result.get_short_id()
    return make_paper(
        title=result.title, authors=[author.name for author in result.authors], year=result.published.year,
        venue=result.journal_ref or "arXiv", ids=[f"arxiv:{version}", result.doi], found_in="arXiv",
        texts=[Text(result.summary, f"abstract in arXiv {version[:30]}")], remarks=[result.comment],
    )  # fmt: skip


def _check_arxiv(path: Path) -> str:
    try:
        root = ElementTree.fromstring(path.read_bytes())  # strict: `arxiv` takes what it can of a broken feed, silently
    except (ElementTree.ParseError, ValueError):
        return "the answer is no XML"
    return "" if root.tag == "{http://www.w3.org/2005/Atom}feed" else "the answer is no Atom feed"


def _search_each(
    queries: Sequence[Sequence[str]], find: Callable[[str], tuple[list[Paper], str]], narrow: str, wide: str
) -> tuple[list[Paper], list[str]]:
    """Search for papers with all keywords of a query; if there are few, for papers with any of them."""
    papers: list[Paper] = []
    problems: list[str] = []
    for words in queries:
        try:
            found, problem = find(narrow.join(words))
            if len(found) < 5 and len(words) > 1:
                more, other = find(wide.join(words))
                found, problem = found + more, problem or other
            papers += found
            problems += [problem] if problem else []
        except FetchError as error:
            problems.append(str(error))
            if len(problems) > 1 and problems[-1] == problems[-2]:  # it fails in the same way twice: ask no more
                break
    return papers, problems


def _search_anthology(
    queries: Sequence[Sequence[str]], limit: int, fetcher: Fetcher, address: str
) -> tuple[list[Paper], list[str]]:
    """The Anthology has no search, but one file with all its BibTeX, which is kept for 30 days."""
    try:
        path = fetcher.fetch(
            f"{address}/anthology+abstracts.bib.gz", check=_check_gzip, pause=1, max_bytes=500_000_000, max_age=30 * DAY
        )
    except FetchError as error:
        return [], [str(error)]
    vocabulary = sorted({word for words in queries for word in words})
    best: list[list[tuple[int, int, str]]] = [[] for _ in queries]
    for number, entry in enumerate(_entries(path)):
        text = entry.casefold()
        present = {word for word in vocabulary if word in text}
        for heap, words in zip(best, queries):
            shared = sum(word in present for word in words)
            if shared >= min(2, len(words)):
                heapq.heappush(heap, (shared, -number, entry))
                if len(heap) > limit:
                    heapq.heappop(heap)
    chosen = {-number: entry for heap in best for _, number, entry in heap}
    entries, broken = parse_bibtex("".join(chosen[number] for number in sorted(chosen)))
    papers = [paper for entry in entries if (paper := paper_of_entry(entry, "ACL Anthology"))]
    return papers, [f"broken entries left out: {broken}"] if broken else []


def _entries(path: Path) -> Iterator[str]:
    """The entries of a compressed BibTeX file, one text each."""
    lines: list[str] = []
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("@") and lines:
                yield "".join(lines)
                lines = []
            if len(lines) < 500:  # an entry has some 20
                lines.append(line[:50_000])
    yield "".join(lines)


def _check_gzip(path: Path) -> str:
    size, has_entry = 0, False
    try:
        with gzip.open(path) as file:
            while block := file.read(1 << 20):
                has_entry |= b"@" in block
                size += len(block)
                if size > _ANTHOLOGY_BYTES:
                    return f"the file has more than {_ANTHOLOGY_BYTES:,} bytes"
    except (OSError, EOFError, zlib.error):
        return "the file is no complete gzip file"
    return "" if has_entry else "the file has no BibTeX"


SERVICES = (
    Service("openalex", "OpenAlex", "https://api.openalex.org", "XLIFT_OPENALEX_URL", _search_openalex),
    Service("arxiv", "arXiv", "https://export.arxiv.org", "XLIFT_ARXIV_URL", _search_arxiv),
    Service("acl", "ACL Anthology", "https://aclanthology.org", "XLIFT_ANTHOLOGY_URL", _search_anthology),
)
