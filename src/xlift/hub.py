"""Files of dataset repositories on the Hub: found on this machine, or brought here by the Hub's own client.

Files lie in the layout of that client's cache, wherever the cache is: `datasets--ORG--NAME/` with `refs/` (what a branch
is), `snapshots/COMMIT/` (the files as in the repository) and `blobs/`. Beside them xlift keeps `xlift/COMMIT.json`: every
Parquet file of the commit with its size and checksum. By it a half-brought set of files is never taken for a whole one,
and everything can be checked again without the network.

Once a set of files is here it answers, and the network is not asked whether there is anything newer: a study gives the
same keys online and offline. A newer revision comes in when the repository is removed from the cache.

Ground floor: the client is imported only where it is used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from xlift.errors import UserError, nearest

CONVERTED = "refs/convert/parquet"
"""Branch that the Hub itself keeps for many datasets: their rows as Parquet."""
FOLDER = "hub"
"""Name of the cache inside of a data folder."""
TRIES = 5
LONGEST_WAIT = 300.0
"""Seconds that one demand to wait is obeyed for: the Hub counts requests in windows of five minutes."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"(.*-)(\d{5})-of-(\d{5})\.parquet")
_Answer = TypeVar("_Answer")


class Stuck(UserError):
    """What would stop every other transfer as well: no network, or no room to write."""


@dataclass(frozen=True)
class Entry:
    """One file of a commit. Checksums are '' where they are not known."""

    path: str
    bytes: int
    sha256: str = ""
    """Of the contents; the Hub tells it for files in large-file storage."""
    blob: str = ""
    """Git's name for the contents: SHA-1 of 'blob BYTES\\0' and the contents."""


@dataclass(frozen=True)
class Snapshot:
    """The Parquet files of a repository at one commit."""

    repository: str
    revision: str
    """As asked for: a branch, a tag, or the commit itself."""
    commit: str
    """40 hexadecimal digits."""
    files: tuple[Entry, ...]

    def matching(self, patterns: Sequence[str]) -> tuple[Entry, ...]:
        """The files that patterns stand for, pattern by pattern and each in the order of names, which is that of the
        shards. '*' stands for any letters, '/' included."""
        found = [sorted((e for e in self.files if fnmatchcase(e.path, p)), key=lambda e: e.path) for p in patterns]
        return tuple(dict.fromkeys(entry for entries in found for entry in entries)) if all(found) else ()

    def folder(self, cache: Path) -> Path:
        return _home(self.repository, cache) / "snapshots" / self.commit

    def whole(self, patterns: Sequence[str], cache: Path) -> tuple[Path, ...]:
        """Where the files of some patterns lie in a cache: all of them, or nothing."""
        entries = self.matching(patterns)
        paths = tuple(self.folder(cache) / entry.path for entry in entries)
        if not all(path.is_file() for path in paths):
            return ()
        names = {entry.path for entry in self.files}
        shards = (_SHARD.fullmatch(entry.path) for entry in entries)
        there = all(
            f"{shard[1]}{number:05}-of-{shard[3]}.parquet" in names
            for shard in shards if shard
            for number in range(int(shard[3]))
        )  # fmt: skip
        return paths if there else ()


# --- on this machine --------------------------------------------------------------------------------------------------


def caches(data: Path | None) -> tuple[Path, ...]:
    """Where files are looked for: the data folder's own cache, then that of this user."""
    from huggingface_hub import constants

    return ((data / FOLDER,) if data is not None else ()) + (Path(constants.HF_HUB_CACHE),)


def here(repository: str, revision: str, cache: Path) -> Snapshot | None:
    """What a cache holds of a repository, if it knows what the revision is."""
    home = _home(repository, cache)
    commit = revision if _COMMIT.fullmatch(revision) else _text(home / "refs" / revision)
    if not _COMMIT.fullmatch(commit):
        return None
    listing = home / "xlift" / f"{commit}.json"
    if listing.is_file():
        return _read_listing(repository, revision, commit, listing, listing.stat().st_mtime_ns)
    folder = home / "snapshots" / commit  # filled by `datasets` or `hf download`: what lies there is all that is known
    paths = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    files = tuple(Entry(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths)
    return Snapshot(repository, revision, commit, files) if files else None


@lru_cache(maxsize=256)
def _read_listing(repository: str, revision: str, commit: str, path: Path, mtime_ns: int) -> Snapshot:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Snapshot(repository, revision, commit, tuple(_safe(Entry(**entry)) for entry in found["files"]))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"the list of fetched files cannot be read: {error}", where=str(path), fix="Delete it and fetch again."
        ) from None


def _home(repository: str, cache: Path) -> Path:
    return cache / ("datasets--" + repository.replace("/", "--"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def wrong(path: Path, entry: Entry) -> str:
    """What is wrong with the bytes of a file, or ''. Reads all of it, unless the size tells already."""
    size = path.stat().st_size
    if size != entry.bytes:
        return f"it has {size:,} bytes where the Hub has {entry.bytes:,}"
    if not entry.sha256 and not entry.blob:
        return ""
    expected = entry.sha256 or entry.blob
    digest = hashlib.sha256() if entry.sha256 else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    return "" if found == expected else f"its checksum is {found[:12]}... where the Hub says {expected[:12]}..."


# --- over the network -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def listing(repository: str, revision: str) -> Snapshot:
    """What the Hub has of a repository, asked once per process.

    Raises:
        UserError: no such repository or revision, no access, no network, or no Parquet file.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    place = _place(repository, revision)
    if constants.HF_HUB_OFFLINE:
        raise Stuck(
            "not on this machine, and HF_HUB_OFFLINE forbids to ask the Hub",
            where=place,
            fix="Unset HF_HUB_OFFLINE, or run `xlift fetch TASK --data DIR` on a machine with a network and bring DIR here.",
        )
    api = HfApi()
    timeout = constants.HF_HUB_ETAG_TIMEOUT

    def ask() -> tuple[str, list[Any]]:
        commit = api.dataset_info(repository, revision=revision, timeout=timeout).sha or ""
        return commit, list(api.list_repo_tree(repository, repo_type="dataset", revision=commit, recursive=True))

    commit, tree = _patiently(ask, repository, revision)
    if not _COMMIT.fullmatch(commit):
        raise UserError(f"the Hub names no commit for '{revision}'", where=place, fix="Check HF_ENDPOINT.")
    files = tuple(
        _safe(Entry(item.path, item.size, item.lfs.sha256 if item.lfs else "", item.blob_id or ""))
        for item in tree
        if isinstance(item, RepoFile) and item.path.endswith(".parquet")
    )
    if not files:
        raise UserError(
            "the repository holds no Parquet files at this revision", where=place,
            fix=f"xlift runs no loading scripts; the Hub's own conversion may be there as revision '{CONVERTED}'.",
        )  # fmt: skip
    return Snapshot(repository, revision, commit, files)


def wanted(snapshot: Snapshot, patterns: Sequence[str]) -> tuple[Entry, ...]:
    """The files that patterns stand for.

    Raises:
        UserError: a pattern stands for none.
    """
    for pattern in patterns:
        if not snapshot.matching((pattern,)):
            names = [entry.path for entry in snapshot.files]
            raise UserError(
                f"no file is called '{pattern}'", where=_place(snapshot.repository, snapshot.revision),
                fix=f"{nearest(pattern, names)}There are {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}.",
            )  # fmt: skip
    return snapshot.matching(patterns)


def bring(
    snapshot: Snapshot, entries: Iterable[Entry], cache: Path, advanced: Callable[[int], None] | None = None
) -> None:
    """Download files into a cache, and check them. What is there already is left alone.

    Args:
        snapshot: from `listing`.
        advanced: called with the number of bytes that came in; without it, the client shows its own bars.

    Raises:
        UserError: a transfer failed for good, the bytes are not those that the Hub promised (nothing of them stays in
            the cache), or the disk is full.
    """
    from huggingface_hub import hf_hub_download

    _record(snapshot, cache)
    more: dict[str, Any] = {"tqdm_class": _bar(advanced)} if advanced else {}
    for entry in entries:
        path = snapshot.folder(cache) / entry.path
        if path.is_file():
            if path.stat().st_size == entry.bytes:
                continue
            discard(path)
        _patiently(
            lambda entry=entry: hf_hub_download(
                snapshot.repository, entry.path, repo_type="dataset", revision=snapshot.commit, cache_dir=cache, **more
            ),
            snapshot.repository, snapshot.revision, entry.path,
        )  # fmt: skip
        problem = wrong(path, entry)  # the client itself compares no more than sizes
        if problem:
            discard(path)
            raise UserError(
                f"{entry.path} did not arrive as it is on the Hub: {problem}",
                where=_place(snapshot.repository, snapshot.revision),
                fix="It was not kept. Try again; if this repeats, a proxy or mirror (HF_ENDPOINT) changes the files.",
            )


def discard(path: Path) -> None:
    """Remove a file of a snapshot, and the blob that it points to."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _record(snapshot: Snapshot, cache: Path) -> None:
    """Write what the commit holds, and what the revision means in this cache."""
    home = _home(snapshot.repository, cache)
    files = {home / "xlift" / f"{snapshot.commit}.json": json.dumps(
        {"repository": snapshot.repository, "revision": snapshot.revision, "commit": snapshot.commit,
         "files": [asdict(entry) for entry in snapshot.files]}, indent=1)}  # fmt: skip
    if not _COMMIT.fullmatch(snapshot.revision):
        files[home / "refs" / snapshot.revision] = snapshot.commit
    for path, text in files.items():
        if _text(path) != text:
            write(path, text)


def write(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old one or the new one.

    Raises:
        Stuck: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise _unwritable(error, path) from None


def _safe(entry: Entry) -> Entry:
    """Names come from a server: one that leads out of the folder is refused."""
    parts = entry.path.split("/")
    if "\\" in entry.path or any(part in ("", ".", "..") for part in parts):
        raise UserError(f"the Hub names a file '{entry.path}', which leads out of its repository")
    return entry


def _bar(advanced: Callable[[int], None]) -> Any:
    """A progress bar of the client's kind that shows nothing and passes on what it is told."""
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            advanced(int(n or 0))

    return Silent


def _patiently(ask: Callable[[], _Answer], repository: str, revision: str, file: str = "") -> _Answer:
    """The answer of the Hub's client, asked again where the Hub is busy; its errors as ours.

    Args:
        file: what is being downloaded; the client itself waits where a download is answered with 429.
    """
    from huggingface_hub.errors import HfHubHTTPError

    transport = HfHubHTTPError.__mro__[1]  # the base class of the HTTP library's errors: that library has changed thrice
    for attempt in range(1, TRIES + 1):
        try:
            return ask()
        except (transport, OSError, ValueError, KeyError, TypeError) as error:
            response = getattr(error, "response", None)
            if response is None or response.status_code not in _BUSY[bool(file) :] or attempt == TRIES:
                raise _explained(error, repository, revision, file) from None
            wait = min(_asked_to_wait(response.headers) or 2.0**attempt, LONGEST_WAIT)
            logging.getLogger(__name__).warning(
                "the Hub is busy (%d); asking again in %.0f s", response.status_code, wait
            )
            time.sleep(wait)
    raise AssertionError


_BUSY = (429, 500, 502, 503, 504)


def _asked_to_wait(headers: Any) -> float:
    """Seconds, by the standard header or by the one that the Hub writes ('"api";r=0;t=55')."""
    after = headers.get("Retry-After", "")
    window = re.search(r";\s*t=(\d+)", headers.get("RateLimit", ""))
    return float(after) if after.isdigit() else float(window[1]) if window else 0.0


def _explained(error: BaseException, repository: str, revision: str, file: str) -> UserError:
    """What went wrong, in one clause, and what to do about it."""
    from huggingface_hub import constants, errors

    place = _place(repository, revision)
    what = f"{file}: " if file else ""
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # the client says only that it found nothing; why stands in the cause
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return UserError(f"'{repository}' cannot be the name of a dataset", fix="Expected ORG/NAME.")
    if isinstance(error, (ValueError, KeyError, TypeError)) and not isinstance(error, OSError):
        return UserError(
            f"{constants.ENDPOINT} does not answer as a Hub does: {type(error).__name__}", where=place,
            fix="Check HF_ENDPOINT; a login page of the network may stand in between.",
        )  # fmt: skip
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{what}its owners let only known users have it", where=place,
            fix="Accept its terms on that page, and log in with `hf auth login` or set HF_TOKEN.",
        )  # fmt: skip
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            "the Hub has no such dataset, or does not show it to everybody", where=place,
            fix="Check the name; for a private one, log in with `hf auth login` or set HF_TOKEN.",
        )  # fmt: skip
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"the dataset has no revision '{revision}'", where=place, fix=f"'main' or '{CONVERTED}' may be there.")
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return UserError(f"{what}the Hub lists this file and does not have it", where=place, fix="Try again later.")
    if status in (401, 403):
        return UserError(f"{what}the Hub refuses access ({status})", where=place, fix="Check HF_TOKEN, or `hf auth login` again.")
    if status == 429:
        return UserError(
            f"{what}the Hub still answers 429, too many requests, after {TRIES} tries", where=place,
            fix="Wait some minutes; users who log in (`hf auth login`) have a higher limit. What came in so far is kept.",
        )  # fmt: skip
    if status is not None:
        return UserError(f"{what}the Hub answers {status}", where=place, fix="Try again later. What came in so far is kept.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.EFBIG):
        return _unwritable(error, error.filename)
    said = str(error).strip().splitlines()
    if file and not isinstance(error, errors.LocalEntryNotFoundError) and "connect" not in type(error).__name__.lower():
        return UserError(f"{what}the transfer broke off", where=place, fix="Try again: what came in whole is kept.")
    return Stuck(
        f"{what}the Hub at {constants.ENDPOINT} cannot be reached: {said[0] if said else type(error).__name__}", where=place,
        fix="Check the network, a proxy (HTTPS_PROXY) or mirror (HF_ENDPOINT), and try again: what came in whole is kept.",
    )  # fmt: skip


def _unwritable(error: OSError, path: Any) -> UserError:
    return Stuck(
        f"cannot write: {os.strerror(error.errno) if error.errno else error}", where=str(path or ""),
        fix="Free space, or name another place (--data DIR, HF_HOME). What came in whole is kept.",
    )  # fmt: skip


def _place(repository: str, revision: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/datasets/{repository}" + (f" ({revision})" if revision != "main" else "")
