"""Find the files of repositories of the Hub on this machine, or download them with the Hub's own client.

Files are kept in the layout of that client's cache: `datasets--ORG--NAME/` (`models--...`) with `refs/` (the commit of each branch),
`snapshots/COMMIT/` (the files as in the repository) and `blobs/`. xlift adds `xlift/COMMIT.json`, which lists every Parquet
file of the commit with its size and checksum. The list shows whether a set of files is complete, and lets all of them be
checked without the network.

A complete set of files is used without asking the network for newer ones, so a study has the same keys online and offline.
To get a newer revision, remove the repository from the cache.

The client is imported only where it is used, so that importing this package is cheap.
"""

from __future__ import annotations

from xlift.hub.cache import (
    CACHE_FOLDER,
    FileEntry,
    Snapshot,
    cache_folders,
    find_corruption,
    find_snapshot,
    has_model,
    remove_file,
    remove_stale_downloads,
    write_atomically,
)
from xlift.hub.client import download_files, list_files, match_files
from xlift.hub.errors import PARQUET_BRANCH, FatalTransferError
from xlift.hub.transfer import Display, Transfer, transfer

__all__ = [
    "CACHE_FOLDER", "PARQUET_BRANCH", "Display", "Transfer", "FatalTransferError", "FileEntry", "Snapshot", "cache_folders", "download_files",
    "find_corruption", "find_snapshot", "has_model", "list_files", "match_files", "remove_file", "remove_stale_downloads", "transfer", "write_atomically",
]  # fmt: skip
