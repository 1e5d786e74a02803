"""The socket at which workers on other machines reach the scheduler."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from xlift.errors import UserError
from xlift.execution import wire

BACKLOG = 1024
"""Workers that connect at once."""


@dataclass(frozen=True)
class Accepted:
    """A worker that has proved that it has the token."""

    number: int
    host: str
    connection: wire.Connection


class Server:
    """Accepts workers in a thread.

    Args:
        hosts: at which workers reach this machine; default: its name and its address.
        port: 0 for any that is free.
        only_here: accept connections of this machine alone.

    Raises:
        UserError: the port is not free.
    """

    def __init__(self, hosts: Sequence[str] = (), port: int = 0, *, only_here: bool = False) -> None:
        try:
            self.socket = socket.create_server(("127.0.0.1" if only_here else "", port), backlog=BACKLOG)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used: {error.strerror or error}", fix="name another `port`, or none."
            ) from None
        self.hosts = tuple(hosts) or (("127.0.0.1",) if only_here else _addresses())
        self.port: int = self.socket.getsockname()[1]
        self.token = secrets.token_bytes(32)
        self._accepted: SimpleQueue[Accepted] = SimpleQueue()
        self._refused: SimpleQueue[str] = SimpleQueue()
        self.wake, self._notify = socket.socketpair()
        """Readable when a worker was accepted or refused."""
        self.wake.setblocking(False)
        threading.Thread(target=self._accept, daemon=True).start()

    def connection_settings(self) -> dict[str, Any]:
        """What a worker needs to connect. It has the token, so it goes into no log and no command line."""
        return {"hosts": list(self.hosts), "port": self.port, "token": self.token.hex()}

    def take(self) -> tuple[list[Accepted], list[str]]:
        """The workers that were accepted since the last call, and why others were refused."""
        with suppress(BlockingIOError):
            while self.wake.recv(4096):
                pass
        return _drain(self._accepted), _drain(self._refused)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.socket.close()
        for accepted in _drain(self._accepted):
            accepted.connection.close()
        self.wake.close()
        self._notify.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, (host, *_) = self.socket.accept()
            except OSError:
                if self.socket.fileno() == -1:
                    return
                continue
            threading.Thread(target=self._shake_hands, args=(sock, host), daemon=True).start()

    def _shake_hands(self, sock: socket.socket, address: str) -> None:
        connection = wire.Connection(sock)
        try:
            number, host = wire.accept(connection, self.token)
            self._accepted.put(Accepted(number, host, connection))
        except wire.WireError as error:
            self._refused.put(f"a connection from {address} was refused: {error}")
            connection.close()
        except (OSError, EOFError):  # something that looked whether the port is open
            connection.close()
            return
        with suppress(OSError):
            self._notify.send(b"!")


def _addresses() -> tuple[str, ...]:
    """Names and addresses of this machine, the most likely one first."""
    addresses = [socket.gethostname()]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; the system only chooses the address that it would use
        addresses.append(probe.getsockname()[0])
    return tuple(dict.fromkeys(addresses))


def _drain(queue: SimpleQueue[Any]) -> list[Any]:
    items = []
    with suppress(Empty):
        while True:
            items.append(queue.get_nowait())
    return items
