"""Workers of the remote executor as threads of the tests, with fake jobs, so that a run takes a fraction of a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from tests.support.fake_jobs import Recorder, run_fake_jobs

from xlift.execution.executors.base import Executor
from xlift.execution.executors.remote import RemoteExecutor
from xlift.execution.executors.server import Server
from xlift.execution.remote_study import RemoteStudy, digest_of
from xlift.execution.remote_worker import RemoteWorker
from xlift.execution.scheduler import Outcome, run_plan
from xlift.execution.work.shared import Context
from xlift.execution.worker import RunJobs
from xlift.studies.plan import Plan
from xlift.studies.store import Store


class ThreadLauncher:
    """Starts workers as threads.

    Args:
        plan: what the workers plan.
        run_jobs: what they do with jobs.
    """

    name, check_seconds = "the test", 0.05

    def __init__(self, plan: Plan, run_jobs: RunJobs = run_fake_jobs) -> None:
        self.plan, self.run_jobs = plan, run_jobs
        self.server: Server
        self.workers: dict[int, RemoteWorker] = {}
        self.threads: dict[int, threading.Thread] = {}
        self.exit_codes: dict[int, int] = {}

    def start(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.workers[number] = RemoteWorker(number, lambda *_: self.plan, self.run_jobs, lambda: None)
            self.threads[number] = threading.Thread(target=self._work, args=(number,), daemon=True)
            self.threads[number].start()

    def _work(self, number: int) -> None:
        worker = self.workers[number]
        worker.connect(**self.server.connection_settings())
        self.exit_codes[number] = worker.work()

    def find_ended(self, numbers: Collection[int]) -> set[int]:
        return {number for number in numbers if not self.threads[number].is_alive()}

    def explain_end(self, number: int) -> str:
        return "its log is empty."

    def explain_wait(self) -> str:
        return "It waits."

    def close(self, numbers: Collection[int]) -> None:
        for thread in self.threads.values():
            thread.join(5)


def run_remotely(
    plan: Plan,
    store: Store,
    display: Recorder,
    launcher: ThreadLauncher,
    workers: int = 2,
    before: Callable[[Server], object] = lambda _: None,
) -> Outcome:
    """Run a plan in the workers of a launcher.

    Args:
        before: called with the server before any worker starts.
    """

    def open_executor(context: Context, num_workers: int, warn: Callable[[str], object]) -> Executor:
        launcher.server = Server(only_here=True)
        before(launcher.server)
        study = RemoteStudy("study.yaml", "", (), "", store.where)
        return RemoteExecutor(launcher.server, launcher, study, digest_of(plan), context.repeated, num_workers, warn)

    return run_plan(plan, store, display, workers, open_executor=open_executor)
