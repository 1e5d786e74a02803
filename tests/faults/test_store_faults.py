"""Failures of a store: killed processes, races, damaged and missing files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.artifacts import KEY, SPEC, make
from tests.support.profile import scaled

from xlift.errors import UserError
from xlift.studies.locks import STALE_AFTER, Locks
from xlift.studies.store import Draft, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def python(code: str, *args: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


# -- processes that die and processes that race ------------------------------------------------------------------------

WRITER = """
import sys
from xlift.studies.store import Store
store = Store(sys.argv[1])
(store.partial(sys.argv[2]) / "step-1").write_bytes(b"checkpoint")
with store.write(sys.argv[2], "train", {}) as draft:
    (draft.folder / "half").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_kill_9_in_the_middle_of_a_write_leaves_no_artifact_and_the_next_write_succeeds(store):
    with python(WRITER, store.root, KEY) as writer:
        assert writer.stdout.readline() == "writing\n"
        assert [entry.status for entry in store.ls()] == ["running"]
        assert store.try_lock(KEY) is None
        with pytest.raises(UserError, match=f"process {writer.pid} .*is working"):
            make(store)
        writer.send_signal(signal.SIGKILL)
    assert not store.has(KEY)
    assert [entry.status for entry in store.ls()] == ["partial"]
    assert (store.partial(KEY) / "step-1").read_bytes() == b"checkpoint"  # the next try may go on from it
    make(store)
    assert store.verify() == []
    assert os.listdir(store.root / "tmp") == []
    assert os.listdir(store.root / "partial") == []


def test_gc_removes_leftovers_of_a_killed_process(store):
    with python(WRITER, store.root, KEY) as writer:
        assert writer.stdout.readline() == "writing\n"
        assert store.gc(set()) == []  # alive
        writer.send_signal(signal.SIGKILL)
    assert {removal.what for removal in store.gc(set())} == {"temporary", "partial"}
    assert os.listdir(store.root / "tmp") == []
    assert os.listdir(store.root / "locks") == ["guard"]


RACER = """
import os, sys
from xlift.studies.store import Store
root, log, keys = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
print("ready", flush=True)
sys.stdin.readline()
store = Store(root)
for key in keys:
    with store.lock(key):
        if not store.has(key):
            with store.write(key, "predict", {}) as draft:
                (draft.folder / "a").write_text(key)
                with open(log, "a") as file:
                    file.write(key + chr(10))
"""


@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "every lock stale"])
def test_two_processes_that_race_for_fifty_keys_write_each_once(store, tmp_path, stale):
    keys = [hashlib.sha256(bytes([i])).hexdigest() for i in range(50)]
    if stale:
        make(store)  # makes the store's folder
        for key in keys:  # left by a process of this host that is dead
            lock = store.try_lock(key)
            file = store.root / "locks" / key
            left = file.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {2**22 + 1}')
            lock.release()
            file.write_text(left)
    log = tmp_path / "log"
    with python(RACER, store.root, log, ",".join(keys)) as one, python(RACER, store.root, log, ",".join(keys)) as two:
        for racer in (one, two):
            assert racer.stdout.readline() == "ready\n"
        for racer in (one, two):
            racer.stdin.write("go\n")
            racer.stdin.flush()
    assert one.returncode == two.returncode == 0
    assert Counter(log.read_text().split()) == dict.fromkeys(keys, 1)
    assert all(store.has(key) for key in keys)
    assert store.verify() == []


def take_over(store: Store) -> None:
    """Another machine breaks the lock of KEY and holds it now."""
    lock = store.root / "locks" / KEY
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "host": "node7", "token": "theirs"}))


def test_a_machine_that_lost_its_lock_does_not_publish(store):
    # this process stands for the sleeper; node7 breaks its lock, makes the artifact and finishes
    with pytest.raises(UserError, match="took over"), store.write(KEY, "train", SPEC):
        take_over(store)
    assert not store.has(KEY)
    assert os.listdir(store.root / "tmp") == []
    assert (store.root / "locks" / KEY).exists()  # theirs


def test_a_process_whose_draft_was_removed_gets_the_reason(store):
    def work_on(draft: Draft) -> None:
        take_over(store)
        shutil.rmtree(draft.folder)
        (draft.folder / "a").write_bytes(b"a")

    with pytest.raises(UserError, match="took over"), store.write(KEY, "train", SPEC) as draft:
        work_on(draft)


def test_a_lock_of_another_machine_blocks_until_its_heartbeat_is_old(store):
    make(store)
    store.try_lock("ab" * 32).release()
    file = store.root / "locks" / ("ab" * 32)
    file.write_text(json.dumps({"host": "node7", "pid_space": "", "pid": 1, "started": "", "token": "theirs"}))
    with pytest.raises(UserError, match="process 1 on node7 is working"), store.lock("ab" * 32, timeout=0.05):
        pass
    os.utime(file, (time.time() - STALE_AFTER - 1,) * 2)
    with store.lock("ab" * 32, timeout=0) as lock:
        assert lock.is_valid()


# -- damage ------------------------------------------------------------------------------------------------------------


def flip(path: Path, position: int = 3) -> None:
    """Flip one bit of one byte, without a change of size and mtime."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_open_finds_a_flipped_byte_and_names_both_digests_and_a_fix(store):
    path = make(store)
    flip(path)
    expected = hashlib.sha256(b"0123456789").hexdigest()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError) as error:
        Store(store.root).open(KEY)
    for part in ("weights.safetensors", expected, found, "xlift store verify --repair", "xlift run"):
        assert part in str(error.value)
    assert store.open(KEY, verify=False).key == KEY


def test_each_file_is_hashed_once_per_process_until_it_changes(store, monkeypatch):
    path = make(store)
    store.open(KEY)
    hashed: list[str] = []
    monkeypatch.setattr("xlift.studies.artifact.hash_file", lambda path: hashed.append(path) or ("", 0))
    store.open(KEY)
    assert hashed == []
    os.utime(path, ns=(0, 0))
    with pytest.raises(UserError, match="weights"):
        store.open(KEY)
    assert hashed == [str(path)]


def test_verify_hashes_again_after_open(store):
    path = make(store)
    store.open(KEY)
    flip(path)  # size and mtime are as they were
    assert [(problem.key, "weights.safetensors" in problem.what) for problem in store.verify()] == [(KEY, True)]


@pytest.mark.parametrize("damage", ["truncated", "missing", "a folder"])
def test_open_finds_a_changed_file(store, damage):
    path = make(store)
    path.unlink() if damage != "truncated" else path.write_bytes(b"0123")
    if damage == "a folder":
        path.mkdir()
    with pytest.raises(UserError, match="weights.safetensors is damaged: expected SHA-256 .* found"):
        store.open(KEY)
    assert len(store.verify()) == 1
    if damage != "a folder":
        assert [entry.status for entry in store.ls()] == ["broken"]


@settings(max_examples=scaled(60), deadline=None)
@given(place=st.integers(0, 10_000), bit=st.none() | st.integers(0, 7))
def test_any_damage_to_a_manifest_is_found(place, bit):
    # cut anywhere or any bit flipped; only the line break at the very end may go
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        make(store)
        path = store.path(KEY) / "manifest.json"
        content = bytearray(path.read_bytes())
        position = place % (len(content) - 1)  # its length is not always the same: it tells the seconds
        if bit is None:
            content = content[:position]
        else:
            content[position] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"manifest\.json is damaged"):
            store.open(KEY)
        assert [entry.status for entry in store.ls()] == ["broken"]
        assert len(store.verify()) == 1


def test_a_manifest_of_another_artifact_is_found(store):
    make(store)
    other = "ab" * 32
    shutil.copytree(store.path(KEY), store.root / "artifacts" / other[:2] / other)
    with pytest.raises(UserError, match=f"belongs to {KEY}"):
        store.open(other)


def test_repair_moves_broken_artifacts_aside_and_the_next_write_makes_them_again(store):
    flip(make(store))
    make(store, "ab" * 32)
    problems = store.verify(repair=True)
    assert [problem.key for problem in problems] == [KEY]
    assert (problems[0].aside / "scores.json").exists()  # nothing is thrown away yet
    assert not store.has(KEY)
    assert store.has("ab" * 32)
    make(store)
    assert store.verify() == []
    assert [removal.what for removal in store.gc({KEY, "ab" * 32})] == ["aside"]


def test_repair_leaves_an_artifact_that_someone_holds(store):
    flip(make(store))
    with Store(store.root).lock(KEY):
        assert [problem.aside for problem in store.verify(repair=True)] == [None]
    assert store.has(KEY)


def test_repair_leaves_an_artifact_that_another_process_has_just_repaired(store, monkeypatch):
    path = make(store)
    flip(path)
    take = Locks.try_acquire

    def repaired_meanwhile(locks, key):
        path.write_bytes(b"0123456789")
        return take(locks, key)

    monkeypatch.setattr(Locks, "try_acquire", repaired_meanwhile)
    assert [problem.aside for problem in store.verify(repair=True)] == [None]
    assert store.has(KEY)
    assert store.verify() == []


@pytest.mark.parametrize("name", ["../../../../secret", "/etc/passwd"])
def test_a_manifest_with_files_outside_of_the_artifact_is_refused(store, name):
    # a store from someone else: its seals are right, for anybody can make one
    make(store)
    path = store.path(KEY) / "manifest.json"
    content = json.loads(path.read_bytes())
    del content["seal"]
    content["files"] = {name: {"sha256": "", "bytes": 0}}
    seal = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**content, "seal": seal}))
    with pytest.raises(UserError, match="leads out of the artifact"):
        store.open(KEY)


def test_an_artifact_without_a_manifest_is_made_again(store):
    make(store)
    (store.path(KEY) / "manifest.json").unlink()
    assert not store.has(KEY)
    assert "manifest.json is missing" in store.verify()[0].what
    make(store)
    assert store.open(KEY).kind == "predict"
    assert store.verify() == []
