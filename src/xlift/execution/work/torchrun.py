"""Run a training job on several devices: the worker that holds the job's lock starts torchrun and talks to its ranks.

Each rank (execution/rank.py) connects to a socket of the worker, receives the job, and reports its progress and result. A
rank exits when its worker does, and torchrun ends when a rank does, so no process keeps a device.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import IO

from xlift.errors import UserError
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.store import Draft, Store
from xlift.training.progress import Interrupted, Progress

ADDRESS, KEY = "XLIFT_RANKS_ADDRESS", "XLIFT_RANKS_KEY"
"""Environment variables of a rank: the worker's address, and the hexadecimal key of the connection."""
POLL_SECONDS = 0.2
"""Seconds between checks whether torchrun is running and whether to stop."""
ERROR_GRACE_SECONDS = 5.0
"""Seconds to wait for the errors of other ranks after the first. A rank that lost a peer reports only the lost connection."""


class RankBug(Exception):
    """An internal error in a rank; the message is its traceback."""


def train_distributed(job: Job, context: Context, store: Store, draft: Draft[TrainNumbers], progress: Progress) -> None:
    """Run a training job on the number of devices that the study sets. The main process writes to the draft's folder.

    Raises:
        UserError, OSError, Interrupted: as the job in one process raises them, or a rank was killed.
        RankBug: an internal error in a rank.
    """
    key = secrets.token_bytes(32)
    world_size = context.engine.devices
    with Listener(authkey=key) as listener, tempfile.TemporaryFile("w+", errors="replace") as output:
        process_group = _ProcessGroup(world_size, (job, context, store.where, draft.folder))
        threading.Thread(target=process_group.accept_ranks, args=(listener,), daemon=True).start()
        process = _start_torchrun(world_size, {ADDRESS: str(listener.address), KEY: key.hex()}, output)
        try:
            _relay_messages(process_group, process, progress)
        finally:
            process_group.close()
            _stop_torchrun(process)
        if process_group.errors:
            # an error that the user can fix explains more than its consequences in other ranks
            raise min(process_group.errors, key=lambda error: isinstance(error, RankBug))
        if process_group.is_interrupted:
            raise Interrupted
        if process_group.numbers is None:
            raise _make_exit_error(job, world_size, process.returncode, output)
        draft.numbers.set_to(process_group.numbers)
        draft.numbers.devices = world_size


@dataclass
class _ProcessGroup:
    """The worker's connections to the ranks."""

    world_size: int
    assignment: tuple[Job, Context, str, Path]
    """What every rank receives: job, context, path or URL of the store, folder of the draft."""
    connections: list[Connection] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    numbers: TrainNumbers | None = None
    is_interrupted: bool = False
    has_requested_stop: bool = False

    def accept_ranks(self, listener: Listener) -> None:
        """Accept a connection from every rank and send it the job. Runs in a thread, since `accept` has no timeout."""
        for _ in range(self.world_size):
            try:
                connection = listener.accept()
                connection.send(self.assignment)
            except (OSError, EOFError):  # the listener was closed, or a rank died
                return
            self.connections.append(connection)

    def receive(self, progress: Progress) -> None:
        """Handle the messages that arrive within POLL_SECONDS."""
        for connection in wait(list(self.connections), timeout=POLL_SECONDS):
            assert isinstance(connection, Connection)
            try:
                message, *content = connection.recv()
            except (EOFError, OSError):
                self.connections.remove(connection)
                continue
            if message == "step":
                progress.report(*content)
            elif message == "warning":
                progress.warn(*content)
            elif message == "done":
                self.numbers = content[0]
            elif message == "interrupted":
                self.is_interrupted = True
            elif message == "error":
                self.errors.append(content[0])

    def request_stop(self) -> None:
        """Request a checkpoint once all ranks are connected, since the main process decides and may connect last."""
        if not self.has_requested_stop and len(self.connections) == self.world_size:
            self.has_requested_stop = True
            for connection in self.connections:
                with suppress(OSError):
                    connection.send(None)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


def _relay_messages(process_group: _ProcessGroup, process: subprocess.Popen[str], progress: Progress) -> None:
    """Exchange messages until torchrun ends, or until ERROR_GRACE_SECONDS after the first error."""
    first_error_time = 0.0
    while process.poll() is None:
        if process_group.connections:
            process_group.receive(progress)
        else:
            time.sleep(POLL_SECONDS)
        if progress.should_stop():
            process_group.request_stop()
        if process_group.errors:
            first_error_time = first_error_time or time.monotonic()
            if time.monotonic() - first_error_time > ERROR_GRACE_SECONDS:
                return
    while process_group.connections:  # messages that were sent before the end
        process_group.receive(progress)


def _start_torchrun(world_size: int, environment: dict[str, str], output: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world_size)]
    num_threads = os.environ.get("OMP_NUM_THREADS", "1")  # torchrun would set it, and print a warning
    return subprocess.Popen(
        [*command, "-m", "xlift.execution.rank"],
        env={**os.environ, "OMP_NUM_THREADS": num_threads, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,  # Ctrl-C on the terminal must reach only the run, which then requests checkpoints
    )


def _stop_torchrun(process: subprocess.Popen[str]) -> None:
    """Wait for torchrun, whose ranks have ended or lost their worker, and kill it if it does not end."""
    try:
        process.wait(ERROR_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _make_exit_error(job: Job, world_size: int, code: int, output: IO[str]) -> Exception:
    output.seek(0)
    text = output.read()
    if "SIGKILL" in text or code == -signal.SIGKILL:
        return UserError(
            f"one of the {world_size} processes of a job was killed in the middle of: {job.label}",
            fix="if the machine ran out of memory, use fewer `devices` or `strategy: fsdp`. Run the same command again to "
            "resume.",
        )
    return RankBug(f"torchrun ended with exit code {code} and this output:\n{text[-4000:]}")
