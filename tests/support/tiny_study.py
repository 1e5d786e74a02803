"""A study of some seconds for tests of whole runs, in this process or in a separate one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from tests.support import tiny

from xlift import cli
from xlift.execution.work import run_job
from xlift.execution.work.shared import Context
from xlift.models.backbone import save
from xlift.studies.job import Job
from xlift.studies.plan import Plan, make_plan
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.training.progress import Progress

STUDY: dict[str, Any] = {
    "models": ["model"],
    "training": {"lr": 0.001, "batch_size": 8, "max_steps": 4, "max_length": 64, "retries": 0},
    "intermediate": ["none", {"task": "isle-pos", "size": 24}],
    "targets": [
        {"task": "isle-nli", "train": {"size": 24}, "languages": ["qta", "qtu"], "size": 12},
        {"task": "isle-retrieval", "languages": ["qtu"], "size": 12},
    ],
}
"""Three training runs and six predictions: 9 jobs."""


def write_model(folder: Path) -> None:
    """Write a tiny random model with dropout, so that a lost random state changes the result."""
    encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    save(encoder, tiny.tokenizer_of("xlm-roberta"), folder)


def write_study(folder: Path, name: str = "study", **changes: Any) -> Path:
    """Write the study with some keys changed, and its model, to a folder."""
    if not (folder / "model").is_dir():
        write_model(folder / "model")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")
    return path


def plan_of(study: Path) -> Plan:
    return make_plan(read_study(str(study)))


def run_inline(plan: Plan, store: Store, order: Iterable[Job] | None = None) -> None:
    """Run the missing jobs in this process, in any order with parents first."""
    context = Context(plan.data, plan.tasks, plan.models)
    for job in order or plan.jobs.values():
        if not store.has(job.key):
            run_job(job, context, store, Progress())


def start(study: Path, store: Path, *options: str, terminal: int | None = None) -> subprocess.Popen[str]:
    """Start `xlift run` in a new process group, as a terminal does.

    Args:
        terminal: file descriptor of a terminal; by default, output goes to pipes.
    """
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source)}
    for name in ("COLUMNS", "LINES"):  # these describe the terminal of the tests
        environment.pop(name, None)
    command = [sys.executable, "-m", "xlift", "run", str(study), "--store", str(store), *options]
    output = subprocess.PIPE if terminal is None else terminal
    return subprocess.Popen(
        command, env=environment, text=True, start_new_session=True, stdin=terminal, stdout=output, stderr=output
    )


def run(study: Path, store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `xlift run` to its end."""
    process = start(study, store, *options)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_in_process(study: Path, store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `xlift run --workers 0` to its end in this process, for tests whose subject is not processes."""
    words = ["xlift", "run", str(study), "--store", str(store), "--workers", "0", *options]
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", words), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def digests(study: Path, store: Path) -> dict[str, str]:
    """Key -> SHA-256 of the artifact of every job of a study, with all files hashed again. All artifacts must exist."""
    opened_store = Store(store)
    return {key: opened_store.open(key).sha256 for key in plan_of(study).jobs}
