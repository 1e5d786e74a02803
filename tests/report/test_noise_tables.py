"""Tables of the effect of noise in every format, and the page's noise section."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console
from tests.report.synthetic import info, rows

from xlift.analysis.estimates import ScoredCell
from xlift.analysis.robustness import RobustnessRow, compute_robustness
from xlift.report.line_charts import noise_curves
from xlift.report.page import render_page
from xlift.report.robustness import (
    TerminalNoiseTable,
    for_page,
    legend,
    make_noise_tables,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
)

NOISES = {"": 1.0, "typos 5%": 0.95, "typos 20%": 0.8}
LANGUAGES = ("vel", "kar", "osh")


def lines(
    languages: tuple[str, ...] = LANGUAGES,
    targets: tuple[str, ...] = ("isle-nli", "isle_pos"),
    noises: dict[str, float] = NOISES,
    intermediates: tuple[str, ...] = ("none", "isle-qa"),
) -> list[RobustnessRow]:
    rng = np.random.default_rng(3)
    cells = []
    for target in targets:
        for intermediate in intermediates:
            for seed in (0, 1):
                for language in languages:
                    clean = rng.random(200) < 0.8
                    for noise, share in noises.items():
                        right = clean & (rng.random(200) < share)
                        cells.append(
                            ScoredCell(
                                model="tiny", intermediate=intermediate, size="", seed=seed, target=target, language=language,
                                intermediate_language="" if intermediate == "none" else "vel", metric="accuracy",
                                ids=[str(i) for i in range(200)], counts=np.stack([right, np.ones(200)], axis=-1),
                                value=lambda counts: counts[..., 0] / counts[..., 1], noise=noise,
                            )
                        )  # fmt: skip
    return compute_robustness(cells, "s")


def printed(made: object, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(made, end="")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_table_for_each_target_and_a_line_for_each_noise_and_pipeline():
    first, second = make_noise_tables(lines())
    assert (first.title, second.title) == ("isle-nli", "isle_pos")
    assert first.words == ("noise", "intermediate")
    assert first.numbers == ("clean", "noisy", "kept", "against none", "worst", "spread")
    assert [line.words for line in first.lines] == [
        ("typos 5%", "none"), ("typos 5%", "isle-qa"), ("typos 20%", "none"), ("typos 20%", "isle-qa"),
    ]  # fmt: skip


def test_line_shows_the_values_of_its_row():
    row = next(row for row in lines() if row.language == "all" and row.intermediate == "isle-qa")
    line = make_noise_tables(lines())[0].lines[1]
    assert row.kept is not None
    assert row.kept_low is not None
    assert row.kept_high is not None
    assert row.worst is not None
    assert line.numbers[0] == f"{100 * row.clean:.1f}"
    assert line.numbers[2] == f"{100 * row.kept:.1f} ±{50 * (row.kept_high - row.kept_low):.1f}"
    assert line.numbers[4] == f"{row.worst_language} {100 * row.worst:.1f}"


def test_per_language_has_a_line_for_each_language():
    first = make_noise_tables(lines(), per_language=True)[0]
    assert first.words == ("noise", "intermediate", "language")
    assert len(first.lines) == 2 * 2 * 3
    assert "worst" not in first.numbers


def test_one_language_has_no_worst_column():
    assert "worst" not in make_noise_tables(lines(("vel",)))[0].numbers


def test_highest_kept_is_best_of_its_noise():
    for table in make_noise_tables(lines()):
        for noise in ("typos 5%", "typos 20%"):
            assert any(line.best for line in table.lines if line.words[0] == noise)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_longer_than_the_terminal(width: int):
    text = printed(TerminalNoiseTable(lines()), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "typos 20%" in " ".join(text.split())


def test_nothing_is_printed_without_noise():
    assert printed(TerminalNoiseTable([]), 80) == ""
    assert to_markdown([]) == to_latex([]) == ""
    assert for_page([]) == {}


def test_markdown_rows_have_equal_numbers_of_cells():
    text = to_markdown(lines())
    markdown_row = [line for line in text.splitlines() if line.startswith("|")]
    assert len(markdown_row) == 2 * (2 + 4)
    assert len({line.count("|") for line in markdown_row}) == 1
    assert "isle\\_pos" in text


def test_latex_is_escaped_and_rows_have_equal_numbers_of_cells():
    text = to_latex(lines())
    assert "isle\\_pos" in text
    assert "5\\%" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body} == {7}
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2


def test_json_and_csv_hold_the_raw_rows():
    made = lines()
    assert json.loads(to_json(made)) == [row.to_dict() for row in made]
    read = list(csv.DictReader(io.StringIO(to_csv(made))))
    assert float(read[0]["kept"]) == made[0].kept
    assert read[0]["gain"] == ""


def test_page_has_a_noise_section_only_with_noise():
    page = render_page(rows(), info(noise=for_page(lines())))
    assert "Effect of noise" in page
    assert "Effect of noise" not in render_page(rows(), info())
    HTMLParser().feed(page)
    assert page.count("<table") == page.count("</table>")


def test_legend_lists_noises_that_only_some_examples_have():
    made = [
        replace(row, n=row.n - 50) if (row.target, row.noise) == ("isle-nli", "typos 5%") else row for row in lines()
    ]
    text = legend(made)
    assert text.count("that have a noisy version") == 1
    assert "isle-nli, typos 5%: both scores are over the 550 of 600 examples" in text
    assert "noisy version" not in legend(lines())


def test_names_on_the_page_are_escaped():
    made = lines(targets=("<b>x</b>", "y"), intermediates=("none", "<i>z</i>"))
    page = render_page(rows(), info(noise=for_page(made)))
    assert "<b>x</b>" not in page
    assert "<i>z</i>" not in page
    assert "&lt;i&gt;z" in page


# --- charts -----------------------------------------------------------------------------------------------------------


def marks(svg: str, kind: str) -> list[str]:
    return re.findall(
        rf'<path [^>]*aria-roledescription="{kind}"[^>]*>|<line [^>]*aria-roledescription="{kind}"[^>]*>', svg
    )


def test_a_chart_for_each_target_and_kind_with_a_point_for_each_pipeline_and_level():
    pipelines, charts = noise_curves(lines(noises={**NOISES, "case 5%": 0.9, "case 10%": 0.8, "case 20%": 0.7}))
    assert [style.name for style in pipelines] == ["none", "isle-qa"]
    assert [(chart.target, chart.kind) for chart in charts] == [
        ("isle-nli", "typos"), ("isle-nli", "case"), ("isle_pos", "typos"), ("isle_pos", "case"),
    ]  # fmt: skip
    assert [len(marks(chart.svg, "point")) for chart in charts] == [4, 6, 4, 6]
    assert [len(marks(chart.svg, "rule mark")) for chart in charts] == [4, 6, 4, 6]
    assert all("currentColor" in chart.svg and ' id="' not in chart.svg for chart in charts)


def test_points_are_at_the_kept_values():
    made = [row for row in lines() if row.target == "isle-nli" and row.language == "all"]
    (chart,) = noise_curves(made)[1]
    drawn = [row.split('"')[1] for row in marks(chart.svg, "point")]
    kept = {round(float(label.split("kept (%): ")[1].split(";")[0]), 6) for label in drawn}
    assert kept == {round(100 * (row.kept or 0), 6) for row in made}


@pytest.mark.parametrize("noises", [{"": 1.0, "typos 5%": 0.9}, {"": 1.0, "typos 5%": 0.9, "case 10%": 0.9}])
def test_a_kind_of_one_level_has_no_chart(noises):
    assert noise_curves(lines(noises=noises)) == ([], [])
    assert 'class="pipelines"' not in render_page(rows(), info(noise=for_page(lines(noises=noises))))


def test_noises_with_another_seed_or_dictionary_are_other_kinds():
    noises = {"": 1.0, "natural 5% a.txt": 0.9, "natural 10% b.txt": 0.8, "typos 5%": 0.9, "typos 10%, seed 2": 0.8}
    assert noise_curves(lines(noises=noises))[1] == []
    same = {"": 1.0, "natural 5% a.txt": 0.9, "natural 10% a.txt": 0.8}
    assert noise_curves(lines(noises=same))[1][0].kind == "natural a.txt"


def test_one_language_has_a_chart_and_missing_kept_has_no_point():
    made = lines(("vel",))
    assert len(noise_curves(made)[1]) == 2
    partial = [replace(row, kept=None) if row.intermediate == "none" else row for row in made]
    assert [style.name for style in noise_curves(partial)[0]] == ["isle-qa"]


def test_open_or_wide_intervals_do_not_flatten_the_chart():
    wide = [replace(row, kept_low=0.0, kept_high=None if row.intermediate == "none" else 90.0) for row in lines()]
    for chart in noise_curves(wide)[1]:
        labels = [float(text) for text in re.findall(r">(\d+)</text>", chart.svg)]
        assert max(labels) <= 140  # 100 and a quarter, rounded up


def test_more_pipelines_than_colours_have_different_dashes():
    pipelines, _ = noise_curves(lines(("vel",), intermediates=tuple(f"task{n}" for n in range(10))))
    assert len({(style.colour, style.dash) for style in pipelines}) == 10


def test_points_of_close_levels_do_not_overlap():
    noises = {"": 1.0, "typos 1%": 0.99, "typos 2%": 0.98, "typos 50%": 0.5}
    _, (chart,) = noise_curves(lines(("vel",), ("t",), noises, ("none", "a", "b", "c")))
    places = [float(x) for x in re.findall(r'transform="translate\(([\d.]+),', "".join(marks(chart.svg, "point")))]
    first, second, third = places[:4], places[4:8], places[8:]  # four pipelines per level
    assert len(third) == 4
    assert max(first) < min(second) <= max(second) < min(third)
    assert len(set(first)) == 4
