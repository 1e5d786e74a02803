"""Load the model that a job starts from, which its artifact holds as a whole or as a delta checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.errors import UserError
from xlift.execution.work.shared import MODEL, Context, model_folder
from xlift.studies.job import Job
from xlift.studies.store import Store

if TYPE_CHECKING:
    from xlift.models.delta import ParentModel, StoredModel
    from xlift.models.model import Model


def load_model(job: Job, context: Context, store: Store) -> tuple[Model, Any]:
    """Load the model that a job starts from, with its heads, and its tokenizer. A large model takes seconds, so workers cache
    the last one by `parent_model(job)`.

    Raises:
        UserError: a model that it is made from is missing, damaged or a different one.
    """
    from xlift.models.backbone import load_stored_model

    return load_stored_model(find_start_model_files(job, context, store))


def parent_model(job: Job) -> ParentModel:
    """What a job starts from: the artifact of another job, or a pretrained model."""
    from xlift.models.delta import ParentModel

    assert job.start
    return ParentModel(job=job.start.job, fingerprint=job.start.fingerprint)


def find_start_model_files(job: Job, context: Context, store: Store) -> StoredModel:
    """Find the files of the model that a job starts from. The files of the artifact are compared with their digests. Of the
    models that a delta checkpoint depends on, only the input embeddings are needed; they are verified when they are used.

    Raises:
        UserError: a model that it is made from is missing, or a file is damaged.
    """
    return _find_files(model_folder(job, context, store), store, context.models.get)


def find_model_files(key: str, store: Store, find_pretrained: Callable[[str], Path | None]) -> StoredModel:
    """Find the files of a finished job's model, for `backbone.load_stored_model`.

    Args:
        find_pretrained: fingerprint -> folder of a pretrained model, or None (`plan.models.get`).

    Raises:
        UserError: the job has no model, or as in `find_start_model_files`.
    """
    artifact = store.open(key)
    artifact.file(f"{MODEL}/config.json")
    return _find_files(artifact.folder / MODEL, store, find_pretrained)


def _find_files(folder: Path, store: Store, find_pretrained: Callable[[str], Path | None]) -> StoredModel:
    from xlift.models import delta

    def find_parent(parent: ParentModel) -> Path:
        if parent.job:
            if store.has(parent.job):
                return store.path(parent.job) / MODEL
            raise UserError(
                f"this model is a delta checkpoint of the model of job {parent.job}, which is not in the store",
                where=str(folder),
                fix="run `xlift run` with the study to train that model again.",
            )
        if found := find_pretrained(parent.fingerprint):
            return found
        raise UserError(
            f"this model is a delta checkpoint of the pretrained model {parent.fingerprint}, which was not found",
            where=str(folder),
            fix="restore the model at the path that the study names, or give its path: `xlift store export --model`, "
            "`xlift export --base`.",
        )

    return delta.find_stored_model(folder, find_parent)
