"""Searching OpenAlex, arXiv and the ACL Anthology through their real clients, against stand-ins that misbehave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.literature import QUESTION, TITLE, Literature, bibtex, entry, work

from xlift.errors import UserError
from xlift.evidence.search import SearchResult, search_literature
from xlift.evidence.search.fetching import ATTEMPTS, Fetcher

ABSTRACT = "We show that English intermediate-task training gains 5.4 points."


@pytest.fixture
def literature(monkeypatch: pytest.MonkeyPatch) -> Iterator[Literature]:
    with Literature() as found:
        found.connect(monkeypatch)
        yield found


def search(tmp_path: Path, *services: str, question: str = QUESTION, contact: str = "") -> SearchResult:
    return search_literature(question, {}, fetcher=Fetcher(tmp_path / "cache", contact), services=services)


def test_one_paper_from_three_services_is_one_paper(literature: Literature, tmp_path: Path) -> None:
    literature.works = [work(TITLE, ABSTRACT, doi="https://doi.org/10.18653/v1/2020.aacl-main.56")]
    literature.feed = [
        entry(TITLE.upper(), "An older version gains 6.1 points in intermediate training.", "2005.13013v1")
    ]
    literature.anthology = [bibtex(TITLE, ABSTRACT)]
    found = search(tmp_path, "openalex", "arxiv", "acl")
    (paper,) = found.papers
    assert (paper.doi, paper.arxiv, paper.acl) == ("10.18653/v1/2020.aacl-main.56", "2005.13013", "2020.aacl-main.56")
    assert paper.found_in == ("OpenAlex", "arXiv", "ACL Anthology")
    assert found.problems == ()
    # each version keeps its own sentence and place: they differ
    quoted = {sentence.text: sentence.where for sentence in found.sentences[""]}
    assert quoted == {
        ABSTRACT: "abstract in OpenAlex W1",
        "An older version gains 6.1 points in intermediate training.": "abstract in arXiv 2005.13013v1",
    }


def test_few_papers_with_all_words_are_completed_by_those_with_any(literature: Literature, tmp_path: Path) -> None:
    search(tmp_path, "openalex", "arxiv")
    words = ["english", "intermediate", "task", "training"]
    assert literature.queries("/works", "search") == [" ".join(words), " OR ".join(words)]
    fielded = [f"all:{word}" for word in words]
    assert literature.queries("/api/query", "search_query") == [" AND ".join(fielded), " OR ".join(fielded)]


def test_words_of_a_question_are_no_operators(literature: Literature, tmp_path: Path) -> None:
    search(tmp_path, "openalex", question='cats NOT dogs" OR (id:1) & filter=x')
    assert literature.queries("/works", "search") == ["cats dogs id filter", "cats OR dogs OR id OR filter"]


def test_the_second_search_asks_no_service(literature: Literature, tmp_path: Path) -> None:
    literature.works, literature.feed, literature.anthology = [work(TITLE)], [entry(TITLE)], [bibtex(TITLE)]
    first = search(tmp_path, "openalex", "arxiv", "acl")
    count = len(literature.requests)
    assert search(tmp_path, "openalex", "arxiv", "acl") == first
    assert len(literature.requests) == count


def test_requests_are_honest_and_apart(literature: Literature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENALEX_API_KEY", "secret")
    literature.works, literature.feed, literature.anthology = [work(TITLE)], [entry(TITLE)], [bibtex(TITLE)]
    search(tmp_path, "openalex", "arxiv", "acl", contact="me@example.org")
    for path, headers in literature.requests:
        assert headers["User-Agent"].startswith("xlift/")
        assert "mailto:me@example.org" in headers["User-Agent"]
        assert ("Authorization" in headers) == path.startswith("/works")
        assert "secret" not in path
    assert max(literature.waits) > 2.5  # arXiv asks for three seconds


@pytest.mark.parametrize(
    ("status", "after", "expected"), [(429, "7", 7), (503, "", 1), (500, "soon", 1), (429, "-5", 1)]
)
def test_a_busy_service_is_asked_again(
    literature: Literature, tmp_path: Path, status: int, after: str, expected: float
) -> None:
    literature.works = [work(f"{TITLE} {n}") for n in range(5)]
    literature.answer("/works", status=status, headers={"Retry-After": after} if after else {})
    found = search(tmp_path, "openalex")
    assert len(found.papers) == 5
    assert found.problems == ()
    assert expected in literature.waits


def test_a_date_in_retry_after_is_waited_for(literature: Literature, tmp_path: Path) -> None:
    from email.utils import formatdate
    from time import time

    literature.works = [work(f"{TITLE} {n}") for n in range(5)]
    literature.answer("/works", status=429, headers={"Retry-After": formatdate(time() + 20, usegmt=True)})
    assert len(search(tmp_path, "openalex").papers) == 5
    assert any(15 < wait <= 20 for wait in literature.waits)


def test_a_service_that_asks_for_an_hour_is_left_out(literature: Literature, tmp_path: Path) -> None:
    literature.answer("/works", status=429, headers={"Retry-After": "3600"}, times=99)
    literature.feed = [entry(TITLE)]
    found = search(tmp_path, "openalex", "arxiv")
    assert [paper.title for paper in found.papers] == [TITLE]
    assert found.problems == ("OpenAlex: status 429; it asks to wait 3,600 seconds. Search again later.",)
    assert max(literature.waits) < 60


BROKEN = {
    "openalex": [b"", b"<html>Sorry</html>", b'{"results": [', b"[]", b'{"results": 3}', b"\xff\xfe", b"[" * 100_000],
    "arxiv": [b"", b"<html>Sorry</html>", b"<feed><entry>", b"<feed/>", b"\x00"],
    "acl": [b"", b"<html>@Sorry</html>", gzip.compress(b"@article{" * 1000, mtime=0)[:-9], gzip.compress(b"no entries", mtime=0)],
}  # fmt: skip
PATHS = {"openalex": "/works", "arxiv": "/api/query", "acl": "/anthology"}


@pytest.mark.parametrize(("service", "body"), [(name, body) for name, bodies in BROKEN.items() for body in bodies])
def test_a_broken_page_is_fetched_again_and_not_cached(
    literature: Literature, tmp_path: Path, service: str, body: bytes
) -> None:
    literature.works, literature.feed, literature.anthology = [work(TITLE)], [entry(TITLE)], [bibtex(TITLE)]
    literature.answer(PATHS[service], body=body)
    found = search(tmp_path, service)
    assert [paper.title for paper in found.papers] == [TITLE]
    assert found.problems == ()


@pytest.mark.parametrize("service", PATHS)
@pytest.mark.parametrize("fault", [{"body": b"<html>"}, {"cut": True}, {"status": 500}])
def test_a_service_that_stays_broken_is_named_and_the_others_go_on(
    literature: Literature, tmp_path: Path, service: str, fault: dict
) -> None:
    literature.works, literature.feed, literature.anthology = [work(TITLE)], [entry(TITLE)], [bibtex(TITLE)]
    literature.answer(PATHS[service], times=99, **fault)
    found = search(tmp_path, *PATHS)
    (paper,) = found.papers
    assert len(paper.found_in) == 2
    (problem,) = found.problems
    assert problem.endswith(f"({ATTEMPTS} attempts).")


def test_nothing_but_failures_is_an_error(literature: Literature, tmp_path: Path) -> None:
    literature.answer("/", status=403, times=99)
    with pytest.raises(UserError, match="not everything could be searched") as caught:
        search(tmp_path, *PATHS)
    assert all(f"{name}: status 403" in str(caught.value) for name in ("OpenAlex", "arXiv", "ACL Anthology"))


def test_no_network_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Literature() as literature:
        literature.connect(monkeypatch)
    with pytest.raises(UserError, match="OpenAlex: no connection"):
        search(tmp_path, "openalex")
    assert sum(literature.waits) < 2  # no attempts after the first


@pytest.mark.parametrize(
    "broken",
    [
        {"display_name": None}, {"display_name": ["x"]}, {"authorships": 3}, {"authorships": [{}]}, {"locations": ["x"]},
        {"abstract_inverted_index": {"x": ["a", 1]}}, {"abstract_inverted_index": [1]}, {"primary_location": {"source": 1}},
    ],
)  # fmt: skip
def test_a_broken_work_costs_itself_only(literature: Literature, tmp_path: Path, broken: dict) -> None:
    literature.works = [work(f"{TITLE} {n}") for n in range(5)] + [{**work("Broken"), **broken}]
    found = search(tmp_path, "openalex")
    assert [paper.title for paper in found.papers] == [f"{TITLE} {n}" for n in range(5)]
    assert found.problems == ("OpenAlex: broken entries left out: 1.",)


def test_broken_bibtex_of_the_anthology_costs_itself_only(literature: Literature, tmp_path: Path) -> None:
    literature.anthology = ["@inproceedings{broken, title = {English intermediate task training\n", bibtex(TITLE)]
    found = search(tmp_path, "acl")
    assert [paper.title for paper in found.papers] == [TITLE]
    assert found.problems == ("ACL Anthology: broken entries left out: 1.",)


def test_retracted_papers_are_left_out_and_named(literature: Literature, tmp_path: Path) -> None:
    literature.works = [work("A retracted paper on English intermediate tasks", is_retracted=True), work(TITLE)]
    note = "<arxiv:comment>This paper has been withdrawn by the author due to an error</arxiv:comment>"
    literature.feed = [
        entry("A retracted paper on English intermediate tasks", ABSTRACT, "2101.00001v1"),
        entry("A withdrawn paper on intermediate training", ABSTRACT, "2101.00002v1", note),
    ]
    literature.anthology = [
        bibtex("[RETRACTED] Another English intermediate task", ABSTRACT, extra="").replace("56/", "57/")
    ]
    found = search(tmp_path, *PATHS)
    assert [paper.title for paper in found.papers] == [TITLE]
    assert {paper.title for paper in found.retracted} == {
        "A retracted paper on English intermediate tasks", "A withdrawn paper on intermediate training",
        "[RETRACTED] Another English intermediate task",
    }  # fmt: skip
    assert found.sentences[""] == ()  # not from the arXiv version of a retracted paper either


def test_arxivs_own_errors_are_no_papers(literature: Literature, tmp_path: Path) -> None:
    literature.feed = [entry("Error", "incorrect id", "x").replace("/abs/x", "/api/errors#incorrect")]
    assert search(tmp_path, "arxiv").papers == ()


@pytest.mark.parametrize(
    "entities",
    [
        '<!ENTITY x SYSTEM "file://SECRET">',
        '<!ENTITY a "'
        + "english " * 1_000
        + '">'
        + '<!ENTITY b "'
        + "&a;" * 1_000
        + '">'
        + '<!ENTITY x "'
        + "&b;" * 1_000
        + '">',
    ],
    ids=["a file", "a billion words"],
)
def test_entities_in_feeds_are_not_expanded(literature: Literature, tmp_path: Path, entities: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret intermediate", encoding="utf-8")
    feed = '<feed xmlns="http://www.w3.org/2005/Atom">' + entry("English X task", "s").replace("X", "&x;") + "</feed>"
    literature.answer(
        "/api/query", body=f"<!DOCTYPE f [{entities}]>{feed}".replace("SECRET", str(secret)).encode(), times=99
    )
    with pytest.raises(UserError, match="arXiv: the answer is no XML") as caught:
        search(tmp_path, "arxiv")
    assert "top secret" not in str(caught.value)


def test_an_answer_that_is_too_large_is_refused(
    literature: Literature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    literature.feed = [entry(TITLE)]
    body = gzip.compress(b"[" * 50_000_000)  # small on the wire
    literature.answer(
        "/works", body=body, headers={"Content-Encoding": "gzip", "Content-Length": str(len(body))}, times=9
    )
    found = search(tmp_path, "openalex", "arxiv")
    assert found.problems == ("OpenAlex: the answer has more than 20,000,000 bytes.",)


def test_a_damaged_cache_is_fetched_again(literature: Literature, tmp_path: Path) -> None:
    literature.works = [work(f"{TITLE} {n}") for n in range(5)]
    search(tmp_path, "openalex")
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:-5])
    assert len(search(tmp_path, "openalex").papers) == 5
    json.loads(cached.read_bytes())
