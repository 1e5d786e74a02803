"""Keeping a store in order: what is in it, how large it is, whether it is whole, and what may go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlift.errors import UserError
from xlift.studies.layout import Layout, folder_bytes, keyed, move
from xlift.studies.locks import Locks
from xlift.studies.product import check_file, hash_now, read_manifest

CHANGES = "model/changes.json"
"""A product with this file holds only what its stage changed of its parent's model (models/stored.py)."""

Waste = Literal["product", "partial", "temporary", "aside"]


@dataclass(frozen=True)
class Entry:
    """One line of `Store.ls`."""

    key: str
    status: Literal["done", "running", "partial", "broken"]
    kind: str = ""
    """'' where no manifest tells: running, partial, and broken without a readable one."""
    sha256: str = ""
    seconds: float | None = None
    bytes: int = 0
    note: str = ""
    """Who is at work on it, or what is broken."""


@dataclass(frozen=True)
class Usage:
    """One line of `Store.du`."""

    count: int
    bytes: int


@dataclass(frozen=True)
class Problem:
    """One thing that `Store.verify` found wrong with a product."""

    key: str
    what: str
    aside: Path | None = None
    """Where the product lies now, if it was moved."""


@dataclass(frozen=True)
class Removal:
    """One folder that `Store.gc` removed, or would remove."""

    key: str
    what: Waste
    bytes: int


def entries(layout: Layout, locks: Locks) -> Iterator[Entry]:
    """Everything in the store, by key. Reads manifests and the sizes of files, not their content."""
    at_work = {key for folder in (layout.locks, layout.partials) for key, _ in keyed(folder)}
    for key in sorted(at_work.union(layout.product_keys())):
        if layout.product(key).exists():
            yield _product_entry(layout.product(key), key)
            continue
        partial = layout.partials / key
        if locks.is_held(key, time.time()):
            yield Entry(key, "running", bytes=folder_bytes(partial), note=f"by {locks.read(key)}")
        elif partial.exists():
            yield Entry(key, "partial", bytes=folder_bytes(partial))


def usage(layout: Layout, locks: Locks) -> dict[str, Usage]:
    """Number and bytes by kind of product; what is no whole product goes by '(partial)', '(broken)', ..."""
    sizes: dict[str, list[int]] = {}
    for entry in entries(layout, locks):
        sizes.setdefault(entry.kind if entry.status == "done" else f"({entry.status})", []).append(entry.bytes)
    for label, folder in (("(temporary)", layout.tmp), ("(aside)", layout.aside)):
        for _, path in keyed(folder):
            sizes.setdefault(label, []).append(folder_bytes(path))
    return {label: Usage(len(each), sum(each)) for label, each in sorted(sizes.items())}


def verify(layout: Layout, locks: Locks, *, repair: bool) -> list[Problem]:
    """Hash every file of every product; with `repair`, move broken products that nobody holds to `aside`."""
    problems: list[Problem] = []
    for key in layout.product_keys():
        damage = _damage(layout.product(key), key)
        aside = _move_aside(layout, locks, key) if damage and repair else None
        problems += [Problem(key, what, aside) for what in damage]
    return problems


def collect(layout: Layout, locks: Locks, keep: AbstractSet[str], *, dry_run: bool) -> list[Removal]:
    """Remove what `_garbage` lists, except what a live process holds the lock of, and stale locks. Products that a kept one
    is made from are kept with it."""
    removals: list[Removal] = []
    for what, key, folder in _garbage(layout, _with_origins(layout, keep)):
        size = folder_bytes(folder)
        if _remove(layout, locks, key, folder, dry_run):
            removals.append(Removal(key, what, size))
    for key, _ in keyed(layout.locks) if not dry_run else ():
        lock = locks.try_take(key)
        if lock is not None:
            lock.release()
    return removals


def _product_entry(folder: Path, key: str) -> Entry:
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
        f"missing, or not of the size it had: {', '.join(wrong)}" if wrong else "",
    )


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
            check_file(folder, name, expected, hash_now)
        except UserError as error:
            damage.append(error.what)
    return damage


def _move_aside(layout: Layout, locks: Locks, key: str) -> Path | None:
    lock = locks.try_take(key)
    if lock is None:
        return None
    with lock:
        folder = layout.product(key)
        if not folder.exists() or not _damage(folder, key):  # someone has repaired it since we looked
            return None
        aside = layout.aside / f"{key}.{lock.token}"
        move(folder, aside)
    return aside


def _with_origins(layout: Layout, keep: AbstractSet[str]) -> set[str]:
    found: set[str] = set()
    todo = list(keep)
    while todo:
        key = todo.pop()
        if key in found:
            continue
        found.add(key)
        try:
            manifest = read_manifest(layout.product(key), key)
        except UserError:  # not there, or broken
            continue
        if CHANGES in manifest["files"]:
            todo += manifest["parents"]
    return found


def _garbage(layout: Layout, keep: AbstractSet[str]) -> Iterator[tuple[Waste, str, Path]]:
    """Products and checkpoints of keys not in `keep`, checkpoints of finished products, and all of `tmp` and `aside`:
    whether a folder in `tmp` is still in use is for its lock to say."""
    finished = set(layout.product_keys())
    for key in sorted(finished - keep):
        yield "product", key, layout.product(key)
    for key, folder in keyed(layout.partials):
        if key in finished or key not in keep:
            yield "partial", key, folder
    for key, folder in keyed(layout.tmp):
        yield "temporary", key, folder
    for key, folder in keyed(layout.aside):
        yield "aside", key, folder


def _remove(layout: Layout, locks: Locks, key: str, folder: Path, dry_run: bool) -> bool:
    if dry_run:
        return not locks.is_held(key, time.time())
    lock = locks.try_take(key)
    if lock is None:
        return False
    with lock:
        if not folder.exists():  # its process has cleaned up since we looked
            return False
        trash = layout.tmp / f"{key}.{lock.token}"
        move(folder, trash)  # at one stroke: nobody ever sees half a product
        shutil.rmtree(trash)
    return True
