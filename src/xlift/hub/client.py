"""List and download files of the Hub, through the Hub's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.hub.cache import COMMIT, FileEntry, Kind, Snapshot, check_path, find_corruption, remove_file, save_listing
from xlift.hub.errors import PARQUET_BRANCH, FatalTransferError, call_with_retries, repository_url


@lru_cache(maxsize=256)
def list_files(repository: str, revision: str, kind: Kind = "dataset") -> Snapshot:
    """The files of a repository on the Hub (of a dataset: its Parquet files), requested once per process.

    Raises:
        UserError: no such repository or revision, no access, no network, or no Parquet file.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    url = repository_url(repository, revision, kind)
    if constants.HF_HUB_OFFLINE:
        raise FatalTransferError(
            f"the {kind} is not on this machine, and HF_HUB_OFFLINE forbids requests to the Hub",
            where=url,
            fix="Unset HF_HUB_OFFLINE, or run `xlift fetch` on a machine with a network and copy "
            + ("the Hub's cache (by default ~/.cache/huggingface)" if kind == "model" else "the folder of --data")
            + " here.",
        )
    api = HfApi()
    timeout = constants.HF_HUB_ETAG_TIMEOUT

    def request_tree() -> tuple[str, list[Any]]:
        commit = api.repo_info(repository, repo_type=kind, revision=revision, timeout=timeout).sha or ""
        return commit, list(api.list_repo_tree(repository, repo_type=kind, revision=commit, recursive=True))

    commit, tree = call_with_retries(request_tree, repository, revision, kind=kind)
    if not COMMIT.fullmatch(commit):
        raise UserError(f"the Hub gives no commit for '{revision}'", where=url, fix="Check HF_ENDPOINT.")
    files = tuple(
        check_path(FileEntry(item.path, item.size, item.lfs.sha256 if item.lfs else "", item.blob_id or ""))
        for item in tree
        if isinstance(item, RepoFile) and (kind == "model" or item.path.endswith(".parquet"))
    )
    if not files and kind == "dataset":
        raise UserError(
            "the repository has no Parquet files at this revision", where=url,
            fix=f"xlift runs no loading scripts. Try the Hub's own conversion: revision '{PARQUET_BRANCH}'.",
        )  # fmt: skip
    return Snapshot(repository, revision, commit, files, kind)


def match_files(snapshot: Snapshot, patterns: Sequence[str]) -> tuple[FileEntry, ...]:
    """The files that match the patterns.

    Raises:
        UserError: a pattern matches no file.
    """
    for pattern in patterns:
        if not snapshot.matching((pattern,)):
            names = [entry.path for entry in snapshot.files]
            raise UserError(
                f"no file matches '{pattern}'", where=repository_url(snapshot.repository, snapshot.revision, snapshot.kind),
                fix=f"{did_you_mean(pattern, names)}Files: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}.",
            )  # fmt: skip
    return snapshot.matching(patterns)


def download_files(
    snapshot: Snapshot, entries: Iterable[FileEntry], cache: Path, add_bytes: Callable[[int], None] | None = None
) -> None:
    """Download files into a cache and check them. Files that are already there are kept.

    Args:
        snapshot: from `list_files`.
        add_bytes: called with the number of bytes received; without it, the client shows its own progress bars.

    Raises:
        UserError: a transfer failed after all retries, the bytes differ from the Hub's checksum (the file is removed from
            the cache), or the disk is full.
    """
    from huggingface_hub import hf_hub_download

    save_listing(snapshot, cache)
    options: dict[str, Any] = {"tqdm_class": _silent_bar(add_bytes)} if add_bytes else {}
    for entry in entries:
        path = snapshot.folder(cache) / entry.path
        if path.is_file():
            if path.stat().st_size == entry.bytes:
                continue
            remove_file(path)
        call_with_retries(
            lambda entry=entry: hf_hub_download(
                snapshot.repository, entry.path, repo_type=snapshot.kind, revision=snapshot.commit, cache_dir=cache, **options
            ),
            snapshot.repository, snapshot.revision, entry.path, kind=snapshot.kind,
        )  # fmt: skip
        problem = find_corruption(path, entry)  # the client itself compares only sizes
        if problem:
            remove_file(path)
            raise UserError(
                f"the downloaded {entry.path} differs from the Hub's: {problem}",
                where=repository_url(snapshot.repository, snapshot.revision, snapshot.kind),
                fix="It was removed. Try again. If this repeats, a proxy or mirror (HF_ENDPOINT) changes the files.",
            )


def _silent_bar(add_bytes: Callable[[int], None]) -> Any:
    """A progress bar class for the client that shows nothing and passes the bytes on."""
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            add_bytes(int(n or 0))

    return Silent
