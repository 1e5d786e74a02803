"""`xlift report --all --html DIR`: a page for every study of a store, and the index of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.report.page_index import Entry, render_index


@pytest.mark.slow
def test_every_study_has_a_page_and_a_line(tmp_path: Path, xlift: Xlift):
    for seed, name in enumerate(("first", "second")):
        question = f"question: Does {name} help?\nseeds: [{seed}]\nlanguages: [qta, qtm]\n"
        finished_study(study_file(tmp_path, question + STUDY, f"{name}.yaml"), tmp_path / "store")
    damaged = tmp_path / "store" / "studies" / "broken.json"
    damaged.write_text("{", encoding="utf-8")
    result = xlift("report", "--all", "--html", "pages", "--store", "store")
    assert result.code == 0
    assert "warning: broken: No report" in result.err
    index = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'href="([^"]*)"', index) == ["first.html", "second.html"]
    assert "Does second help?" in index
    assert "There is only one seed" in index
    page = (tmp_path / "pages" / "second.html").read_text(encoding="utf-8")
    assert "<h1>Does second help?</h1>" in page
    alone = xlift("report", "second", "--html", "second.html", "--store", "store")
    assert alone.code == 0
    assert (tmp_path / "second.html").read_text(encoding="utf-8") == page


def test_all_needs_a_folder_and_no_study(tmp_path: Path, xlift: Xlift):
    (tmp_path / "file").touch()
    for words, message in (
        (("--all",), "needs their folder"),
        (("study", "--all", "--html", "pages"), "STUDY is for single studies"),
        (("--all", "--html", "file"), "is a file"),
        (("--all", "--html", "pages"), "no store"),
        ((), "no study is named"),
    ):
        result = xlift("report", *words, "--store", "store")
        assert result.code == 2
        assert message in result.err


def test_names_and_texts_of_the_index_are_escaped():
    page = render_index([Entry("<b>n</b>", "n.html", "<i>q</i>", "<u>r</u>", [("<s>v</s>", "up", 2)], "<p>d</p>")])
    for tag in ("<b>", "<i>", "<u>", "<s>"):
        assert tag not in page.partition("<body>")[2]
    assert "2 &lt;s&gt;v" in page
