"""What all kinds of jobs share: the context, file names, and functions for examples, lengths and artifacts."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.archipelago.random_streams import random_stream
from xlift.errors import UserError
from xlift.model_shape import read_model_shape
from xlift.recipes import Engine, num_threads
from xlift.studies.examples import read_data
from xlift.studies.job import Data, Job, PretrainSpec
from xlift.studies.job_numbers import DataNumbers, JobNumbers
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.tasks.task import Task

if TYPE_CHECKING:
    from xlift.tasks.noise import NoiseCounts

MODEL = "model"
LAYERS = "layers.json"
"""Accuracy of every layer on dev pairs, by language."""


@dataclass(frozen=True)
class Context:
    """What a worker needs in addition to the job."""

    data: Path | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    models: dict[str, Path] = field(default_factory=dict)
    """Fingerprint -> folder of pretrained models."""
    engine: Engine = Engine()
    engines: dict[str, Engine] = field(default_factory=dict)
    """Key of a job -> its engine, if it has its own."""
    repeated: frozenset[str] = frozenset()
    """Keys of finished jobs that run again, since the store has only their manifests."""
    study: str = ""
    """Name of the study, for experiment trackers."""

    def for_job(self, key: str) -> Context:
        """The context with the engine of a job."""
        return replace(self, engine=self.engines[key], engines={}) if key in self.engines else self

    def is_finished(self, key: str, store: Store) -> bool:
        """Whether a job of the run is finished, in this process or elsewhere."""
        return store.has(key) or (key not in self.repeated and store.is_done(key))


def model_folder(job: Job, context: Context, store: Store) -> Path:
    """Folder of the model that a job starts from: another job's artifact (verified by its digests) or a pretrained model."""
    assert job.start
    return store.open(job.start.job).folder / MODEL if job.start.job else context.models[job.start.fingerprint]


def threads_for(job: Job, context: Context, store: Store) -> int:
    """Threads of each process of a job, by the width of the model that it creates or starts from. Errors in that model are
    reported when it is loaded."""
    spec = job.spec
    if isinstance(spec, PretrainSpec):
        return num_threads(job.kind, spec.architecture.hidden_size, context.engine)
    folder = store.path(spec.model.job) / MODEL if spec.model.job else context.models[spec.model.fingerprint]
    shape = read_model_shape(folder)
    return num_threads(job.kind, shape and shape.hidden_size, context.engine)


def resolve_max_length(requested: int | None, task: Task, max_positions: int | None) -> int:
    """Most tokens of a row: `requested` by the study, otherwise the task's own length, limited by the model's positions."""
    if requested and max_positions and requested > max_positions:
        raise UserError(
            f"max_length {requested} is more than the model's {max_positions} positions",
            fix=f"set it to at most {max_positions}.",
        )
    return requested or min(task.max_length, max_positions or task.max_length)


def read_examples(context: Context, data: Data, noise_counts: NoiseCounts | None = None) -> list[Any]:
    """Read the examples of some data, and add the noise that it specifies; see `add_noise`."""
    return add_noise(context, data, read_clean_examples(context, data), noise_counts)


def read_clean_examples(context: Context, data: Data) -> list[Any]:
    """Read the examples of some data without the noise that it specifies."""
    examples = list(read_data(data, context.tasks, context.data))
    if data.labels == "shuffled":
        stream = random_stream("shuffled labels", data.task, data.language, data.split, data.seed)
        examples = formats.get(context.tasks[data.task].format).shuffle_labels(examples, stream)
    return examples


def add_noise(context: Context, data: Data, examples: list[Any], noise_counts: NoiseCounts | None = None) -> list[Any]:
    """Add the noise that some data specifies to its examples.

    Args:
        noise_counts: counts to which those of the noise are added.
    """
    if data.noise is None:
        return examples
    from xlift.tasks.noise import add_noise_to_examples

    return add_noise_to_examples(
        context.tasks[data.task], examples, data.noise, data.language, data=context.data, noise_counts=noise_counts
    )


def set_noise_numbers(numbers: DataNumbers, counts: NoiseCounts) -> None:
    """Set the numbers of the noise in a job's data, if it has any."""
    if counts.num_texts:
        numbers.noise_texts, numbers.noise_words = counts.num_texts, counts.num_words
        numbers.noise_changeable, numbers.noise_changed = counts.num_changeable, counts.num_changed


def count_tokens(features: Any) -> int:
    return int(features.lengths.sum())


@contextmanager
def write_artifact(job: Job, store: Store, spent: float = 0.0) -> Iterator[Draft[Any]]:
    """Write a job's artifact: the block fills the draft.

    Args:
        spent: seconds already spent on the job.
    """
    import torch

    spec = job.spec.model_dump(mode="json", exclude_defaults=True)
    with store.write(job.key, job.kind, spec, job.parents, spent=spent) as draft:
        numbers: JobNumbers = draft.numbers
        numbers.examples = job.examples
        with disk_errors_as_oserror(draft.folder):
            yield draft
        numbers.threads = torch.get_num_threads()  # the actual number, not the requested one
        if numbers.peak_memory_bytes is None:  # with several processes, the main one has set its own value
            numbers.peak_memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def disk_errors_as_oserror(folder: Path) -> Iterator[None]:
    """Turn safetensors errors of a full or read-only disk, which have the number in their text, into OSErrors, which the
    store explains."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) from error
        raise
