"""The work of one job: read the spec and the parents' products, compute, write the product.

A job never sees the study. `Context` holds what is the same for all jobs of a run and stands in no key.
"""

from __future__ import annotations

import gc
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xlift.execution.work import prediction, training
from xlift.execution.work.shared import THREADS, Context
from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.progress import Progress


def do_job(job: Job, context: Context, store: Store, progress: Progress) -> None:
    """Do a job, whose lock the caller has taken through `store`, and put its product there.

    Raises:
        UserError: data or a parent's product cannot be read.
        Interrupted: asked to stop; a checkpoint is left in the store.
    """
    import torch

    torch.set_num_threads(THREADS[job.kind])
    work: dict[str, Callable[..., None]] = {
        "pretrain": training.pretrain, "train": training.train, "layer": prediction.layers, "predict": prediction.predict,
    }  # fmt: skip
    spec = job.spec.model_dump(mode="json", exclude_defaults=True)
    if job.kind in ("pretrain", "train"):
        prediction.loaded.cache_clear()  # training needs the memory
    with store.write(job.key, job.kind, spec, job.parents) as draft:
        draft.numbers["examples"] = job.examples
        with _plain_disk_errors(draft.folder):
            work[job.kind](job, context, store, draft, progress)
        draft.numbers["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gc.collect()


@contextmanager
def _plain_disk_errors(folder: Path) -> Iterator[None]:
    """Errors of a full or forbidden disk as OSErrors, which the store explains: safetensors has the number in its text."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) from error
        raise
