"""Maintenance of a store: list entries, measure usage, verify artifacts, and collect garbage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xlift.errors import UserError
from xlift.studies.store_backend import Place, PlaceKind, StoreBackend
from xlift.studies.store_index import IndexedManifest, StoreIndex

DELTA_FILE = "model/delta.json"
"""An artifact with this file is a delta checkpoint: it needs the artifacts of its parents (models/delta.py)."""


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
    aside: Path | str | None = None
    """The new path or object of the artifact, if it was moved."""


@dataclass(frozen=True)
class Removal:
    """Something that `Store.gc` removed, or would remove."""

    key: str
    what: PlaceKind
    bytes: int


def entries(backend: StoreBackend) -> Iterator[Entry]:
    """All entries of the store, by key. Reads the manifests that its index does not have, and the sizes of files."""
    index = StoreIndex(backend.where)
    try:
        yield from _entries(backend, index)
    finally:
        index.save()


def _entries(backend: StoreBackend, index: StoreIndex) -> Iterator[Entry]:
    partials = {place.key: place for place in backend.leftovers("partial")}
    locked = backend.locks.keys()
    artifacts, manifests = set(backend.artifact_keys()), set(backend.manifest_keys())
    for key in sorted(artifacts.union(manifests, partials, locked)):
        if key in artifacts:
            yield _artifact_entry(backend, index, key)
            continue
        if key in manifests:
            yield _manifest_entry(backend, index, key)
            continue
        size = backend.measure(partials[key]) if key in partials else 0
        if backend.locks.is_held(key, time.time()):
            yield Entry(key, "running", bytes=size, note=f"by {backend.locks.read(key)}")
        elif key in partials:
            yield Entry(key, "partial", bytes=size)


def usage(backend: StoreBackend) -> dict[str, Usage]:
    """Number and bytes by kind of artifact; incomplete ones are listed as '(partial)', '(broken)', ..."""
    sizes: dict[str, list[int]] = {}
    for entry in entries(backend):
        sizes.setdefault(entry.kind if entry.status == "done" else f"({entry.status})", []).append(entry.bytes)
    for kind in ("temporary", "aside", "cache"):
        for place in backend.leftovers(kind):
            sizes.setdefault(f"({kind})", []).append(backend.measure(place))
    return {label: Usage(len(each), sum(each)) for label, each in sorted(sizes.items())}


def verify(backend: StoreBackend, *, repair: bool) -> list[Problem]:
    """Hash every file of every artifact; with `repair`, move broken artifacts that no process holds to `aside`."""
    problems: list[Problem] = []
    for key in backend.artifact_keys():
        damage = backend.find_damage(key)
        aside = _set_aside(backend, backend.place("artifact", key)) if damage and repair else None
        problems += [Problem(key, what, aside) for what in damage]
    for key in backend.manifest_keys():
        try:
            backend.read_bare_manifest(key)
        except UserError as error:
            aside = _set_aside(backend, backend.place("manifest", key)) if repair else None
            problems.append(Problem(key, error.what, aside))
    return problems


def collect(backend: StoreBackend, keep: AbstractSet[str], *, dry_run: bool) -> list[Removal]:
    """Remove the garbage that no live process holds the lock of, and stale locks. Parents of kept delta checkpoints are
    kept."""
    removals: list[Removal] = []
    for place in _garbage(backend, _with_delta_parents(backend, keep)):
        size = backend.measure(place)
        if _remove(backend, place, dry_run):
            removals.append(Removal(place.key, place.kind, size))
    for key in backend.locks.keys() if not dry_run else ():
        lock = backend.locks.try_acquire(key)
        if lock is not None:
            lock.release()
    return removals


def _artifact_entry(backend: StoreBackend, index: StoreIndex, key: str) -> Entry:
    try:
        manifest = _find_manifest(backend, index, "artifact", key)
    except UserError as error:
        return Entry(key, "broken", bytes=backend.measure(backend.place("artifact", key)), note=error.what)
    sizes = backend.file_sizes(key, manifest.files)
    wrong = [name for name, each in manifest.files.items() if sizes.get(name) != each["bytes"]]
    note = f"missing, or of another size: {', '.join(wrong)}" if wrong else ""
    status = "broken" if wrong else "done"
    return Entry(key, status, manifest.kind, manifest.sha256, manifest.seconds, manifest.bytes, note)


def _manifest_entry(backend: StoreBackend, index: StoreIndex, key: str) -> Entry:
    size = backend.measure(backend.place("manifest", key))
    try:
        manifest = _find_manifest(backend, index, "manifest", key)
    except UserError as error:
        return Entry(key, "broken", bytes=size, note=error.what)
    return Entry(key, "manifest", manifest.kind, manifest.sha256, manifest.seconds, size)


def _find_manifest(
    backend: StoreBackend, index: StoreIndex, kind: Literal["artifact", "manifest"], key: str
) -> IndexedManifest:
    """A manifest from the index, else from the store. Raises UserError if it is damaged."""
    stamp = backend.stamp(kind, key)
    if found := index.find(key, stamp):
        return found
    content = backend.read_manifest(key) if kind == "artifact" else backend.read_bare_manifest(key)
    files = {name: {field: each[field] for field in backend.listed_fields} for name, each in content["files"].items()}
    read = IndexedManifest(stamp, content["kind"], content["sha256"], content["seconds"], files)
    index.add(key, read)
    return read


def _set_aside(backend: StoreBackend, place: Place) -> Path | str | None:
    lock = backend.locks.try_acquire(place.key)
    if lock is None:
        return None
    with lock:
        if place.kind == "artifact" and (not backend.contains(place) or not backend.find_damage(place.key)):
            return None  # another process has repaired it meanwhile
        return backend.set_aside(place, lock)


def _with_delta_parents(backend: StoreBackend, keep: AbstractSet[str]) -> set[str]:
    needed: set[str] = set()
    todo = list(keep)
    while todo:
        key = todo.pop()
        if key in needed:
            continue
        needed.add(key)
        try:
            manifest = backend.read_manifest(key)
        except UserError:  # missing or broken
            continue
        if DELTA_FILE in manifest["files"]:
            todo += manifest["parents"]
    return needed


def _garbage(backend: StoreBackend, keep: AbstractSet[str]) -> Iterator[Place]:
    """Artifacts and checkpoints of keys not in `keep`, checkpoints of finished artifacts, and all temporary and moved ones. The
    lock of a temporary one shows whether it is still in use."""
    finished = set(backend.artifact_keys())
    for key in sorted(finished - keep):
        yield backend.place("artifact", key)
    for key in backend.manifest_keys():
        if key in finished or key not in keep:
            yield backend.place("manifest", key)
    for place in backend.leftovers("partial"):
        if place.key in finished or place.key not in keep:
            yield place
    for kind in ("temporary", "aside", "cache"):
        yield from backend.leftovers(kind)


def _remove(backend: StoreBackend, place: Place, dry_run: bool) -> bool:
    if dry_run:
        return not backend.locks.is_held(place.key, time.time())
    lock = backend.locks.try_acquire(place.key)
    if lock is None:
        return False
    with lock:
        if not backend.contains(place):  # its process has cleaned up meanwhile
            return False
        backend.remove(place, lock)
    return True
