"""Run jobs that merge several models into one."""

from __future__ import annotations

from xlift.execution.work.model_loading import find_model_files, find_start_model_files
from xlift.execution.work.shared import MODEL, Context
from xlift.studies.job import Job, MergeSpec
from xlift.studies.job_numbers import MergeNumbers
from xlift.studies.store import Draft, Store
from xlift.training.progress import Progress


def merge(job: Job, context: Context, store: Store, draft: Draft[MergeNumbers], progress: Progress) -> None:
    """Merge models of other jobs and write the whole result. The time is that of reading and writing."""
    from xlift.models import backbone
    from xlift.models.merging import merge as merge_models

    spec = job.spec
    assert isinstance(spec, MergeSpec)
    merged = [find_model_files(key, store, context.models.get) for key in spec.merged]
    start = find_start_model_files(job, context, store)
    model, tokenizer = merge_models(start, merged, spec.weights, spec.keep_heads)
    progress.report(1, 2)
    backbone.save(model, tokenizer, draft.folder / MODEL)
    draft.numbers.merged_models = len(merged)
