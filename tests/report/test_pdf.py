"""`xlift report STUDY --pdf FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import info, wide_rows
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.report.page import render_page
from xlift.report.pdf import find_browser, print_page


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_browser_prints_the_page(tmp_path: Path):
    # Copies the page to the file that --print-to-pdf names, as a browser would print it.
    copy = 'for word; do case $word in --print-to-pdf=*) to=${word#*=};; file://*) from=${word#file://};; esac; done; cp "$from" "$to"'
    print_page("<p>page</p>", tmp_path / "folder" / "page.pdf", script(tmp_path / "browser", copy))
    assert (tmp_path / "folder" / "page.pdf").read_text() == "<p>page</p>"


def test_a_browser_that_fails_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="the browser made no PDF: no display"):
        print_page("", tmp_path / "page.pdf", script(tmp_path / "browser", "echo no display >&2; exit 3"))
    with pytest.raises(UserError, match="made no PDF"):
        print_page("", tmp_path / "page.pdf", str(tmp_path / "absent"))


def test_without_a_browser_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xlift: Xlift):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("xlift.report.pdf.MACOS_BROWSERS", ())
    result = xlift("report", "study", "--pdf", "page.pdf", columns=200)
    assert result.code == 2
    assert "no Chromium or Chrome is installed" in result.err
    assert "--html" in result.err
    monkeypatch.setenv("CHROME", script(tmp_path / "mine", "true"))
    assert find_browser() == str(tmp_path / "mine")


@pytest.mark.slow
def test_a_real_browser_prints_every_column_of_a_wide_table(tmp_path: Path):
    pypdf = pytest.importorskip("pypdf", reason="xlift[evidence] is not installed")
    try:
        browser = find_browser()
    except UserError as error:
        pytest.skip(str(error))
    study = wide_rows()
    print_page(render_page(study, info()), tmp_path / "page.pdf", browser)
    pages = pypdf.PdfReader(tmp_path / "page.pdf").pages
    assert len(pages) > 1
    words = " ".join(page.extract_text() for page in pages).split()  # a browser leaves out what a page cuts off
    languages = {row.language for row in study if row.language != "all"}
    assert len(languages) == 40
    # each is in the heat map and in the table by language
    assert {language for language in languages if words.count(language) < 2} == set()
    assert {f"{100 * row.value:.1f}" for row in study} - set(words) == set()
