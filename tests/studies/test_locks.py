"""Locks: one owner at a time, and locks of dead owners are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.studies import locks as locks_module
from xlift.studies.locks import STALE_AFTER, Locks, Owner

KEY = "ab" * 32


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    return Locks(tmp_path / "locks")


def plant(locks: Locks, age: float = 0.0, **changes: object) -> None:
    """A lock file as another process would have left it: this process's own, but for `changes`."""
    locks.folder.mkdir(exist_ok=True)
    path = locks.folder / KEY
    path.write_text(json.dumps({**vars(Owner.here()), **changes}))
    os.utime(path, (time.time() - age,) * 2)


def is_locked(locks: Locks) -> bool:
    lock = locks.try_acquire(KEY)
    if lock is not None:
        lock.release()
    return lock is not None


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_held_lock_is_refused_until_it_is_released(locks):
    lock = locks.try_acquire(KEY)
    assert lock is not None
    assert lock.is_valid()
    assert locks.try_acquire(KEY) is None
    lock.release()
    assert is_locked(locks)


def test_locks_of_different_keys_are_independent(locks):
    with locks.try_acquire(KEY), locks.try_acquire("cd" * 32) as other:
        assert other.is_valid()


def test_the_lock_of_a_dead_process_is_broken(locks, sleeper):
    sleeper.kill()
    sleeper.wait()
    plant(locks, pid=sleeper.pid)
    assert is_locked(locks)


def test_a_zombie_counts_as_dead(locks, sleeper):
    # killed but not yet waited for: kill(pid, 0) still finds it
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    plant(locks, pid=sleeper.pid, started="")
    assert is_locked(locks)


def test_a_live_local_process_keeps_its_lock_with_an_old_heartbeat(locks, sleeper):
    # on the same host the process itself is checked: a stopped job must not be done twice
    started = locks_module._read_process(sleeper.pid)[1]
    plant(locks, age=10 * STALE_AFTER, pid=sleeper.pid, started=started)
    assert not is_locked(locks)


def test_a_pid_that_now_belongs_to_another_process_does_not_hold_the_lock(locks, sleeper):
    plant(locks, pid=sleeper.pid, started="1")
    assert is_locked(locks)


def test_without_proc_only_the_pid_is_checked(locks, sleeper, monkeypatch):
    monkeypatch.setattr(locks_module, "_read_process", lambda pid: None)
    plant(locks, pid=sleeper.pid, started="")
    assert not is_locked(locks)
    sleeper.kill()
    sleeper.wait()
    assert is_locked(locks)


@pytest.mark.parametrize("elsewhere", [{"host": "node7"}, {"pid_space": "another boot or container"}])
def test_a_lock_of_another_host_is_stale_without_a_heartbeat(locks, elsewhere):
    # pid 2**30 exists nowhere: were it looked up here, the first lock would be broken
    plant(locks, age=STALE_AFTER - 30, pid=2**30, **elsewhere)
    assert not is_locked(locks)
    plant(locks, age=STALE_AFTER + 30, **elsewhere)
    assert is_locked(locks)


def test_a_held_lock_has_a_heartbeat(locks, monkeypatch):
    monkeypatch.setattr(locks_module, "HEARTBEAT", 0.01)
    with locks.try_acquire(KEY):
        os.utime(locks.folder / KEY, (0, 0))
        deadline = time.monotonic() + 5
        while (locks.folder / KEY).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - (locks.folder / KEY).stat().st_mtime < 60


def test_a_heartbeat_does_not_touch_a_lock_that_another_machine_took(locks, monkeypatch):
    monkeypatch.setattr(locks_module, "HEARTBEAT", 0.01)
    lock = locks.try_acquire(KEY)
    plant(locks, age=1000, host="node7", token="theirs")
    time.sleep(0.1)
    assert time.time() - (locks.folder / KEY).stat().st_mtime > 900
    assert not lock.is_valid()


def test_release_leaves_a_lock_that_another_machine_took(locks):
    lock = locks.try_acquire(KEY)
    plant(locks, host="node7", token="theirs")
    lock.release()
    assert locks.read(KEY).token == "theirs"


def test_a_released_lock_leaves_no_thread(locks):
    before = threading.active_count()
    with locks.try_acquire(KEY):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize("pid", [0, -1, "1", None])
def test_a_nonsensical_pid_is_never_looked_up(locks, pid):
    # kill(0, ...) and kill(-1, ...) speak to whole groups of processes
    plant(locks, pid=pid)
    assert locks.read(KEY) is None


@settings(max_examples=scaled(60), deadline=None)
@given(
    junk=st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_an_invalid_lock_file_is_a_lock_with_a_heartbeat(tmp_path_factory, junk):
    # a machine that crashes can leave an empty or torn file; its holder may be another machine, still at work
    locks = Locks(tmp_path_factory.mktemp("store") / "locks")
    locks.folder.mkdir()
    (locks.folder / KEY).write_bytes(junk)
    assert not is_locked(locks)
    os.utime(locks.folder / KEY, (0, 0))
    assert is_locked(locks)


def test_threads_that_race_for_a_stale_lock_do_not_both_get_it(locks, monkeypatch):
    # without the guard two of them can see the same stale lock, and the second replaces the first one's fresh lock
    monkeypatch.setattr(
        locks_module, "_read_process", slowed(locks_module._read_process)
    )  # between the look and the taking
    for _ in range(5):
        plant(locks, pid=2**22 + 1)  # above the largest pid that Linux gives out
        gate, got = threading.Barrier(8), []

        def take(gate=gate, got=got):
            gate.wait()
            lock = locks.try_acquire(KEY)
            if lock is not None:
                got.append(lock)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].release()


def test_a_child_forked_under_the_guard_does_not_keep_it(locks):
    # a forked child shares the open file, and with it the flock, until it ends
    locks.folder.mkdir()
    with locks.guard():
        child = subprocess.Popen(["sleep", "60"], pass_fds=_guard_files(locks))
    try:
        done = threading.Event()

        def enter():
            with locks.guard():
                done.set()

        threading.Thread(target=enter, daemon=True).start()
        assert done.wait(5)
    finally:
        child.kill()
        child.wait()


def slowed(function):
    def later(*args):
        time.sleep(0.01)
        return function(*args)

    return later


def _guard_files(locks: Locks) -> list[int]:
    guard = str(locks.folder / "guard")
    return [int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink() and os.readlink(fd) == guard]
