"""Duplicates, files, ranking and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.support.literature import TITLE, bibtex, pdf

from xlift.errors import UserError
from xlift.evidence.search import pdf_text
from xlift.evidence.search.bibtex import paper_of_entry, parse_bibtex
from xlift.evidence.search.folder import find_files, read_pdfs
from xlift.evidence.search.papers import Paper, Text, make_paper, merge_duplicates
from xlift.evidence.search.ranking import bm25, keywords, rank, tokenize
from xlift.evidence.search.sentences import choose_sentences, find_numbers, numbered_sentences, split_sentences


def paper(title: str, *ids: str, text: str = "", retracted: bool = False) -> Paper:
    made = make_paper(title=title, ids=ids, found_in="test", texts=[Text(text, "here")], retracted=retracted)
    assert made is not None
    return made


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_duplicates_by_doi_by_arxiv_id_by_acl_id_and_by_title() -> None:
    merged = merge_duplicates(
        [
            paper("First title of the paper", "https://doi.org/10.1234/ABC"),
            paper("A second paper, unlike the others", "arxiv:2001.00001"),
            paper("Quite another title", "10.1234/abc"),
            paper("first title of the PAPER!", "https://arxiv.org/abs/2005.13013v2"),
            paper("Fourth", "http://arxiv.org/pdf/2005.13013v1"),
        ]
    )
    assert [each.title for each in merged] == ["First title of the paper", "A second paper, unlike the others"]


def test_a_paper_that_connects_two_groups_merges_them() -> None:
    first, second = paper("One", "10.1234/a"), paper("Two", "arxiv:2001.00001")
    assert len(merge_duplicates([first, second])) == 2
    (merged,) = merge_duplicates([first, second, paper("Three", "10.1234/a", "arxiv:2001.00001")])
    assert (merged.doi, merged.arxiv) == ("10.1234/a", "2001.00001")
    assert (
        len(merge_duplicates([first, second, paper("Three", "10.1234/a", "arxiv:2001.00001"), paper("4", "10.1234/a")]))
        == 1
    )


def test_short_titles_do_not_make_papers_equal() -> None:
    assert len(merge_duplicates([paper("Introduction"), paper("Introduction")])) == 2


def test_the_published_version_names_the_paper_and_a_retracted_one_retracts_it() -> None:
    preprint = paper("A title that both versions have", "arxiv:2001.00001")
    published = paper("A Title That Both Versions Have", "https://aclanthology.org/P19-1001/", retracted=True)
    (merged,) = merge_duplicates([preprint, published])
    assert merged.title == "A Title That Both Versions Have"
    assert merged.url == "https://aclanthology.org/P19-1001"
    assert merged.retracted


@pytest.mark.parametrize(
    ("title", "retracted"),
    [
        ("RETRACTED: A paper", True),
        ("[Withdrawn] A paper", True),
        ("Retracted article: X", True),
        ("On retracted papers", False),
    ],
)
def test_retractions_in_titles(title: str, retracted: bool) -> None:
    assert paper(title).retracted == retracted


# --- files ------------------------------------------------------------------------------------------------------------


def read(folder: Path | None, *bibtex: Path, known: Sequence[Paper] = ()) -> tuple[list[Paper], list[str]]:
    files = find_files(folder, bibtex)
    papers, problems = read_pdfs(files, known, lambda line: None)
    return [paper for _, paper in files.entries] + papers, [*files.problems, *problems]


def test_a_pdf_with_its_pages(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("A title of a paper\nWords on inter-\nmediate tasks.", "It gains 5.4 points."))
    (found,), problems = read(tmp_path)
    assert problems == []
    assert found.title == "A title of a paper"
    assert [(text.page, text.where) for text in found.texts] == [(1, "a.pdf"), (2, "a.pdf")]
    assert "intermediate tasks" in found.texts[0].text
    assert found.texts[1].text == "It gains 5.4 points."


def test_a_pdf_belongs_to_the_entry_of_its_name_or_title(tmp_path: Path) -> None:
    other = bibtex("Another title of a paper", key="x").replace("main.56", "main.57")
    (tmp_path / "all.bib").write_text(bibtex(TITLE, key="phang") + other, encoding="utf-8")
    (tmp_path / "phang.pdf").write_bytes(pdf("Nothing of the title. 5.4 points."))
    (tmp_path / "download(1).pdf").write_bytes(pdf("Another Title\nof a Paper\nNobody, Nowhere"))
    found, _ = read(tmp_path)
    merged = merge_duplicates(found)
    assert [each.title for each in merged] == [TITLE, "Another title of a paper"]
    assert [each.acl for each in merged] == ["2020.aacl-main.56", "2020.aacl-main.57"]


def test_a_title_of_the_metadata_counts_if_it_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Journal of things 7\nThe real title is this", title="The real title is this"))
    (tmp_path / "b.pdf").write_bytes(pdf("The other real title\nmore", title="Microsoft Word - draft7.doc"))
    assert [each.title for each in read(tmp_path)[0]] == ["The real title is this", "The other real title"]


def test_a_pdf_belongs_to_the_paper_that_a_service_found(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(f"Proceedings of a conference\n{TITLE}\nIt gains 5.4 points."))
    known = paper(TITLE, "10.1234/x", retracted=True)
    (found,), _ = read(tmp_path, known=[paper("A Short Title is it", "10.1234/y"), known])
    assert (found.doi, found.retracted) == ("10.1234/x", True)
    (merged,) = merge_duplicates([known, found])
    assert [text.where for text in merged.texts] == ["a.pdf"]


def test_pdfs_with_the_same_first_line_are_different_papers(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.pdf").write_bytes(pdf(f"A header that many papers have\nPaper {name} gains 5.4 points."))
    found, _ = read(tmp_path)
    assert len(merge_duplicates(found)) == 2


@pytest.mark.parametrize(
    "line", ["Proceedings of the 5th Conference", "arXiv:2005.13013v2 [cs.CL] May 2020", "Published as a paper"]
)
def test_what_is_no_title_is_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(f"{line}\nA title of a paper\nwords"))
    assert [each.title for each in read(tmp_path)[0]] == ["A title of a paper"]


@pytest.mark.parametrize(
    "content", [b"", b"%PDF-1.4\n", b"<html>", pdf("x")[:200], pdf(""), b"%PDF-1.4\n" + b"\xff" * 1000], ids=range(6)
)
def test_broken_pdfs_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    found, (problem,) = read(tmp_path)
    assert found == []
    assert problem.startswith("a.pdf: ")


def test_a_pdf_that_takes_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_text, "MAX_SECONDS", 0.001)
    (tmp_path / "a.pdf").write_bytes(pdf("x"))
    assert read(tmp_path) == ([], ["a.pdf: takes more than 0.001 seconds to read."])


def test_bibtex_with_accents_percent_signs_and_a_broken_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.bib"
    text = '@article{a, title={{T}he G{\\"o}del prize}, abstract={5% better, 3\\% worse}, doi={10.1234/x}}\n@article{b, title={no end\n'
    path.write_text(text + "@misc{c, title={Last}}\n@misc{c, title={Again}}\n@misc{d, year=1}", encoding="utf-8")
    found, problems = read(None, path)
    assert [each.title for each in found] == ["The Gödel prize", "Last", "Again"]
    assert found[0].texts[0].text == "5% better, 3% worse"
    assert problems == ["a.bib: broken entries left out: 2."]


def test_no_file_is_read_from_bibtex(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tex"
    secret.write_text("top secret", encoding="utf-8")
    (entry,), _ = parse_bibtex(f"@misc{{a, title={{x \\input{{{secret}}}}}, abstract={{\\include{{{secret}}}}}}}")
    assert "top secret" not in repr(paper_of_entry(entry, "x"))


def test_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read"):
        read(None, tmp_path / "none.bib")


# --- ranking ----------------------------------------------------------------------------------------------------------


def test_words() -> None:
    assert tokenize("Does the English task lift targets, or less?") == ["english", "task", "lift", "target", "less"]
    assert keywords("Does the English task (2020) lift XNLI's targets?") == [
        "english",
        "task",
        "lift",
        "xnli",
        "targets",
    ]


def test_bm25_prefers_rare_words() -> None:
    texts = ["task task task", "task squad", "task", "other words"]
    scores = bm25("squad tasks", texts)
    assert scores.argmax() == 1
    assert scores[3] == 0
    assert (bm25("nothing known", texts) == 0).all()
    assert rank("x", []).shape == (0,)
    assert rank("squad", ["", "squad"]).argmax() == 1


def test_ranks_are_fused() -> None:
    """BM25 orders 0, 1, 2 and the encoder 2, 1, 0 or 1, 2, 0."""
    texts = ["squad squad", "squad and some other words here", "none"]
    assert (np.argsort(-rank("squad", texts)) == [0, 1, 2]).all()

    def embed(texts: Sequence[str]) -> np.ndarray:
        assert texts[0] == "squad"
        return np.array([[1.0, 0.0], [0.0, 1.0], [10.0, 0.5], [0.5, 0.5]])

    fused = rank("squad", texts, embed)
    assert fused == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])


# --- sentences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "numbers"),
    [
        ("SQuAD gains +8.4 points, NER \u22121.4 and POS \u20130.5.", (8.4, -1.4, -0.5)),
        ("12,000 rows give 15% (of 3.5 F1).", (12_000, 15, 3.5)),
        ("In 2020, Phang et al. (2020a) [3, 17] show Table 3.2 and Figure 4, see Section 5.1 and p. 7.", ()),
        ("See arXiv 2005.13013v2 on mT5, XLM-R2, GPT-4 and v1.1.", ()),
        ("Nine tasks and two phases, anyone at work.", (9, 2)),
        ("No number.", ()),
    ],
)
def test_numbers_that_can_be_results(sentence: str, numbers: tuple[float, ...]) -> None:
    assert find_numbers(sentence) == numbers


def test_sentences() -> None:
    text = 'As Phang et al. (2020) say, e.g. 3.4 points vs. XLM-R in Fig. 2. "It gains." Then 5 more! Is it?'
    assert split_sentences(Text(text, "")) == [
        "As Phang et al. (2020) say, e.g. 3.4 points vs. XLM-R in Fig. 2.", '"It gains."', "Then 5 more!", "Is it?",
    ]  # fmt: skip


def test_sentences_that_bear_on_a_claim() -> None:
    first = paper(
        "A", text="SQuAD lifts by 8.2. Training on SQuAD lifts 7 tasks. SQuAD lifts 9 more. Cats are 5 years old."
    )
    second = paper("B", text="No lift. HellaSwag gains 7.0. SQuAD never lifts by 2.")
    sentences = numbered_sentences([first, second])
    assert len(sentences) == 6
    chosen = choose_sentences("SQuAD lifts most.", sentences, 5)
    assert sorted(each.paper.title for each in chosen) == ["A", "A", "B"]  # two of a paper at most
    assert all("lifts" in each.text for each in chosen)
    assert choose_sentences("SQuAD lifts most.", sentences, 1) == chosen[:1]
    assert choose_sentences("Dogs bark.", sentences, 5) == []
