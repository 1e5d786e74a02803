from __future__ import annotations

import re
from dataclasses import replace

from synthetic import info, rows

from xlift.report.lift_chart import KINDS, lift_chart
from xlift.report.page import render_page

ROWS = rows(
    intermediates=("none", "isle-nli", "isle-qa"), targets=("isle-pairs", "isle-spans"), languages=("vel", "kar"), n=60
)


def with_control() -> list:
    """The rows, and isle-qa as the shuffled control of isle-nli."""
    return [
        replace(row, intermediate="isle-nli (shuffled)", control="shuffled", control_of="isle-nli") if row.intermediate == "isle-qa" else row
        for row in ROWS
    ]  # fmt: skip


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_control_is_drawn_in_the_line_of_its_task():
    drawn = words(lift_chart(with_control()))
    assert KINDS["shuffled"] in drawn
    assert KINDS[""] in drawn
    assert sum("isle-nli" in word for word in drawn) == drawn.count("mean") == 1
    assert not any("isle-qa" in word for word in drawn)


def test_without_controls_there_is_no_legend():
    drawn = words(lift_chart(ROWS))
    assert KINDS[""] not in drawn
    assert any("isle-nli" in word for word in drawn)
    assert any("isle-qa" in word for word in drawn)


def test_panels_are_the_mean_and_the_targets():
    drawn = words(lift_chart(ROWS))
    panels = [word for word in drawn if word in ("mean", "isle-pairs", "isle-spans")]
    assert panels == ["mean", "isle-pairs", "isle-spans"]
    assert "isle-spans" not in words(lift_chart(ROWS, ["isle-pairs"]))


def test_every_lift_has_a_dot_and_a_bar():
    svg = lift_chart(ROWS)
    lifts = [row for row in ROWS if row.language == "all" and row.lift is not None]
    assert len(re.findall(r'aria-roledescription="point"', svg)) - svg.count('aria-label="seed"') == len(lifts) == 6


def test_no_chart_without_lifts():
    baseline = [row for row in ROWS if row.intermediate == "none"]
    assert lift_chart(baseline) == ""
    assert 'id="lifts"' not in render_page(baseline, info())
    assert 'id="lifts"' in render_page(ROWS, info())


def test_only_a_study_with_controls_names_them():
    assert "Lifts beside those of their controls" in render_page(with_control(), info())
    assert "Lifts beside those of their controls" not in render_page(ROWS, info())


def test_every_seed_has_a_circle_and_a_number():
    svg = lift_chart(ROWS)
    assert svg.count('aria-label="seed"') == 2 * 6
    header, *lines = re.findall(r'data-csv="([^"]*)"', svg)[0].splitlines()
    assert header.endswith("seed 1 (percentage points),seed 2 (percentage points)")
    for line in lines:
        lift, *_, one, two = map(float, line.split(",")[3:])
        assert abs(lift - (one + two) / 2) < 1e-3
    once = [replace(row, seed_lifts=row.seed_lifts[:1]) for row in ROWS]
    assert 'aria-label="seed"' not in lift_chart(once)
