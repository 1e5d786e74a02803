"""The store: the artifact of every finished job, by the job's key, in a folder or an object store (store_backend.py).

An artifact is written to a draft folder on this machine, and becomes visible as a whole. A lock per key prevents two processes or
machines from doing the same job (studies/locks.py). The store uses no pickle. A folder may be local or on a shared filesystem;
Windows is not supported.

    with store.lock(key):
        if not store.has(key):
            with store.write(key, "predict", spec, parents) as draft:
                (draft.folder / "predictions.parquet").write_bytes(...)
                draft.numbers.tokens = 81_920
    store.open(key).file("predictions.parquet")
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

from xlift.errors import UserError
from xlift.studies import maintenance
from xlift.studies.artifact import MANIFEST, Artifact, copy_artifact, describe_environment, write_manifest
from xlift.studies.folder_backend import FolderBackend
from xlift.studies.job_numbers import NUMBERS, JobNumbers
from xlift.studies.locks import STALE_AFTER, Lock
from xlift.studies.object_storage import is_url
from xlift.studies.store_backend import StoreBackend

LISTED_FROM = 256
"""More keys than this are looked up in a list of the store's folders, which are 256."""

Numbers = TypeVar("Numbers", bound=JobNumbers)


@dataclass(frozen=True)
class Draft(Generic[Numbers]):
    """An artifact being written: put files into `folder` and measurements into `numbers`."""

    folder: Path
    numbers: Numbers


class Store:
    """The artifacts of jobs in a folder or an object store, which the first write creates.

    Keys are lower-case hexadecimal, 16 to 64 digits. Every method raises UserError for an invalid key and for a full,
    read-only or forbidden disk.

    Raises:
        UserError: `root` is a file, a folder with other files, or a store of another layout.
    """

    def __init__(self, root: Path | str) -> None:
        if os.name != "posix":
            raise UserError("xlift's store does not work on Windows", fix="run xlift in WSL")
        self._backend: StoreBackend = open_backend(root)
        self._layout, self._locks = self._backend.layout, self._backend.locks
        with self._backend.errors():
            self._created = self._backend.exists()

    @property
    def where(self) -> str:
        """The path or URL of the store, for messages and to open it again."""
        return self._backend.where

    @property
    def root(self) -> Path:
        """The folder on this machine: the store itself, or the cache of an object store."""
        return self._layout.root

    def is_same(self, other: Store) -> bool:
        """Whether another object is of the same store."""
        return os.path.realpath(self.where) == os.path.realpath(other.where)

    @property
    def exists(self) -> bool:
        """Whether the store was created before it was opened here, or has been since."""
        return self._created

    def has(self, key: str) -> bool:
        """Whether the artifact is finished. Reads no content."""
        return self._backend.has(key)

    def is_done(self, key: str) -> bool:
        """Whether the job is finished: its artifact is here, or its manifest without the files."""
        return self.has(key) or self._backend.has_manifest(key)

    def find_done(self, keys: Iterable[str]) -> set[str]:
        """Those of some keys whose jobs are finished, as `is_done`. It asks only for what a list of the store's folders has, so
        that a plan of many jobs takes few requests before its first run."""
        keys = list(keys)
        if len(keys) > LISTED_FROM:
            present = {*self._backend.artifact_keys(), *self._backend.manifest_keys()}
            keys = [key for key in keys if key in present]
        return {key for key in keys if self.is_done(key)}

    def path(self, key: str) -> Path:
        """The folder of a finished artifact, with all its files. Raises UserError if there is none."""
        return self.open(key, verify=False, fetch=True).folder

    def find(self, key: str) -> Artifact | None:
        """The artifact of a finished job, whose files may be missing (`is_done`), or None. Reads the manifest only.

        Raises:
            UserError: the manifest is damaged.
        """
        if self.has(key):
            return self.open(key, verify=False)
        with self._backend.errors():
            if not self._backend.has_manifest(key):
                return None
            return self._artifact(key, self._backend.read_bare_manifest(key))

    def open(self, key: str, *, verify: bool = True, fetch: bool | None = None) -> Artifact:
        """Open a finished artifact. Each of its files is hashed, once per process, unless `verify` is off.

        Args:
            fetch: make all files available on this machine (default: `verify`); otherwise `Artifact.file` does, one by one.

        Raises:
            UserError: there is no such artifact, or a file is missing or damaged.
        """
        if not self.has(key):
            what, fix = f"no artifact {key}", "run `xlift run` with its study to make it"
            if self._backend.has_manifest(key):
                what += ": only its manifest is here, without weights"
                fix = "train it again: `xlift run` with its study, `--set keep=all`, into another store"
            raise UserError(what, where=self.where, fix=fix)
        with self._backend.errors():
            manifest = self._backend.read_manifest(key)
            if verify if fetch is None else fetch:
                self._backend.fetch(key, manifest["files"], verify=verify)
        return self._artifact(key, manifest)

    def _artifact(self, key: str, manifest: dict[str, Any]) -> Artifact:
        return Artifact(key, self._layout.artifact(key), manifest, self._backend.fetch)

    def try_lock(self, key: str) -> Lock | None:
        """Acquire the lock of `key`; None while a live process holds it. Call `has` again after acquiring it."""
        self._layout.artifact(key)  # raises for an invalid key
        with self._backend.errors():
            self._create()
            return self._locks.try_acquire(key)

    @contextmanager
    def lock(self, key: str, *, timeout: float | None = None) -> Iterator[Lock]:
        """Wait for the lock of `key`, and release it at the end. Call `has` again after acquiring it.

        Raises:
            UserError: another process still holds it after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while (lock := self.try_lock(key)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise UserError(
                    f"{self._locks.read(key) or 'another process'} is working on {key}",
                    where=self.where,
                    fix="wait for it or stop it; a dead process's lock is broken",
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)
        with lock:
            yield lock

    def partial(self, key: str) -> Path:
        """The folder for checkpoints of a running job, created if missing.

        It outlives a killed job, so that the next run resumes from it. Writing the artifact removes it.
        """
        folder = self._layout.partials / self._layout.artifact(key).name
        with self._backend.errors():
            self._create()
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def write(
        self, key: str, kind: str, spec: Any, parents: Mapping[str, str] | Sequence[str] = (), *, spent: float = 0.0
    ) -> Iterator[Draft[Any]]:
        """Write an artifact: the content of the draft's folder becomes the artifact at the end of the block; an exception
        leaves nothing. Acquires the key's lock, unless this store holds it already.

        Args:
            spec: the job's spec, as JSON.
            parents: keys of the artifacts it is made from.
            spent: seconds of work before this block, which its manifest counts too.

        Raises:
            UserError: another process is working on `key`, or took over because it saw no heartbeat of this machine.
            ValueError, TypeError: errors of the job's code: `spec` is not JSON, the artifact exists, or the draft
                has a link, a device or a manifest.json.
        """
        json.dumps([spec, parents], allow_nan=False)  # fail here, not after hours of work
        held = self._locks.held.get(key)
        with self._backend.errors(), nullcontext(held) if held else self.lock(key, timeout=0) as lock:
            if self.has(key):
                raise ValueError(f"artifact {key} exists: call has() under the lock before writing")
            draft = Draft(self._backend.new_draft(lock), NUMBERS[kind]())
            started, clock = datetime.now(UTC) - timedelta(seconds=spent), time.perf_counter() - spent
            try:
                yield draft
                write_manifest(
                    draft.folder,
                    {
                        "key": key,
                        "kind": kind,
                        "spec": spec,
                        "parents": parents,
                        "started": started.isoformat(timespec="seconds"),
                        "seconds": round(time.perf_counter() - clock, 3),
                        "numbers": draft.numbers.as_json(),
                        **describe_environment(),
                    },
                )
                self._publish(draft.folder, lock)
            except BaseException as error:
                shutil.rmtree(draft.folder, ignore_errors=True)
                if isinstance(error, OSError) and not lock.is_valid():  # the new owner has removed this draft
                    raise self._takeover_error(key) from error
                raise
            shutil.rmtree(self._layout.partials / key, ignore_errors=True)  # gc removes leftovers

    def copy_artifact(self, manifest: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
        """Copy an artifact that was made elsewhere into the store, unless it is here.

        Args:
            manifest: its sealed manifest, checked.
            files: name -> content of all its files, or a file that has it.

        Raises:
            ValueError: the files are not those of the manifest.
            UserError: another process is working on it, or the disk refuses.
        """
        with self._backend.errors(), self.lock(manifest["key"], timeout=60) as lock:
            if self.has(lock.key):
                return
            draft = self._backend.new_draft(lock)
            try:
                copy_artifact(draft, manifest, files)
                self._publish(draft, lock)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def copy_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Record a job as done by its sealed manifest alone, unless it is done. Raises UserError where the disk refuses."""
        if not self.is_done(manifest["key"]):
            with self._backend.errors():
                self._create()
                self._backend.write_bare_manifest(manifest)

    @contextmanager
    def without_cache(self, key: str) -> Iterator[None]:
        """Drop the files that the block brings into the cache of an object store: a copy needs them once."""
        path = self._layout.artifact(key)
        before = set(os.listdir(path)) if path.is_dir() else set()
        try:
            yield
        finally:
            new = set(os.listdir(path)) - before if path.is_dir() and self._backend.is_remote else set()
            for name in new - {MANIFEST}:
                shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink()

    def release(self, key: str) -> int:
        """Remove the files of a finished artifact and keep its manifest, so that the job still counts as done.

        Returns:
            Bytes of the removed files; 0 if another process holds the lock of the job.

        Raises:
            UserError: the manifest is damaged, or the disk refuses.
        """
        lock = self.try_lock(key)
        if lock is None:
            return 0
        with self._backend.errors(), lock:
            if not self.has(key):
                return 0
            artifact = self.open(key, verify=False)
            self._backend.write_bare_manifest(artifact.manifest)  # first: the job is done at every moment
            self._backend.remove(self._backend.place("artifact", key), lock)
        return sum(file["bytes"] for file in artifact.manifest["files"].values())

    def write_json(self, folder: str, name: str, value: Any, what: str) -> None:
        """Write `<folder>/<name>.json` atomically: a small file that is no artifact, such as the record of a study.

        Args:
            what: name of the content for errors ("the study's record").

        Raises:
            UserError: the disk is full or not writable.
        """
        with self._backend.errors():
            self._create()
        content = (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
        try:
            self._backend.write_file(f"{folder}/{name}.json", content)
        except OSError as error:
            raise UserError(
                f"{what} cannot be written: {error.strerror}", where=f"{self.where}/{folder}",
                fix="free some space, or name another folder with --store; finished artifacts are safe.",
            ) from None  # fmt: skip

    def read_json(self, folder: str, name: str) -> bytes | None:
        """The bytes of `<folder>/<name>.json`; None if there is no such file."""
        return self._backend.read_file(f"{folder}/{name}.json")

    def list_json(self, folder: str) -> list[str]:
        """Names of all files `<folder>/<name>.json`, sorted."""
        return sorted(name.removesuffix(".json") for name in self._backend.list_files(folder) if name.endswith(".json"))

    def ls(self) -> Iterator[maintenance.Entry]:
        """All entries of the store, by key: done, manifest (done, without files), running, partial or broken. Reads manifests
        only."""
        with self._backend.errors():
            yield from maintenance.entries(self._backend)

    def du(self) -> dict[str, maintenance.Usage]:
        """Number and bytes by kind of artifact; incomplete ones are listed as '(partial)', '(broken)', ..."""
        with self._backend.errors():
            return maintenance.usage(self._backend)

    def verify(self, *, repair: bool = False) -> list[maintenance.Problem]:
        """Hash every file of every artifact. With `repair`, broken artifacts that no process holds are moved to `aside`, so
        that the next run makes them again."""
        with self._backend.errors():
            return maintenance.verify(self._backend, repair=repair)

    def gc(self, keep: AbstractSet[str], *, dry_run: bool = False) -> list[maintenance.Removal]:
        """Remove artifacts and checkpoints of keys not in `keep`, checkpoints of finished artifacts, leftovers of killed
        processes in `tmp`, and artifacts moved aside. Keeps everything that a live process holds the lock of, and the parents of
        delta checkpoints that are kept."""
        with self._backend.errors():
            return maintenance.collect(self._backend, keep, dry_run=dry_run)

    def _create(self) -> None:
        if not self._created:
            self._backend.create()
            self._created = True

    def _publish(self, folder: Path, lock: Lock) -> None:
        if not self._backend.publish(folder, lock):
            raise self._takeover_error(lock.key)

    def _takeover_error(self, key: str) -> UserError:
        return UserError(
            f"another machine took over {key}, as it saw no heartbeat of this one for {STALE_AFTER:.0f} s",
            where=self.where,
            fix="run again: the artifact of the other machine will be used",
        )


def open_backend(root: Path | str) -> StoreBackend:
    """The backend of a store at a path or a URL."""
    if is_url(root):
        from xlift.studies.object_backend import ObjectBackend

        return ObjectBackend(str(root))
    return FolderBackend(Path(os.path.abspath(root)))  # absolute: a later change of folder must not move the store
