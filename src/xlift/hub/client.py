"""What the Hub has, and how it comes here, through the Hub's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.errors import UserError, nearest
from xlift.hub.cache import COMMIT, Entry, Snapshot, discard, record, safe, wrong
from xlift.hub.faults import CONVERTED, Stuck, patiently, place_of


@lru_cache(maxsize=256)
def listing(repository: str, revision: str) -> Snapshot:
    """What the Hub has of a repository, asked once per process.

    Raises:
        UserError: no such repository or revision, no access, no network, or no Parquet file.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    place = place_of(repository, revision)
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

    commit, tree = patiently(ask, repository, revision)
    if not COMMIT.fullmatch(commit):
        raise UserError(f"the Hub names no commit for '{revision}'", where=place, fix="Check HF_ENDPOINT.")
    files = tuple(
        safe(Entry(item.path, item.size, item.lfs.sha256 if item.lfs else "", item.blob_id or ""))
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
                f"no file is called '{pattern}'", where=place_of(snapshot.repository, snapshot.revision),
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

    record(snapshot, cache)
    more: dict[str, Any] = {"tqdm_class": _bar(advanced)} if advanced else {}
    for entry in entries:
        path = snapshot.folder(cache) / entry.path
        if path.is_file():
            if path.stat().st_size == entry.bytes:
                continue
            discard(path)
        patiently(
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
                where=place_of(snapshot.repository, snapshot.revision),
                fix="It was not kept. Try again; if this repeats, a proxy or mirror (HF_ENDPOINT) changes the files.",
            )


def _bar(advanced: Callable[[int], None]) -> Any:
    """A progress bar of the client's kind that shows nothing and passes on what it is told."""
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            advanced(int(n or 0))

    return Silent
