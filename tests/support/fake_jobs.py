"""Fake jobs, and a worker without torch that follows their labels, so that plans run in a second instead of ten.

A label is a name and optionally an order: "a", "b sleep 0.3", "c fail", "d bug", "e die", "f until stopped", "g ignores stop", "h threads", "i gpus", "j resumes"
(it ends when it has a checkpoint).
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

import pytest
from threadpoolctl import threadpool_info

from xlift.errors import UserError
from xlift.execution import scheduler, worker
from xlift.execution.executors import local
from xlift.execution.progress import batch_label
from xlift.execution.work.shared import Context
from xlift.recipes import WORKERS_PER_GPU, Architecture, Masking, Recipe, TokenizerRecipe
from xlift.studies.job import Data, Job, MergeSpec, ModelRef, PredictSpec, PretrainSpec, Spec, TrainSpec, make_job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress


def data(name: str, language: str = "qta") -> Data:
    return Data(task=name, language=language, split="train", fingerprint="0")


def job(label: str, *parents: Job, kind: str = "train", examples: int = 10, model: str = "m", task: str = "") -> Job:
    """A job. A prediction without parents uses the pretrained model `model`. With `task`, the name is a language. A job
    with several parents merges them."""
    name, recipe = label.split()[0], Recipe()
    ref = ModelRef(job=parents[0].key) if parents else ModelRef(fingerprint=model)
    spec: Spec
    if kind == "predict":
        spec = PredictSpec(model=ref, data=data(task, name) if task else data(name))
    elif len(parents) > 1:
        spec = MergeSpec(model=ref, merged=tuple(parent.key for parent in parents[1:]), weights=(), keep_heads=(name,))
    elif kind == "train":
        spec = TrainSpec(model=ref, mixture=(data(name),), recipe=recipe, seed=1)
    else:
        spec = PretrainSpec(
            text=(data(name),), architecture=Architecture(), tokenizer=TokenizerRecipe(), masking=Masking(),
            recipe=recipe, seed=1,
        )  # fmt: skip
    return make_job(spec, label, examples)


def plan(*jobs: Job) -> Plan:
    return Plan("fake", jobs={job.key: job for job in jobs})


Outcomes = Iterator[tuple[Job, float | Exception]]


class Recorder:
    """A display that records events: [("started", "a"), ("finished", "a"), ...]."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.num_workers: int | None = None
        """That the run says it starts."""

    def begin(self, todo: list[Job], done: int) -> None:
        self.events.append(("begin", f"{len(todo)} {done}"))

    def starting(self, workers: int) -> None:
        self.num_workers = workers

    def started(self, job: Job, others: int = 0) -> None:
        self.events.append(("started", batch_label(job, others)))

    def step(self, job: Job, done: int, total: int) -> None:
        self.events.append(("step", job.label))

    def finished(self, job: Job, seconds: float) -> None:
        self.events.append(("finished" if seconds else "finished elsewhere", job.label))

    def running_elsewhere(self, job: Job) -> None:
        self.events.append(("running elsewhere", job.label))

    def failed(self, job: Job, others: int) -> None:
        self.events.append(("failed", f"{job.label}, {others} others"))

    def stopping(self, others: int) -> None:
        self.events.append(("stopping", str(others)))

    def warning(self, text: str) -> None:
        self.events.append(("warning", text))

    def all(self, word: str) -> list[str]:
        return [label for event, label in self.events if event == word]


def after(display: Recorder, word: str, label: str, act: Callable[[], object], delay: float = 0.0) -> threading.Thread:
    """Call `act` once the display has recorded an event, while the main thread runs the plan."""

    def watch() -> None:
        while (word, label) not in display.events:
            time.sleep(0.01)
        time.sleep(delay)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def send_signal(number: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), number)


def replace_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs do fake jobs, in workers and in this process."""
    monkeypatch.setattr(local, "run_worker", run_worker)
    monkeypatch.setattr(scheduler, "run_jobs", run_fake_jobs)
    monkeypatch.setattr(scheduler, "import_libraries", lambda: None)


def run_worker(connection: Connection, context: Context, root: Path) -> None:
    """Replacement for `worker.run_worker` that does not import torch."""
    worker.set_up_worker()
    worker.serve(connection, context, Store(root), run_fake_jobs)


def run_worker_with_bug(connection: Connection, context: Context, root: Path) -> None:
    """Every prediction fails; training jobs do nothing."""

    def run_fake_jobs(jobs: Sequence[Job], context: Context, store: Store, progress: Progress) -> Outcomes:
        for job in jobs:
            with store.write(job.key, job.kind, {}, job.parents):
                if job.kind == "predict":
                    print(1 / 0)
            yield job, 0.1

    worker.serve(connection, context, Store(root), run_fake_jobs)


def run_fake_jobs(jobs: Sequence[Job], context: Context, store: Store, progress: Progress) -> Outcomes:
    for job in jobs:
        log(store, "begin", job)
        started = time.monotonic()
        try:
            with store.write(job.key, job.kind, {}, job.parents) as draft:
                (draft.folder / "batch").write_text(" ".join(each.label.split()[0] for each in jobs))
                if job.label.endswith(" threads"):
                    (draft.folder / "threads").write_text(_blas_threads())
                elif job.label.endswith(" gpus"):
                    gpus = [os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", WORKERS_PER_GPU)]
                    (draft.folder / "gpus").write_text(" ".join(gpus))
                else:
                    _follow_order(job.label.split()[1:], store.partial(job.key), progress)
                (draft.folder / "pid").write_text(str(os.getpid()))
        except Interrupted:
            raise
        except Exception as error:
            yield job, error
            continue
        log(store, "end", job)
        yield job, time.monotonic() - started


def _blas_threads() -> str:
    """Threads of NumPy's BLAS, and the environment variable for torch's library."""
    blas = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    return f"{max(blas)} {os.environ['MKL_NUM_THREADS']}"


def _follow_order(order: list[str], partial: Path, progress: Progress) -> None:
    match order:
        case []:
            pass
        case ["warns"]:
            progress.warn("a tracker failed")
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
                if progress.should_stop():
                    (partial / "checkpoint").write_text(str(step))
                    raise Interrupted
        case ["resumes"]:
            while not (partial / "checkpoint").exists():
                time.sleep(0.01)
                if progress.should_stop():
                    (partial / "checkpoint").write_text("1")
                    raise Interrupted
        case ["ignores", "stop"]:
            time.sleep(600)
        case _:
            raise AssertionError(order)


def log(store: Store, word: str, job: Job) -> None:
    """Append a line to a file that all workers share."""
    with (store.root.parent / "log").open("a") as file:
        file.write(f"{time.monotonic()} {word} {job.label.split()[0]}\n")


def logged(store: Store) -> list[tuple[float, str, str]]:
    """(time, "begin" or "end", name of the job), in order of time."""
    path = store.root.parent / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    entries: list[Any] = [line.split() for line in lines]
    return [(float(when), word, name) for when, word, name in entries]
