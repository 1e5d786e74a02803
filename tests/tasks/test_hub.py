"""Examples from Parquet files of the Hub, with the real client and a stand-in server on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub import Hub, parquet

from xlift import hub
from xlift.errors import UserError
from xlift.tasks import catalog
from xlift.tasks.fetching import find_hub_source
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.task import Task

REPOSITORY = "org/pairs"
NLI = ("entailment", "neutral", "contradiction")


def rows(language: str, number: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"premise": f"{language} premise {i}", "hypothesis": f"{language} hypothesis {i}", "label": i % 3}
        for i in range(start, start + number)
    ]


SOURCE = HubSource(
    REPOSITORY,
    files={"train": "{lang}/train-*.parquet", "test": "{lang}/test-*.parquet"},
    available={"train": ("en",), "test": ("en", "zh")},
    codes={"zh": "zho"},
    values={"label": {"0": "entailment", "1": "neutral", "2": "contradiction", "-1": "-"}},
    drop=("-",),
)
FILES = {
    "en/train-00000-of-00002.parquet": parquet(rows("en", 60)),
    "en/train-00001-of-00002.parquet": parquet(rows("en", 40, start=60)),
    "en/test-00000-of-00001.parquet": parquet([*rows("en", 9), {"premise": "a", "hypothesis": "b", "label": -1}]),
    "zho/test-00000-of-00001.parquet": parquet(rows("zh", 7)),
}


def task(source: Any = SOURCE) -> Task:
    return Task("pairs", "Pairs", "classification", ("accuracy",), source, labels=NLI)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as hub_server:
        hub_server.commit("dataset", REPOSITORY, FILES)
        hub_server.connect(monkeypatch, tmp_path / "cache")
        yield hub_server


def test_a_declaration_sends_no_requests(standin: Hub):
    assert SOURCE.languages("test") == ("en", "zh")
    assert SOURCE.splits() == ("train", "test")
    assert not SOURCE.is_present("en", "test", None)
    assert standin.requests == []


def test_shards_are_read_in_order_with_mapped_labels(standin: Hub):
    examples = list(SOURCE.read(task(), "en", "train", None))
    assert [example.text_a for example in examples] == [f"en premise {i}" for i in range(100)]
    assert [example.label for example in examples[:4]] == [*NLI, "entailment"]
    assert [example.id for example in examples[58:62]] == ["58", "59", "60", "61"]  # ids are unique across shards


def test_language_codes_and_dropped_labels(standin: Hub):
    assert SOURCE.size(task(), "zh", "test", None) == 7
    assert SOURCE.size(task(), "en", "test", None) == 9


def test_only_requested_files_are_downloaded(standin: Hub, tmp_path: Path):
    SOURCE.size(task(), "zh", "test", None)
    brought = {path.name for path in (tmp_path / "cache").rglob("*.parquet")}
    assert brought == {"test-00000-of-00001.parquet"}
    assert not SOURCE.is_present("en", "test", None)


def test_subsets_are_nested(standin: Hub):
    few, many = (
        [example.id for example in SOURCE.read(task(), "en", "train", None, size=size, seed=3)] for size in (10, 50)
    )
    assert len(few) == 10
    assert len(many) == 50
    assert set(few) < set(many)


def test_size_larger_than_the_data(standin: Hub):
    with pytest.raises(UserError, match="has 100 examples, fewer than the 101 requested"):
        SOURCE.read(task(), "en", "train", None, size=101)


def test_local_files_are_not_requested_again(standin: Hub):
    before = SOURCE.fingerprint(task(), "en", "train", None)
    asked = len(standin.requests)
    hub.list_files.cache_clear()
    standin.commit("dataset", REPOSITORY, {"en/train-00001-of-00002.parquet": parquet(rows("en", 50, start=60))})
    assert (
        SOURCE.fingerprint(task(), "en", "train", None) == before
    )  # the Hub has newer files, but a study keeps its keys
    assert len(standin.requests) == asked


def test_fingerprints_are_equal_offline_and_online(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    online = SOURCE.fingerprint(task(), "en", "test", None)
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    assert SOURCE.fingerprint(task(), "en", "test", None) == online
    assert SOURCE.size(task(), "en", "test", None) == 9
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids"):
        SOURCE.size(task(), "zh", "test", None)


def test_the_fingerprint_depends_on_files_but_not_on_the_commit(
    standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    before = SOURCE.fingerprint(task(), "en", "test", None)
    revised = standin.commit("dataset", REPOSITORY, {"README.md": b"# Pairs"})
    standin.connect(monkeypatch, tmp_path / "another cache")
    assert SOURCE.fingerprint(task(), "en", "test", None) == before
    assert SOURCE.commit("en", "test", None) == revised


def test_the_fingerprint_depends_on_bytes_and_reading_options(
    standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    swapped = HubSource(REPOSITORY, SOURCE.files, SOURCE.available, SOURCE.codes, values={}, drop=())
    seen = {SOURCE.fingerprint(task(), "en", "test", None), swapped.fingerprint(task(), "en", "test", None)}
    standin.commit("dataset", REPOSITORY, {"en/test-00000-of-00001.parquet": parquet(rows("en", 10))})
    standin.connect(monkeypatch, tmp_path / "another cache")
    seen.add(SOURCE.fingerprint(task(), "en", "test", None))
    assert len(seen) == 3


def test_a_pinned_commit_is_read_after_the_branch_moves(standin: Hub):
    old = standin.repositories["dataset", REPOSITORY].branches["main"]
    standin.commit("dataset", REPOSITORY, {"en/test-00000-of-00001.parquet": parquet(rows("en", 3))})
    pinned = HubSource(REPOSITORY, SOURCE.files, SOURCE.available, values=SOURCE.values, drop=SOURCE.drop, revision=old)
    assert pinned.size(task(pinned), "en", "test", None) == 9
    assert pinned.commit("en", "test", None) == old
    assert SOURCE.size(task(), "en", "test", None) == 3


def test_the_data_folder_is_searched_first(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    snapshot = hub.list_files(REPOSITORY, "main")
    hub.download_files(snapshot, snapshot.matching(["zho/*"]), tmp_path / "data" / hub.CACHE_FOLDER)
    standin.connect(monkeypatch, tmp_path / "empty", offline=True)
    assert SOURCE.is_present("zh", "test", tmp_path / "data")
    assert not SOURCE.is_present("zh", "test", None)
    assert SOURCE.size(task(), "zh", "test", tmp_path / "data") == 7


def test_files_downloaded_by_other_tools_are_read_offline(
    standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from huggingface_hub import snapshot_download

    snapshot_download(REPOSITORY, repo_type="dataset", allow_patterns=["en/train-00000*", "zho/*"])
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    assert SOURCE.size(task(), "zh", "test", None) == 7
    assert not SOURCE.is_present("en", "train", None)  # one shard of two


def test_one_file_of_all_languages(standin: Hub):
    mixed = [{**row, "language": code} for code in ("en", "zho") for row in rows(code, 4)]
    standin.commit("dataset", "org/mixed", {"test.parquet": parquet(mixed)})
    source = HubSource(
        "org/mixed", {"test": "test.parquet"}, {"test": ("en", "zh")}, codes={"zh": "zho"}, values=SOURCE.values,
        where={"language": "{lang}"},
    )  # fmt: skip
    assert [example.text_a for example in source.read(task(source), "zh", "test", None)] == [
        f"zho premise {i}" for i in range(4)
    ]


def test_an_unknown_label(standin: Hub):
    source = HubSource(REPOSITORY, SOURCE.files, SOURCE.available, codes=SOURCE.codes)
    with pytest.raises(UserError, match="test-00000-of-00001.parquet:row 1"):
        source.size(task(source), "zh", "test", None)


def test_a_large_download_on_demand_is_logged(standin: Hub, monkeypatch: pytest.MonkeyPatch, caplog: Any):
    monkeypatch.setattr("xlift.tasks.sources.hub.LOG_BYTES", 1)
    SOURCE.size(task(), "en", "train", None)
    SOURCE.size(task(), "en", "train", None)
    assert [record.getMessage() for record in caplog.records] == [
        "downloading pairs en train from the Hub: 2 files of org/pairs, 0 MB"
    ]


def test_catalogue_hub_sources_name_parquet_files():
    declared = [source for each in catalog.TASKS if (source := find_hub_source(each.source))]
    assert len(declared) > 20
    for source in declared:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository)
        for split in source.splits():
            for language in source.languages(split):
                assert all(pattern.endswith(".parquet") for pattern in source.patterns(language, split))
                assert not any("{" in pattern for pattern in source.patterns(language, split))


def test_an_undeclared_language_is_refused(standin: Hub):
    with pytest.raises(UserError, match="task 'pairs' has no train examples in 'zh'"):
        SOURCE.size(task(), "zh", "train", None)


def test_a_model_of_the_hub_is_found_and_loaded(standin: Hub, tmp_path: Path):
    """The stand-in serves models too, as for `models: [org/name]` in a study."""
    from tests.support.tiny import model_folder

    from xlift import backbones
    from xlift.model_files.tokenizer import probe_digest
    from xlift.models.pretrained import load_pretrained

    folder = model_folder(tmp_path / "tiny")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    commit = standin.commit("model", "org/tiny", files)
    found = backbones.find("org/tiny")
    assert (found.name, found.fingerprint) == ("org/tiny", f"{commit}+{probe_digest(folder)}")
    assert load_pretrained(found.folder)


@pytest.mark.slow
def test_transformers_load_from_the_stand_in_by_name(standin: Hub, tmp_path: Path):
    from tests.support.tiny import model_folder
    from transformers import AutoModel, AutoTokenizer

    folder = model_folder(tmp_path / "tiny")
    standin.commit("model", "org/tiny", {path.name: path.read_bytes() for path in folder.iterdir()})
    assert AutoModel.from_pretrained("org/tiny").config.hidden_size == 32
    assert AutoTokenizer.from_pretrained("org/tiny")("the river")["input_ids"]
