"""What a store promises, in a folder and in a bucket: an artifact is whole or absent, one process writes a key, a reader never sees
half, and damage is found."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.artifacts import KEY, SPEC, make
from tests.support.buckets import elsewhere, place, running_server, server, url  # noqa: F401

from xlift.errors import UserError
from xlift.studies import locks as locks_module
from xlift.studies import object_locks
from xlift.studies.locks import Owner
from xlift.studies.object_backend import ObjectBackend
from xlift.studies.store import Store

OTHER = hashlib.sha256(b"another job").hexdigest()
FILE = "weights.safetensors"


@pytest.fixture
def store(place: str) -> Store:  # noqa: F811
    return Store(place)


def replace_file(store: Store, name: str, content: bytes | None) -> None:
    """Change, or remove, what the store has of KEY's file or manifest, behind its back."""
    backend = store._backend
    if isinstance(backend, ObjectBackend):
        files = json.loads(backend.storage.get(f"artifacts/{KEY}.json") or b"")["files"]
        object_name = (
            f"artifacts/{KEY}.json" if name == "manifest.json" else f"files/{KEY}/{files[name]['sha256']}/{name}"
        )
        backend.storage.delete([object_name]) if content is None else backend.storage.put(object_name, content)
    else:
        path = backend.layout.artifact(KEY) / name
        path.unlink() if content is None else path.write_bytes(content)


def plant_lock(store: Store, owner: Owner, age: float = 0.0) -> None:
    """A lock of KEY as a process of another machine would have left it."""
    backend = store._backend
    if isinstance(backend, ObjectBackend):
        backend.storage.put(f"locks/{KEY}/0", owner.as_json().encode())
        return
    path = backend.layout.locks / KEY
    path.parent.mkdir(exist_ok=True)
    path.write_text(owner.as_json())
    os.utime(path, (time.time() - age,) * 2)


def of_another_machine() -> Owner:
    return replace(Owner.here(), host="elsewhere")


# -- whole or absent ---------------------------------------------------------------------------------------------------


def test_another_machine_reads_what_one_wrote(store, elsewhere):  # noqa: F811
    make(store)
    with store.write(OTHER, "train", SPEC, [KEY]) as draft:
        (draft.folder / "model").mkdir()
        (draft.folder / "model/config.json").write_text("{}")
    there = elsewhere()
    assert there.exists
    assert there.open(KEY).file(FILE).read_bytes() == b"0123456789"
    assert (there.path(OTHER) / "model/config.json").read_text() == "{}"
    assert there.find(KEY).manifest == store.open(KEY).manifest
    assert {entry.key: entry.status for entry in there.ls()} == {KEY: "done", OTHER: "done"}
    assert there.verify() == []
    assert {kind: used.count for kind, used in there.du().items()} == {"predict": 1, "train": 1}


def test_nothing_is_created_before_the_first_write(store, elsewhere):  # noqa: F811
    assert not store.exists
    assert not store.has(KEY)
    assert store.find(KEY) is None
    assert (list(store.ls()), store.verify(), store.gc(set())) == ([], [], [])
    assert not elsewhere().exists


def test_an_exception_leaves_nothing(store, elsewhere):  # noqa: F811
    with pytest.raises(ZeroDivisionError), store.write(KEY, "train", SPEC) as draft:
        (draft.folder / "a").write_bytes(b"a")
        assert not elsewhere().has(KEY)
        raise ZeroDivisionError
    assert list(elsewhere().ls()) == []
    assert elsewhere().gc(set()) == []
    make(store)  # its lock is free again


def test_a_reader_sees_all_of_an_artifact_or_nothing(store, elsewhere):  # noqa: F811
    there, seen, ended = elsewhere(), [], threading.Event()

    def read() -> None:
        while not ended.is_set():
            if there.has(KEY):
                seen.append(there.open(KEY).file(FILE).read_bytes())
                return

    reader = threading.Thread(target=read)
    reader.start()
    with store.write(KEY, "train", SPEC) as draft:
        (draft.folder / FILE).write_bytes(b"01234")
        assert not seen
    reader.join(10)
    ended.set()
    assert seen == [b"01234"]


WRITER = """
import sys
from xlift.studies.store import Store
with Store(sys.argv[1]).write(sys.argv[2], "train", {}) as draft:
    (draft.folder / "half").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_a_store_to_go_on_with(store, place, elsewhere):  # noqa: F811
    make(store, OTHER)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, place, KEY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        assert store.try_lock(KEY) is None
        assert [entry.note for entry in store.ls() if entry.status == "running"] == [f"by {store._locks.read(KEY)}"]
        writer.kill()
    assert not store.has(KEY)
    make(store)
    assert elsewhere().open(KEY).file(FILE).read_bytes() == b"0123456789"
    assert store.gc({KEY, OTHER}) == []
    assert store._locks.keys() == []


# -- one writer of a key -----------------------------------------------------------------------------------------------


def test_of_processes_that_race_one_does_each_job(store, place):  # noqa: F811
    make(store, OTHER)  # creates it
    keys = [hashlib.sha256(bytes([n])).hexdigest() for n in range(3)]
    done: list[str] = []

    def work() -> None:
        own = Store(place)
        for key in keys:
            with own.lock(key, timeout=60):
                if not own.has(key):
                    done.append(key)
                    make(own, key)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(done) == sorted(keys)
    assert store.verify() == []


def test_a_lock_of_another_machine_is_taken_over_without_heartbeats(store, monkeypatch):
    make(store, OTHER)
    plant_lock(store, of_another_machine())
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda real=time.time: real() + 10_000)  # this machine's clock does not matter
        assert store.try_lock(KEY) is None
    plant_lock(store, of_another_machine(), age=1_000)
    with monkeypatch.context() as patch:
        patch.setattr(object_locks, "STALE_AFTER", -1.0)
        lock = store.try_lock(KEY)
    assert lock is not None
    assert lock.is_valid()
    assert store.try_lock(KEY) is None
    lock.release()
    assert store._locks.keys() == []


def test_a_writer_that_was_overtaken_damages_nothing(store, place, elsewhere, monkeypatch):  # noqa: F811
    monkeypatch.setattr(locks_module, "HEARTBEAT", 1_000.0)
    with pytest.raises(UserError, match="another machine"), store.write(KEY, "train", SPEC) as draft:
        (draft.folder / FILE).write_bytes(b"the slow one")
        held = store._locks.held[KEY]
        owner = store._locks.read(KEY)
        assert owner is not None
        assert owner.token == held.token
        # as if its machine were another one, which has been silent for long
        monkeypatch.setattr(Owner, "is_local", lambda self: False)
        monkeypatch.setattr(object_locks, "STALE_AFTER", -1.0)
        monkeypatch.setattr(locks_module, "STALE_AFTER", -1.0)
        make(elsewhere(), content=b"the fast one")
    assert elsewhere().open(KEY).file(FILE).read_bytes() == b"the fast one"
    assert [entry.status for entry in elsewhere().ls()] == ["done"]


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"0123", b"012345678x", None], ids=["truncated", "changed", "missing"])
def test_a_damaged_file_is_found_and_made_again(store, elsewhere, content):  # noqa: F811
    make(store)
    make(store, OTHER)
    replace_file(store, FILE, content)
    there = elsewhere()
    with pytest.raises(UserError, match=f"{FILE} is damaged: expected SHA-256 .* found"):
        there.open(KEY)
    expected = "done" if content and len(content) == 10 else "broken"
    assert {entry.key: entry.status for entry in there.ls()} == {KEY: expected, OTHER: "done"}
    assert [problem.key for problem in there.verify()] == [KEY]
    (problem,) = there.verify(repair=True)
    assert problem.aside is not None
    assert not there.has(KEY)
    assert there.has(OTHER)
    make(there)
    assert elsewhere().verify() == []
    assert [removal.what for removal in there.gc({KEY, OTHER})] == ["aside"]
    assert there.gc({KEY, OTHER}) == []


@pytest.mark.parametrize("damage", ["truncated", "changed", "of another job"])
def test_a_damaged_manifest_is_found_and_made_again(store, elsewhere, damage):  # noqa: F811
    make(store)
    make(store, OTHER)
    text = json.dumps(store.open(KEY).manifest)
    texts = {"truncated": text[:100], "changed": text.replace("predict", "train"), "of another job": text}
    replace_file(store, "manifest.json", texts[damage].encode())
    there = elsewhere()
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        there.open(KEY)
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        there.find(KEY)
    assert {entry.key: entry.status for entry in there.ls()} == {KEY: "broken", OTHER: "done"}
    assert [problem.key for problem in there.verify(repair=True)] == [KEY]
    make(there)
    assert elsewhere().verify() == []


# -- keeping and removing ----------------------------------------------------------------------------------------------


def test_a_job_without_files_is_done(store, elsewhere):  # noqa: F811
    make(store)
    assert store.release(KEY) == 12
    there = elsewhere()
    assert (there.has(KEY), there.is_done(KEY), there.find_done([KEY, OTHER])) == (False, True, {KEY})
    assert there.find(KEY).manifest["files"][FILE]["bytes"] == 10
    with pytest.raises(UserError, match="only its manifest is here"):
        there.open(KEY)
    assert [entry.status for entry in there.ls()] == ["manifest"]
    make(there)  # it may run again
    assert there.open(KEY).file(FILE).read_bytes() == b"0123456789"
    assert [removal.what for removal in there.gc({KEY})] == ["manifest"]


def test_gc_removes_what_is_not_wanted_and_no_process_holds(store, elsewhere):  # noqa: F811
    make(store)
    make(store, OTHER)
    with elsewhere().lock(OTHER):
        assert [(removal.key, removal.what) for removal in store.gc(set())] == [(KEY, "artifact")]
    there = elsewhere()
    assert (there.has(KEY), there.has(OTHER)) == (False, True)


def test_small_files_are_written_and_listed(store, elsewhere):  # noqa: F811
    store.write_json("studies", "b", {"ö": 1}, "a record")
    store.write_json("studies", "a", [], "a record")
    store.write_json("studies", "a", {}, "a record")
    there = elsewhere()
    assert there.list_json("studies") == ["a", "b"]
    assert json.loads(there.read_json("studies", "b") or b"") == {"ö": 1}
    assert there.read_json("studies", "c") is None


def test_an_invalid_key_is_refused(store):
    for call in (store.has, store.open, store.find, store.try_lock, store.partial):
        with pytest.raises(UserError, match="not a key"):
            call("../../../etc/passwd")
