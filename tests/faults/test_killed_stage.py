"""A stage killed with SIGKILL at any moment, in a step, in a checkpoint, while it is judged, ends in the same bytes.

Each run is a process of its own, forked from a server that has imported everything, so that a start costs milliseconds and
forty of them fit into a test.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from tests.support import text_mode_jobs
from tests.support.profile import by_profile
from tests.support.tiny_study import plan_of, write_study

from xlift.execution.work.shared import Context
from xlift.recipes import EarlyStopping, Recipe
from xlift.studies import dev_data
from xlift.studies.job import Job
from xlift.studies.store import Store

pytestmark = pytest.mark.fuzz

MIXTURE = [{"task": "isle-nli", "size": 40}, {"task": "isle-pos", "size": 40}, {"task": "isle-text", "size": 40}]
SELECTED = {
    "lr": 0.002,
    "batch_size": 4,
    "max_steps": 30,
    "max_length": 48,
    "early_stopping": {"eval_steps": 3, "patience": 9},
}
"""Two labelled tasks and masked text, with dropout and early stopping."""
COLLAPSING = {"lr": 1e-9, "batch_size": 4, "max_steps": 9, "max_length": 48}
"""A learning rate that learns nothing: three attempts."""


def do_training(job: Job, context: Context, root: Path) -> None:
    """Run the job in this process, with a checkpoint after every step."""
    from xlift.execution.work import run_job
    from xlift.training import loop
    from xlift.training.progress import Progress

    loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_SHARE = 0.0, 1e9
    run_job(job, context, Store(root), Progress())


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["xlift.execution.work.training", "xlift.training.stage", "xlift.evaluation.predict", __name__]
    )
    return context


def start(processes: ForkServerContext, *work: Any) -> Any:
    process = processes.Process(target=do_training, args=work)
    process.start()
    return process


def run(processes: ForkServerContext, *work: Any) -> float:
    """Run to the end. Returns the seconds."""
    started = time.monotonic()
    process = start(processes, *work)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - started


def first_training(folder: Path, training: dict[str, Any]) -> tuple[Job, Context]:
    study = write_study(
        folder, intermediate=[{"name": "mix", "mixture": MIXTURE}], training=training, targets=[
            {"task": "isle-nli", "train": {"size": 8}, "languages": ["qta"], "size": 8}
        ],
    )  # fmt: skip
    plan = plan_of(study)
    job = next(job for job in plan.jobs.values() if job.kind == "train")
    return job, Context(plan.data, plan.tasks, plan.models)


@pytest.mark.parametrize(
    ("training", "kills"),
    [
        pytest.param(SELECTED, by_profile(5, 20, 200), id="selected", marks=pytest.mark.slow),
        pytest.param(COLLAPSING, by_profile(5, 6, 60), id="collapsing", marks=pytest.mark.slow),
    ],
)
def test_a_stage_killed_at_any_moment_ends_in_the_same_bytes(
    training: dict[str, Any], kills: int, processes: ForkServerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_data, "MAX_DEV_EXAMPLES", 20)
    job, context = first_training(tmp_path, training)
    resumed = kill(processes, job, context, kills, tmp_path)
    numbers = Store(tmp_path / "undisturbed").open(job.key).manifest["numbers"]
    assert numbers["attempts"] == (1 if training is SELECTED else 3)
    assert numbers["collapsed"] == (training is COLLAPSING)
    # had a checkpoint to resume from: about 60% of the time is after the first one; between two attempts there is none
    assert resumed >= (kills // 3 if training is SELECTED else 1)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "mt5"])
def test_a_text_mode_stage_killed_at_any_moment_ends_in_the_same_bytes(
    family: str, processes: ForkServerContext, tmp_path: Path
) -> None:
    dropout = {"dropout_rate": 0.1} if family == "mt5" else {"attention_dropout": 0.1}
    context = text_mode_jobs.context(tmp_path / "model", family, **dropout)
    recipe = Recipe(
        lr=0.002, batch_size=4, max_steps=24, max_length=64, early_stopping=EarlyStopping(eval_steps=6, patience=9)
    )
    parts = [text_mode_jobs.data(task, size=24) for task in ("isle-nli", "isle-pos")]
    job = text_mode_jobs.train(*parts, recipe=recipe, dev=[text_mode_jobs.data("isle-nli", split="dev", size=8)])
    assert kill(processes, job, context, by_profile(5, 5, 50), tmp_path) >= 2


def kill(processes: ForkServerContext, job: Job, context: Context, kills: int, tmp_path: Path) -> int:
    """Kill a stage so often, each time from its start, and let it go on to its end, which must be that of an undisturbed one. How
    often it had a checkpoint to go on from."""
    run(processes, job, context, tmp_path / "warm")  # the first start of the fork server imports everything
    seconds = run(processes, job, context, tmp_path / "undisturbed")
    undisturbed = Store(tmp_path / "undisturbed").open(job.key)
    moments, killed, resumed = random.Random(17), 0, 0
    for number in range(3 * kills):
        root = tmp_path / f"killed-{number}"
        process = start(processes, job, context, root)
        process.join(moments.uniform(0.05, 0.9) * seconds)
        process.kill()
        process.join()
        if Store(root).has(job.key):  # it was faster than the undisturbed run
            continue
        killed += 1
        resumed += any((root / "partial" / job.key).rglob("checkpoint.safetensors"))
        run(processes, job, context, root)
        assert Store(root).open(job.key).sha256 == undisturbed.sha256
        assert not (root / "partial" / job.key).exists()
        if killed == kills:
            break
    assert killed == kills
    return resumed
