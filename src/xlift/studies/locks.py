"""One lock per job, so that two processes or machines never do the same work. The lock of a dead process is broken.

In a folder, a lock is a small JSON file `<folder>/<key>` with its owner: host, pid, start time of that process, and a token.
It is stale, and another process may take it,

- if its owner ran on this host and is gone (or its pid now belongs to another process);
- if its owner runs elsewhere and the heartbeat, the file's mtime, is older than `STALE_AFTER` seconds. An owner touches its
  lock every `HEARTBEAT` seconds from a daemon thread.

POSIX only: it uses flock(2). Windows is not supported (WSL is).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from xlift.errors import UserError
from xlift.studies.store_layout import list_keyed

HEARTBEAT = 15.0
"""Seconds between two touches of a held lock."""
STALE_AFTER = 120.0
"""Seconds without a heartbeat after which a lock of another machine is stale: eight missed touches."""

_GUARD = "guard"  # no job key: keys are hexadecimal


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock."""

    host: str
    pid_space: str
    """The boot and the pid namespace that `pid` belongs to; '' if unknown. Two containers of one machine can share a host name
    without seeing each other's processes: to each, the other is another host."""
    pid: int
    started: str
    """Start of the process in clock ticks since boot (field 22 of /proc/pid/stat); '' without /proc."""
    token: str
    """Unique to this acquisition of the lock."""

    @classmethod
    def here(cls) -> Owner:
        process = _read_process(os.getpid())
        return cls(
            socket.gethostname(), _read_pid_space(), os.getpid(), process[1] if process else "", uuid.uuid4().hex
        )

    @classmethod
    def from_json(cls, content: bytes) -> Owner | None:
        """The owner that the content of a lock names; None if it is invalid."""
        try:
            owner = cls(**json.loads(content))
        except (ValueError, TypeError):
            return None
        return owner if isinstance(owner.pid, int) and owner.pid > 0 else None

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    def is_local(self) -> bool:
        """Whether this process can look up `pid`."""
        return (self.host, self.pid_space) == (socket.gethostname(), _read_pid_space())

    def is_alive(self) -> bool:
        """Whether the process that took the lock still runs. For local owners only."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it runs as another user
        process = _read_process(self.pid)
        if process is None:
            return True  # without /proc, only the pid can be checked
        state, started = process
        return state not in "ZX" and self.started in ("", started)  # a zombie has ended

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lock:
    """A lock that this process holds until `release` or the end of a `with` block."""

    def __init__(self, locks: LockTable, key: str, owner: Owner) -> None:
        self.key, self.token = key, owner.token
        self._locks = locks
        self._released = threading.Event()
        self._heartbeat_thread = threading.Thread(target=self._send_heartbeats, name=f"lock {key[:8]}", daemon=True)
        self._heartbeat_thread.start()

    def is_valid(self) -> bool:
        """False once another machine has broken the lock, since it saw no heartbeat for `STALE_AFTER` seconds."""
        return self._locks.is_owner(self)

    def release(self) -> None:
        """Release the lock, unless another process has taken it over."""
        self._released.set()
        self._heartbeat_thread.join()
        self._locks.held.pop(self.key, None)
        self._locks.remove(self)

    def _send_heartbeats(self) -> None:
        while not self._released.wait(HEARTBEAT):
            try:
                if not self.is_valid():
                    return
                self._locks.touch(self)
            except (OSError, UserError):
                pass  # a short failure of a server: the next heartbeat may succeed, and seven misses are allowed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class LockTable(ABC):
    """The locks of one store."""

    def __init__(self) -> None:
        self.held: dict[str, Lock] = {}
        """The locks acquired through this object and not released yet."""

    @abstractmethod
    def try_acquire(self, key: str) -> Lock | None:
        """Acquire the lock of `key`; None while a live process holds it (this one too: locks are not re-entrant)."""

    @abstractmethod
    def read(self, key: str) -> Owner | None:
        """The owner of the lock, dead or alive; None if there is no lock or its content is invalid."""

    @abstractmethod
    def is_held(self, key: str, now: float) -> bool:
        """Whether a live process holds the lock at `now` (seconds since the epoch): good for a report, not for a decision."""

    @abstractmethod
    def keys(self) -> list[str]:
        """Keys of all locks, held or stale."""

    @abstractmethod
    def is_owner(self, lock: Lock) -> bool:
        """Whether no other machine has broken the lock."""

    @abstractmethod
    def touch(self, lock: Lock) -> None:
        """Send a heartbeat of a lock that this process holds."""

    @abstractmethod
    def remove(self, lock: Lock) -> None:
        """Remove a lock that this process held, unless another process has taken it over."""


class Locks(LockTable):
    """The locks of a store in a folder. Methods that acquire or release raise OSError if the folder is not writable."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @contextmanager
    def guard(self) -> Iterator[float]:
        """Exclude every other process from acquiring, breaking and releasing locks; yields the time on the file's clock.

        Breaking a stale lock takes two steps: check that it is stale, and replace it. Without the guard two processes can see
        the same stale lock; the first replaces it and starts to work, then the second replaces the first one's fresh lock,
        and both work. The guard makes the two steps atomic, and likewise "is it still mine?" and "remove it". The guard
        cannot go stale: the kernel drops a flock when its holder dies.
        """
        import fcntl  # imported here: Windows lacks it, and there Store raises a UserError

        file = os.open(self.folder / _GUARD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file)  # on a file server mtimes come from its clock, and heartbeats must be compared with that
            yield os.fstat(file).st_mtime
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: a child forked meanwhile has the same open file
            os.close(file)

    def try_acquire(self, key: str) -> Lock | None:
        self.folder.mkdir(exist_ok=True)
        with self.guard() as now:
            if self.is_held(key, now):
                return None
            owner = Owner.here()
            new = self.folder / f"{_GUARD}.new"  # one name is enough: only the holder of the guard writes it
            new.write_text(owner.as_json(), encoding="utf-8")
            os.replace(new, self.folder / key)  # atomic, for processes that read without the guard
        lock = self.held[key] = Lock(self, key, owner)
        return lock

    def read(self, key: str) -> Owner | None:
        try:
            return Owner.from_json((self.folder / key).read_bytes())
        except FileNotFoundError:
            return None

    def is_held(self, key: str, now: float) -> bool:
        """Without the guard the result may be out of date at once."""
        try:
            heartbeat = os.stat(self.folder / key).st_mtime
        except FileNotFoundError:
            return False
        owner = self.read(key)
        if owner is not None and owner.is_local():
            return owner.is_alive()
        return now - heartbeat <= STALE_AFTER  # also for a file that a machine crash left empty

    def keys(self) -> list[str]:
        return [key for key, _ in list_keyed(self.folder)]

    def is_owner(self, lock: Lock) -> bool:
        owner = self.read(lock.key)
        return owner is not None and owner.token == lock.token

    def touch(self, lock: Lock) -> None:
        os.utime(self.folder / lock.key)

    def remove(self, lock: Lock) -> None:
        with self.guard():
            if self.is_owner(lock):
                os.unlink(self.folder / lock.key)


def _read_process(pid: int) -> tuple[str, str] | None:
    """State letter and start time of a process (fields 3 and 22 of /proc/pid/stat, see proc(5)); None if unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # field 2, the command in brackets, may contain blanks and brackets
    return fields[0], fields[19]


@lru_cache(maxsize=1)
def _read_pid_space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
