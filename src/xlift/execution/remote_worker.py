"""A worker on another machine: `python -m xlift.execution.remote_worker NUMBER --connection FILE`.

It connects to the scheduler (wire.py), plans the study that it receives, and runs jobs that are named by their keys. It ends when
the scheduler ends. It writes a checkpoint and leaves on SIGUSR2 (a time limit comes) and on SIGTERM (it is stopped or preempted).

FILE is JSON: the hosts at which the scheduler may be reached, its port, and the token. Without FILE they are in the environment
variable XLIFT_WORKER_CONNECTION.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from xlift.recipes import BLAS_THREADS

os.environ.update(BLAS_THREADS)  # before NumPy is imported

from xlift.errors import UserError
from xlift.execution import wire
from xlift.execution.remote_study import RemoteStudy, digest_of
from xlift.execution.work import run_jobs
from xlift.execution.work.shared import Context
from xlift.execution.worker import RunJobs, import_libraries, run_batch
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.version import __version__

CONNECTION = "XLIFT_WORKER_CONNECTION"
WATCH_STDIN = "XLIFT_WORKER_WATCH_STDIN"
"""Environment variable: exit when the standard input ends, since the process that started the worker is gone."""
CONNECT_SECONDS = 60.0
"""How long to try to reach the scheduler."""
STOP_TIMEOUT = 60.0
"""Seconds to write a checkpoint when the scheduler is gone."""
END_SECONDS = 1.0
"""Seconds that a job may still run when the scheduler ends the run."""
VISIBLE_SECONDS = 90.0
"""How long to wait for an artifact that the scheduler has seen: a network file system may show it later here (the attribute cache of
NFS lasts up to a minute)."""

PlanStudy = Callable[[RemoteStudy, Store], Plan]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="xlift.execution.remote_worker", description="A worker of xlift.")
    parser.add_argument("number", type=int, help="of the worker")
    parser.add_argument("--connection", help="file with the scheduler's address and the token")
    options = parser.parse_args(arguments)
    text = Path(options.connection).read_text() if options.connection else os.environ.pop(CONNECTION)
    if WATCH_STDIN in os.environ:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    worker = RemoteWorker(options.number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, lambda *_: worker.leave())
    try:
        worker.connect(**json.loads(text))
    except (OSError, EOFError, wire.WireError) as error:
        print(f"xlift: worker {options.number} cannot reach its scheduler: {error or 'it hung up'}", file=sys.stderr)
        return 1
    return worker.work()


class RemoteWorker:
    """The worker's side of a connection.

    Args:
        plan_study, run_jobs, import_libraries: replaced in tests.
    """

    def __init__(
        self,
        number: int,
        plan_study: PlanStudy = RemoteStudy.plan,
        run_jobs: RunJobs = run_jobs,
        import_libraries: Callable[[], None] = import_libraries,
    ) -> None:
        self.number, self.plan_study, self.run_jobs, self.import_libraries = (
            number,
            plan_study,
            run_jobs,
            import_libraries,
        )
        self.connection: wire.Connection
        self.received: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        """Studies and jobs; None wakes the main thread to end."""
        self.is_leaving = self.has_announced = self.is_lost = self.is_running = False
        self.stop_requested = threading.Event()

    def connect(self, hosts: Sequence[str], port: int, token: str) -> None:
        """Connect to the scheduler at the first of some hosts that answers, and prove that both have the token.

        Raises:
            OSError, EOFError: no host answers within CONNECT_SECONDS.
            WireError: another program answers.
        """
        deadline, pause = time.monotonic() + CONNECT_SECONDS, 0.2
        while True:
            try:
                self.connection = _connect_to_one(hosts, port)
                break
            except OSError:
                if time.monotonic() + pause > deadline or self.is_leaving:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
        wire.greet(self.connection, bytes.fromhex(token), self.number, socket.gethostname())
        threading.Thread(target=self._receive, daemon=True).start()

    def work(self) -> int:
        """Plan the study, then run jobs until the scheduler ends or this worker must leave. Returns the exit code."""
        try:
            self._run_until_end()
        except UserError as error:
            self.send("failed", wire.encode_error(error))
            print(f"xlift: {error}", file=sys.stderr)
            return 2
        finally:
            self.connection.close()
        return 1 if self.is_lost and not self.is_leaving else 0

    def leave(self) -> None:
        """Write a checkpoint of the running job and end. Called by a signal handler."""
        self.is_leaving = True
        self.received.put(None)

    def send(self, *message: Any) -> None:
        with suppress(OSError):  # the receiving thread sees that the scheduler is gone
            self.connection.send(message)

    def _run_until_end(self) -> None:
        first = self.received.get()
        if first is not None:
            study = RemoteStudy.from_json(first["study"])
            store = study.open_store()
            plan = self.plan_study(study, store)
            self.import_libraries()
            gc.collect()
            gc.freeze()
            repeated = frozenset(first["repeated"])
            context = Context(plan.data, plan.tasks, plan.models, plan.engine, plan.engines, repeated, plan.name)
            self.send("ready", digest_of(plan), __version__)
            while (message := self.received.get()) is not None and not self.is_leaving:
                self._run([plan.jobs[key] for key in message["keys"]], context, store)
        self._announce_leaving()

    def _run(self, jobs: Sequence[Job], context: Context, store: Store) -> None:
        self.is_running = True
        self.stop_requested.clear()
        _wait_for_parents(jobs, context, store, self._should_stop)
        run_batch(jobs, context, store, self.run_jobs, self._send_about_job, self._should_stop)
        self.is_running = False

    def _should_stop(self) -> bool:
        return self.is_leaving or self.is_lost or self.stop_requested.is_set()

    def _announce_leaving(self) -> None:
        if self.is_leaving and not self.has_announced:
            self.has_announced = True
            self.send("leaving")

    def _send_about_job(self, message: str, key: str, *content: Any) -> None:
        if message == "interrupted":
            self._announce_leaving()  # first, so that the job does not come back here
        self.send(message, key, *(wire.encode_error(each) if isinstance(each, Exception) else each for each in content))

    def _receive(self) -> None:
        """Receive messages. When the scheduler is gone, end: at once if idle, else with a checkpoint."""
        try:
            while True:
                for message in self.connection.receive():
                    if message["do"] == "stop":
                        self.stop_requested.set()
                    elif message["do"] == "end":
                        self.received.put(None)
                        return self._exit_after(END_SECONDS)  # a running job had its time to stop
                    else:
                        self.received.put(message)
        except (OSError, EOFError, wire.WireError):
            self.is_lost = True
            self.received.put(None)
            self._exit_after(STOP_TIMEOUT)

    def _exit_after(self, seconds: float) -> None:
        """Exit at once if a job still runs after some seconds."""
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > deadline:
                os._exit(1)
            time.sleep(0.05)


def _connect_to_one(hosts: Sequence[str], port: int) -> wire.Connection:
    error = OSError("no host is given")
    for host in hosts:
        try:
            return wire.Connection(socket.create_connection((host, port), timeout=wire.HANDSHAKE_TIMEOUT))
        except OSError as failed:
            error = OSError(f"{host} port {port}: {failed}")
    raise error


def _wait_for_parents(jobs: Sequence[Job], context: Context, store: Store, should_stop: Callable[[], bool]) -> None:
    """Wait until this machine sees what the jobs read. After VISIBLE_SECONDS the jobs report what is missing."""
    parents = {parent for job in jobs for parent in job.required}
    deadline = time.monotonic() + VISIBLE_SECONDS
    while (
        not all(context.is_finished(key, store) for key in parents)
        and time.monotonic() < deadline
        and not should_stop()
    ):
        time.sleep(0.5)


def _exit_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
