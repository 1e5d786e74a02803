"""The local executor: worker processes of this machine, with a pipe to each.

Processes communicate by pipes only, since a killed worker could leave a lock or a semaphore taken and block the others.
With GPUs, every worker has its own ones and sees no others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from xlift.execution.executors.base import WorkerLost
from xlift.execution.stop_signals import STOP_SIGNALS
from xlift.execution.work.shared import Context
from xlift.execution.worker import run_worker
from xlift.recipes import BLAS_THREADS
from xlift.studies.job import Job
from xlift.studies.placement import gpu_environment


class LocalWorker:
    """A process that this process has started."""

    name = "a worker process"

    def __init__(self, process: Any, connection: Connection, devices: tuple[str, ...]) -> None:
        self.process, self.connection, self.devices = process, connection, devices

    def assign(self, jobs: Sequence[Job]) -> None:
        self.connection.send(list(jobs))

    def request_stop(self) -> None:
        self.connection.send(None)  # any message during a job is a stop request

    def receive(self) -> list[tuple[Any, ...]]:
        try:
            return [self.connection.recv()]
        except (EOFError, OSError):
            self.process.join(5)  # its pipe closes a moment before it exits
            self.end()
        code = self.process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        out_of_memory = "if the machine ran out of memory, use fewer --workers; "
        raise WorkerLost(how, out_of_memory if code == -signal.SIGKILL else "")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class LocalExecutor:
    """
    Args:
        root: path or URL of the store.
        job_slots: key -> worker slots of the job: with GPUs one for each device, else one for each thread.
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them; () runs everything on the CPU.
    """

    max_losses = 0

    def __init__(
        self, context: Context, root: str, num_slots: int, job_slots: Mapping[str, int], gpus: Sequence[str] = ()
    ) -> None:
        self.context, self.root, self.num_slots = context, root, num_slots
        self.job_slots, self.gpus = job_slots, gpus
        self._workers: list[LocalWorker] = []

    @property
    def workers(self) -> list[LocalWorker]:
        """Those that have not ended."""
        return [worker for worker in self._workers if not worker.connection.closed]

    def slots(self, job: Job) -> int:
        return min(self.job_slots[job.key], self.num_slots)

    def num_devices(self, job: Job) -> int:
        return min(self.job_slots[job.key], len(self.gpus))

    def has_room(self, num_devices: int) -> bool:
        used = sum(len(worker.devices) or 1 for worker in self.workers)
        return used + (num_devices or 1) <= max(self.num_slots, num_devices)

    def start(self, num_devices: int) -> LocalWorker:
        processes = multiprocessing.get_context("spawn")  # torch does not work in processes forked from threads
        resource_tracker.ensure_running()  # its start unblocks signals, which must stay blocked below
        ours, theirs = processes.Pipe()
        devices = self._least_used_gpus(num_devices)
        process = processes.Process(target=run_worker, args=(theirs, self.context, self.root), daemon=True)
        # Ctrl-C on the terminal reaches the worker too, perhaps before it can ignore the signal.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with environment(BLAS_THREADS | gpu_environment(devices, self.num_slots, len(self.gpus))):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        worker = LocalWorker(process, ours, devices)
        self._workers.append(worker)
        return worker

    def wait(self, timeout: float, num_jobs: int) -> list[LocalWorker]:
        ready = wait([worker.connection for worker in self.workers], timeout)
        return [worker for worker in self.workers if worker.connection in ready]

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.end()
        self._workers.clear()

    def _least_used_gpus(self, number: int) -> tuple[str, ...]:
        """The GPUs that fewest workers have, in the order of the machine."""
        uses = {gpu: sum(gpu in worker.devices for worker in self.workers) for gpu in self.gpus}
        chosen = sorted(self.gpus, key=lambda gpu: uses[gpu])[:number]
        return tuple(gpu for gpu in self.gpus if gpu in chosen)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
