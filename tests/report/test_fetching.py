"""Progress and result of `xlift fetch`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from xlift.report.fetching import LiveDisplay, PlainDisplay, format_bytes, print_fetched
from xlift.tasks.fetching import FetchResult


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("xlift.report.fetching.time.monotonic", lambda: now[0])
    return now


def plain(clock: list[float]) -> tuple[PlainDisplay, Any]:
    out = io.StringIO()
    return PlainDisplay(out), out


def test_plain_lines_have_the_time_left_and_are_few(clock: list[float]):
    display, out = plain(clock)
    display.start_transfer(2, 4_000_000)
    display.start_file("xnli", "de.parquet")
    for _ in range(80):  # a quarter of the bytes in twenty seconds
        clock[0] += 0.25
        display.add_bytes(12_500)
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["2 files to fetch, 4.0 MB", "[1/2] 0 B of 4.0 MB  xnli: de.parquet"]
    assert lines[2] == "[1/2] 500.0 kB of 4.0 MB, about 70 s left  xnli"
    assert len(lines) <= 4


def test_each_task_is_named_at_once(clock: list[float]):
    display, out = plain(clock)
    display.start_transfer(2, 10)
    display.start_file("xnli", "a")
    display.start_file("xnli", "b")
    display.start_file("pawsx", "c")
    display.start_check("xnli")
    assert [line.split("  ")[-1] for line in out.getvalue().splitlines()[1:]] == [
        "xnli: a",
        "pawsx: c",
        "xnli: checking",
    ]


def test_nothing_to_fetch_prints_nothing(clock: list[float]):
    display, out = plain(clock)
    display.start_transfer(0, 0)
    assert out.getvalue() == ""


@pytest.mark.parametrize("width", [40, 80])
def test_the_live_bar_fits_the_terminal(width: int):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with LiveDisplay(console) as display:
        display.start_transfer(3, 1000)
        display.start_file("xnli", "a very long name of a file in a folder/" * 5)
        display.add_bytes(500)
        drawn = console.render_lines(display.progress.get_renderable())
    assert len(drawn) == 1
    assert "0.5/1.0 kB" in "".join(segment.text for segment in drawn[0])


@pytest.mark.parametrize(
    ("bytes", "text"), [(999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (7.2e10, "72.0 GB")]
)
def test_format_bytes(bytes: float, text: str):
    assert format_bytes(bytes) == text


def test_result_lists_problems_below_the_table():
    out = io.StringIO()
    there = FetchResult("xnli", "facebook/xnli", "main", "a" * 40, {}, 1500, {"test": {"de": 5010, "sw": 5010}})
    print_fetched([there, FetchResult("ccg", problems=["bring your own files"])], Console(file=out, width=80))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[1].split() == ["xnli", "10,020", "1.5", "kB", "facebook/xnli", "at", "aaaaaaaa"]
    assert lines[-2:] == ["missing, or different from the published data", "ccg: bring your own files"]
