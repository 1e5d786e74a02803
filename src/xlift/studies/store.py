"""The store: a folder that holds the product of every job under the job's key.

A product is written beside the others and moved into place whole, by one rename: it is there with all its files on the
disk, or not at all. A lock per key sees to it that two processes or machines never do the same job (studies/locks.py).
Nothing is pickled. The folder may be local or on a shared filesystem; Windows is not supported.

    with store.lock(key):
        if not store.has(key):
            with store.write(key, "predict", spec, parents) as draft:
                (draft.folder / "predictions.parquet").write_bytes(...)
                draft.numbers["tokens"] = 81_920
    store.open(key).file("predictions.parquet")
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.studies import upkeep
from xlift.studies.layout import Layout, keyed, move
from xlift.studies.locks import STALE_AFTER, Lock, Locks
from xlift.studies.product import (
    MANIFEST,
    Product,
    check_file,
    circumstances,
    finish,
    flush_folder,
    hash_once,
    plain_number,
    read_manifest,
)


@dataclass(frozen=True)
class Draft:
    """A product being written: fill `folder`, and put what was measured into `numbers`."""

    folder: Path
    numbers: dict[str, Any] = field(default_factory=dict)
    """tokens, peak_memory_bytes, ...: ints and floats; nan and infinities become null."""


class Store:
    """The products of jobs in a folder, which is made when the first thing is written.

    Keys are lower-case hexadecimal, 16 to 64 digits; anything else is a UserError. So is a disk that is full,
    read-only or forbidden, in every method.

    Raises:
        UserError: `root` is a file, a folder that holds something else, or a store of another layout.
    """

    def __init__(self, root: Path | str) -> None:
        if os.name != "posix":
            raise UserError("xlift's store does not work on Windows", fix="run xlift under WSL")
        self.root = Path(os.path.abspath(root))  # absolute: a later change of folder must not move the store
        self._layout = Layout(self.root)
        self._locks = Locks(self._layout.locks)
        with self._layout.explained():
            self._created = self._layout.exists()

    def has(self, key: str) -> bool:
        """Whether the product is finished. One stat; looks at no content."""
        return os.path.exists(self._layout.product(key) / MANIFEST)

    def path(self, key: str) -> Path:
        """The folder of a finished product. Raises UserError when there is none."""
        if not self.has(key):
            raise UserError(f"no product {key}", where=str(self.root), fix="`xlift run` with its study makes it")
        return self._layout.product(key)

    def open(self, key: str, *, verify: bool = True) -> Product:
        """A finished product. Each of its files is hashed, once per process, unless `verify` is off.

        Raises:
            UserError: there is no such product, or a file is missing or not what was written.
        """
        folder = self.path(key)
        with self._layout.explained():
            manifest = read_manifest(folder, key)
            for name in manifest["files"] if verify else ():
                check_file(folder, name, manifest["files"][name], hash_once)
        return Product(key, folder, manifest)

    def try_lock(self, key: str) -> Lock | None:
        """The right to make `key`, or None while a live process has it. Ask `has` again once you hold it."""
        self._layout.product(key)  # refuses what is no key
        with self._layout.explained():
            self._create()
            return self._locks.try_take(key)

    @contextmanager
    def lock(self, key: str, *, timeout: float | None = None) -> Iterator[Lock]:
        """Wait for the right to make `key`, and give it back at the end. Ask `has` again once you hold it.

        Raises:
            UserError: after `timeout` seconds another process still has it.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while (lock := self.try_lock(key)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise UserError(
                    f"{self._locks.read(key) or 'another process'} is at work on {key}",
                    where=str(self.root),
                    fix="wait for it or stop it; a dead process's lock is broken",
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)
        with lock:
            yield lock

    def partial(self, key: str) -> Path:
        """The folder for checkpoints of a job at work, made if need be.

        It outlives a killed job, so that the next try goes on from it, and goes when the product is written.
        """
        folder = self._layout.partials / self._layout.product(key).name
        with self._layout.explained():
            self._create()
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def write(
        self, key: str, kind: str, spec: Any, parents: Mapping[str, str] | Sequence[str] = (), *, spent: float = 0.0
    ) -> Iterator[Draft]:
        """Write a product: what fills the draft's folder becomes the product at the end of the block; after an
        exception nothing is left. Takes the key's lock, unless it was taken through this store already.

        Args:
            spec: what determines the result, as JSON.
            parents: keys of the products it is made from.
            spent: seconds of work on it before this block, which its manifest counts too.

        Raises:
            UserError: another process is at work on `key`, or took over because this machine gave no sign of life.
            ValueError, TypeError: errors of the job's code: `spec` is not JSON, the product exists, or the draft
                holds a link, a device or a manifest.json.
        """
        json.dumps([spec, parents], allow_nan=False)  # a mistake here should not wait for hours of work
        held = self._locks.held.get(key)
        with self._layout.explained(), nullcontext(held) if held else self.lock(key, timeout=0) as lock:
            if self.has(key):
                raise ValueError(f"product {key} exists: ask has() under the lock before writing")
            for other, folder in keyed(self._layout.tmp):
                if other == key:  # its writer held this lock before us, so it is dead
                    shutil.rmtree(folder)
            draft = Draft(self._layout.tmp / f"{key}.{lock.token}")
            draft.folder.mkdir(parents=True)
            started, clock = datetime.now(UTC) - timedelta(seconds=spent), time.perf_counter() - spent
            try:
                yield draft
                finish(
                    draft.folder,
                    {
                        "key": key,
                        "kind": kind,
                        "spec": spec,
                        "parents": parents,
                        "started": started.isoformat(timespec="seconds"),
                        "seconds": round(time.perf_counter() - clock, 3),
                        "numbers": {name: plain_number(value) for name, value in draft.numbers.items()},
                        **circumstances(),
                    },
                )
                self._publish(draft.folder, lock)
            except BaseException as error:
                shutil.rmtree(draft.folder, ignore_errors=True)
                if isinstance(error, OSError) and not lock.is_ours():  # its new holder has removed our draft
                    raise self._taken_over(key) from error
                raise
            shutil.rmtree(self._layout.partials / key, ignore_errors=True)  # what this leaves, gc removes

    def write_json(self, folder: str, name: str, value: Any, what: str) -> None:
        """Write `<folder>/<name>.json`, a small file that is no product (the record of a study), replaced whole.

        Args:
            what: names the content in an error ("the study's record").

        Raises:
            UserError: the disk does not let it.
        """
        with self._layout.explained():
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
                fix="free some space, or name another folder with --store; finished products are safe.",
            ) from None  # fmt: skip

    def ls(self) -> Iterator[upkeep.Entry]:
        """Everything in the store, by key: done, running, partial or broken. Reads no content but manifests."""
        with self._layout.explained():
            yield from upkeep.entries(self._layout, self._locks)

    def du(self) -> dict[str, upkeep.Usage]:
        """Number and bytes by kind of product; what is no whole product goes by '(partial)', '(broken)', ..."""
        with self._layout.explained():
            return upkeep.usage(self._layout, self._locks)

    def verify(self, *, repair: bool = False) -> list[upkeep.Problem]:
        """Hash every file of every product. With `repair`, broken products that nobody holds are moved to `aside`,
        so that the next run makes them again."""
        with self._layout.explained():
            return upkeep.verify(self._layout, self._locks, repair=repair)

    def gc(self, keep: AbstractSet[str], *, dry_run: bool = False) -> list[upkeep.Removal]:
        """Remove the products and checkpoints of keys not in `keep`, checkpoints of finished products, what killed
        processes left in `tmp`, and products moved aside; never what a live process holds the lock of, nor the model that a
        kept one holds only the changes of."""
        with self._layout.explained():
            return upkeep.collect(self._layout, self._locks, keep, dry_run=dry_run)

    def _create(self) -> None:
        if not self._created:
            self._layout.create()
            self._created = True

    def _publish(self, folder: Path, lock: Lock) -> None:
        target = self._layout.product(lock.key)
        with self._locks.guard():  # nobody can break our lock between the question and the move
            if not lock.is_ours():
                raise self._taken_over(lock.key)
            if target.exists():  # has() found no manifest in it: broken
                move(target, self._layout.aside / folder.name)
            move(folder, target)
        flush_folder(target.parent)

    def _taken_over(self, key: str) -> UserError:
        return UserError(
            f"another machine took over {key}, as this one gave no sign of life for {STALE_AFTER:.0f} s",
            where=str(self.root),
            fix="run again: the product of the other machine will be used",
        )
