"""Every failure between this machine and the Hub ends with a clear message or a complete file, and never with a damaged file
in the cache. The client is real; the Hub is a stand-in server on this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub import TOKEN, Hub, parquet

from xlift import hub
from xlift.errors import UserError
from xlift.hub.errors import MAX_WAIT

REPOSITORY = "org/pairs"
SHARDS = ("en/test-00000-of-00002.parquet", "en/test-00001-of-00002.parquet")
ROWS = [{"text": f"sentence {number} " * 20, "label": number % 3} for number in range(500)]
FILE, OTHER = parquet(ROWS), parquet(ROWS[:100])


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as hub_server:
        hub_server.commit("dataset", REPOSITORY, {SHARDS[0]: FILE, SHARDS[1]: OTHER, "README.md": b"# pairs"})
        hub_server.connect(monkeypatch, tmp_path / "cache")
        yield hub_server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record sleeps instead of waiting."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def download(patterns: tuple[str, ...] = ("en/test-*.parquet",), revision: str = "main") -> tuple[Path, ...]:
    cache = hub.cache_folders(None)[0]
    snapshot = hub.list_files(REPOSITORY, revision)
    hub.download_files(snapshot, hub.match_files(snapshot, patterns), cache)
    return snapshot.complete_paths(patterns, cache)


def leftovers(cache: Path) -> list[str]:
    """Names of files in the cache that hold bytes of the repository."""
    return [path.name for path in cache.rglob("*") if path.is_file() and "blobs" in path.parts]


# --- transfers --------------------------------------------------------------------------------------------------------


def test_a_complete_transfer(standin: Hub):
    paths = download()
    assert [path.read_bytes() for path in paths] == [FILE, OTHER]
    assert [str(path).endswith(shard) for path, shard in zip(paths, SHARDS, strict=True)] == [True, True]


def test_an_interrupted_transfer_resumes(standin: Hub, waits: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB: our file is small
    digest = hub.list_files(REPOSITORY, "main").files[0].sha256
    standin.answer(digest, method="GET", cut_after=2500)
    paths = download()
    assert paths[0].read_bytes() == FILE
    ranges = [request.range for request in standin.asked(digest)]
    assert ranges[:2] == ["", "bytes=2000-"]


def test_a_transfer_that_is_always_interrupted(standin: Hub, waits: list[float], tmp_path: Path):
    digest = hub.list_files(REPOSITORY, "main").files[0].sha256
    standin.answer(digest, method="GET", cut_after=100, times=-1)
    with pytest.raises(UserError, match=r"en/test-00000-of-00002\.parquet: the transfer was interrupted") as error:
        download()
    assert REPOSITORY in error.value.where
    assert "Try again" in error.value.fix
    assert leftovers(tmp_path / "cache") == []
    standin.faults.clear()
    assert download()  # it succeeds afterwards


def test_complete_files_are_not_fetched_again(standin: Hub, waits: list[float]):
    first, second = (entry.sha256 for entry in hub.list_files(REPOSITORY, "main").files)
    standin.answer(second, method="GET", cut_after=10, times=-1)
    with pytest.raises(UserError, match="was interrupted"):
        download()
    standin.faults.clear()
    download()
    assert len(standin.asked(first)) == 1


def test_a_set_with_a_missing_shard_is_incomplete(standin: Hub):
    cache = hub.cache_folders(None)[0]
    download((SHARDS[0],))
    found = hub.find_snapshot(REPOSITORY, "main", cache)
    assert found is not None
    assert found.complete_paths((SHARDS[0],), cache) != ()
    assert found.complete_paths(("en/test-*.parquet",), cache) == ()


def test_files_with_a_wrong_checksum_are_refused_and_removed(standin: Hub, tmp_path: Path):
    changed = bytearray(FILE)
    changed[len(FILE) // 2] ^= 1  # same size
    standin.tamper(FILE, bytes(changed))
    with pytest.raises(UserError, match="differs from the Hub's: its checksum is") as error:
        download()
    assert "It was removed" in error.value.fix
    assert leftovers(tmp_path / "cache") == []
    standin.tampered.clear()
    assert download()[0].read_bytes() == FILE


def test_files_with_missing_bytes_are_refused(standin: Hub, waits: list[float], tmp_path: Path):
    standin.tamper(FILE, FILE[:-5])
    with pytest.raises(UserError, match="the transfer was interrupted"):
        download()
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk(standin: Hub, monkeypatch: pytest.MonkeyPatch, number: int):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "/data/blob")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(UserError, match=f"/data/blob: cannot write: {os.strerror(number)}") as error:
        download()
    assert "Free space" in error.value.fix


def test_a_cache_that_cannot_be_written(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder is needed")
    with pytest.raises(UserError, match="cannot write"):
        download()


# --- responses ----------------------------------------------------------------------------------------------------------


def test_requests_are_repeated_after_the_wait_that_the_hub_requests(standin: Hub, waits: list[float]):
    standin.answer("/revision/main", status=429, headers={"Retry-After": "7"})
    standin.answer("/tree/", status=429, headers={"RateLimit": '"api";r=0;t=55'})
    standin.answer("/resolve/", status=429, headers={"Retry-After": "3"}, times=2)
    assert len(download()) == 2
    assert waits[0] == 7
    assert {55, 56} & set(waits)  # the client waits one second longer
    assert 4 in waits


def test_too_many_requests_every_time(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=429, headers={"Retry-After": "100000"}, times=-1)
    with pytest.raises(UserError, match="still returns 429 .too many requests. after 5 tries") as error:
        download()
    assert "higher limit" in error.value.fix
    assert max(waits) <= MAX_WAIT


def test_requests_are_repeated_while_the_hub_is_down(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=503, times=2)
    assert len(download()) == 2
    assert waits[:2] == [2.0, 4.0]


def test_a_hub_that_stays_down(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=502, times=-1)
    with pytest.raises(UserError, match="the Hub returns 502"):
        download()


def test_no_such_repository(standin: Hub):
    with pytest.raises(UserError, match="no such dataset, or it is private") as error:
        hub.list_files("org/pears", "main")
    assert error.value.where == f"{standin.url}/datasets/org/pears"


def test_no_such_revision(standin: Hub):
    with pytest.raises(UserError, match="has no revision 'v9'"):
        hub.list_files(REPOSITORY, "v9")


def test_an_invalid_repository_name(standin: Hub):
    with pytest.raises(UserError, match="is not a valid dataset name"):
        hub.list_files("what is/this", "main")


def test_a_pattern_that_matches_no_file(standin: Hub):
    with pytest.raises(UserError, match=r"no file matches 'en/tset-\*\.parquet'") as error:
        download(("en/tset-*.parquet",))
    assert "did you mean 'en/test-" in error.value.fix


def test_a_file_that_is_listed_but_missing(standin: Hub):
    standin.answer("/resolve/", status=404, headers={"X-Error-Code": "EntryNotFound"}, times=-1)
    with pytest.raises(
        UserError, match=r"en/test-00000-of-00002\.parquet: the Hub lists this file but does not have it"
    ):
        download()


def test_a_repository_without_parquet(standin: Hub):
    standin.commit("dataset", "org/scripts", {"loader.py": b"raise SystemExit", "data.zip": b""})
    with pytest.raises(UserError, match="has no Parquet files") as error:
        hub.list_files("org/scripts", "main")
    assert "refs/convert/parquet" in error.value.fix


def test_the_hubs_own_conversion_is_a_revision(standin: Hub):
    standin.commit("dataset", "org/scripts", {"loader.py": b"raise SystemExit"})
    standin.commit("dataset", "org/scripts", {"default/test/0000.parquet": FILE}, branch=hub.PARQUET_BRANCH)
    assert [entry.path for entry in hub.list_files("org/scripts", hub.PARQUET_BRANCH).files] == [
        "default/test/0000.parquet"
    ]


def test_a_gated_repository(standin: Hub, monkeypatch: pytest.MonkeyPatch):
    standin.commit("dataset", REPOSITORY, {}, gated=True)
    hub.list_files.cache_clear()
    with pytest.raises(UserError, match="its owners require registration") as error:
        download()
    assert error.value.where == f"{standin.url}/datasets/{REPOSITORY}"
    assert "hf auth login" in error.value.fix
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(download()) == 2  # with the token, which is not sent to the content network


def test_a_private_repository_looks_like_a_missing_one(standin: Hub):
    standin.commit("dataset", "org/mine", {"a.parquet": FILE}, private=True)
    with pytest.raises(UserError, match="or it is private"):
        hub.list_files("org/mine", "main")


def test_a_path_outside_the_repository_is_refused(standin: Hub, tmp_path: Path):
    standin.commit("dataset", "org/evil", {"../../../evil.parquet": FILE})
    with pytest.raises(UserError, match="a path outside its repository"):
        hub.list_files("org/evil", "main")
    assert not list(tmp_path.rglob("evil.parquet"))


# --- no network -------------------------------------------------------------------------------------------------------


def test_no_network(standin: Hub):
    standin.close()
    with pytest.raises(UserError, match=f"the Hub at {standin.url} cannot be reached") as error:
        download()
    assert "HF_ENDPOINT" in error.value.fix


def test_the_network_fails_during_a_transfer(standin: Hub, waits: list[float], tmp_path: Path):
    hub.list_files(REPOSITORY, "main")
    standin.close()
    with pytest.raises(UserError, match=r"en/test-00000-of-00002\.parquet: the Hub at .* cannot be reached"):
        download()
    assert leftovers(tmp_path / "cache") == []


def test_a_server_that_is_not_the_hub(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=200, times=-1)
    with pytest.raises(UserError, match="does not respond like the Hub"):
        download()


def test_offline_without_the_files(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    with pytest.raises(UserError, match="not on this machine, and HF_HUB_OFFLINE forbids requests to the Hub") as error:
        download()
    assert "xlift fetch" in error.value.fix
    assert standin.requests == []


def test_an_invalid_list_of_files(standin: Hub):
    download()
    cache = hub.cache_folders(None)[0]
    (path,) = (cache / "datasets--org--pairs" / "xlift").iterdir()
    path.write_text("{")
    with pytest.raises(UserError, match="cannot read the list of fetched files"):
        hub.find_snapshot(REPOSITORY, "main", cache)
