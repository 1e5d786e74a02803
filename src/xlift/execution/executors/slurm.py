"""Slurm: workers as elements of job arrays, submitted with submitit.

A worker runs jobs until its time limit comes. Slurm then sends SIGUSR2 `signal_delay_s` seconds before; the worker writes a
checkpoint and leaves, and a new one is submitted in its place. A worker that Slurm requeues, after a preemption or the loss of a
node, connects again. submitit pickles what it runs: here `os.execv` with the words of a command, nothing of xlift.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.execution.executors.connection_file import write_connection_file
from xlift.execution.executors.server import Server

UNSEEN_SECONDS = 30.0
"""How long a worker that was just submitted may be missing in the queue's listing."""
END_SECONDS = 5.0
"""How long the cluster may take to see that a worker has ended."""
_ENDED = ("CANCELLED", "COMPLETED", "COMPLETING", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
_OUTPUT = 800
"""Characters of a worker's output in an error."""


class SlurmLauncher:
    """
    Args:
        cluster: 'slurm', or submitit's 'local': processes of this machine, to try it out.
        folder: for the scripts and logs of submitit; all nodes must see it.
        parameters: for submitit's AutoExecutor.
    """

    name = "Slurm"
    check_seconds = 10.0

    def __init__(self, server: Server, cluster: str, folder: Path, parameters: Mapping[str, Any]) -> None:
        import submitit

        self.cluster, self.folder = cluster, folder.absolute()
        if cluster == "local":
            self.check_seconds = 1.0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.executor = submitit.AutoExecutor(folder=self.folder, cluster=cluster)
            self.connection_file = self.folder / f"connection-{secrets.token_hex(4)}.json"
            write_connection_file(self.connection_file, server)
        except OSError as error:
            raise UserError(
                f"cannot be written: {error.strerror or error}", where=str(self.folder),
                fix="name a folder that all nodes see: --executor-option folder=FOLDER.",
            ) from None  # fmt: skip
        self.executor.update_parameters(**parameters)
        self.jobs: dict[int, Any] = {}
        self.submitted_at: dict[int, float] = {}

    def start(self, numbers: Sequence[int]) -> None:
        command = [sys.executable, "-m", "xlift.execution.remote_worker", "--connection", str(self.connection_file)]
        try:
            with self.executor.batch():
                jobs = [self.executor.submit(os.execv, sys.executable, [*command, str(number)]) for number in numbers]
        except Exception as error:  # submitit has several classes for what sbatch says
            raise UserError(
                f"Slurm does not accept the workers: {str(error)[-_OUTPUT:].strip()}",
                fix="check the options of --executor-option.",
            ) from None
        self.jobs.update(zip(numbers, jobs))
        self.submitted_at.update(dict.fromkeys(numbers, time.monotonic()))

    def find_ended(self, numbers: Collection[int]) -> set[int]:
        if not numbers:
            return set()
        ended = set(numbers) - set(self._find_left(numbers))
        if self.cluster == "local":
            return ended
        now = time.monotonic()
        return {number for number in ended if now - self.submitted_at[number] > UNSEEN_SECONDS}

    def explain_end(self, number: int) -> str:
        paths = self.jobs[number].paths
        for path in (paths.stderr, paths.stdout):
            with suppress(OSError):
                if text := path.read_text(errors="replace").strip():
                    return f"the end of {path}:\n{text[-_OUTPUT:]}"
        return f"the log would be {paths.stderr}; `sacct -j {self.jobs[number].job_id}` may say more."

    def explain_wait(self) -> str:
        reasons = sorted({reason for _, reason in (self._queue() or {}).values() if reason not in ("", "None")})
        return f"Slurm says: {', '.join(reasons)}. `squeue --me` shows the queue." if reasons else ""

    def close(self, numbers: Collection[int]) -> None:
        left, deadline = self._find_left(numbers), time.monotonic() + END_SECONDS
        while left and time.monotonic() < deadline:  # those that end by themselves are not cancelled
            time.sleep(0.05 if self.cluster == "local" else 1.0)
            left = self._find_left(left)
        if left and self.cluster == "slurm":
            names = [self.jobs[number].job_id for number in left]
            subprocess.run(["scancel", *names], capture_output=True, check=False)
        for number in left if self.cluster == "local" else ():
            self.jobs[number].cancel()
        self.connection_file.unlink(missing_ok=True)

    def _find_left(self, numbers: Collection[int]) -> list[int]:
        """Those of some workers that wait or run, as far as is known."""
        if self.cluster == "local":
            return [number for number in numbers if not self.jobs[number].done()]
        states = self._queue()
        return [number for number in numbers if states is None or self.jobs[number].job_id in states]

    def _queue(self) -> dict[str, tuple[str, str]] | None:
        """Job id -> state and reason of the user's jobs that wait or run; None if the controller does not answer."""
        command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i|%T|%r"]
        listing = subprocess.run(command, capture_output=True, text=True, check=False)
        if listing.returncode:
            return None
        fields = [line.strip().split("|") for line in listing.stdout.splitlines() if line.count("|") == 2]
        return {name: (state, reason) for name, state, reason in fields if state not in _ENDED}


def check_slurm(cluster: str) -> None:
    """Raises UserError if no job can be submitted from here."""
    for program in ("sbatch", "squeue", "srun") if cluster == "slurm" else ():
        if shutil.which(program) is None:
            raise UserError(
                f"there is no `{program}` here, so this is not a node of a Slurm cluster", where="--executor slurm",
                fix="run the command on a login node of the cluster, or take another executor.",
            )  # fmt: skip
