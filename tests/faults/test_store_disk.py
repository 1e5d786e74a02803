"""A store on full or read-only disks."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.artifacts import KEY, SPEC, make

from xlift.errors import UserError
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_disk_that_fills_up_at_the_end_leaves_no_half_artifact(store, monkeypatch, call):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(UserError, match=r"no space left(.|\n)*xlift store gc"):
            make(store)
    assert not store.has(KEY)
    assert os.listdir(store.root / "tmp") == []
    make(store)
    assert store.verify() == []


def test_a_disk_that_fills_up_during_the_job_is_a_user_error(store):
    with pytest.raises(UserError, match="no space left"), store.write(KEY, "train", SPEC):
        Path("/dev/full").write_bytes(b"x")  # every write to it is ENOSPC, and as always the error names no file
    assert not store.has(KEY)
    assert os.listdir(store.root / "tmp") == []


@pytest.mark.parametrize("root", ["/proc/x", "/proc/x/y", "x" * 300])
def test_errors_name_a_place_where_no_folder_can_be_created(root: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"the folder cannot be created(.|\n)*name another folder") as error:
        make(Store(Path(root)))
    assert root in str(error.value)


def test_errors_of_other_disks_pass_through(store, tmp_path):
    with pytest.raises(PermissionError), store.write(KEY, "train", SPEC):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "data.tsv"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write anywhere: for the time of a test, be nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def read_only() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        store = Store(Path(folder) / "store")
        make(store)
        paths = [store.root, *store.root.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield store
        for path in paths:
            if path.exists():
                path.chmod(stat.S_IRWXU)


def test_a_read_only_store_can_be_read(read_only):
    with unprivileged():
        store = Store(read_only.root)
        assert store.open(KEY).kind == "predict"
        assert [entry.status for entry in store.ls()] == ["done"]
        assert store.verify() == []
        assert store.du()
        assert len(store.gc(set(), dry_run=True)) == 1


def test_writing_to_a_read_only_store_is_a_user_error(read_only):
    with unprivileged():
        store = Store(read_only.root)
        for attempt in (
            lambda: make(store, "ab" * 32),
            lambda: store.try_lock(KEY),
            lambda: store.gc(set()),
            lambda: store.partial("ab" * 32),
        ):
            with pytest.raises(UserError, match=r"cannot be used: Permission denied(.|\n)*another folder"):
                attempt()
    assert read_only.has(KEY)


def test_a_store_that_cannot_be_created_or_entered_is_a_user_error():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "closed").mkdir(mode=0o700)
        os.chmod(Path(folder) / "closed", 0o000)
        with unprivileged():
            with pytest.raises(UserError, match="Permission denied"):
                make(Store(Path(folder) / "new" / "store"))
            with pytest.raises(UserError, match="Permission denied"):
                Store(Path(folder) / "closed" / "store")
        os.chmod(Path(folder) / "closed", 0o700)
