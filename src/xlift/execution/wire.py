"""Messages between the scheduler and workers on other machines: JSON over TCP, a line each.

Nothing is unpickled and nothing that arrives is run. Both sides hold a random token. Each proves to the other that it has it,
by the HMAC-SHA256 of two random numbers, before anything else is read. From then on every line begins with its own HMAC, under a key
of this connection and direction and with the number of the line, so no line can be changed, repeated or added on the way. Lines
are not encrypted: they hold a study, keys of jobs, progress and errors.

    scheduler -> worker   {"xlift": version, "nonce": ...}
    worker -> scheduler   {"nonce": ..., "proof": ..., "number": of the worker, "host": ...}
    scheduler -> worker   {"proof": ...}
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
from contextlib import suppress
from typing import Any

from xlift.errors import UserError, UserErrors
from xlift.execution.worker import WorkerBug
from xlift.version import __version__

MAX_LINE = 64 * 2**20
"""Bytes of the longest line. The longest is the study with the keys of jobs that run again."""
MAX_GREETING = 4096
"""Bytes of the longest line before the other side has proved that it has the token."""
HANDSHAKE_TIMEOUT = 10.0
"""Seconds to answer during the handshake."""
SEND_TIMEOUT = 30.0
"""Seconds until a line that the other side does not read is given up."""
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A machine that has lost its power or its network is noticed after a minute."""
_MAC_DIGITS = 64


class WireError(Exception):
    """The other side does not keep to the protocol, or does not have the token."""


class Connection:
    """Lines over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = b""
        self._max_line = MAX_GREETING
        self._keys: tuple[bytes, bytes] | None = None
        """For the lines that leave and that arrive, after the handshake."""
        self._num_sent = self._num_received = 0
        sock.settimeout(HANDSHAKE_TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # macOS lacks one of them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        return self.socket.fileno()

    def secure(self, token: bytes, sent: str, received: str, nonces: bytes) -> None:
        """Begin to check lines, under a key for each direction."""
        self._keys = (
            _mac(token, f"lines of the {sent}".encode() + nonces),
            _mac(token, f"lines of the {received}".encode() + nonces),
        )
        self._max_line = MAX_LINE
        # A receiver waits for as long as the other side has nothing to say; `send` must not.
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SEND_TIMEOUT), 0))

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError if the connection is lost."""
        content = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        if self._keys:
            content = self._line_mac(self._keys[0], self._num_sent, content) + content
            self._num_sent += 1
        self.socket.sendall(content + b"\n")

    def receive(self) -> list[Any]:
        """The messages in the bytes that have arrived; it waits for some bytes, and may return no message.

        Raises:
            EOFError: the other side has closed the connection.
            OSError: the connection is lost.
            WireError: a line is not JSON, too long, or not from the other side.
        """
        if b"\n" not in self._buffer:
            self._read()
        *lines, self._buffer = self._buffer.split(b"\n")
        return list(map(self._decode, lines))

    def receive_one(self) -> Any:
        """Wait for a message of the handshake. What follows it is kept, since lines change their form after the handshake."""
        while b"\n" not in self._buffer:
            self._read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return self._decode(line)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # also wakes a thread that receives
        self.socket.close()

    def _read(self) -> None:
        arrived = self.socket.recv(2**16)
        if not arrived:
            raise EOFError
        self._buffer += arrived
        if len(self._buffer) > self._max_line:
            raise WireError("a line is too long")

    def _decode(self, line: bytes) -> Any:
        if self._keys:
            mac, line = line[:_MAC_DIGITS], line[_MAC_DIGITS:]
            if not hmac.compare_digest(mac, self._line_mac(self._keys[1], self._num_received, line)):
                raise WireError("a line is not from the other side of the connection")
            self._num_received += 1
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise WireError("a line is not JSON") from None

    @staticmethod
    def _line_mac(key: bytes, number: int, content: bytes) -> bytes:
        return _mac(key, number.to_bytes(8, "big") + content).hex().encode()


def accept(connection: Connection, token: bytes) -> tuple[int, str]:
    """The scheduler's side of the handshake. Returns the number and the host of the worker.

    Raises:
        WireError: the other side does not have the token.
        OSError, EOFError: it does not answer.
    """
    nonce = secrets.token_hex(32)
    connection.send({"xlift": __version__, "nonce": nonce})
    answer = connection.receive_one()
    expected = {"nonce": str, "proof": str, "number": int, "host": str}
    if not isinstance(answer, dict) or any(type(answer.get(key)) is not kind for key, kind in expected.items()):
        raise WireError("it is not a worker of xlift")
    nonces = _both(nonce, answer["nonce"])
    if not hmac.compare_digest(answer["proof"].encode(), _prove(token, "worker", nonces)):
        raise WireError("it has another token")
    connection.send({"proof": _prove(token, "scheduler", nonces).decode()})
    connection.secure(token, "scheduler", "worker", nonces)
    return answer["number"], answer["host"][:100]


def greet(connection: Connection, token: bytes, number: int, host: str) -> None:
    """The worker's side of the handshake.

    Raises:
        WireError: the other side does not have the token, or has another version of xlift.
        OSError, EOFError: it does not answer.
    """
    greeting = connection.receive_one()
    if not isinstance(greeting, dict) or not isinstance(greeting.get("nonce"), str):
        raise WireError("it is not a scheduler of xlift")
    nonce = secrets.token_hex(32)
    nonces = _both(greeting["nonce"], nonce)
    proof = _prove(token, "worker", nonces).decode()
    connection.send({"nonce": nonce, "proof": proof, "number": number, "host": host})
    answer = connection.receive_one()
    if not isinstance(answer, dict) or not isinstance(answer.get("proof"), str):
        raise WireError("it is not a scheduler of xlift")
    if not hmac.compare_digest(answer["proof"].encode(), _prove(token, "scheduler", nonces)):
        raise WireError("it has another token")
    connection.secure(token, "worker", "scheduler", nonces)


def encode_error(error: Exception) -> list[dict[str, str]]:
    """An error of a job as plain values."""
    if isinstance(error, UserError):
        return [{"what": each.what, "where": each.where, "fix": each.fix} for each in error.errors]
    return [{"bug": str(error)}]


def decode_error(content: Any) -> UserError | WorkerBug:
    """Raises WireError if it is no such error."""
    try:
        if "bug" in content[0]:
            return WorkerBug(str(content[0]["bug"]))
        errors = [UserError(str(each["what"]), where=str(each["where"]), fix=str(each["fix"])) for each in content]
    except (LookupError, TypeError):
        raise WireError("an error has an unknown form") from None
    return errors[0] if len(errors) == 1 else UserErrors(errors)


def _both(scheduler: str, worker: str) -> bytes:
    return f" {scheduler} {worker}".encode("utf-8", "replace")


def _prove(token: bytes, side: str, nonces: bytes) -> bytes:
    return _mac(token, f"{side} has the token".encode() + nonces).hex().encode()


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)
