"""Workers that something else starts, such as Ray or Slurm, and that connect to the scheduler over TCP.

A worker is a long-lived process that runs many jobs. It receives the study as text and plans it itself; then a job is only a key.
A lost worker is replaced, and its jobs go on in other workers.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Protocol

from xlift.errors import UserError
from xlift.execution import wire
from xlift.execution.executors.base import OneSlotExecutor, Worker, WorkerLost
from xlift.execution.executors.server import Server
from xlift.execution.remote_study import RemoteStudy
from xlift.studies.job import Job
from xlift.version import __version__

MAX_FAILED_STARTS = 3
"""Workers in a row that end before they connect."""
END_SECONDS = 5.0
"""Seconds that workers get to end by themselves."""
PATIENCE = 60.0
"""Seconds until a warning that no worker has started."""

_MESSAGES: dict[str, tuple[Any, ...]] = {
    "started": (int,), "step": (int, int), "warning": (str,), "done": (int | float,), "done elsewhere": (), "busy": (),
    "interrupted": (), "error": (list,),
}  # fmt: skip
"""Message about a job -> types of its content (worker.py)."""
_LAST_MESSAGES = ("done", "done elsewhere", "busy", "interrupted", "error")


class Launcher(Protocol):
    """Starts worker processes on other machines."""

    name: str
    """For messages: 'Slurm'."""
    check_seconds: float
    """Between two looks whether workers that are not connected still run or wait."""

    def start(self, numbers: Sequence[int]) -> None:
        """Request workers with these numbers. They may start at once or much later. Raises UserError."""
        ...

    def find_ended(self, numbers: Collection[int]) -> set[int]:
        """Those of some requested workers that neither run nor wait any more."""
        ...

    def explain_end(self, number: int) -> str:
        """Why a worker has ended, as its last output says; '' if unknown."""
        ...

    def explain_wait(self) -> str:
        """Why no worker has started yet, in a sentence; '' if unknown."""
        ...

    def close(self, numbers: Collection[int]) -> None:
        """Stop some requested workers, and clean up."""
        ...


class RemoteWorker:
    devices = ()

    def __init__(self, number: int, host: str, connection: wire.Connection) -> None:
        self.number, self.name, self.connection = number, f"worker {number} on {host}", connection
        self.is_ready = self.is_leaving = self.has_ended = False
        self.keys: set[str] = set()
        """Of the assigned jobs that are not done."""
        self.inbox: list[tuple[Any, ...]] = []
        self.lost: WorkerLost | None = None

    def assign(self, jobs: Sequence[Job]) -> None:
        if self.is_leaving:
            raise OSError("the worker is leaving")
        self.connection.send({"do": "run", "keys": [job.key for job in jobs]})
        self.keys = {job.key for job in jobs}

    def request_stop(self) -> None:
        self.connection.send({"do": "stop"})

    def receive(self) -> list[tuple[Any, ...]]:
        messages, self.inbox = self.inbox, []
        if self.lost and not messages:
            raise self.lost
        return messages

    def end(self) -> None:
        with suppress(OSError):
            self.connection.send({"do": "end"})
        self.connection.close()
        self.has_ended = True

    def read(self) -> list[Any]:
        """Read what has arrived. Messages about jobs go to `inbox`, and all others are returned.

        Raises:
            WireError: a message is unknown, or about a job of another worker.
            OSError, EOFError: the connection is lost.
        """
        others = []
        for message in self.connection.receive():
            if not isinstance(message, list) or not message or not isinstance(message[0], str):
                raise wire.WireError("a message has an unknown form")
            if message[0] not in _MESSAGES:
                others.append(message)
                continue
            kind, *content = message
            types = (str, *_MESSAGES[kind])
            if len(content) != len(types) or not all(map(isinstance, content, types)) or content[0] not in self.keys:
                raise wire.WireError(f"a message '{kind}' has an unknown form")
            if kind in _LAST_MESSAGES:
                self.keys.discard(content[0])
            if kind == "error":
                content[1] = wire.decode_error(content[1])
            self.inbox.append((kind, *content))
        return others


class RemoteExecutor(OneSlotExecutor):
    """
    Args:
        digest: of the keys of the scheduler's plan (`remote_study.digest_of`).
        repeated: keys of finished jobs that run again.
        warn: shows a warning to the user.
    """

    max_losses = 2

    def __init__(
        self,
        server: Server,
        launcher: Launcher,
        study: RemoteStudy,
        digest: str,
        repeated: Collection[str],
        num_workers: int,
        warn: Callable[[str], object],
    ) -> None:
        self.server, self.launcher, self.digest, self.num_slots, self.warn = server, launcher, digest, num_workers, warn
        self.first_message = {"do": "plan", "study": study.as_json(), "repeated": sorted(repeated)}
        self.connected: dict[int, RemoteWorker] = {}
        self.requested: set[int] = set()
        """Numbers of the workers that the launcher runs or will run, connected ones included."""
        self.were_ready: set[int] = set()
        self.num_started = self.num_failed_starts = 0
        self.last_check = float("-inf")
        self.warn_at = time.monotonic() + PATIENCE

    def start(self, num_devices: int) -> Worker | None:
        return None

    def wait(self, timeout: float, num_jobs: int) -> list[RemoteWorker]:
        if time.monotonic() - self.last_check > self.launcher.check_seconds:
            self._replace_ended(num_jobs)
            self.last_check = time.monotonic()
        self.connected = {number: worker for number, worker in self.connected.items() if not worker.has_ended}
        sockets = {worker.connection.socket: worker for worker in self.connected.values() if not worker.lost}
        before = {worker.number for worker in self.connected.values() if worker.is_ready}
        is_lost = any(worker.lost for worker in self.connected.values())
        for ready in wait([self.server.wake, *sockets], 0 if is_lost else timeout):
            if ready is self.server.wake:
                self._welcome()
            else:
                self._read(next(worker for each, worker in sockets.items() if each is ready))
        changed = [worker for worker in self.connected.values() if worker.is_ready and not worker.has_ended]
        return [worker for worker in changed if worker.inbox or worker.lost or worker.number not in before]

    def close(self) -> None:
        for worker in self.connected.values():
            with suppress(OSError):
                worker.connection.send({"do": "end"})
        deadline = time.monotonic() + END_SECONDS
        left = [
            worker.connection.socket for worker in self.connected.values() if not worker.lost and not worker.has_ended
        ]
        while left and time.monotonic() < deadline:
            for ready in wait(left, 0.2):
                assert isinstance(ready, socket.socket)
                try:
                    is_open = bool(ready.recv(2**16))
                except OSError:
                    is_open = False
                if not is_open:
                    left.remove(ready)
        for worker in self.connected.values():
            worker.connection.close()
        self.server.close()
        self.launcher.close(self.requested)

    def _replace_ended(self, num_jobs: int) -> None:
        """Request workers in place of those that have ended, as long as there are jobs for them."""
        ended = self.launcher.find_ended(self.requested - self.connected.keys())
        for number in sorted(ended):
            self.requested.discard(number)
            if number not in self.were_ready:
                self.num_failed_starts += 1
                if self.num_failed_starts >= MAX_FAILED_STARTS:
                    raise UserError(
                        f"the workers that {self.launcher.name} starts end before they can run a job",
                        fix=self.launcher.explain_end(number) or f"look into the logs of {self.launcher.name}.",
                    )
        missing = min(self.num_slots, num_jobs) - len(self.requested)
        if missing > 0:
            numbers = range(self.num_started + 1, self.num_started + missing + 1)
            self.launcher.start(numbers)
            self.requested.update(numbers)
            self.num_started += missing
        if not self.were_ready and time.monotonic() > self.warn_at:
            self.warn_at = float("inf")
            self.warn(f"no worker has started yet. {self.launcher.explain_wait()}".rstrip())

    def _welcome(self) -> None:
        accepted, refused = self.server.take()
        for reason in refused:
            self.warn(reason)
        for each in accepted:
            worker = RemoteWorker(each.number, each.host, each.connection)
            if each.number not in self.requested or each.number in self.connected:
                worker.end()  # it was given up
                continue
            with suppress(OSError):  # a lost one is noticed when it is read
                worker.connection.send(self.first_message)
            self.connected[each.number] = worker

    def _read(self, worker: RemoteWorker) -> None:
        try:
            others = worker.read()
        except wire.WireError as error:
            worker.lost = WorkerLost(f"sent what this scheduler does not understand ({error})")
        except (OSError, EOFError):
            worker.lost = WorkerLost("was lost", announced=worker.is_leaving)
        else:
            for message in others:
                self._handle(worker, message)
        if worker.lost and not worker.is_ready:
            worker.end()

    def _handle(self, worker: RemoteWorker, message: list[Any]) -> None:
        match message:
            case ["ready", self.digest, str()]:
                worker.is_ready = True
                self.were_ready.add(worker.number)
                self.num_failed_starts = 0
            case ["ready", str(), str(version)]:
                raise UserError(
                    f"{worker.name} plans other jobs from the same study",
                    fix=f"it has xlift {version}, and this scheduler has {__version__}."
                    if version != __version__
                    else "use the same xlift, and the same data, models and settings, on all machines.",
                )
            case ["failed", list(errors)]:
                error = wire.decode_error(errors)
                if isinstance(error, UserError):
                    raise UserError(
                        f"{worker.name} cannot plan the study: {error.what}", where=error.where, fix=error.fix
                    )
                raise error
            case ["leaving"]:
                worker.is_leaving = True
            case _:
                worker.lost = WorkerLost(f"sent what this scheduler does not understand ({message[0][:40]})")
