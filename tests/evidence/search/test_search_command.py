"""`xlift evidence search`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.literature import QUESTION, TITLE, Literature, bibtex, entry, work

from xlift.evidence.files import read_evidence

CLAIMS = """\
question: Does an English intermediate task lift cross-lingual transfer?
claims:
  - {name: english, text: English intermediate-task training gains., lift: squad}
  - {name: retrieval, text: Retrieval tasks such as Tatoeba gain most., lift: squad, target: tatoeba}
"""
ABSTRACT = "English intermediate-task training gains 5.4 points. Tatoeba and other retrieval tasks gain 15."


@pytest.fixture
def literature(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Literature]:
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    with Literature() as found:
        found.connect(monkeypatch)
        found.works = [work(TITLE, ABSTRACT), work("A retracted study of tasks", is_retracted=True)]
        found.feed = [entry(TITLE, ABSTRACT)]
        found.anthology = [bibtex(TITLE, ABSTRACT)]
        yield found


def test_claims_to_draft(literature: Literature, xlift: Xlift, tmp_path: Path) -> None:
    (tmp_path / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    answer = xlift("evidence", "search", "claims.yaml", "--out", "draft.yaml", columns=200)
    assert answer.code == 0, answer.err
    evidence = read_evidence([tmp_path / "draft.yaml"])
    assert {claim for candidate in evidence.candidates for claim in candidate.claims} == {"english", "retrieval"}
    assert all(not each.is_accepted for each in evidence.entries)
    assert (tmp_path / "claims.yaml").read_text(encoding="utf-8") == CLAIMS
    assert "1 paper, ordered by BM25 (no --encoder, so no vectors); duplicates merged: 2" in answer.out
    assert "Left out, since it is retracted: " in answer.out
    assert '"English intermediate-task training gains 5.4 points." [1]' in answer.out
    assert "set `accepted: true`" in answer.out
    assert "Searching arXiv for 3 queries ..." in answer.err
    again = xlift("evidence", "search", "claims.yaml", "--out", "draft.yaml")
    assert (again.code, "the file exists" in again.err) == (2, True)


def test_from_search_to_verdict(literature: Literature, xlift: Xlift, tmp_path: Path) -> None:
    """A draft leaves what `xlift claims` prints as it is, until a person has accepted an entry."""
    before = xlift("claims", "english-intermediate", "--json")
    assert before.code == 0, before.err
    assert xlift("evidence", "search", "english-intermediate", "--out", "draft.yaml").code == 0
    after = xlift("claims", "english-intermediate", "--json", "--evidence", "draft.yaml")
    assert after.out == before.out
    path = tmp_path / "draft.yaml"
    waiting = len(read_evidence([path]).waiting)
    assert waiting > 0
    assert f"{waiting} entries of the evidence count for nothing before" in after.err
    meant = "  bears: supports\n  statement: It says so.\n  quote:"
    path.write_text(
        path.read_text(encoding="utf-8").replace("  quote:", meant).replace("accepted: false", "accepted: true"),
        encoding="utf-8",
    )
    accepted = xlift("claims", "english-intermediate", "--json", "--evidence", "draft.yaml")
    assert (accepted.code, accepted.err) == (0, "")
    assert "It says so." in accepted.out


def test_a_question_without_out_writes_nothing(literature: Literature, xlift: Xlift, tmp_path: Path) -> None:
    answer = xlift("evidence", "search", QUESTION, "--source", "arxiv")
    assert answer.code == 0
    assert f"Jason Phang (2020). {TITLE}. arXiv. https://arxiv.org/abs/2005.13013" in answer.out
    assert "Nothing was written." in answer.out
    assert {path.split("?")[0] for path, _ in literature.requests} == {"/api/query"}
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_failing_service_is_a_warning(literature: Literature, xlift: Xlift) -> None:
    literature.answer("/works", status=500, times=99)
    answer = xlift("evidence", "search", QUESTION)
    assert answer.code == 0
    assert "xlift: warning: OpenAlex: status 500 (4 attempts)." in answer.err


def test_offline_asks_no_service(literature: Literature, xlift: Xlift, tmp_path: Path) -> None:
    (tmp_path / "a.bib").write_text(bibtex(TITLE, ABSTRACT), encoding="utf-8")
    answer = xlift("evidence", "search", QUESTION, "--offline", "--bibtex", "a.bib")
    assert answer.code == 0
    assert "5.4 points" in answer.out
    assert literature.requests == []


def test_hostile_text_does_not_reach_the_terminal(literature: Literature, xlift: Xlift) -> None:
    literature.works = [
        work("\x1b[2J\x1b]0;x\x07 English intermediate [red]task[/red]", "It gains \x9b31m 5.4 task training.")
    ]
    answer = xlift("evidence", "search", QUESTION, "--source", "openalex")
    assert not set(answer.out + answer.err) & set("\x1b\x9b\x07")
    assert "[red]task[/red]" in answer.out  # and no markup is obeyed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claims.yaml"], "no claims 'claims.yaml'"),
        (["of the"], "no word to search for"),
        ([QUESTION, "--source", "scholar"], "unknown source 'scholar'"),
        ([QUESTION, "--offline"], "nothing to search"),
        ([QUESTION, "--offline", "--source", "acl"], "--offline searches no source"),
        ([QUESTION, "--folder", "none"], "no such folder"),
        ([QUESTION, "--out", "draft.txt"], "does not end in .yaml"),
        ([QUESTION, "--contact", "me\r\nCookie: x"], "no e-mail address"),
        ([QUESTION, "--encoder", "none"], "none"),
    ],
)
def test_errors(literature: Literature, xlift: Xlift, words: list[str], message: str) -> None:
    answer = xlift("evidence", "search", *words)
    assert answer.code == 2
    assert message in answer.err
    assert literature.requests == []


def test_missing_packages_are_named(xlift: Xlift, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pypdf" else real(name))
    answer = xlift("evidence", "search", QUESTION)
    assert answer.code == 2
    assert "packages that are not installed: pypdf" in answer.err
    assert "pip install 'xlift[evidence]'" in answer.err
