"""The store: a folder with the artifact of every finished job, by the job's key.

An artifact is written to a temporary folder and moved into place by one rename, after all its files are on the disk. A lock
per key prevents two processes or machines from doing the same job (studies/locks.py). The store uses no pickle. The folder may
be local or on a shared filesystem; Windows is not supported.

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
from xlift.studies.artifact import (
    MANIFEST,
    Artifact,
    check_file,
    copy_artifact,
    describe_environment,
    flush_folder,
    hash_file_cached,
    read_manifest,
    read_manifest_file,
    write_manifest,
    write_manifest_file,
)
from xlift.studies.job_numbers import NUMBERS, JobNumbers
from xlift.studies.locks import STALE_AFTER, Lock, Locks
from xlift.studies.store_layout import StoreLayout, list_keyed, move

LISTED_FROM = 256
"""More keys than this are looked up in a list of the store's folders, which are 256."""

Numbers = TypeVar("Numbers", bound=JobNumbers)


@dataclass(frozen=True)
class Draft(Generic[Numbers]):
    """An artifact being written: put files into `folder` and measurements into `numbers`."""

    folder: Path
    numbers: Numbers


class Store:
    """The artifacts of jobs in a folder, which the first write creates.

    Keys are lower-case hexadecimal, 16 to 64 digits. Every method raises UserError for an invalid key and for a full,
    read-only or forbidden disk.

    Raises:
        UserError: `root` is a file, a folder with other files, or a store of another layout.
    """

    def __init__(self, root: Path | str) -> None:
        if os.name != "posix":
            raise UserError("xlift's store does not work on Windows", fix="run xlift in WSL")
        self.root = Path(os.path.abspath(root))  # absolute: a later change of folder must not move the store
        self._layout = StoreLayout(self.root)
        self._locks = Locks(self._layout.locks)
        with self._layout.disk_errors():
            self._created = self._layout.exists()

    def has(self, key: str) -> bool:
        """Whether the artifact is finished. Takes one stat call and reads no content."""
        return os.path.exists(self._layout.artifact(key) / MANIFEST)

    def is_done(self, key: str) -> bool:
        """Whether the job is finished: its artifact is here, or its manifest without the files."""
        return self.has(key) or os.path.exists(self._layout.manifest(key))

    def find_done(self, keys: Iterable[str]) -> set[str]:
        """Those of some keys whose jobs are finished, as `is_done`. It asks only for what a list of the store's folders has, so
        that a plan of many jobs takes few requests before its first run."""
        keys = list(keys)
        if len(keys) > LISTED_FROM:
            present = {*self._layout.artifact_keys(), *self._layout.manifest_keys()}
            keys = [key for key in keys if key in present]
        return {key for key in keys if self.is_done(key)}

    def path(self, key: str) -> Path:
        """The folder of a finished artifact. Raises UserError if there is none."""
        if not self.has(key):
            what, fix = f"no artifact {key}", "run `xlift run` with its study to make it"
            if self.is_done(key):
                what += ": only its manifest is here, without weights"
                fix = "train it again: `xlift run` with its study, `--set keep=all`, into another store"
            raise UserError(what, where=str(self.root), fix=fix)
        return self._layout.artifact(key)

    def find(self, key: str) -> Artifact | None:
        """The artifact of a finished job, whose files may be missing (`is_done`), or None. Reads the manifest only.

        Raises:
            UserError: the manifest is damaged.
        """
        if self.has(key):
            return self.open(key, verify=False)
        with self._layout.disk_errors():
            path = self._layout.manifest(key)
            return Artifact(key, self._layout.artifact(key), read_manifest_file(path, key)) if path.exists() else None

    def open(self, key: str, *, verify: bool = True) -> Artifact:
        """Open a finished artifact. Each of its files is hashed, once per process, unless `verify` is off.

        Raises:
            UserError: there is no such artifact, or a file is missing or damaged.
        """
        folder = self.path(key)
        with self._layout.disk_errors():
            manifest = read_manifest(folder, key)
            for name in manifest["files"] if verify else ():
                check_file(folder, name, manifest["files"][name], hash_file_cached)
        return Artifact(key, folder, manifest)

    def try_lock(self, key: str) -> Lock | None:
        """Acquire the lock of `key`; None while a live process holds it. Call `has` again after acquiring it."""
        self._layout.artifact(key)  # raises for an invalid key
        with self._layout.disk_errors():
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
                    where=str(self.root),
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
        with self._layout.disk_errors():
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
        with self._layout.disk_errors(), nullcontext(held) if held else self.lock(key, timeout=0) as lock:
            if self.has(key):
                raise ValueError(f"artifact {key} exists: call has() under the lock before writing")
            for other, folder in list_keyed(self._layout.tmp):
                if other == key:  # its writer held this lock before, so it is dead
                    shutil.rmtree(folder)
            draft = Draft(self._layout.tmp / f"{key}.{lock.token}", NUMBERS[kind]())
            draft.folder.mkdir(parents=True)
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
        with self._layout.disk_errors(), self.lock(manifest["key"], timeout=60) as lock:
            if self.has(lock.key):
                return
            draft = self._layout.tmp / f"{lock.key}.{lock.token}"
            draft.mkdir(parents=True)
            try:
                copy_artifact(draft, manifest, files)
                self._publish(draft, lock)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def copy_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Record a job as done by its sealed manifest alone, unless it is done. Raises UserError where the disk refuses."""
        if not self.is_done(manifest["key"]):
            with self._layout.disk_errors():
                self._create()
                write_manifest_file(self._layout.manifest(manifest["key"]), manifest)

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
        with self._layout.disk_errors(), lock:
            if not self.has(key):
                return 0
            artifact = self.open(key, verify=False)
            write_manifest_file(self._layout.manifest(key), artifact.manifest)  # first: the job is done at every moment
            maintenance.remove_folder(self._layout, lock, artifact.folder)
        return sum(file["bytes"] for file in artifact.manifest["files"].values())

    def write_json(self, folder: str, name: str, value: Any, what: str) -> None:
        """Write `<folder>/<name>.json` atomically: a small file that is no artifact, such as the record of a study.

        Args:
            what: name of the content for errors ("the study's record").

        Raises:
            UserError: the disk is full or not writable.
        """
        with self._layout.disk_errors():
            self._create()
            (self.root / folder).mkdir(exist_ok=True)
        path = self.root / folder / f"{name}.json"
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(new, path)
        except OSError as error:
            raise UserError(
                f"{what} cannot be written: {error.strerror}", where=str(path.parent),
                fix="free some space, or name another folder with --store; finished artifacts are safe.",
            ) from None  # fmt: skip

    def ls(self) -> Iterator[maintenance.Entry]:
        """All entries of the store, by key: done, manifest (done, without files), running, partial or broken. Reads manifests
        only."""
        with self._layout.disk_errors():
            yield from maintenance.entries(self._layout, self._locks)

    def du(self) -> dict[str, maintenance.Usage]:
        """Number and bytes by kind of artifact; incomplete ones are listed as '(partial)', '(broken)', ..."""
        with self._layout.disk_errors():
            return maintenance.usage(self._layout, self._locks)

    def verify(self, *, repair: bool = False) -> list[maintenance.Problem]:
        """Hash every file of every artifact. With `repair`, broken artifacts that no process holds are moved to `aside`, so
        that the next run makes them again."""
        with self._layout.disk_errors():
            return maintenance.verify(self._layout, self._locks, repair=repair)

    def gc(self, keep: AbstractSet[str], *, dry_run: bool = False) -> list[maintenance.Removal]:
        """Remove artifacts and checkpoints of keys not in `keep`, checkpoints of finished artifacts, leftovers of killed
        processes in `tmp`, and artifacts moved aside. Keeps everything that a live process holds the lock of, and the parents of
        delta checkpoints that are kept."""
        with self._layout.disk_errors():
            return maintenance.collect(self._layout, self._locks, keep, dry_run=dry_run)

    def _create(self) -> None:
        if not self._created:
            self._layout.create()
            self._created = True

    def _publish(self, folder: Path, lock: Lock) -> None:
        target = self._layout.artifact(lock.key)
        with self._locks.guard():  # no process can break the lock between the check and the move
            if not lock.is_valid():
                raise self._takeover_error(lock.key)
            if target.exists():  # has() found no manifest in it: broken
                move(target, self._layout.aside / folder.name)
            move(folder, target)
        flush_folder(target.parent)

    def _takeover_error(self, key: str) -> UserError:
        return UserError(
            f"another machine took over {key}, as it saw no heartbeat of this one for {STALE_AFTER:.0f} s",
            where=str(self.root),
            fix="run again: the artifact of the other machine will be used",
        )
