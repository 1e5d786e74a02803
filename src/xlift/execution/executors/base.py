"""What the scheduler asks of an executor and of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from xlift.studies.job import Job


class WorkerLost(Exception):
    """A worker has ended before the run.

    Args:
        how: 'was killed by signal 9', to follow the worker's name.
        fix: what the user can do.
        announced: whether the worker announced its end, as it does before a time limit. Its jobs were interrupted
            with checkpoints, or not started.
    """

    def __init__(self, how: str, fix: str = "", *, announced: bool = False) -> None:
        super().__init__(how)
        self.how, self.fix, self.announced = how, fix, announced


class Worker(Protocol):
    """A process that runs jobs, as the scheduler sees it."""

    @property
    def name(self) -> str:
        """For messages: 'a worker process', 'worker 3 on node17'."""
        ...

    @property
    def devices(self) -> tuple[str, ...]:
        """The GPUs that are its own, as CUDA_VISIBLE_DEVICES names them. () where something else assigns them, or on a CPU."""
        ...

    def assign(self, jobs: Sequence[Job]) -> None:
        """Hand over jobs to run in one pass. Raises OSError if the worker is gone or leaves."""
        ...

    def request_stop(self) -> None:
        """Ask for a checkpoint of the running job, and for its end. Raises OSError if the worker is gone."""
        ...

    def receive(self) -> list[tuple[Any, ...]]:
        """The messages that have arrived (worker.py lists them). Raises WorkerLost if the worker has ended."""
        ...

    def end(self) -> None:
        """Stop it while it is idle, or clean up after it has ended."""
        ...


class Executor(Protocol):
    """Starts workers on some machine. No result depends on which executor runs a job."""

    max_losses: int
    """How often a job may lose its worker and start again in another one. One loss more fails the run."""
    num_slots: int
    """Worker slots: the jobs that run at once take at most as many together."""

    def slots(self, job: Job) -> int:
        """Worker slots that a job takes, at most `num_slots`."""
        ...

    def num_devices(self, job: Job) -> int:
        """GPUs that the worker of a job must have; 0 if any worker will do."""
        ...

    def has_room(self, num_devices: int) -> bool:
        """Whether a new worker would share no GPU that it could have alone."""
        ...

    def start(self, num_devices: int) -> Worker | None:
        """Start a worker. None if this executor starts its workers by itself; they appear in `wait` once they are ready."""
        ...

    def wait(self, timeout: float, num_jobs: int) -> Sequence[Worker]:
        """Workers that are new, have sent something or have ended; after `timeout` seconds there may be none.

        Args:
            num_jobs: jobs that are not finished; no more workers than that are started.

        Raises:
            UserError: no worker can be started.
        """
        ...

    def close(self) -> None:
        """End all workers. Idle ones hold nothing, and busy ones had their time to stop."""
        ...


class OneSlotExecutor:
    """What executors share whose jobs each take a whole worker: the worker has the devices that it was started with."""

    def slots(self, job: Job) -> int:
        return 1

    def num_devices(self, job: Job) -> int:
        return 0

    def has_room(self, num_devices: int) -> bool:
        return True
