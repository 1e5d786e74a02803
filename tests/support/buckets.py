"""Stores in buckets, for tests: a server for the whole session, and a new prefix for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.s3_server import Server, run_server

from xlift.studies import object_storage
from xlift.studies.store import Store

_counter = itertools.count()


@pytest.fixture(scope="session")
def running_server() -> Iterator[Server]:
    with run_server() as server:
        yield server


@pytest.fixture
def server(running_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, in the environment of the test."""
    import fsspec

    for name, value in running_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XLIFT_STORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(object_storage, "FIRST_PAUSE", 0.01)
    running_server.set_faults()
    filesystem = fsspec.filesystem("s3", use_listings_cache=False)
    if not filesystem.exists("bucket"):
        filesystem.mkdir("bucket")
    yield running_server
    running_server.set_faults()


@pytest.fixture
def url(server: Server) -> str:
    """The URL of a store that does not exist yet."""
    return f"s3://bucket/{next(_counter)}/store"


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A path or a URL of a store that does not exist yet."""
    return str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("url")


@pytest.fixture
def elsewhere(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """Opens the store as another machine does, with a cache of its own."""

    def open_store() -> Store:
        with monkeypatch.context() as patch:
            patch.setenv("XLIFT_STORE_CACHE", str(tmp_path / f"cache-{next(_counter)}"))
            return Store(place)

    return open_store
