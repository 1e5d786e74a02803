"""Maintenance of a store: list entries, measure usage, verify artifacts, and collect garbage."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlift.errors import UserError
from xlift.studies.artifact import check_file, hash_file, read_manifest, read_manifest_file
from xlift.studies.locks import Lock, Locks
from xlift.studies.store_layout import StoreLayout, folder_bytes, list_keyed, move

DELTA_FILE = "model/delta.json"
"""An artifact with this file is a delta checkpoint: it needs the artifacts of its parents (models/delta.py)."""

GarbageKind = Literal["artifact", "manifest", "weights", "partial", "temporary", "aside"]


@dataclass(frozen=True)
class Entry:
    """One line of `Store.ls`."""

    key: str
    status: Literal["done", "manifest", "running", "partial", "broken"]
    """'manifest': done, and its files are not here."""
    kind: str = ""
    """'' without a readable manifest: running, partial and some broken ones."""
    sha256: str = ""
    seconds: float | None = None
    bytes: int = 0
    note: str = ""
    """The process that works on it, or what is broken."""


@dataclass(frozen=True)
class Usage:
    """One line of `Store.du`."""

    count: int
    bytes: int


@dataclass(frozen=True)
class Problem:
    """One defect of an artifact that `Store.verify` found."""

    key: str
    what: str
    aside: Path | None = None
    """The new place of the artifact, if it was moved."""


@dataclass(frozen=True)
class Removal:
    """One folder that `Store.gc` removed, or would remove."""

    key: str
    what: GarbageKind
    bytes: int


def entries(layout: StoreLayout, locks: Locks) -> Iterator[Entry]:
    """All entries of the store, by key. Reads manifests and the sizes of files, not their content."""
    unfinished = {key for folder in (layout.locks, layout.partials) for key, _ in list_keyed(folder)}
    for key in sorted(unfinished.union(layout.artifact_keys(), layout.manifest_keys())):
        if layout.artifact(key).exists():
            yield _artifact_entry(layout.artifact(key), key)
            continue
        if layout.manifest(key).exists():
            yield _manifest_entry(layout.manifest(key), key)
            continue
        partial = layout.partials / key
        if locks.is_held(key, time.time()):
            yield Entry(key, "running", bytes=folder_bytes(partial), note=f"by {locks.read(key)}")
        elif partial.exists():
            yield Entry(key, "partial", bytes=folder_bytes(partial))


def usage(layout: StoreLayout, locks: Locks) -> dict[str, Usage]:
    """Number and bytes by kind of artifact; incomplete ones are listed as '(partial)', '(broken)', ..."""
    sizes: dict[str, list[int]] = {}
    for entry in entries(layout, locks):
        sizes.setdefault(entry.kind if entry.status == "done" else f"({entry.status})", []).append(entry.bytes)
    for label, folder in (("(temporary)", layout.tmp), ("(aside)", layout.aside)):
        for _, path in list_keyed(folder):
            sizes.setdefault(label, []).append(folder_bytes(path))
    return {label: Usage(len(each), sum(each)) for label, each in sorted(sizes.items())}


def verify(layout: StoreLayout, locks: Locks, *, repair: bool) -> list[Problem]:
    """Hash every file of every artifact; with `repair`, move broken artifacts that no process holds to `aside`."""
    problems: list[Problem] = []
    for key in layout.artifact_keys():
        damage = _damage(layout.artifact(key), key)
        aside = _move_aside(layout, locks, key) if damage and repair else None
        problems += [Problem(key, what, aside) for what in damage]
    for key in layout.manifest_keys():
        try:
            read_manifest_file(layout.manifest(key), key)
        except UserError as error:
            problems.append(Problem(key, error.what, _move_manifest_aside(layout, locks, key) if repair else None))
    return problems


def collect(layout: StoreLayout, locks: Locks, keep: AbstractSet[str], *, dry_run: bool) -> list[Removal]:
    """Remove the garbage that no live process holds the lock of, and stale locks. Parents of kept delta checkpoints are
    kept."""
    removals: list[Removal] = []
    for what, key, folder in _garbage(layout, _with_delta_parents(layout, keep)):
        size = folder_bytes(folder) if folder.is_dir() else _size(folder) or 0
        if _remove(layout, locks, key, folder, dry_run):
            removals.append(Removal(key, what, size))
    for key, _ in list_keyed(layout.locks) if not dry_run else ():
        lock = locks.try_acquire(key)
        if lock is not None:
            lock.release()
    return removals


def _artifact_entry(folder: Path, key: str) -> Entry:
    try:
        manifest = read_manifest(folder, key)
    except UserError as error:
        return Entry(key, "broken", bytes=folder_bytes(folder), note=error.what)
    files = manifest["files"]
    wrong = [name for name in files if _size(folder / name) != files[name]["bytes"]]
    return Entry(
        key,
        "broken" if wrong else "done",
        manifest["kind"],
        manifest["sha256"],
        manifest["seconds"],
        sum(each["bytes"] for each in files.values()),
        f"missing, or of another size: {', '.join(wrong)}" if wrong else "",
    )


def _manifest_entry(path: Path, key: str) -> Entry:
    size = _size(path) or 0
    try:
        manifest = read_manifest_file(path, key)
    except UserError as error:
        return Entry(key, "broken", bytes=size, note=error.what)
    return Entry(key, "manifest", manifest["kind"], manifest["sha256"], manifest["seconds"], size)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _damage(folder: Path, key: str) -> list[str]:
    try:
        files = read_manifest(folder, key)["files"]
    except UserError as error:
        return [error.what]
    damage: list[str] = []
    for name, expected in files.items():
        try:
            check_file(folder, name, expected, hash_file)
        except UserError as error:
            damage.append(error.what)
    return damage


def _move_aside(layout: StoreLayout, locks: Locks, key: str) -> Path | None:
    lock = locks.try_acquire(key)
    if lock is None:
        return None
    with lock:
        folder = layout.artifact(key)
        if not folder.exists() or not _damage(folder, key):  # another process has repaired it meanwhile
            return None
        aside = layout.aside / f"{key}.{lock.token}"
        move(folder, aside)
    return aside


def _move_manifest_aside(layout: StoreLayout, locks: Locks, key: str) -> Path | None:
    lock = locks.try_acquire(key)
    if lock is None:
        return None
    with lock:
        aside = layout.aside / f"{key}.{lock.token}"
        move(layout.manifest(key), aside / layout.manifest(key).name)
    return aside


def _with_delta_parents(layout: StoreLayout, keep: AbstractSet[str]) -> set[str]:
    needed: set[str] = set()
    todo = list(keep)
    while todo:
        key = todo.pop()
        if key in needed:
            continue
        needed.add(key)
        try:
            manifest = read_manifest(layout.artifact(key), key)
        except UserError:  # missing or broken
            continue
        if DELTA_FILE in manifest["files"]:
            todo += manifest["parents"]
    return needed


def _garbage(layout: StoreLayout, keep: AbstractSet[str]) -> Iterator[tuple[GarbageKind, str, Path]]:
    """Artifacts and checkpoints of keys not in `keep`, checkpoints of finished artifacts, and all of `tmp` and `aside`. The
    lock of a folder in `tmp` shows whether it is still in use."""
    finished = set(layout.artifact_keys())
    for key in sorted(finished - keep):
        yield "artifact", key, layout.artifact(key)
    for key in layout.manifest_keys():
        if key in finished or key not in keep:
            yield "manifest", key, layout.manifest(key)
    for key, folder in list_keyed(layout.partials):
        if key in finished or key not in keep:
            yield "partial", key, folder
    for key, folder in list_keyed(layout.tmp):
        yield "temporary", key, folder
    for key, folder in list_keyed(layout.aside):
        yield "aside", key, folder


def _remove(layout: StoreLayout, locks: Locks, key: str, folder: Path, dry_run: bool) -> bool:
    if dry_run:
        return not locks.is_held(key, time.time())
    lock = locks.try_acquire(key)
    if lock is None:
        return False
    with lock:
        if not folder.exists():  # its process has cleaned up meanwhile
            return False
        remove_folder(layout, lock, folder)
    return True


def remove_folder(layout: StoreLayout, lock: Lock, folder: Path) -> None:
    """Remove a folder or a file of the store, whose key this process has locked."""
    trash = layout.tmp / f"{lock.key}.{lock.token}"
    move(folder, trash)  # atomic: no process ever sees half an artifact
    if trash.is_dir():
        shutil.rmtree(trash)
    else:
        trash.unlink()
