"""Locks of a store in a bucket, made from one operation: put an object only if there is none of its name.

The lock of a key is the object `locks/<key>/<number>` with the highest number. To take a free lock, a process creates number 0. To
take the lock of a dead process, it creates the next number; of several processes, one succeeds. Afterwards it lists the numbers: it
has the lock if its own is the highest and the others are those that it has seen dead. Its heartbeat writes the object again.

A lock of another machine is stale if its object is older than `STALE_AFTER` seconds. Both times are of the server's clock.
Even if two processes did the same job, one of them would publish it: see `ObjectBackend.publish`.
"""

from __future__ import annotations

import time

from xlift.studies.locks import STALE_AFTER, Lock, LockTable, Owner
from xlift.studies.object_storage import ObjectInfo, ObjectStorage

FOLDER, CLOCK = "locks/", "clock"
CLOCK_SECONDS = 30.0
"""Seconds for which the difference to the server's clock is taken as constant."""


class ObjectLocks(LockTable):
    """The locks of a store in a bucket. Methods raise UserError if it cannot be used."""

    def __init__(self, storage: ObjectStorage) -> None:
        super().__init__()
        self._storage = storage
        self._numbers: dict[str, int] = {}
        """Token of a held lock -> its number."""
        self._clock: tuple[float, float] | None = None
        """A time of the server, and of this process when it was read."""

    def try_acquire(self, key: str) -> Lock | None:
        owner = Owner.here()
        content = owner.as_json().encode()
        number, dead = 0, []
        created = self._storage.create(_name(key, 0), content)  # first of all: it is free most of the time
        if created and len(self._list(key)) > 1:  # number 0 was free below the lock of another process
            self._storage.delete([_name(key, 0)])
            created = False
        if not created:
            dead = self._list(key)
            if dead and not self._is_stale(dead[-1]):
                return None
            number = _number(dead[-1]) + 1 if dead else 0
            if not self._storage.create(_name(key, number), content):
                return None
            if any(_number(info) != number and info not in dead for info in self._list(key)):
                self._storage.delete([_name(key, number)])
                return None
            self._storage.delete(info.name for info in dead)
        self._numbers[owner.token] = number
        lock = self.held[key] = Lock(self, key, owner)
        return lock

    def read(self, key: str) -> Owner | None:
        found = self._list(key)
        return self._read(found[-1].name) if found else None

    def is_held(self, key: str, now: float) -> bool:
        found = self._list(key)
        if not found:
            return False
        owner = self._read(found[-1].name)
        return owner.is_alive() if owner is not None and owner.is_local() else now - found[-1].modified <= STALE_AFTER

    def keys(self) -> list[str]:
        return sorted({info.name.split("/")[1] for info in self._storage.list(FOLDER)})

    def is_owner(self, lock: Lock) -> bool:
        found = self._list(lock.key)
        if not found or _number(found[-1]) != self._numbers.get(lock.token):
            return False
        owner = self._read(found[-1].name)
        return owner is not None and owner.token == lock.token

    def touch(self, lock: Lock) -> None:
        name = _name(lock.key, self._numbers[lock.token])
        content = self._storage.get(name)
        if content is not None:
            self._storage.put(name, content)

    def remove(self, lock: Lock) -> None:
        name = _name(lock.key, self._numbers.pop(lock.token))
        owner = self._read(name)
        if (
            owner is not None and owner.token == lock.token
        ):  # not the lock of a process that took over, and counted from 0
            self._storage.delete([name])

    def _list(self, key: str) -> list[ObjectInfo]:
        """The objects of a lock, by number."""
        return sorted(self._storage.list(f"{FOLDER}{key}/"), key=_number)

    def _read(self, name: str) -> Owner | None:
        content = self._storage.get(name)
        return None if content is None else Owner.from_json(content)

    def _is_stale(self, info: ObjectInfo) -> bool:
        owner = self._read(info.name)
        if owner is not None and owner.is_local():
            return not owner.is_alive()
        return self._server_time() - info.modified > STALE_AFTER

    def _server_time(self) -> float:
        """Seconds since the epoch on the server's clock."""
        now = time.monotonic()
        if self._clock is None or now - self._clock[1] > CLOCK_SECONDS:
            self._storage.put(CLOCK, b"")
            info = self._storage.info(CLOCK)
            self._clock = (info.modified if info else 0.0, now)
        return self._clock[0] + now - self._clock[1]


def _name(key: str, number: int) -> str:
    return f"{FOLDER}{key}/{number}"


def _number(info: ObjectInfo) -> int:
    last = info.name.rpartition("/")[2]
    return int(last) if last.isdigit() else -1
