"""A store in a bucket, with a cache of its files on this machine.

    artifacts/<key>.json             the manifest of a finished artifact, which makes the artifact exist
    files/<key>/<sha256>/<name>      its files
    manifests/<key>.json             the manifest of a finished job whose files are not here
    locks/<key>/<number>             the process that works on it (object_locks.py)
    studies/<name>.json, ...         as in a folder (store_layout.py)
    aside/<key>.<token>/             what `xlift store verify --repair` moved aside
    xlift-store.json                 the version of this layout

The files of an artifact are uploaded first. Their names have their digests, so two processes never write different content to one
name. Then the manifest is put, if there is none of the key: the first process that finishes a job publishes it.

The cache has the same layout as a store in a folder. It holds the files of artifacts that were read or written here, the drafts and
the checkpoints of jobs that run here. A file enters it after its digest was checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from xlift.caches import cache_folder
from xlift.errors import UserError
from xlift.studies.artifact import (
    MANIFEST,
    add_seal,
    check_file,
    damaged_file,
    hash_file,
    hash_file_cached,
    parse_manifest,
)
from xlift.studies.folder_backend import list_leftovers, measure_path, remove_path
from xlift.studies.locks import Lock
from xlift.studies.object_listing import Listing
from xlift.studies.object_locks import ObjectLocks
from xlift.studies.object_storage import ObjectInfo, ObjectStorage
from xlift.studies.store_backend import Place, StoreBackend
from xlift.studies.store_layout import MARKER, StoreLayout, move

VERSION = 1
"""Version of this layout, written in `xlift-store.json`."""
UNUSED_SECONDS = 86_400.0
"""`xlift store gc` removes the cached files of artifacts that no process has used for this time."""


class ObjectBackend(StoreBackend):
    """The artifacts of jobs in a bucket.

    Raises:
        UserError: the URL is not valid, or the package for it is not installed.
    """

    is_remote = True

    def __init__(self, url: str) -> None:
        self.storage = ObjectStorage(url)
        self.where = self.storage.url
        self.layout = StoreLayout(cache_of(self.where))
        self.locks: ObjectLocks = ObjectLocks(self.storage)
        self._artifacts = Listing(self.storage, "artifacts/")
        self._manifests = Listing(self.storage, "manifests/")
        self._files = Listing(self.storage, "files/")
        self._read: dict[str, tuple[ObjectInfo, dict[str, Any]]] = {}
        """Key -> manifest that was read, and its object then."""

    def exists(self) -> bool:
        content = self.storage.get(MARKER)
        if content is None:
            if self.storage.list_top() and self.storage.get(MARKER) is None:  # a store gets its marker first
                raise UserError(
                    "there are other objects here, and this is not an xlift store",
                    where=self.where,
                    fix="name a new or empty prefix; nothing was written here",
                )
            return False
        try:
            marker = json.loads(content)
        except ValueError:
            marker = None
        if marker != {"object_layout": VERSION}:
            is_folder = isinstance(marker, dict) and "layout" in marker
            raise UserError(
                f"this version of xlift cannot read the store: expected object layout {VERSION}, found {marker}",
                where=f"{self.where}/{MARKER}",
                fix="this is the copy of a store in a folder: copy it here with `xlift store push` instead"
                if is_folder
                else "use the version that made it, or name another prefix",
            )
        return True

    def create(self) -> None:
        self.exists()
        marker = (json.dumps({"object_layout": VERSION}) + "\n").encode()
        # The second must be refused, or two processes could write one key.
        if self.storage.create_only(MARKER, marker) and self.storage.create_only(MARKER, marker):
            raise UserError(
                "this object store ignores conditions on writes (If-None-Match), so it cannot keep two writers apart",
                where=self.where,
                fix="use a server that honours them, such as S3, Google Cloud Storage or MinIO, or a shared folder",
            )

    # -- finished jobs

    def has(self, key: str) -> bool:
        name = self._artifact_name(key).removeprefix(self._artifacts.prefix)
        return self._artifacts.get(name, exact=key in self.locks.held) is not None

    def has_manifest(self, key: str) -> bool:
        return self._manifests.get(f"{key}.json", exact=key in self.locks.held) is not None

    def read_manifest(self, key: str) -> dict[str, Any]:
        name, path = self._artifact_name(key), self.layout.artifact(key) / MANIFEST
        info = self._artifacts.get(f"{key}.json")
        if info and key in self._read and self._read[key][0] == info:
            return self._read[key][1]
        if info and path.is_file() and (path.stat().st_size, path.stat().st_mtime) == (info.bytes, info.modified):
            content = path.read_bytes()
        else:
            content = self.storage.get(name)
            if content and info:
                _write(path, content, info.modified)
        manifest = parse_manifest(content, key, MANIFEST, f"{self.where}/{name}")
        if info:
            self._read[key] = info, manifest
        return manifest

    def read_bare_manifest(self, key: str) -> dict[str, Any]:
        name = f"manifests/{key}.json"
        return parse_manifest(self.storage.get(name), key, f"{key}.json", f"{self.where}/{name}")

    def write_bare_manifest(self, manifest: Mapping[str, Any]) -> None:
        name = f"{manifest['key']}.json"
        self.storage.put(f"manifests/{name}", add_seal(manifest))
        self._manifests.update(name)

    def fetch(self, key: str, files: Mapping[str, Mapping[str, Any]], *, verify: bool = False) -> None:
        folder = self.layout.artifact(key)
        for name, expected in files.items():
            path = folder / name
            if path.is_file() and path.stat().st_size == expected["bytes"]:
                if not verify or hash_file_cached(str(path))[0] == expected["sha256"]:
                    continue
                path.unlink()  # this disk has damaged it
            os.replace(self._download(key, name, expected), path)
        if folder.is_dir():
            os.utime(folder)  # it is in use: see `leftovers`

    def check_file(self, key: str, name: str, expected: Mapping[str, Any]) -> None:
        self._download(key, name, expected).unlink()

    def _download(self, key: str, name: str, expected: Mapping[str, Any]) -> Path:
        """Write a file of an artifact beside its place in the cache, checked. Raises UserError if it is missing or damaged."""
        path = self.layout.artifact(key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        where = f"{self.where}/files/{key}"
        try:
            if not self.storage.download(_file_name(key, name, expected), new):
                raise damaged_file(name, expected, "none (no such object)", where)
            found, size = hash_file(str(new))
            if found != expected["sha256"]:
                raise damaged_file(name, expected, f"{found} ({size} bytes)", where)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        return new

    # -- writing

    def publish(self, folder: Path, lock: Lock) -> bool:
        content = (folder / MANIFEST).read_bytes()
        manifest = parse_manifest(content, lock.key, MANIFEST, str(folder))
        there = {info.name: info.bytes for info in self.storage.list(f"files/{lock.key}/")}
        for name, expected in manifest["files"].items():
            if there.get(_file_name(lock.key, name, expected)) != expected["bytes"]:
                check_file(folder, name, expected, hash_file_cached)
                self.storage.upload(folder / name, _file_name(lock.key, name, expected))
        name = self._artifact_name(lock.key)
        is_first = self.storage.create(name, content)
        self._artifacts.update(f"{lock.key}.json")
        if not is_first:
            other = parse_manifest(self.storage.get(name), lock.key, MANIFEST, f"{self.where}/{name}")
            if other["sha256"] != manifest["sha256"]:
                return False
        shutil.rmtree(self.layout.artifact(lock.key), ignore_errors=True)
        move(folder, self.layout.artifact(lock.key))  # jobs that start from it run here next
        return True

    # -- small files

    def read_file(self, name: str) -> bytes | None:
        return self.storage.get(name)

    def write_file(self, name: str, content: bytes) -> None:
        self.storage.put(name, content)

    def list_files(self, folder: str) -> list[str]:
        return [info.name.removeprefix(f"{folder}/") for info in self.storage.list(f"{folder}/")]

    # -- maintenance

    def artifact_keys(self) -> list[str]:
        return self._artifacts.keys()

    def manifest_keys(self) -> list[str]:
        return self._manifests.keys()

    def place(self, kind: Literal["artifact", "manifest"], key: str) -> Place:
        return Place(kind, key, self._artifact_name(key) if kind == "artifact" else f"manifests/{key}.json")

    def leftovers(self, kind: Literal["partial", "temporary", "aside", "cache"]) -> list[Place]:
        places = list_leftovers(self.layout, kind)
        if kind == "aside":
            keys = {info.name.split("/")[1] for info in self.storage.list("aside/")}
            places += [Place(kind, name.partition(".")[0], f"aside/{name}/") for name in sorted(keys)]
        if kind == "temporary":
            places += self._files_without_manifest()
        if kind == "cache":
            for key in self.layout.artifact_keys():
                folder = self.layout.artifact(key)
                if time.time() - folder.stat().st_mtime > UNUSED_SECONDS or not self.has(key):
                    places.append(Place(kind, key, str(folder)))
        return places

    def _files_without_manifest(self) -> list[Place]:
        """Uploaded files that no manifest names, of processes that were killed or came second."""
        names: dict[str, list[str]] = {}
        for info in self.storage.list("files/"):
            names.setdefault(info.name.split("/")[1], []).append(info.name)
        places: list[Place] = []
        for key, there in names.items():
            if not self.has(key):
                places.append(Place("temporary", key, f"files/{key}/"))
                continue
            try:
                files = self.read_manifest(key)["files"]
            except UserError:  # damaged: `xlift store verify` reports it
                continue
            needed = {_file_name(key, name, expected) for name, expected in files.items()}
            places += [Place("temporary", key, name) for name in there if name not in needed]
        return places

    listed_fields = ("bytes", "sha256")

    def stamp(self, kind: Literal["artifact", "manifest"], key: str) -> str:
        info = (self._artifacts if kind == "artifact" else self._manifests).get(f"{key}.json")
        return "" if info is None else f"{kind} {info.bytes} {info.modified}"

    def file_sizes(self, key: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        infos = {name: self._files.get(_file_name(key, name, files[name])[len("files/") :]) for name in files}
        return {name: info.bytes for name, info in infos.items() if info is not None}

    def measure(self, place: Place) -> int:
        if os.path.isabs(place.name):
            return measure_path(Path(place.name))
        return sum(info.bytes for name in self._prefixes(place) for info in self.storage.list(name))

    def contains(self, place: Place) -> bool:
        if os.path.isabs(place.name):
            return os.path.exists(place.name)
        if place.kind == "temporary" and place.name.endswith("/") and self.has(place.key):
            return False  # its job has finished meanwhile
        return bool(self.storage.list(place.name))

    def remove(self, place: Place, lock: Lock) -> None:
        if os.path.isabs(place.name):
            return remove_path(self.layout, Path(place.name), lock)
        for name in self._prefixes(place):  # the manifest of an artifact first
            self.storage.delete(info.name for info in self.storage.list(name))
        self._update(place)
        if place.kind == "artifact":
            shutil.rmtree(self.layout.artifact(place.key), ignore_errors=True)

    def set_aside(self, place: Place, lock: Lock) -> str:
        aside = f"aside/{place.key}.{lock.token}/"
        names = [info.name for name in self._prefixes(place) for info in self.storage.list(name)]
        for name in names:
            self.storage.copy(name, aside + name.replace("/", "-", 1))
        self.storage.delete(names)
        self._update(place)
        shutil.rmtree(self.layout.artifact(place.key), ignore_errors=True)
        return f"{self.where}/{aside}"

    def _prefixes(self, place: Place) -> list[str]:
        """The starts of the names of all objects of a place."""
        return [place.name, f"files/{place.key}/"] if place.kind == "artifact" else [place.name]

    def _artifact_name(self, key: str) -> str:
        return f"artifacts/{self.layout.artifact(key).name}.json"  # raises for an invalid key

    def _update(self, place: Place) -> None:
        for listing in (self._artifacts, self._manifests):
            if place.name.startswith(listing.prefix):
                listing.update(place.name.removeprefix(listing.prefix))


def cache_of(url: str) -> Path:
    """The folder on this machine for the files of a store in a bucket: in `$XLIFT_STORE_CACHE`, else in xlift's cache folder."""
    parent = Path(os.path.abspath(os.environ.get("XLIFT_STORE_CACHE") or cache_folder("stores")))
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return (
        parent
        / f"{url.partition('://')[2].replace('/', '-')[:60]}-{hashlib.sha256(f'{server} {url}'.encode()).hexdigest()[:12]}"
    )


def _file_name(key: str, name: str, expected: Mapping[str, Any]) -> str:
    return f"files/{key}/{expected['sha256']}/{name}"


def _write(path: Path, content: bytes, modified: float) -> None:
    """Write a file of the cache atomically, with the time of its object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    new.write_bytes(content)
    os.utime(new, (modified, modified))
    os.replace(new, path)
