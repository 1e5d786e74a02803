"""Experiment trackers of a training job: TensorBoard, W&B, MLflow and trackio, through those of accelerate.

`engine: {report_to: [tensorboard]}` switches them on. A tracker that fails never stops a job: it is left out for the rest of the process,
with one warning.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlift.errors import hide_secrets
from xlift.execution.work.shared import Context
from xlift.studies.job import Job
from xlift.studies.placement import has_tracker
from xlift.studies.store import Store
from xlift.training.progress import Progress

FOLDER = "trackers"
"""Folder of a store with the files of TensorBoard and, unless WANDB_DIR is set, of W&B."""

_failed: set[str] = set()
"""Names of the trackers that failed in this process."""


@contextmanager
def report_metrics(
    job: Job, context: Context, store: Store, progress: Progress, attempt: int = 1
) -> Iterator[Progress]:
    """The progress of one attempt at a training job, which sends its metrics to the trackers of the study too.

    In a process group, call it in the main process only.
    """
    trackers: dict[str, Any] = {}

    def guard(name: str, action: Callable[[], object]) -> bool:
        try:
            with redirect_stdout(io.StringIO()):  # lines of trackio and MLflow would break the progress display
                action()
            return True
        except (Exception, SystemExit) as error:
            reason = hide_secrets(" ".join(str(error).split())).rstrip(".") or type(error).__name__
            trackers.pop(name, None)
            _failed.add(name)
            progress.warn(f"{name}: {reason}. The run continues and sends it no more metrics.")
            return False

    def log(values: Mapping[str, float], step: int) -> None:
        for name, tracker in list(trackers.items()):
            guard(name, lambda tracker=tracker: tracker.log(dict(values), step=step))

    def start(name: str) -> None:
        folder = store.root / FOLDER
        with _one_at_a_time(folder):
            trackers[name] = _start(name, job, context.study, folder, attempt)

    for name in context.engine.report_to:
        if name not in _failed and has_tracker(name):  # planning has warned of those that are not installed
            guard(name, lambda name=name: start(name))
    try:
        yield replace(progress, log=log) if trackers else progress
    finally:
        for name, tracker in list(trackers.items()):
            guard(name, tracker.finish)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Exclude the other workers of a store: the first run of MLflow makes its database, which fails if two do at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(name: str, job: Job, study: str, folder: Path, attempt: int) -> Any:
    """Start accelerate's tracker of this name with a run for the job, in a project that is called like the study."""
    from accelerate import PartialState, tracking

    PartialState()  # the trackers that run in every process need it for their own log
    parts = [
        re.sub(r"[^\w.+-]+", "-", job.label).strip("-"),
        job.key[:8],
        *([f"attempt-{attempt}"] if attempt > 1 else []),
    ]
    run = "-".join(parts)
    if name == "tensorboard":
        # one folder a run; hyperparameters as text, since accelerate would write them as a run of their own
        tracker = tracking.TensorBoardTracker(run, folder / name / study)
        tracker.start()
        tracker.log({f"{key}/text_summary": str(value) for key, value in _settings(job).items()}, step=0)
        return tracker
    if name == "wandb":
        os.environ.setdefault("WANDB_SILENT", "true")  # its lines would break the progress display
        where = os.environ.get("WANDB_DIR", str(folder))
        Path(where).mkdir(parents=True, exist_ok=True)
        project = os.environ.get("WANDB_PROJECT", study)
        tracker = tracking.WandBTracker(project, name=run, group=study, dir=where)
    elif name == "mlflow":
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        tracker = tracking.MLflowTracker(study, run_name=run)
    else:
        tracker = tracking.TrackioTracker(study, name=run)
    tracker.start()
    tracker.store_init_configuration(_settings(job))
    return tracker


def _settings(job: Job) -> dict[str, str | float]:
    """The recipe of a job, its seed and its key, as plain values."""
    spec = job.spec.model_dump(mode="json")
    recipe = {key: value for key, value in spec.get("recipe", {}).items() if value is not None}
    plain = {key: value if isinstance(value, int | float | str) else str(value) for key, value in recipe.items()}
    return {"job": job.key, "label": job.label, "seed": spec["seed"], **plain}
