"""Tables on narrow terminals: no word is broken, and no column is missing without a sentence that says so."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from xlift.analysis.contrasts import Contrast
from xlift.report import catalogue, model_list
from xlift.report.contrasts import contrast_table
from xlift.report.fitting_table import FittingTable

HEADINGS = ["target", "language", "as\nentailment", "difference"]
ROWS = [
    ["mean (same task)", "zero-shot", "43.3", "▲+2.4 ±1.1\np <.001"],
    ["isle-retrieval", "all", "5.0", ""],
    ["日本語の課題 and more", Text("en"), "100.0", "−0.7 ±1.7\np .741"],
]
WORDS = {word for row in [HEADINGS[2:], *ROWS] for cell in row for word in str(cell).split()}


def printed(table: FittingTable, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [100, 60, 48, 40, 30])
def test_words_and_numbers_are_whole_at_every_width(width: int) -> None:
    lines = printed(FittingTable(HEADINGS, ROWS, 2), width)
    assert all(cell_len(line) <= width for line in lines)
    found = set(re.split(r"[\s,]+", " ".join(lines)))
    assert {word.strip(",") for word in WORDS} <= found


def test_a_table_that_does_not_fit_becomes_lines_with_every_value() -> None:
    table = FittingTable(HEADINGS, ROWS, 2)
    assert not table.fits(40)
    assert [line.rstrip() for line in printed(table, 40)[:5]] == [
        "mean (same task), zero-shot",
        "  as entailment 43.3",
        "  difference ▲+2.4 ±1.1, p <.001",
        "isle-retrieval, all",
        "  as entailment 5.0",
    ]


def test_lines_may_have_the_headings_of_names() -> None:
    headings = ["target", "intermediate", "seed", "trained on", "steps"]
    rows = [["", "isle-commonsense", "1", "isle-commonsense/qta/2000", "126"]]
    assert [line.rstrip() for line in printed(FittingTable(headings, rows, 4, named_lines=True), 50)] == [
        "intermediate isle-commonsense, seed 1, trained on",
        "isle-commonsense/qta/2000",
        "  steps 126",
    ]


def test_headings_of_numbers_wrap_only_where_narrower_gaps_do_not_help() -> None:
    table = FittingTable(["intermediate", "target", "seed 1", "seed 2"], [["isle-names", "isle-qa", "1.0", "2.0"]], 2)
    assert printed(table, 42)[1].split() == ["intermediate", "target", "seed", "1", "seed", "2"]
    assert len(printed(table, 42)) == 5
    assert printed(table, 37)[1].split() == ["seed", "seed"]


def test_columns_share_the_room_that_is_left() -> None:
    long = " ".join(["word"] * 30)
    lines = printed(FittingTable(["short", "one", "other"], [["a", long, long]], 3), 80)
    starts = [match.start() for match in re.finditer(r"\S+", lines[1])]
    assert starts[1] - starts[0] < 10
    assert abs((starts[2] - starts[1]) - (80 - starts[2])) <= 4


@pytest.mark.parametrize("width", [60, 41])
def test_p_stands_below_the_difference_where_the_terminal_is_narrow(width: int) -> None:
    contrast = Contrast(
        "s", ("isle-names", "none"), "isle-qa", "all", "accuracy", 2, 100, (0.6, 0.5), 0.1, 0.05, 0.15, p=0.04
    )
    table = contrast_table([contrast], languages=False, margin=None, trend=False, width=width)
    (row,) = table.rows
    assert row[-2:] == (["▲+10.0 ±5.0", ".040"] if width == 60 else ["50.0", "▲+10.0 ±5.0\np .040"])


@pytest.mark.parametrize(("page", "columns"), [(model_list, "languages, licence, files"), (catalogue, "size, sources, metric, splits")])  # fmt: skip
def test_lists_name_the_columns_that_a_narrow_terminal_hides(page, columns: str) -> None:
    def text(width: int) -> str:
        out = io.StringIO()
        page.print_list(Console(file=out, width=width), False)
        return " ".join(out.getvalue().split())

    assert f"Hidden, since this terminal is narrow: {columns}." in text(60)
    assert "Hidden" not in text(200)
