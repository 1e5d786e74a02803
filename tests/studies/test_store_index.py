"""The index of a store: it saves reading, and never changes what a list says."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlift.studies import store_index
from xlift.studies.folder_backend import FolderBackend
from xlift.studies.maintenance import Entry
from xlift.studies.store import Store
from xlift.studies.store_index import StoreIndex, index_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every store has an index."""
    monkeypatch.setenv("XLIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store_index, "MIN_JOBS", 1)
    return tmp_path / "cache"


def key(number: int) -> str:
    return f"{number:02x}" * 32


def write(store: Store, number: int, content: str = "x") -> None:
    with store.write(key(number), "predict", {}) as draft:
        (draft.folder / "file").write_text(content)


def full_store(root: Path, jobs: int = 8) -> Store:
    store = Store(root)
    for number in range(jobs):
        write(store, number)
    return store


def without_index(store: Store) -> list[Entry]:
    """What a list says that reads every manifest."""
    index_path(store.where).unlink(missing_ok=True)
    return list(store.ls())


def manifest_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys whose manifests one list reads."""
    reads: list[str] = []
    original = FolderBackend.read_manifest

    def counted(backend: FolderBackend, each: str) -> object:
        reads.append(each)
        return original(backend, each)

    with monkeypatch.context() as patch:
        patch.setattr(FolderBackend, "read_manifest", counted)
        list(store.ls())
    return reads


def test_a_second_list_reads_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = full_store(tmp_path / "store")
    first = list(store.ls())
    assert manifest_reads(store, monkeypatch) == []
    assert list(store.ls()) == first
    write(store, 99)
    assert manifest_reads(store, monkeypatch) == [key(99)]


def test_what_is_gone_new_or_made_again_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = full_store(tmp_path / "store")
    list(store.ls())
    shutil.rmtree(store.path(key(0)))
    shutil.rmtree(store.path(key(1)))
    write(store, 1, "y")  # as large as before
    store.release(key(2))
    write(store, 9)
    found = list(store.ls())
    assert [entry.key for entry in found] == [key(number) for number in (1, 2, 3, 4, 5, 6, 7, 9)]
    assert found[1].status == "manifest"
    assert found == without_index(store)


def test_damage_is_seen(tmp_path: Path):
    store = full_store(tmp_path / "store")
    list(store.ls())
    (store.path(key(0)) / "file").write_text("longer")
    (store.path(key(1)) / "file").unlink()
    (store.path(key(2)) / "manifest.json").write_text("{}")
    (store.path(key(3)) / "manifest.json").unlink()
    found = list(store.ls())
    assert [entry.status for entry in found] == ["broken"] * 4 + ["done"] * 4
    assert found == without_index(store)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 400))
def test_a_damaged_index_changes_nothing(tmp_path_factory: pytest.TempPathFactory, new: bytes, start: int, length: int):
    store = Store(tmp_path_factory.getbasetemp() / "one-store")
    if not store.exists:
        write(store, 1)
    expected = without_index(store)
    path = index_path(store.where)
    whole = path.read_bytes()
    start = min(start, len(whole))
    path.write_bytes(whole[:start] + new + whole[start + length :])
    assert list(store.ls()) == expected


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[1,[]]",
        "[2,[]]",
        "[1,{}]",
        "[1,[[1,2,3,4,5,6]]]",
        '[1,[["a","b","c","d",1.0,{"f":{}}]]]',
        "[" * 100_000,
    ],
)
def test_another_index_counts_as_none(tmp_path: Path, content: str):
    store = full_store(tmp_path / "store", 2)
    expected = list(store.ls())
    index_path(store.where).write_text(content, encoding="utf-8")
    assert list(store.ls()) == expected


def test_an_index_that_lies_about_an_old_manifest_is_not_believed(tmp_path: Path):
    store = full_store(tmp_path / "store", 2)
    expected = list(store.ls())
    path = index_path(store.where)
    version, entries = json.loads(path.read_text())
    for entry in entries:
        entry[1], entry[2] = entry[1].replace("artifact ", "artifact 1"), "train"
    path.write_text(json.dumps([version, entries]))
    assert list(store.ls()) == expected


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, cache: Path):
    store = full_store(tmp_path / "store", 2)
    cache.write_text("a file")
    assert [entry.status for entry in store.ls()] == ["done", "done"]


def test_a_list_that_is_cut_short_saves_what_it_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = full_store(tmp_path / "store")
    entries = store.ls()
    next(entries)
    next(entries)
    entries.close()  # type: ignore[attr-defined]
    assert len(manifest_reads(store, monkeypatch)) == 6
    assert list(store.ls()) == without_index(store)


def write_and_list(root: Path, first: int) -> bool:
    """Write jobs and list between them; whether every list has all that this process has written."""
    store_index.MIN_JOBS = 1
    store, seen = Store(root), True
    for number in range(first, first + 5):
        write(store, number)
        listed = {entry.key: entry for entry in store.ls()}
        seen = seen and all(listed[key(each)].status == "done" for each in range(first, number + 1))
    return seen


def test_several_processes_write_jobs_and_the_index_at_once(tmp_path: Path):
    root = tmp_path / "store"
    Store(root).try_lock(key(255)).release()  # type: ignore[union-attr]
    with ProcessPoolExecutor(3, get_context("fork")) as pool:
        assert all(pool.map(write_and_list, [root] * 3, [0, 10, 20]))
    found = list(Store(root).ls())
    assert len(found) == 15
    assert found == without_index(Store(root))


def test_an_entry_counts_for_its_stamp_alone(tmp_path: Path):
    index = StoreIndex("somewhere")
    index.add("a", store_index.IndexedManifest("1", "train", "0", 1.0, {}))
    index.save()
    assert StoreIndex("somewhere").find("a", "1") is not None
    assert StoreIndex("somewhere").find("a", "2") is None
    assert StoreIndex("somewhere").find("a", "") is None
    assert StoreIndex("elsewhere").find("a", "1") is None
