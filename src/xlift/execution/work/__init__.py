"""Run jobs: read the spec and the parents' artifacts, compute, and write the artifact.

A job does not depend on the study. `Context` has what all jobs of a run share; it is not part of a job's key.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from xlift.execution.work import merging, prediction, rate_choice, torchrun, training
from xlift.execution.work.shared import Context, threads_for, write_artifact
from xlift.studies.job import Job
from xlift.studies.store import Store
from xlift.training.progress import Progress


def run_jobs(
    jobs: Sequence[Job], context: Context, store: Store, progress: Progress
) -> Iterator[tuple[Job, float | Exception]]:
    """Run one job, or several predictions that go through a model in one pass, and write their artifacts to the store. The
    caller holds their locks.

    Yields:
        Each job with the seconds it took, or with an error that concerns this job alone.

    Raises:
        UserError: a parent's artifact, or another thing that all jobs need, cannot be read.
        Interrupted: stopped on request, with a checkpoint in the store. Jobs that were not yielded are not done.
    """
    import torch

    context = context.for_job(jobs[0].key)
    torch.set_num_threads(threads_for(jobs[0], context, store))
    if jobs[0].kind == "predict":
        yield from prediction.predict(jobs, context, store, progress)
    else:
        for job in jobs:
            started = time.perf_counter()
            _run_single(job, context, store, progress)
            yield job, time.perf_counter() - started
    gc.collect()


def run_job(job: Job, context: Context, store: Store, progress: Progress) -> None:
    """Run one job as `run_jobs` does, and raise its error."""
    for _, outcome in run_jobs([job], context, store, progress):
        if isinstance(outcome, Exception):
            raise outcome


def _run_single(job: Job, context: Context, store: Store, progress: Progress) -> None:
    functions: dict[str, Callable[..., None]] = {
        "pretrain": training.pretrain, "train": training.train, "merge": merging.merge,
        "layer": prediction.evaluate_layers,
    }  # fmt: skip
    if context.engine.devices > 1:
        functions["train"] = torchrun.train_distributed
    if job.lr_choices:
        functions["train"] = partial(rate_choice.train_with_chosen_rate, functions["train"])
    if job.kind in ("pretrain", "train", "merge"):
        prediction.clear_model_cache()  # these jobs need the memory
    with write_artifact(job, store) as draft:
        functions[job.kind](job, context, store, draft, progress)
