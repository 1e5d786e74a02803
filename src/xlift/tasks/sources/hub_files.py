"""The files of a dataset of the Hub that a custom task means: `hub:` in a study's `tasks:`.

Names are those of `datasets.load_dataset`: a configuration and its splits. Their Parquet files are found by their paths, in the
layouts that `push_to_hub` and the Hub's own conversion write. Other layouts are named by `files:`, as `data_files` there.

The commit is resolved once: as a run has pinned it, else as a cache on this machine has it, else the current commit of the Hub.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlift import hub
from xlift.errors import UserError, did_you_mean
from xlift.tasks.sources.declaration import DEFAULT_CONFIG, CustomTask
from xlift.tasks.sources.hub import HubSource

BRANCHES = ("main", hub.PARQUET_BRANCH)
"""Tried in this order where a task names no revision."""
_SPLIT = r"(-\d{5}-of-\d{5}(-[0-9a-f]+)?|/[^/]+)?\.parquet"
"""What follows the name of a split in a path: shards, a folder of files, or nothing."""
_PATH = re.compile(r"(data/)?((?P<config>[^/]+)/)?(?P<split>[A-Za-z_]\w*)" + _SPLIT)
SHOWN = 12
"""Names in a message."""

Files = dict[str, dict[str, tuple[str, ...]]]
"""Split -> language -> patterns of the files."""


@dataclass(frozen=True)
class HubAccess:
    """Where data of the Hub are looked for, and whether they are downloaded."""

    data: Path | None = None
    """The data folder, which is searched before the user's cache."""
    commit: str = ""
    """The commit to read, if an earlier run has pinned one."""
    downloads: bool = False
    """Whether files that are not on this machine are downloaded."""


def find_hub_files(spec: CustomTask, options: Mapping[str, Any], access: HubAccess, where: str) -> HubSource:
    """The source of a declaration with `hub`, with the commit and the paths of its files.

    Asks the Hub for a list of files, unless a cache has one. Downloads nothing.

    Args:
        options: of the source; `files` are those of the declaration (`CustomTask.declared`), by split and language.

    Raises:
        UserError: no such dataset, revision, configuration, split or file, no access, or no network.
    """
    wanted = access.commit or spec.revision
    revisions = (wanted,) if wanted else BRANCHES
    snapshot, files = _find_here(spec, options["files"], revisions, access.data, where) or _find_on_hub(
        spec, options["files"], revisions, where
    )
    return HubSource(
        spec.hub, **{**options, "files": files}, revision=snapshot.commit,
        branch="" if snapshot.revision == snapshot.commit else snapshot.revision, is_custom=True,
    )  # fmt: skip


def _find_here(
    spec: CustomTask, declared: Files, revisions: tuple[str, ...], data: Path | None, where: str
) -> tuple[hub.Snapshot, Files] | None:
    """The first commit in a cache that has the files, or a complete list of them."""
    for revision in revisions:
        for cache in hub.cache_folders(data):
            snapshot = hub.find_snapshot(spec.hub, revision, cache)
            if snapshot is None:
                continue
            try:
                files = _select(spec, declared, snapshot, where)
            except UserError:
                continue
            is_listed = all(entry.sha256 or entry.blob for entry in snapshot.files)
            patterns = [each for by_language in files.values() for paths in by_language.values() for each in paths]
            if is_listed or snapshot.complete_paths(patterns, cache):
                return snapshot, files
    return None


def _find_on_hub(
    spec: CustomTask, declared: Files, revisions: tuple[str, ...], where: str
) -> tuple[hub.Snapshot, Files]:
    errors: list[UserError] = []
    unmatched: list[UserError] = []
    for revision in revisions:
        try:
            snapshot = hub.list_files(spec.hub, revision)
        except hub.FatalTransferError:
            raise
        except UserError as error:
            errors.append(error)
            continue
        try:
            return snapshot, _select(spec, declared, snapshot, where)
        except UserError as error:
            unmatched.append(error)
    if unmatched:
        raise unmatched[0]
    first, last = errors[0], errors[-1]
    if first.what == last.what:
        raise first
    fix = f"The Hub's own conversion cannot be read either: {last.what}. Save the data as Parquet, or as files of your own."
    raise UserError(first.what, where=first.where, fix=fix)


def _select(spec: CustomTask, declared: Files, snapshot: hub.Snapshot, where: str) -> Files:
    """The exact paths of the declared files.

    Raises:
        UserError: a split or a path has no file.
    """
    find: Callable[[hub.Snapshot, str], list[str]] = _matching if spec.files_key == "files" else _of_split
    found: Files = {}
    for split, by_language in declared.items():
        for language, names in by_language.items():
            paths = []
            for name in names:
                matches = find(snapshot, name)
                if not matches:
                    place = f"{where}: {spec.files_key}.{split}"
                    raise _missing(snapshot, name, place, is_path=spec.files_key == "files")
                paths += matches
            found.setdefault(split, {})[language] = tuple(map(glob.escape, paths))
    return found


def _matching(snapshot: hub.Snapshot, pattern: str) -> list[str]:
    return [entry.path for entry in snapshot.matching((pattern,))]


def _of_split(snapshot: hub.Snapshot, name: str) -> list[str]:
    """The paths of CONFIG/SPLIT, in the order of the shards."""
    config, _, split = name.rpartition("/")
    folder = f"({re.escape(config)}/)" + "?" * (config == DEFAULT_CONFIG)
    wanted = re.compile(f"(data/)?{folder}{re.escape(split)}{_SPLIT}")
    return sorted(entry.path for entry in snapshot.files if wanted.fullmatch(entry.path))


def _missing(snapshot: hub.Snapshot, name: str, where: str, *, is_path: bool) -> UserError:
    """The error about a path, or about CONFIG/SPLIT, that no file matches."""
    of = f"{snapshot.repository} at {snapshot.revision}"
    paths = [entry.path for entry in snapshot.files]
    if is_path:
        fix = f"{did_you_mean(name, paths)}Files: {_show(paths)}."
        return UserError(f"no file of {of} matches '{name}'", where=where, fix=fix)
    config, _, split = name.rpartition("/")
    if any(path.startswith(f"{config}/partial-{split}/") for path in paths):
        what = f"{of} has only a part of the rows of split '{split}'"
        return UserError(what, where=where, fix="Download the dataset and save the rows that you need as Parquet.")
    splits: dict[str, dict[str, None]] = {}
    for match in filter(None, map(_PATH.fullmatch, paths)):
        splits.setdefault(match["config"] or DEFAULT_CONFIG, {})[match["split"]] = None
    what = f"{of} has no Parquet files of split '{split}' in config '{config}'"
    if not splits:
        return UserError(what, where=where, fix=f"Name them under `files:`, without `config` and `splits`. Files: {_show(paths)}.")  # fmt: skip
    if config in splits:
        return UserError(what, where=where, fix=f"{did_you_mean(split, [*splits[config]])}Its splits: {_show([*splits[config]])}.")  # fmt: skip
    return UserError(what, where=where, fix=f"{did_you_mean(config, [*splits])}Configs: {_show([*splits])}.")


def _show(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
