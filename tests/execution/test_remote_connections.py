"""Connections of workers over TCP: intruders, changed lines, messages of another form, other versions and plans."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_jobs
from tests.support.fake_jobs import Recorder, job, plan, run_fake_jobs
from tests.support.remote import ThreadLauncher, run_remotely

from xlift.errors import UserError, UserErrors
from xlift.execution import remote_worker, wire
from xlift.execution.executors.connection_file import write_connection_file
from xlift.execution.executors.server import Server
from xlift.execution.remote_worker import RemoteWorker
from xlift.studies.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def call(server: Server) -> wire.Connection:
    return wire.Connection(socket.create_connection(("127.0.0.1", server.port)))


def greet_with_wrong_token(server: Server) -> None:
    with pytest.raises((OSError, EOFError)):
        wire.greet(call(server), b"another", 1, "elsewhere")


def send_line(line: bytes) -> Callable[[Server], None]:
    def send(server: Server) -> None:
        connection = call(server)
        connection.socket.sendall(line)
        with pytest.raises((EOFError, OSError)):
            while True:
                connection.receive()

    return send


@pytest.mark.parametrize(
    ("intrude", "warning"),
    [
        (greet_with_wrong_token, "a connection from 127.0.0.1 was refused: it has another token"),
        (send_line(b"GET / HTTP/1.1\r\n"), "a connection from 127.0.0.1 was refused: a line is not JSON"),
        (send_line(b"[" * 4000 + b"\n"), "a connection from 127.0.0.1 was refused: a line is not JSON"),
        (send_line(b"x" * 10_000), "a connection from 127.0.0.1 was refused: a line is too long"),
        (send_line(b'{"number": true}\n'), "a connection from 127.0.0.1 was refused: it is not a worker of xlift"),
    ],
)
def test_who_lacks_the_token_is_refused_and_the_run_goes_on(
    store: Store, intrude: Callable[[Server], None], warning: str
) -> None:
    jobs, display = plan(job("a")), Recorder()
    assert run_remotely(jobs, store, display, ThreadLauncher(jobs), workers=1, before=intrude).done == 1
    assert display.all("warning") == [warning]


def test_a_worker_does_not_obey_a_scheduler_without_the_token(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    scheduler, worker = FakeSocketConnection(ours), FakeSocketConnection(theirs)
    errors: list[Exception] = []

    def greet() -> None:
        try:
            wire.greet(worker, b"token", 1, "here")
        except wire.WireError as error:
            errors.append(error)

    thread = threading.Thread(target=greet)
    thread.start()
    scheduler.send({"xlift": "0", "nonce": "00"})
    scheduler.receive_one()
    scheduler.send({"proof": "00"})
    thread.join(5)
    assert str(errors[0]) == "it has another token"


class FakeSocketConnection(wire.Connection):
    """A connection over a pair of local sockets, which have no options of TCP."""

    def __init__(self, sock: socket.socket) -> None:
        class Socket:
            def __getattr__(self, name: str) -> Any:
                return getattr(sock, name)

            def setsockopt(self, *_: object) -> None: ...

        super().__init__(Socket())  # type: ignore[arg-type]


def secured() -> tuple[FakeSocketConnection, FakeSocketConnection]:
    ours, theirs = socket.socketpair()
    near, far = FakeSocketConnection(ours), FakeSocketConnection(theirs)
    near.secure(b"token", "scheduler", "worker", b"nonces")
    far.secure(b"token", "worker", "scheduler", b"nonces")
    return near, far


def test_lines_arrive_in_order_and_in_parts() -> None:
    near, far = secured()
    near.send(["one", {"ä": "\ud800"}])  # an unpaired surrogate is no text
    near.send(["two"])
    arrived: list[Any] = []
    while len(arrived) < 2:
        arrived += far.receive()
    assert arrived == [["one", {"ä": "?"}], ["two"]]
    far.send("x" * 100_000)  # more than one packet
    arrived.clear()
    while not arrived:
        arrived += near.receive()
    assert arrived == ["x" * 100_000]


def captured(near: FakeSocketConnection, far: FakeSocketConnection, message: Any) -> bytes:
    near.send(message)
    return far.socket.recv(10_000)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b"one", b"two"),  # changed
        lambda line: line[64:],  # without its HMAC
        lambda line: b'["added"]\n' + line,
        lambda line: line + line,  # repeated
    ],
)
def test_a_changed_added_or_repeated_line_is_refused(change: Callable[[bytes], bytes]) -> None:
    near, far = secured()
    line = captured(near, far, ["one"])
    near.socket.sendall(change(line))
    with pytest.raises(wire.WireError, match="not from the other side"):
        far.receive()


def test_a_line_of_one_direction_is_refused_in_the_other() -> None:
    near, far = secured()
    line = captured(near, far, ["one"])
    far.socket.sendall(line)
    with pytest.raises(wire.WireError, match="not from the other side"):
        near.receive()


@pytest.mark.parametrize(
    "content",
    [
        {"a": "mapping"}, [], ["unknown"], ["done"], ["done", "KEY", "long"], ["done", "no key of its jobs", 1.0],
        ["error", "KEY", [{}]], ["error", "KEY", ["text"]], ["step", "KEY", 1], ["warning", "KEY", 3],
    ],
)  # fmt: skip
def test_what_a_worker_may_not_say_ends_its_connection(store: Store, content: Any) -> None:
    only, display = job("only"), Recorder()

    def run_jobs(jobs: Any, *others: Any) -> Any:
        if len(launcher.workers) == 1:
            text = json.dumps(content).replace("KEY", only.key)
            launcher.workers[1].connection.send(json.loads(text))
            time.sleep(0.1)
            return iter(())
        return run_fake_jobs(jobs, *others)

    launcher = ThreadLauncher(plan(only), run_jobs)
    assert run_remotely(plan(only), store, display, launcher, workers=1).done == 1
    assert "sent what this scheduler does not understand" in display.all("warning")[0]
    assert display.all("warning")[0].endswith("another one goes on with: only")


def test_another_plan_of_a_worker_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = ThreadLauncher(plan(job("other")))
    with pytest.raises(UserError, match="worker 1 on .* plans other jobs from the same study\n  use the same xlift"):
        run_remotely(plan(job("a")), store, Recorder(), launcher, workers=1)
    monkeypatch.setattr(remote_worker, "__version__", "9.9")
    launcher = ThreadLauncher(plan(job("other")))
    with pytest.raises(UserError, match="it has xlift 9.9, and this scheduler has"):
        run_remotely(plan(job("a")), store, Recorder(), launcher, workers=1)


def test_a_worker_that_cannot_plan_says_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise UserError("no such folder", where="study.yaml:3: data", fix="make it.")

    launcher = ThreadLauncher(plan(job("a")))
    start = launcher.start

    def start_failing(numbers: Any) -> None:
        monkeypatch.setattr(RemoteWorker, "_run_until_end", fail)
        start(numbers)

    monkeypatch.setattr(launcher, "start", start_failing)
    with pytest.raises(UserError, match=r"study.yaml:3: data: worker 1 on .* cannot plan the study: no such folder"):
        run_remotely(plan(job("a")), store, Recorder(), launcher, workers=1)


def test_several_errors_of_one_check_stay_several() -> None:
    both = UserErrors([UserError("one", where="a.csv:1"), UserError("two", fix="mend it.")])
    assert str(wire.decode_error(wire.encode_error(both))) == str(both)


def test_only_the_owner_can_read_the_connection_file(tmp_path: Path) -> None:
    before = os.umask(0)
    server = Server(only_here=True)
    try:
        write_connection_file(tmp_path / "connection.json", server)
    finally:
        os.umask(before)
        server.close()
    assert stat.S_IMODE((tmp_path / "connection.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "connection.json").read_text())["token"] == server.token.hex()


def test_a_worker_without_scheduler_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(remote_worker, "CONNECT_SECONDS", 0.1)
    server = Server(only_here=True)
    server.close()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    monkeypatch.setenv(remote_worker.CONNECTION, json.dumps(server.connection_settings()))
    try:
        assert remote_worker.main(["3"]) == 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    error = capsys.readouterr().err
    assert error.startswith(f"xlift: worker 3 cannot reach its scheduler: 127.0.0.1 port {server.port}: ")
    assert server.token.hex() not in error
    assert remote_worker.CONNECTION not in os.environ  # so that no process that it starts gets the token


def test_a_late_artifact_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # as on a network file system, where another machine sees a new folder later
    parent = job("parent")
    child, seen = job("child", parent), []

    def appear() -> None:
        seen.append(fake_jobs.logged(store))
        with Store(store.root).write(parent.key, "train", {}):
            pass

    timer = threading.Timer(0.3, appear)
    timer.start()
    remote_worker._wait_for_parents([child], fake_jobs.Context(), store, lambda: False)
    assert store.has(parent.key)
