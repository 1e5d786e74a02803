"""The report page in headless Chromium: what its script does, and what a reader sees."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from synthetic import info, rows, wide_rows

from xlift.report.page import render_page

pytestmark = pytest.mark.slow
HOSTILE = "<script>document.title='changed'</script><img src=x onerror=\"document.title='changed'\">\u202e\"'&{{ 7*7 }}"
LONG_WORD = "m" * 10_000
SMALL = {
    "intermediates": ("none", "isle-nli", "isle-qa", "isle-tags"),
    "targets": ("isle-pairs", "isle-spans"),
    "languages": ("vel", "kar"),
    "n": 60,
}
LANGUAGES = [
    {"code": f"x{n}", "name": f"Name {n}", "family": ["A", "B"][n % 2], "script": "Latn", "tier": "low"}
    for n in range(30)
]


@cache
def usual_page() -> str:
    return render_page(rows(**SMALL), info(languages=LANGUAGES))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page in the browser, with what it logged and requested."""

    def __init__(self, browser: Any, file: Path, text: str, **options: Any) -> None:
        file.write_text(text, encoding="utf-8")
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.tab = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.messages.append(message.text))
        self.tab.on("pageerror", lambda error: self.messages.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(file.as_uri())

    def column(self, table: str, number: int) -> list[str]:
        """The shown texts of one column, the first line of each cell."""
        cells = self.tab.locator(f"{table} tbody tr:visible > :nth-child({number})").all_inner_texts()
        return [cell.strip().split("\n")[0] for cell in cells]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def open_one(text: str, **options: Any) -> Opened:
        opened.append(Opened(browser, tmp_path / "page.html", text, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.context.close()


def overflow(page: Opened) -> int:
    """Pixels by which the page is wider than its window."""
    return page.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_a_heading_sorts_its_table_by_mouse_and_keyboard(open_page: Any):
    page = open_page(usual_page())
    table = "#scores ~ .scroll table"
    original = page.column(table, 1)
    head = page.tab.locator(f"{table} thead th").nth(1)
    head.get_by_role("button").click()
    scores = [float(text.split()[0]) for text in page.column(table, 2) if text != "–"]
    assert scores == sorted(scores)
    assert head.get_attribute("aria-sort") == "ascending"
    page.tab.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in page.column(table, 2)] == scores[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    page.tab.keyboard.press("Space")
    assert page.column(table, 1) == original
    assert head.get_attribute("aria-sort") is None
    assert page.messages == []


def test_a_long_table_has_a_filter(open_page: Any):
    page = open_page(usual_page())
    assert page.tab.get_by_label("Filter").count() == 1  # the other tables are short
    page.tab.get_by_label("Filter").fill("name b 1")
    assert page.column(".languages", 1) == [f"x{n}" for n in range(1, 30, 2) if "1" in f"{n}"]
    assert page.tab.get_by_role("status").inner_text() == "7 of 30 rows"


def test_labels_of_charts_do_not_overlap(open_page: Any):
    study = [replace(row, train_language="vel") for row in rows(**SMALL)]  # 'vel (source)' has two lines
    page = open_page(render_page(study, info()))
    page.tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    overlaps = page.tab.evaluate(
        """() => [...document.querySelectorAll('main svg')].flatMap(svg => {
            const boxes = [...svg.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()])
            return boxes.flatMap(([a, one], i) => boxes.slice(i + 1).filter(([, other]) =>
                one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom
            ).map(([b]) => `${a} | ${b}`))
        })"""
    )
    assert overlaps == []


def test_the_page_is_complete_without_scripts(open_page: Any):
    text = usual_page()
    with_script, without = open_page(text), open_page(text, java_script_enabled=False)
    assert without.tab.get_by_role("button").count() == 0
    assert without.column(".languages", 2) == with_script.column(".languages", 2)


def test_charts_can_be_saved(open_page: Any, tmp_path: Path):
    page = open_page(usual_page(), color_scheme="dark")
    chart = page.tab.get_by_role("region", name="Lift on isle-pairs").locator("+ .files")
    contents = {}
    for kind in ("CSV", "SVG", "PNG"):
        with page.tab.expect_download() as found:
            chart.get_by_role("button", name=kind).click()
        name = found.value.suggested_filename
        assert name == f"lift-on-isle-pairs-in-percentage-points-by-intermediate-task-and-language.{kind.lower()}"
        found.value.save_as(tmp_path / name)
        contents[kind] = (tmp_path / name).read_bytes()
    header, *lines = csv.reader(contents["CSV"].decode().splitlines())
    assert header[:3] == ["intermediate", "language", "lift (percentage points)"]
    lifts = {
        (row.intermediate, row.language): row.lift
        for row in rows(**SMALL)
        if row.target == "isle-pairs" and row.lift is not None
    }
    assert {(line[0], line[1].split()[0]): pytest.approx(float(line[2]), abs=1e-3) for line in lines} == {
        key: 100 * lift for key, lift in lifts.items()
    }
    drawing = ElementTree.fromstring(contents["SVG"])
    assert drawing.get("color") == "#1d1d1b"  # dark ink, though the page is dark
    assert drawing.get("data-csv") is None
    assert contents["PNG"].startswith(b"\x89PNG")
    width, height = (int.from_bytes(contents["PNG"][at : at + 4]) for at in (16, 20))
    assert (width, height) == (2 * int(drawing.get("width", 0)), 2 * int(drawing.get("height", 0)))
    assert page.messages == []


def flipped(text: str, **changed: str) -> dict[str, Any]:
    line = {"pipeline": "isle-nli", "language": "ar", "lang": "ar", "change": "became right", "id": "1", "text": text}
    return {**line, "answers": ["yes", "no", "yes"], **changed}


def flips(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts = [("isle-nli", "1", "1", "60")]
    return [{"target": "isle-pairs", "counts": counts, "lines": lines, "has_texts": True, "note": ""}]


def test_flipped_examples_are_filtered_by_language_label_and_answer(open_page: Any):
    lines = [
        flipped("مرحبا"),
        flipped("hello", language="en", answers=["no", "yes", "no"]),
        flipped("bonjour", language="fr", change="became wrong", answers=["yes", "yes", "no"]),
    ]
    page = open_page(render_page([], info(flips=flips(lines), languages=[])))
    page.tab.get_by_text("isle-pairs").first.click()
    assert page.column(".examples", 7) == ["مرحبا", "hello", "bonjour"]
    for name, value, shown in (
        ("gold", "yes", ["مرحبا", "bonjour"]),
        ("after", "no", ["bonjour"]),
        ("language", "fr", ["bonjour"]),
        ("change", "became right", []),
    ):
        page.tab.get_by_label(name, exact=True).select_option(value)
        assert page.column(".examples", 7) == shown
    assert page.messages == []


def test_texts_keep_their_direction_and_language(open_page: Any):
    override = "\u202etxet"  # without an end, as a hostile text would have it
    lines = [flipped("مرحبا بالعالم"), flipped("今日は世界", language="ja", lang="ja"), flipped(override)]
    page = open_page(render_page([], info(flips=flips(lines), languages=[])))
    cells = page.tab.locator(".examples .text")
    styles = [
        cell.evaluate("each => [getComputedStyle(each).direction, getComputedStyle(each).unicodeBidi, each.lang]")
        for cell in cells.all()
    ]
    assert styles[0] == ["rtl", "isolate", "ar"]
    assert styles[1] == ["ltr", "isolate", "ja"]
    assert styles[2][1] == "isolate"  # the override ends with the cell


def test_the_printed_page_has_all_columns(open_page: Any):
    page = open_page(render_page(wide_rows(), info()), viewport={"width": 688, "height": 1000})  # A4 without margins
    page.tab.emulate_media(media="print")
    assert not page.tab.locator(".tools, .files").first.is_visible()
    page.tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.tab.locator("table.columns-48").count() == 1
    widths = page.tab.locator("main table, main svg").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right - document.documentElement.clientWidth)"
    )
    assert max(widths) <= 0
    assert overflow(page) == 0
    assert page.tab.pdf(format="A4").startswith(b"%PDF")


def test_contents_lead_to_their_headings(open_page: Any):
    page = open_page(usual_page())
    links = page.tab.locator(".contents a")
    assert links.count() > 3
    for link in links.all():
        heading = page.tab.locator(f'[id="{link.get_attribute("href")[1:]}"]')
        assert heading.inner_text() == link.inner_text()


def test_hostile_names_do_nothing_and_the_page_requests_nothing(open_page: Any):
    study = [
        replace(row, intermediate=HOSTILE if row.intermediate == "isle-nli" else row.intermediate)
        for row in rows(**SMALL)
    ]
    page = open_page(render_page(study, info(title=HOSTILE, question=HOSTILE, warnings=[HOSTILE], command=HOSTILE)))
    page.tab.get_by_role("button").first.click()
    assert page.tab.title() == HOSTILE
    assert page.tab.locator("main script, img").count() == 0
    assert len(page.requests) == 1  # the page itself
    assert page.messages == []


def test_injected_scripts_and_styles_are_refused(open_page: Any):
    # As if a text were not escaped: the policy is the second line of defence.
    injected = usual_page().replace("</footer>", f"</footer>{HOSTILE}<style>body {{ display: none }}</style>")
    page = open_page(injected)
    assert page.tab.title() == info().title
    assert page.tab.locator("h1").is_visible()
    assert "Content Security Policy" in " ".join(page.messages)


@pytest.mark.parametrize("width", [1280, 390])
def test_long_words_stay_within_the_window(open_page: Any, width: int):
    study = [
        replace(row, intermediate=LONG_WORD if row.intermediate == "isle-nli" else row.intermediate)
        for row in rows(**SMALL)
    ]
    long_info = info(
        **dict.fromkeys(("study", "title", "question", "method", "command"), LONG_WORD),
        warnings=[LONG_WORD], limitations=[LONG_WORD], references=[LONG_WORD], bibtex=LONG_WORD,
        runs={LONG_WORD: LONG_WORD}, notes=[LONG_WORD],
        languages=[dict.fromkeys(("code", "name", "family", "script", "tier"), LONG_WORD)],
        contamination={"summary": LONG_WORD, "rule": LONG_WORD},
    )  # fmt: skip
    page = open_page(render_page(study, long_info), viewport={"width": width, "height": 800})
    assert overflow(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Any, scheme: str):
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page = open_page(usual_page(), color_scheme=scheme)
    page.tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.tab.evaluate("axe.run()")
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]] == []
