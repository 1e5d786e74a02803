"""Choose the learning rate of a stage by the dev scores of the jobs that trained it with each (planning/rates.py)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from xlift.errors import UserError
from xlift.execution.work.shared import MODEL, Context
from xlift.studies.job import Job, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.store import Draft, Store
from xlift.training.progress import Progress

TRAINING_FILE = "training.json"
COPIED_FILES = (TRAINING_FILE, "weight_transfer.json")
Train = Callable[[Job, Context, Store, Draft[Any], Progress], None]


@dataclass(frozen=True)
class Candidate:
    """A job that trained the stage with one rate, and its score."""

    lr: float
    job: str
    """Key of the job."""
    score: float
    """Mean over the dev sets of the stage."""


def train_with_chosen_rate(
    train: Train, job: Job, context: Context, store: Store, draft: Draft[TrainNumbers], progress: Progress
) -> None:
    """Train a stage with the best of its learning rates, or take over the model of the job that has trained the same.

    That job's model may have left the store (`keep: predictions`). Then the stage is trained, with the same result.

    Args:
        train: trains a stage with the rate of its recipe.
    """
    assert isinstance(job.spec, TrainSpec)
    candidates = read_candidates(job.spec, store)
    best = choose(candidates)
    if job.repeats_choice and store.has(best.job):
        _copy_artifact(best.job, store, draft)
    else:
        train(replace(job, spec=job.spec.with_lr(best.lr)), context, store, draft, progress)
    draft.numbers.lr = best.lr
    path = draft.folder / TRAINING_FILE
    record = json.loads(path.read_text(encoding="utf-8"))
    record["lr_choices"] = [asdict(candidate) for candidate in candidates]
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


def choose(candidates: list[Candidate]) -> Candidate:
    """The one with the highest score; of equal ones the lowest rate, which changes the pretrained weights least."""
    return min(candidates, key=lambda each: (-each.score, each.lr))


def read_candidates(spec: TrainSpec, store: Store) -> list[Candidate]:
    """The candidates of a stage, from the manifests of their jobs.

    Raises:
        UserError: a manifest is missing or damaged, or has no score on dev.
    """
    candidates: list[Candidate] = []
    for choice in spec.lr_choices:
        artifact = store.find(choice.job)
        numbers = artifact.numbers if artifact else None
        if not isinstance(numbers, TrainNumbers) or numbers.dev_score is None:
            raise UserError(
                f"the learning rate cannot be chosen: the job with {choice.lr:g} has no score on dev",
                where=choice.job,
                fix="an older version of xlift trained it. Remove its artifact from the store, and run the study again.",
            )
        candidates.append(Candidate(choice.lr, choice.job, numbers.dev_score))
    return candidates


def _copy_artifact(key: str, store: Store, draft: Draft[TrainNumbers]) -> None:
    artifact = store.open(key)  # compares the digests of the files
    assert isinstance(artifact.numbers, TrainNumbers)
    shutil.copytree(artifact.folder / MODEL, draft.folder / MODEL)
    for name in COPIED_FILES:
        shutil.copyfile(artifact.file(name), draft.folder / name)
    of_this_job = {"examples", "tokens", "threads", "peak_memory_bytes"}
    draft.numbers.set_to(TrainNumbers(**artifact.numbers.model_dump(exclude_unset=True, exclude=of_this_job)))
