"""The guarantees of the store: an artifact is complete or absent, damage is found, and gc keeps what is used or wanted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.errors import UserError
from xlift.studies.job_numbers import PredictNumbers
from xlift.studies.store import Draft, Store

KEY = hashlib.sha256(b"a job").hexdigest()
OTHER = hashlib.sha256(b"another job").hexdigest()
SPEC = {"kind": "predict", "task": "isle-nli", "seed": 1}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, key: str = KEY, files: dict[str, bytes] | None = None, kind: str = "predict") -> None:
    with store.write(key, kind, SPEC, [OTHER]) as draft:
        for name, content in (files if files is not None else {"scores.json": b"[1, 2, 3]"}).items():
            (draft.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (draft.folder / name).write_bytes(content)
        draft.numbers.tokens = 128


def leftovers(store: Store) -> list[str]:
    """What a finished write must not leave behind."""
    return [str(path) for name in ("tmp", "partial") for path in (store.root / name).glob("*")]


# -- write and open ----------------------------------------------------------------------------------------------------


def test_an_artifact_is_read_back_with_its_files_and_manifest(store):
    make(store, files={"model/weights.safetensors": b"\x00\xff", "scores.json": b"{}"})
    artifact = store.open(KEY)
    assert (artifact.key, artifact.kind) == (KEY, "predict")
    assert artifact.file("model/weights.safetensors").read_bytes() == b"\x00\xff"
    assert artifact.manifest["spec"] == SPEC
    assert artifact.manifest["parents"] == [OTHER]
    assert artifact.manifest["numbers"] == {"tokens": 128}
    assert artifact.manifest["files"]["scores.json"] == {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2}
    assert {"started", "seconds", "versions", "revision", "machine"} <= set(artifact.manifest)
    assert store.has(KEY)
    assert store.path(KEY) == artifact.folder
    assert not leftovers(store)


def test_nothing_is_created_before_the_first_write(tmp_path):
    store = Store(tmp_path / "store")
    assert not store.has(KEY)
    assert list(store.ls()) == []
    assert store.verify() == []
    assert store.gc(set()) == []
    assert not store.root.exists()


def test_there_is_no_artifact_inside_the_block(store):
    with store.write(KEY, "train", SPEC) as draft:
        (draft.folder / "a").write_bytes(b"a")
        assert not store.has(KEY)
    assert store.has(KEY)


def test_an_exception_leaves_nothing_and_passes(store):
    def work_on(draft: Draft) -> None:
        (draft.folder / "a").write_bytes(b"a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.write(KEY, "train", SPEC) as draft:
        work_on(draft)
    assert not store.has(KEY)
    assert not leftovers(store)
    make(store)  # its lock is free again
    assert store.has(KEY)


def test_a_finished_artifact_is_not_written_again(store):
    make(store)
    with pytest.raises(ValueError, match="exists"):
        make(store)


def test_a_spec_that_is_not_json_fails_before_the_work(store):
    with pytest.raises(TypeError), store.write(KEY, "train", {"path": Path("x")}):
        pytest.fail("the block must not start")


def test_numbers_may_be_numpy_scalars_and_nan(store):
    # a loss of nan must not cost the run at its very end
    import numpy as np

    with store.write(KEY, "train", SPEC) as draft:
        numbers = draft.numbers
        numbers.tokens, numbers.loss, numbers.token_budget = np.int64(3), float("nan"), np.float32(0.5)
    assert store.open(KEY).manifest["numbers"] == {"tokens": 3, "loss": None, "token_budget": 0.5}


def test_numbers_that_a_kind_of_job_does_not_have_are_refused(store):
    with pytest.raises(ValueError, match="no field"), store.write(KEY, "train", SPEC) as draft:
        draft.numbers.tokns = 3


def test_numbers_of_another_form_are_reported(store):
    make(store)
    artifact = store.open(KEY)
    assert artifact.numbers == PredictNumbers(tokens=128)
    artifact.manifest["numbers"]["later"] = 1  # ignored: equal keys give equal results in every version
    assert artifact.numbers == PredictNumbers(tokens=128)
    artifact.manifest["numbers"]["tokens"] = "many"
    with pytest.raises(UserError, match="another version of xlift"):
        _ = artifact.numbers


@pytest.mark.parametrize("name", ["manifest.json", "line\nbreak"])
def test_some_file_names_are_refused(store, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        make(store, files={name: b""})
    assert not store.has(KEY)


def test_only_the_manifest_of_the_artifact_itself_is_special(store):
    make(store, files={"model/manifest.json": b"{}"})
    assert store.open(KEY).file("model/manifest.json").read_bytes() == b"{}"


def test_links_are_refused(store):
    with pytest.raises(ValueError, match="plain files"), store.write(KEY, "train", SPEC) as draft:
        (draft.folder / "link").symlink_to("/etc/hostname")
    assert not store.has(KEY)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "AB" * 32, "ab", "ab" * 33, "0" * 63 + "\n"])
def test_invalid_keys_are_refused(store, key):
    for ask in (store.has, store.path, store.open, store.partial, store.try_lock):
        with pytest.raises(UserError, match="not a key"):
            ask(key)


def test_errors_name_the_unknown_key_or_file(store):
    make(store)
    with pytest.raises(UserError, match=OTHER):
        store.open(OTHER)
    with pytest.raises(UserError, match=r"no file 'x'(.|\n)*scores\.json"):
        store.open(KEY).file("x")


def test_partial_stays_until_the_artifact_is_written(store):
    (store.partial(KEY) / "step-10").write_bytes(b"checkpoint")
    assert [(entry.status, entry.bytes) for entry in store.ls()] == [("partial", 10)]
    with pytest.raises(KeyboardInterrupt), store.write(KEY, "train", SPEC):
        raise KeyboardInterrupt
    assert (store.partial(KEY) / "step-10").exists()
    make(store)
    assert not leftovers(store)


# -- the artifact's digest ----------------------------------------------------------------------------------------------

FILES = st.dictionaries(
    st.text("abc/é", min_size=1, max_size=5).filter(lambda name: "/" not in name), st.binary(max_size=30), max_size=4
)


@settings(max_examples=scaled(25), deadline=None)
@given(one=FILES, two=FILES)
def test_artifacts_are_equal_by_digest_exactly_when_their_files_are(one, two):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        make(store, KEY, one)
        make(store, OTHER, two, kind="train")
        assert (store.open(KEY).sha256 == store.open(OTHER).sha256) == (one == two)


def test_equal_files_give_an_equal_digest_at_another_time_and_in_another_order(tmp_path, monkeypatch):
    make(Store(tmp_path / "one"), files={"a": b"1", "b": b"2"})
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    time.sleep(1.1)  # `started` counts seconds
    make(Store(tmp_path / "two"), files={"b": b"2", "a": b"1"})
    one, two = (Store(tmp_path / name).open(KEY) for name in ("one", "two"))
    assert one.manifest["started"] != two.manifest["started"]
    assert one.sha256 == two.sha256


def test_the_digest_can_be_computed_by_hand(store):
    # the command in the docstring of files_digest, so that a digest in a paper can be checked without xlift
    make(store, files={"b/ä b": b"1", "a": b"2", "B": b"", "b.c": b"3"})
    command = (
        r"find . -type f ! -path ./manifest.json ! -path ./scores.parquet -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum"
        " | sha256sum"
    )
    printed = subprocess.run(["bash", "-c", command], cwd=store.path(KEY), capture_output=True, text=True, check=True)
    assert printed.stdout.split()[0] == store.open(KEY).sha256


# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="a store is a folder"):
            Store(path)


def test_a_folder_with_other_files_is_refused_and_unchanged(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="other files"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_is_filled_after_the_store_is_opened_is_unchanged(tmp_path):
    store = Store(tmp_path / "here")
    store.root.mkdir()
    (store.root / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="other files"):
        make(store)
    assert [path.name for path in store.root.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("marker", ['{"layout": 99}', "", "[]"])
def test_a_store_of_another_layout_is_refused(store, marker):
    make(store)
    (store.root / "xlift-store.json").write_text(marker)
    with pytest.raises(UserError, match="expected layout 2"):
        Store(store.root)


def test_the_store_does_not_move_with_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("store")
    monkeypatch.chdir("/")
    make(store)
    assert Store(tmp_path / "store").has(KEY)


# -- upkeep ------------------------------------------------------------------------------------------------------------


def test_ls_lists_done_running_partial_and_broken(store):
    done, running, partial, broken = sorted(hashlib.sha256(bytes([i])).hexdigest() for i in range(4))
    make(store, done)
    make(store, broken)
    (store.path(broken) / "scores.json").write_bytes(b"[1,")
    store.partial(partial)
    with store.lock(running):
        entries = {entry.key: entry for entry in store.ls()}
    assert {key: entry.status for key, entry in entries.items()} == {
        done: "done",
        running: "running",
        partial: "partial",
        broken: "broken",
    }
    assert (entries[done].kind, entries[done].bytes) == ("predict", 9)
    assert entries[done].sha256 == store.open(done).sha256
    assert entries[done].seconds is not None
    assert str(os.getpid()) in entries[running].note
    assert "scores.json" in entries[broken].note


def test_du_counts_by_kind(store):
    make(store, KEY, {"a": b"12345"})
    make(store, OTHER, {"a": b"1", "b": b"2"}, kind="train")
    (store.partial("ab" * 32) / "c").write_bytes(b"123")
    assert {name: (use.count, use.bytes) for name, use in store.du().items()} == {
        "predict": (1, 5),
        "train": (1, 2),
        "(partial)": (1, 3),
    }


def test_gc_keeps_wanted_and_locked_entries(store):
    wanted, locked, neither = KEY, OTHER, "ab" * 32
    for key in (wanted, locked, neither):
        make(store, key)
    with Store(store.root).lock(locked):  # as another process would
        assert [(removal.key, removal.what) for removal in store.gc({wanted}, dry_run=True)] == [(neither, "artifact")]
        assert store.has(neither)
        assert [(removal.key, removal.what) for removal in store.gc({wanted})] == [(neither, "artifact")]
    assert store.has(wanted)
    assert store.has(locked)
    assert not store.has(neither)
    assert not leftovers(store)


def test_gc_removes_leftovers_but_no_wanted_checkpoints(store):
    wanted, finished, unwanted = (hashlib.sha256(bytes([i])).hexdigest() for i in range(3))
    make(store, finished)
    for key in (wanted, finished, unwanted):
        (store.partial(key) / "step-1").write_bytes(b"1")
    (store.root / "tmp" / f"{finished}.dead").mkdir(parents=True)
    removed = {(removal.key, removal.what) for removal in store.gc({wanted, finished})}
    assert removed == {(finished, "partial"), (unwanted, "partial"), (finished, "temporary")}
    assert (store.root / "partial" / wanted / "step-1").exists()
    assert store.has(finished)


def test_gc_leaves_an_artifact_that_is_being_written(store):
    with store.write(KEY, "train", SPEC) as draft:
        (draft.folder / "a").write_bytes(b"a")
        (store.partial(KEY) / "step-1").write_bytes(b"1")
        assert Store(store.root).gc(set()) == []
        assert (store.partial(KEY) / "step-1").exists()
    assert store.open(KEY).file("a").read_bytes() == b"a"


def test_gc_leaves_other_files(store):
    make(store)
    (store.root / "tmp" / "notes.txt").write_text("mine")
    store.gc(set())
    assert (store.root / "tmp" / "notes.txt").exists()


# -- speed, on the machine of a laptop user ----------------------------------------------------------------------------


def test_a_thousand_artifacts_are_listed_quickly(store, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the disk is not what is measured
    keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(1000)]
    for key in keys:
        make(store, key)
    start = time.perf_counter()
    assert all(store.has(key) for key in keys)
    opened = time.perf_counter()
    assert sum(entry.status == "done" for entry in store.ls()) == 1000
    listed = time.perf_counter()
    assert opened - start < 0.2
    assert listed - opened < 2.0


def test_the_store_needs_no_heavy_library():
    code = "import sys, xlift.studies.store; print({'torch', 'transformers', 'numpy', 'pyarrow'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert printed.stdout.strip() == "set()"


def test_a_store_can_be_moved(store, tmp_path):
    make(store)
    shutil.move(store.root, tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    assert moved.verify() == []
    assert moved.open(KEY).file("scores.json").exists()
    assert str(tmp_path) not in json.dumps(moved.open(KEY).manifest)  # no machine paths
