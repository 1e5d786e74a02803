"""A study of seconds for tests of whole runs, and how such a run is started as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from tests.support import tiny

from xlift.execution.work import do_job
from xlift.execution.work.shared import Context
from xlift.models.backbone import save
from xlift.studies.job import Job
from xlift.studies.plan import Plan, make_plan
from xlift.studies.reading import read_study
from xlift.studies.store import Store
from xlift.training.progress import Progress

STUDY: dict[str, Any] = {
    "models": ["model"],
    "training": {"lr": 0.001, "batch_size": 8, "steps": 4, "max_length": 64, "retries": 0},
    "intermediate": ["none", {"task": "isle-pos", "size": 24}],
    "targets": [
        {"task": "isle-nli", "train": {"size": 24}, "languages": ["qta", "qtu"], "size": 12},
        {"task": "isle-retrieval", "languages": ["qtu"], "size": 12},
    ],
}
"""Three training runs and six predictions: 9 jobs."""


def write_model(folder: Path) -> None:
    """A tiny random model with dropout, so that a run which lost its random state would show."""
    encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    save(encoder, tiny.tokenizer_of("xlm-roberta"), folder)


def write_study(folder: Path, name: str = "study", **changes: Any) -> Path:
    """The study with some keys changed, in a folder that gets the model too."""
    if not (folder / "model").is_dir():
        write_model(folder / "model")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")
    return path


def plan_of(study: Path) -> Plan:
    return make_plan(read_study(str(study)))


def do_inline(plan: Plan, store: Store, order: Iterable[Job] | None = None) -> None:
    """Do the jobs that are missing in this process, in any order in which parents come first."""
    context = Context(plan.data, plan.tasks, plan.models)
    for job in order or plan.jobs.values():
        if not store.has(job.key):
            do_job(job, context, store, Progress())


def start(study: Path, store: Path, *options: str, terminal: int | None = None) -> subprocess.Popen[str]:
    """`xlift run` in a process group of its own, as a terminal makes one.

    Args:
        terminal: file descriptor of a terminal to show it on; else what it says goes into pipes.
    """
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source)}
    for name in ("COLUMNS", "LINES"):  # of the terminal that the tests were started on, and not of this one
        environment.pop(name, None)
    command = [sys.executable, "-m", "xlift", "run", str(study), "--store", str(store), *options]
    said = subprocess.PIPE if terminal is None else terminal
    return subprocess.Popen(
        command, env=environment, text=True, start_new_session=True, stdin=terminal, stdout=said, stderr=said
    )


def run(study: Path, store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`xlift run` to its end."""
    process = start(study, store, *options)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def digests(study: Path, store: Path) -> dict[str, str]:
    """Key -> SHA-256 of the product of every job of a study, each file hashed anew. All of them must be there."""
    opened = Store(store)
    return {key: opened.open(key).sha256 for key in plan_of(study).jobs}
