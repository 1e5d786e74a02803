"""A training job on several devices: the worker that holds the job's lock starts torchrun, and talks to its ranks.

Each rank (execution/rank.py) connects to a socket of the worker, is told the job, and says what becomes of it. A rank whose
worker is gone ends at once, and torchrun ends when one of its ranks does: nothing goes on holding a device.
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
from typing import IO, Any

from xlift.errors import UserError
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.store import Draft, Store
from xlift.training.progress import Interrupted, Progress

ADDRESS, KEY = "XLIFT_RANKS_ADDRESS", "XLIFT_RANKS_KEY"
"""Environment of a rank: where its worker listens, and the key of that conversation in hexadecimal."""
LOOK = 0.2
"""Seconds between two looks at whether torchrun lives and whether the run wants to stop."""
LAST_WORDS = 5.0
"""Seconds in which other ranks may say what is wrong after one has failed: a rank that lost its neighbour says only that."""


class RankBug(Exception):
    """An error of ours in a rank; the message is its traceback."""


def train_on_several(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    """Do a training job on as many devices as the study wants; the first rank fills the draft's folder.

    Raises:
        UserError, OSError, Interrupted: as the job itself in one process; or a rank was killed.
        RankBug: an error of ours in a rank.
    """
    key = secrets.token_bytes(32)
    ranks = context.engine.devices
    with Listener(authkey=key) as listener, tempfile.TemporaryFile("w+", errors="replace") as said:
        team = _Team(ranks, (job, context, store.root, draft.folder))
        threading.Thread(target=team.welcome, args=(listener,), daemon=True).start()
        process = _start(ranks, {ADDRESS: str(listener.address), KEY: key.hex()}, said)
        try:
            _converse(team, process, progress)
        finally:
            team.hang_up()
            _end(process)
        if team.errors:
            # what a user can mend says more than what it led to in other ranks
            raise min(team.errors, key=lambda error: isinstance(error, RankBug))
        if team.interrupted:
            raise Interrupted
        if team.numbers is None:
            raise _unexplained(job, ranks, process.returncode, said)
        draft.numbers.update(team.numbers, devices=ranks)


@dataclass
class _Team:
    """The ranks as the worker knows them."""

    size: int
    task: tuple[Job, Context, Path, Path]
    connections: list[Connection] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    numbers: dict[str, Any] | None = None
    interrupted: bool = False
    stopping: bool = False

    def welcome(self, listener: Listener) -> None:
        """Take every rank's call and tell it the job. In a thread, as nothing but a call ends the waiting."""
        for _ in range(self.size):
            try:
                connection = listener.accept()
                connection.send(self.task)
            except (OSError, EOFError):  # the listener was closed, or a rank that died
                return
            self.connections.append(connection)

    def hear(self, progress: Progress) -> None:
        """What the ranks have to say within a moment."""
        for connection in wait(list(self.connections), timeout=LOOK):
            assert isinstance(connection, Connection)
            try:
                message, *content = connection.recv()
            except (EOFError, OSError):
                self.connections.remove(connection)
                continue
            if message == "step":
                progress.report(*content)
            elif message == "done":
                self.numbers = content[0]
            elif message == "interrupted":
                self.interrupted = True
            elif message == "error":
                self.errors.append(content[0])

    def stop(self) -> None:
        """Ask for checkpoints. The first rank decides for all, and may not have called yet."""
        if not self.stopping and len(self.connections) == self.size:
            self.stopping = True
            for connection in self.connections:
                with suppress(OSError):
                    connection.send(None)

    def hang_up(self) -> None:
        for connection in self.connections:
            connection.close()


def _converse(team: _Team, process: subprocess.Popen[str], progress: Progress) -> None:
    """Until torchrun ends, or for a moment after the first error."""
    failed = 0.0
    while process.poll() is None:
        if team.connections:
            team.hear(progress)
        else:
            time.sleep(LOOK)
        if progress.stopping():
            team.stop()
        if team.errors:
            failed = failed or time.monotonic()
            if time.monotonic() - failed > LAST_WORDS:
                return
    while team.connections:  # what was said before the end
        team.hear(progress)


def _start(ranks: int, environment: dict[str, str], said: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    threads = os.environ.get("OMP_NUM_THREADS", "1")  # torchrun would set it, and say so
    return subprocess.Popen(
        [*command, "-m", "xlift.execution.rank"],
        env={**os.environ, "OMP_NUM_THREADS": threads, **environment},
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        text=True,
        start_new_session=True,  # a Ctrl-C on the terminal is meant for the run, which asks for checkpoints
    )


def _end(process: subprocess.Popen[str]) -> None:
    """End torchrun; its ranks have lost their worker, or have ended."""
    try:
        process.wait(LAST_WORDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _unexplained(job: Job, ranks: int, code: int, said: IO[str]) -> Exception:
    said.seek(0)
    text = said.read()
    if "SIGKILL" in text or code == -signal.SIGKILL:
        return UserError(
            f"one of the {ranks} processes of a job was killed in the middle of: {job.label}",
            fix="if the machine ran out of memory, use fewer `devices` or `strategy: fsdp`; run again to go on.",
        )
    return RankBug(f"torchrun ended with exit code {code}, and said:\n{text[-4000:]}")
