"""The page's table of differences between rows."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.analysis.test_lift import cell
from tests.analysis.test_seed_variance import draw
from tests.report.synthetic import info, rows
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.contrasts import compare_pairs, compare_rows, find_row
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.lift import compute_lifts
from xlift.errors import UserError
from xlift.report.contrasts import best_pairs, for_page
from xlift.report.page import render_page

SHARES = {"none": 0.5, "nli": 0.8, "qa": 0.8, "pos": 0.79, "ner": 0.5}


def cells(targets: tuple[str, ...] = ("a", "b"), shares: dict[str, float] = SHARES) -> list[ScoredCell]:
    rng = np.random.default_rng(3)
    return [
        cell(draw(rng, share), intermediate=name, seed=seed, target=target)
        for name, share in shares.items()
        for target in targets
        for seed in range(3)
    ]


STUDY_CELLS = cells()


def test_the_best_rows_are_compared_with_each_other():
    pairs = best_pairs(compute_lifts(STUDY_CELLS))
    assert {frozenset(row.intermediate for row in pair) for pair in pairs} == {
        frozenset(pair) for pair in (("nli", "qa"), ("nli", "pos"), ("qa", "pos"))
    }


def test_of_many_rows_the_highest_is_compared_with_each():
    shares = {f"task{number}": 0.7 for number in range(7)}
    pairs = best_pairs(compute_lifts(cells(shares={"none": 0.2, **shares})))
    assert len(pairs) == 6
    assert len({pair[0] for pair in pairs}) == 1


def test_one_seed_has_no_best_rows_to_compare():
    assert best_pairs(compute_lifts([each for each in STUDY_CELLS if each.seed == 0])) == []


def test_differences_are_those_of_compare_with_p_values_for_all_pairs():
    pairs = [
        (find_row(STUDY_CELLS, one), find_row(STUDY_CELLS, other)) for one, other in (("nli", "none"), ("qa", "ner"))
    ]
    together = compare_pairs(STUDY_CELLS, pairs)
    alone = [each for pair in pairs for each in compare_rows(STUDY_CELLS, *pair) if each.language == "all"]
    assert [each.difference for each in together] == [each.difference for each in alone]
    assert all((one.p or 0) >= (other.p or 0) for one, other in zip(together, alone, strict=True))
    with pytest.raises(UserError, match="both rows are 'nli'"):
        compare_pairs(STUDY_CELLS, [(pairs[0][0], pairs[0][0])])


def test_the_page_shows_them_escaped():
    pairs = best_pairs(compute_lifts(STUDY_CELLS))
    section = for_page(compare_pairs(STUDY_CELLS, pairs), are_chosen=False)
    assert section["headings"] == ["mean", "a", "b"]
    section["lines"][0]["rows"] = "<b>x</b> minus y"
    page = render_page(rows(), info(contrasts=section))
    assert "Differences between rows" in page
    assert "&lt;b&gt;x" in page
    assert "<b>x</b>" not in page
    HTMLParser().feed(page)
    assert page.count("<table") == page.count("</table>")
    assert "Differences between rows" not in render_page(rows(), info())
    assert for_page([], are_chosen=True) == {}


def test_the_command_chooses_rows(xlift: Xlift, tmp_path: Path):
    text = STUDY.replace("size: 20}", "size: 20, languages: [qta, qka]}")
    finished_study(study_file(tmp_path, text), tmp_path / "store")
    words = ("report", "study", "--store", tmp_path / "store", "--compare", "isle-qa", "none")
    xlift(*words, "--html", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "isle-qa minus none" in page
    assert "The chosen rows." in page
    refused = xlift(*words)
    assert refused.code == 2
    assert "xlift compare study isle-qa none" in refused.err
