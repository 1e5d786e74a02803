"""`xlift doctor`."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.support.hub import Hub, parquet

from xlift import backbones
from xlift.report.doctor import examine, print_examination
from xlift.tasks import catalog
from xlift.tasks.fetching import fetch
from xlift.tasks.sources.fallback import FallbackSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

ROW = {"premise": "a", "hypothesis": "b", "label": "yes"}
PAIRS = Task(
    "pairs", "Pairs", "classification", ("accuracy",),
    FallbackSource((
        FileSource("jsonl", {"test": "pairs/{lang}.jsonl"}, {"test": ("en", "de")}),
        HubSource("org/pairs", {"test": "{lang}.parquet"}, {"test": ("en", "de", "sw")}),
    )),
    labels=("yes", "no"), counts={"test": {"en": 1, "de": 2, "sw": 2}},
)  # fmt: skip
ABSENT = replace(PAIRS, name="absent", source=HubSource("org/absent", {"test": "t.parquet"}, {"test": ("en",)}))


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlift.report.doctor._device", lambda: "cpu")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """English by file, German and Swahili fetched from the Hub."""
    monkeypatch.setattr(catalog, "TASKS", (*catalog.ISLES, PAIRS, ABSENT))
    folder = tmp_path / "data"
    (folder / "pairs").mkdir(parents=True)
    (folder / "pairs" / "en.jsonl").write_text(json.dumps(ROW) + "\n")
    with Hub() as hub:
        hub.commit("dataset", "org/pairs", {"de.parquet": parquet([ROW] * 2), "sw.parquet": parquet([ROW] * 3)})
        hub.connect(monkeypatch, tmp_path / "cache")
        fetch(["pairs"], folder, Silent())
        num_requests = len(hub.requests)
        yield folder
        assert len(hub.requests) == num_requests  # doctor needs no network


class Silent:
    def start_transfer(self, files: int, bytes: int) -> None: ...
    def start_file(self, task: str, name: str) -> None: ...
    def add_bytes(self, bytes: int) -> None: ...
    def start_check(self, task: str) -> None: ...


def printed(data: Path | None, width: int = 80, **options: Any) -> str:
    out = io.StringIO()
    print_examination(examine(data, **options), Console(file=out, width=width))
    return out.getvalue()


def test_result_is_json():
    found = json.loads(json.dumps(examine(None)))
    assert found["xlift"]
    assert found["packages"]["pydantic"]
    assert found["data_root"] is None


def test_languages_of_each_source(data: Path):
    found = json.loads(json.dumps(examine(data)))["data"]
    assert found["pairs"]["splits"]["test"] == {"here": {"native": ["en"], "hub": ["de", "sw"]}, "missing": []}
    assert found["pairs"]["sources"] == ["native", "hub"]
    assert found["pairs"]["fetched"]["repository"] == "org/pairs"
    assert found["absent"]["splits"]["test"] == {"here": {}, "missing": ["en"]}


def test_counts_of_fetched_files_need_no_reading(data: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr(HubSource, "size", refuse)
    monkeypatch.setattr(FileSource, "size", refuse)
    found = examine(data)["data"]["pairs"]
    assert (found["counted"], found["as_published"]) == (2, 1)
    assert found["problems"] == ["sw test: 3 examples, but 2 are published"]


def test_count_reads_every_file(data: Path):
    found = examine(data, count=True)["data"]["pairs"]
    assert (found["counted"], found["as_published"]) == (3, 2)


def test_count_names_unreadable_files(data: Path):
    (data / "pairs" / "en.jsonl").write_text("{\n")
    assert any("en.jsonl:1" in problem for problem in examine(data, count=True)["data"]["pairs"]["problems"])


def test_prints_tasks_with_data_and_names_of_the_others(data: Path):
    lines = printed(data).splitlines()
    (line,) = [line for line in lines if line.startswith("pairs ")]
    assert line.split() == ["pairs", "test", "3", "of", "3", "native,", "hub", "differ"]
    assert "pairs: sw test: 3 examples, but 2 are published" in lines
    assert lines[lines.index("no data (1)") + 1] == "absent"


def test_examining_the_whole_catalogue_is_quick(tmp_path: Path):
    started = time.monotonic()
    examine(tmp_path)
    assert time.monotonic() - started < 3  # a tenth of a second on an idle machine


def test_missing_data_folder_is_reported(tmp_path: Path):
    assert "no such folder" in printed(tmp_path / "gone", width=200)


def test_missing_encoder_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(backbones.SHIPPED, "isles", "no/such/folder")
    assert examine(None)["shipped_encoder"] is None
    assert "MISSING" in printed(None)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_it_fits_a_narrow_terminal(data: Path, width: int):
    assert max(map(len, printed(data, width).splitlines())) <= width
