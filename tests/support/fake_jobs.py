"""Made-up jobs and a worker without torch that does what their labels say: plans run in a second instead of ten.

A label is a name and perhaps an order: "a", "b sleep 0.3", "c fail", "d bug", "e die", "f until stopped", "g deaf".
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from xlift.errors import UserError
from xlift.execution import worker
from xlift.execution.progress import named
from xlift.execution.work.shared import Context
from xlift.recipes import Architecture, Masking, Recipe, TokenizerRecipe
from xlift.studies.job import Data, Job, ModelRef, PredictSpec, PretrainSpec, Spec, TrainSpec, make_job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress


def data(name: str, language: str = "qta") -> Data:
    return Data(task=name, language=language, split="train", fingerprint="0")


def job(label: str, *parents: Job, kind: str = "train", examples: int = 10, model: str = "m", task: str = "") -> Job:
    """A job; a prediction without parents is one with the pretrained model `model`. Of one `task`, the names are languages."""
    name, recipe = label.split()[0], Recipe()
    ref = None if parents else ModelRef(fingerprint=model)
    spec: Spec
    if kind == "predict":
        spec = PredictSpec(model=ref, data=data(task, name) if task else data(name))
    elif kind == "train":
        spec = TrainSpec(model=ref, mixture=(data(name),), recipe=recipe, seed=1)
    else:
        spec = PretrainSpec(
            text=(data(name),), architecture=Architecture(), tokenizer=TokenizerRecipe(), masking=Masking(),
            recipe=recipe, seed=1,
        )  # fmt: skip
    return make_job(spec, tuple(parent.key for parent in parents), label, examples)


def plan(*jobs: Job) -> Plan:
    return Plan("fake", jobs={job.key: job for job in jobs})


Done = Iterator[tuple[Job, float | Exception]]


class Recorder:
    """A display that remembers: [("started", "a"), ("finished", "a"), ...]."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def begin(self, todo: list[Job], done: int) -> None:
        self.said.append(("begin", f"{len(todo)} {done}"))

    def started(self, job: Job, others: int = 0) -> None:
        self.said.append(("started", named(job, others)))

    def step(self, job: Job, done: int, total: int) -> None:
        self.said.append(("step", job.label))

    def finished(self, job: Job, seconds: float) -> None:
        self.said.append(("finished" if seconds else "there", job.label))

    def elsewhere(self, job: Job) -> None:
        self.said.append(("elsewhere", job.label))

    def failed(self, job: Job, others: int) -> None:
        self.said.append(("failed", f"{job.label}, {others} others"))

    def stopping(self, others: int) -> None:
        self.said.append(("stopping", str(others)))

    def all(self, word: str) -> list[str]:
        return [label for said, label in self.said if said == word]


def after(display: Recorder, word: str, label: str, act: Callable[[], object], delay: float = 0.0) -> threading.Thread:
    """Do something once the display has said something, while the main thread runs the plan."""

    def watch() -> None:
        while (word, label) not in display.said:
            time.sleep(0.01)
        time.sleep(delay)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def send(number: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), number)


def work(connection: Connection, context: Context, root: Path) -> None:
    """Stands in for `worker.work`: no torch is imported."""
    worker.settle()
    worker.serve(connection, context, Store(root), do)


def work_with_a_bug(connection: Connection, context: Context, root: Path) -> None:
    """Every prediction fails; training jobs do nothing, quickly."""

    def do(jobs: Sequence[Job], context: Context, store: Store, progress: Progress) -> Done:
        for job in jobs:
            with store.write(job.key, job.kind, {}, job.parents):
                if job.kind == "predict":
                    print(1 / 0)
            yield job, 0.1

    worker.serve(connection, context, Store(root), do)


def do(jobs: Sequence[Job], context: Context, store: Store, progress: Progress) -> Done:
    for job in jobs:
        log(store, "begin", job)
        started = time.monotonic()
        try:
            with store.write(job.key, job.kind, {}, job.parents) as draft:
                (draft.folder / "company").write_text(" ".join(each.label.split()[0] for each in jobs))
                if job.label.endswith(" threads"):
                    (draft.folder / "threads").write_text(_blas_threads())
                else:
                    _obey(job.label.split()[1:], store.partial(job.key), progress)
                (draft.folder / "pid").write_text(str(os.getpid()))
        except Interrupted:
            raise
        except Exception as error:
            yield job, error
            continue
        log(store, "end", job)
        yield job, time.monotonic() - started


def _blas_threads() -> str:
    """What NumPy found when it was loaded, and what torch's library will find."""
    blas = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    return f"{max(blas)} {os.environ['MKL_NUM_THREADS']}"


def _obey(order: list[str], partial: Path, progress: Progress) -> None:
    match order:
        case []:
            pass
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["fail"]:
            raise UserError("a row is wrong", where="own.csv:7", fix="mend it.")
        case ["bug"]:
            print(1 / 0)
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["until", "stopped"]:
            for step in range(1_000_000):
                time.sleep(0.01)
                progress.report(step, 1_000_000)
                if progress.stopping():
                    (partial / "checkpoint").write_text(str(step))
                    raise Interrupted
        case ["deaf"]:
            time.sleep(600)
        case _:
            raise AssertionError(order)


def log(store: Store, word: str, job: Job) -> None:
    """One line into a file that all workers append to."""
    with (store.root.parent / "log").open("a") as file:
        file.write(f"{time.monotonic()} {word} {job.label.split()[0]}\n")


def logged(store: Store) -> list[tuple[float, str, str]]:
    """(time, "begin" or "end", name of the job), in the order in which it happened."""
    path = store.root.parent / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    entries: list[Any] = [line.split() for line in lines]
    return [(float(when), word, name) for when, word, name in entries]
