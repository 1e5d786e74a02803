"""FallbackSource: which member is used, and the error if none has the examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub import Hub, parquet

from xlift.errors import UserError
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.fallback import FallbackSource, keep_kind
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

NATIVE = FileSource("jsonl", {"test": "authors/{lang}.jsonl"}, {"test": ("en", "de")})
XTREME = FileSource("jsonl", {"test": "download/{lang}.jsonl"}, {"test": ("en", "sw"), "dev": ("en",)}, kind="xtreme")
REMOTE = HubSource("org/pairs", {"test": "{lang}.parquet"}, {"test": ("en", "de", "th")})
SOURCE = FallbackSource((NATIVE, XTREME, REMOTE))


def task(source: Any = SOURCE) -> Task:
    return Task("pairs", "Pairs", "classification", ("accuracy",), source, labels=("yes", "no"))


def row(text: str) -> dict[str, str]:
    return {"premise": text, "hypothesis": text, "label": "yes"}


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row(text)) + "\n")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as hub_server:
        hub_server.commit(
            "dataset", "org/pairs", {f"{code}.parquet": parquet([row(f"hub {code}")]) for code in ("en", "de")}
        )
        hub_server.connect(monkeypatch, tmp_path / "cache")
        yield hub_server


def text(language: str, data: Path | None, source: Any = SOURCE) -> str:
    (example,) = source.read(task(source), language, "test", data)
    return example.text_a


def test_it_declares_the_union_of_its_members():
    assert SOURCE.languages("test") == ("en", "de", "sw", "th")
    assert SOURCE.splits() == ("dev", "test")
    assert SOURCE.kind == "native, xtreme, hub"


def test_the_first_member_with_files_is_used(standin: Hub, tmp_path: Path):
    put(tmp_path / "download/en.jsonl", "xtreme en")
    assert text("en", tmp_path) == "xtreme en"
    put(tmp_path / "authors/en.jsonl", "native en")
    assert text("en", tmp_path) == "native en"
    assert standin.requests == []


def test_languages_may_come_from_different_members(standin: Hub, tmp_path: Path):
    put(tmp_path / "authors/de.jsonl", "native de")
    put(tmp_path / "download/sw.jsonl", "xtreme sw")
    assert (text("de", tmp_path), text("sw", tmp_path)) == ("native de", "xtreme sw")


def test_missing_files_are_downloaded_from_the_hub(standin: Hub, tmp_path: Path):
    assert not SOURCE.is_present("de", "test", tmp_path)
    assert text("de", tmp_path) == "hub de"
    assert SOURCE.is_present("de", "test", tmp_path)
    assert SOURCE.size(task(), "de", "test", None) == 1


def test_the_hub_gets_no_request_for_undeclared_data(standin: Hub, tmp_path: Path):
    with pytest.raises(UserError, match=r"no such file, needed for pairs sw test"):
        SOURCE.size(task(), "sw", "test", tmp_path)
    assert standin.requests == []


def test_the_error_names_every_source(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    with pytest.raises(UserError, match="none of its 3 sources has examples of pairs en test") as error:
        SOURCE.read(task(), "en", "test", tmp_path)
    native, xtreme, remote = error.value.fix.splitlines()
    assert str(tmp_path / "authors/en.jsonl") in native
    assert str(tmp_path / "download/en.jsonl") in xtreme
    assert "org/pairs" in remote
    assert "HF_HUB_OFFLINE" in remote


def test_a_language_without_any_source(standin: Hub):
    with pytest.raises(UserError, match="task 'pairs' has no test examples in 'fr'"):
        SOURCE.fingerprint(task(), "fr", "test", None)


def test_keep_kind_selects_one_kind(standin: Hub, tmp_path: Path):
    put(tmp_path / "authors/en.jsonl", "native en")
    hub_alone = keep_kind(SOURCE, "hub")
    assert hub_alone == FallbackSource((REMOTE,))
    assert text("en", tmp_path, hub_alone) == "hub en"


def test_keep_kind_leaves_a_source_without_that_kind_unchanged():
    assert keep_kind(NATIVE, "hub") == NATIVE
    assert keep_kind(FallbackSource((NATIVE, REMOTE)), "xtreme") == FallbackSource((NATIVE, REMOTE))


def test_keep_kind_applies_to_every_part_of_a_concatenated_task():
    parts = (task(), replace(task(FallbackSource((NATIVE,))), name="other"))
    joined = keep_kind(ConcatenatedSource(parts, {"test": ("en",)}), "hub")
    assert [part.source for part in joined.parts] == [FallbackSource((REMOTE,)), FallbackSource((NATIVE,))]


def test_the_fingerprint_is_that_of_the_selected_member(standin: Hub, tmp_path: Path):
    put(tmp_path / "authors/en.jsonl", "native en")
    assert SOURCE.fingerprint(task(), "en", "test", tmp_path) == NATIVE.fingerprint(task(), "en", "test", tmp_path)
