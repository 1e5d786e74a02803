"""The names below a prefix of a bucket, listed at most so often that listing takes a tenth of the time."""

from __future__ import annotations

import time

from xlift.studies.object_storage import ObjectInfo, ObjectStorage

MIN_SECONDS = 1.0
"""Shortest time between two listings."""


class Listing:
    """The objects whose names start with `prefix` ("artifacts/"). One request gives a thousand of them, so asking for many keys is
    cheap. What another process writes is seen after a second, or after ten times the time of a listing."""

    def __init__(self, storage: ObjectStorage, prefix: str) -> None:
        self._storage, self.prefix = storage, prefix
        self._infos: dict[str, ObjectInfo] = {}
        self._until = 0.0

    def get(self, name: str, *, exact: bool = False) -> ObjectInfo | None:
        """An object, by its name without the prefix.

        Args:
            exact: ask again for an object that was not listed.
        """
        found = self._read().get(name)
        return self._storage.info(self.prefix + name) if found is None and exact else found

    def keys(self) -> list[str]:
        """Names without the prefix and '.json', sorted."""
        return sorted(name.removesuffix(".json") for name in self._read())

    def update(self, name: str) -> None:
        """Ask again for one object, which this process has written or deleted."""
        info = self._storage.info(self.prefix + name)
        if info is None:
            self._infos.pop(name, None)
        else:
            self._infos[name] = info

    def _read(self) -> dict[str, ObjectInfo]:
        started = time.monotonic()
        if started >= self._until:
            self._infos = {info.name.removeprefix(self.prefix): info for info in self._storage.list(self.prefix)}
            ended = time.monotonic()
            self._until = ended + max(MIN_SECONDS, 10 * (ended - started))
        return self._infos
