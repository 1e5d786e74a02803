"""Whatever goes wrong between this machine and the Hub ends as one clear message or a whole file, and never as a bad file
in the cache. The client is the real one, the Hub a stand-in on this machine."""

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
from xlift.hub.faults import LONGEST_WAIT

REPOSITORY = "org/pairs"
SHARDS = ("en/test-00000-of-00002.parquet", "en/test-00001-of-00002.parquet")
ROWS = [{"text": f"sentence {number} " * 20, "label": number % 3} for number in range(500)]
FILE, OTHER = parquet(ROWS), parquet(ROWS[:100])


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as made:
        made.commit("dataset", REPOSITORY, {SHARDS[0]: FILE, SHARDS[1]: OTHER, "README.md": b"# pairs"})
        made.connect(monkeypatch, tmp_path / "cache")
        yield made


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleeping takes no time, and is written down."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def bring(patterns: tuple[str, ...] = ("en/test-*.parquet",), revision: str = "main") -> tuple[Path, ...]:
    cache = hub.caches(None)[0]
    snapshot = hub.listing(REPOSITORY, revision)
    hub.bring(snapshot, hub.wanted(snapshot, patterns), cache)
    return snapshot.whole(patterns, cache)


def leftovers(cache: Path) -> list[str]:
    """Files of the cache that hold bytes of the repository."""
    return [path.name for path in cache.rglob("*") if path.is_file() and "blobs" in path.parts]


# --- transfers --------------------------------------------------------------------------------------------------------


def test_a_whole_transfer(standin: Hub):
    paths = bring()
    assert [path.read_bytes() for path in paths] == [FILE, OTHER]
    assert [str(path).endswith(shard) for path, shard in zip(paths, SHARDS, strict=True)] == [True, True]


def test_a_transfer_that_breaks_off_goes_on_where_it_was(
    standin: Hub, waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB: our file is small
    digest = hub.listing(REPOSITORY, "main").files[0].sha256
    standin.answer(digest, method="GET", cut_after=2500)
    paths = bring()
    assert paths[0].read_bytes() == FILE
    ranges = [request.range for request in standin.asked(digest)]
    assert ranges[:2] == ["", "bytes=2000-"]


def test_a_transfer_that_breaks_off_again_and_again(standin: Hub, waits: list[float], tmp_path: Path):
    digest = hub.listing(REPOSITORY, "main").files[0].sha256
    standin.answer(digest, method="GET", cut_after=100, times=-1)
    with pytest.raises(UserError, match=r"en/test-00000-of-00002\.parquet: the transfer broke off") as error:
        bring()
    assert REPOSITORY in error.value.where
    assert "Try again" in error.value.fix
    assert leftovers(tmp_path / "cache") == []
    standin.faults.clear()
    assert bring()  # and it is well afterwards


def test_what_came_in_whole_is_not_fetched_again(standin: Hub, waits: list[float]):
    first, second = (entry.sha256 for entry in hub.listing(REPOSITORY, "main").files)
    standin.answer(second, method="GET", cut_after=10, times=-1)
    with pytest.raises(UserError, match="broke off"):
        bring()
    standin.faults.clear()
    bring()
    assert len(standin.asked(first)) == 1


def test_a_half_brought_set_is_not_a_whole_one(standin: Hub):
    cache = hub.caches(None)[0]
    bring((SHARDS[0],))
    found = hub.here(REPOSITORY, "main", cache)
    assert found is not None
    assert found.whole((SHARDS[0],), cache) != ()
    assert found.whole(("en/test-*.parquet",), cache) == ()


def test_bytes_that_are_not_the_promised_ones_are_refused_and_removed(standin: Hub, tmp_path: Path):
    changed = bytearray(FILE)
    changed[len(FILE) // 2] ^= 1  # as many bytes, so that no size tells
    standin.tamper(FILE, bytes(changed))
    with pytest.raises(UserError, match="did not arrive as it is on the Hub: its checksum is") as error:
        bring()
    assert "It was not kept" in error.value.fix
    assert leftovers(tmp_path / "cache") == []
    standin.tampered.clear()
    assert bring()[0].read_bytes() == FILE


def test_fewer_bytes_than_promised(standin: Hub, waits: list[float], tmp_path: Path):
    standin.tamper(FILE, FILE[:-5])
    with pytest.raises(UserError, match="the transfer broke off"):
        bring()
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk(standin: Hub, monkeypatch: pytest.MonkeyPatch, number: int):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "/data/blob")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(UserError, match=f"/data/blob: cannot write: {os.strerror(number)}") as error:
        bring()
    assert "Free space" in error.value.fix


def test_a_cache_that_cannot_be_written(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder is needed")
    with pytest.raises(UserError, match="cannot write"):
        bring()


# --- answers ----------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_asked_again_when_the_hub_says(standin: Hub, waits: list[float]):
    standin.answer("/revision/main", status=429, headers={"Retry-After": "7"})
    standin.answer("/tree/", status=429, headers={"RateLimit": '"api";r=0;t=55'})
    standin.answer("/resolve/", status=429, headers={"Retry-After": "3"}, times=2)
    assert len(bring()) == 2
    assert waits[0] == 7
    assert {55, 56} & set(waits)  # the client waits a second more
    assert 4 in waits


def test_too_many_requests_for_ever(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=429, headers={"Retry-After": "100000"}, times=-1)
    with pytest.raises(UserError, match="still answers 429, too many requests, after 5 tries") as error:
        bring()
    assert "higher limit" in error.value.fix
    assert max(waits) <= LONGEST_WAIT


def test_a_hub_that_is_down_is_asked_again(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=503, times=2)
    assert len(bring()) == 2
    assert waits[:2] == [2.0, 4.0]


def test_a_hub_that_stays_down(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=502, times=-1)
    with pytest.raises(UserError, match="the Hub answers 502"):
        bring()


def test_no_such_repository(standin: Hub):
    with pytest.raises(UserError, match="no such dataset, or does not show it to everybody") as error:
        hub.listing("org/pears", "main")
    assert error.value.where == f"{standin.url}/datasets/org/pears"


def test_no_such_revision(standin: Hub):
    with pytest.raises(UserError, match="has no revision 'v9'"):
        hub.listing(REPOSITORY, "v9")


def test_a_name_that_no_repository_can_have(standin: Hub):
    with pytest.raises(UserError, match="cannot be the name of a dataset"):
        hub.listing("what is/this", "main")


def test_a_pattern_that_fits_no_file(standin: Hub):
    with pytest.raises(UserError, match=r"no file is called 'en/tset-\*\.parquet'") as error:
        bring(("en/tset-*.parquet",))
    assert "did you mean 'en/test-" in error.value.fix


def test_a_file_that_is_listed_and_not_there(standin: Hub):
    standin.answer("/resolve/", status=404, headers={"X-Error-Code": "EntryNotFound"}, times=-1)
    with pytest.raises(
        UserError, match=r"en/test-00000-of-00002\.parquet: the Hub lists this file and does not have it"
    ):
        bring()


def test_a_repository_without_parquet(standin: Hub):
    standin.commit("dataset", "org/scripts", {"loader.py": b"raise SystemExit", "data.zip": b""})
    with pytest.raises(UserError, match="holds no Parquet files") as error:
        hub.listing("org/scripts", "main")
    assert "refs/convert/parquet" in error.value.fix


def test_the_hubs_own_conversion_is_a_revision(standin: Hub):
    standin.commit("dataset", "org/scripts", {"loader.py": b"raise SystemExit"})
    standin.commit("dataset", "org/scripts", {"default/test/0000.parquet": FILE}, branch=hub.CONVERTED)
    assert [entry.path for entry in hub.listing("org/scripts", hub.CONVERTED).files] == ["default/test/0000.parquet"]


def test_a_gated_repository(standin: Hub, monkeypatch: pytest.MonkeyPatch):
    standin.commit("dataset", REPOSITORY, {}, gated=True)
    hub.listing.cache_clear()
    with pytest.raises(UserError, match="its owners let only known users have it") as error:
        bring()
    assert error.value.where == f"{standin.url}/datasets/{REPOSITORY}"
    assert "hf auth login" in error.value.fix
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(bring()) == 2  # with the token, and the content network never saw it


def test_a_private_repository_is_told_as_one_that_is_not_there(standin: Hub):
    standin.commit("dataset", "org/mine", {"a.parquet": FILE}, private=True)
    with pytest.raises(UserError, match="does not show it to everybody"):
        hub.listing("org/mine", "main")


def test_a_name_that_leads_out_of_the_folder_is_refused(standin: Hub, tmp_path: Path):
    standin.commit("dataset", "org/evil", {"../../../evil.parquet": FILE})
    with pytest.raises(UserError, match="leads out of its repository"):
        hub.listing("org/evil", "main")
    assert not list(tmp_path.rglob("evil.parquet"))


# --- no network -------------------------------------------------------------------------------------------------------


def test_no_network(standin: Hub):
    standin.close()
    with pytest.raises(UserError, match=f"the Hub at {standin.url} cannot be reached") as error:
        bring()
    assert "HF_ENDPOINT" in error.value.fix


def test_the_network_goes_away_half_way(standin: Hub, waits: list[float], tmp_path: Path):
    hub.listing(REPOSITORY, "main")
    standin.close()
    with pytest.raises(UserError, match=r"en/test-00000-of-00002\.parquet: the Hub at .* cannot be reached"):
        bring()
    assert leftovers(tmp_path / "cache") == []


def test_something_that_is_no_hub(standin: Hub, waits: list[float]):
    standin.answer("/revision/", status=200, times=-1)
    with pytest.raises(UserError, match="does not answer as a Hub does"):
        bring()


def test_offline_without_the_files(standin: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    standin.connect(monkeypatch, tmp_path / "cache", offline=True)
    with pytest.raises(UserError, match="not on this machine, and HF_HUB_OFFLINE forbids to ask the Hub") as error:
        bring()
    assert "xlift fetch" in error.value.fix
    assert standin.requests == []


def test_a_broken_list_of_files(standin: Hub):
    bring()
    cache = hub.caches(None)[0]
    (path,) = (cache / "datasets--org--pairs" / "xlift").iterdir()
    path.write_text("{")
    with pytest.raises(UserError, match="the list of fetched files cannot be read"):
        hub.here(REPOSITORY, "main", cache)
