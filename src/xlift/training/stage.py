"""One stage of a road: fine-tuning an encoder on a mixture of labelled tasks and of text, which is masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from xlift.models.backbone import Encoder
from xlift.models.kinds import HeadSpec, Loss
from xlift.recipes import Recipe, Sampling
from xlift.tasks import formats
from xlift.tasks.formats.base import Features
from xlift.tasks.task import Task
from xlift.training.batches import UnitIndex, collate, row_targets, schedule
from xlift.training.in_batch import embed
from xlift.training.loop import Trained, run_steps
from xlift.training.masking import Masker, masked_loss
from xlift.training.progress import Progress


@dataclass(frozen=True)
class Part:
    """One part of a mixture, ready for the model."""

    task: Task
    features: Features
    head: str = ""
    """Name of the head that learns from it; default: the task's own."""
    masker: Masker | None = None
    """Of text, and only of text."""

    @property
    def head_name(self) -> str:
        return self.head or self.task.head


def add_heads(encoder: Encoder, tasks: Sequence[Task], seed: int, head: str = "") -> None:
    """A new head for every task, or one called `head` for all. A head's first weights depend on its name and the seed,
    not on its neighbours in the mixture."""
    for name, task in {head or task.head: task for task in tasks}.items():
        encoder.add_head(name, head_spec(task), seed=_seed(name, seed))


def head_spec(task: Task) -> HeadSpec:
    """The kind of head that learns a task."""
    kind = formats.get(task.format).head
    if kind == "dual":
        return HeadSpec(kind, pooling=task.options.get("pooling", "cls"))
    return HeadSpec(kind, task.labels if kind in ("sequence", "token") else ())


def fine_tune(
    encoder: Encoder,
    pad_id: int,
    parts: Sequence[Part],
    recipe: Recipe,
    sampling: Sampling,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train backbone and heads in place. Every batch is of one part; parts may share a head.

    Raises:
        UserError, Interrupted: as `run_steps`.
    """
    units = [UnitIndex(part.features) for part in parts]
    steps = schedule([index.count for index in units], recipe, sampling, seed)

    def step_loss(number: int) -> tuple[Loss, int]:
        step = steps[number]
        part = parts[step.part]
        rows = units[step.part].rows(step.units)
        head = encoder.head(part.head_name)
        if head.spec.kind == "dual":
            vectors, tokens = embed(encoder, part.head_name, part.features, rows, pad_id)
            return head.loss(vectors, row_targets(part.features, rows, width=0)), tokens
        inputs, targets = collate(part.features, rows, pad_id)
        tokens = int(inputs["attention_mask"].sum())
        if part.masker is not None:
            words = partial(encoder.word_logits, head=part.head_name)
            return masked_loss(inputs, part.masker, encoder.last_hidden_state, words, seed=seed, step=number), tokens
        return head.loss(encoder(inputs, part.head_name), targets), tokens

    return run_steps(encoder, len(steps), step_loss, recipe, seed=seed, folder=folder, progress=progress)


def _seed(name: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{name}\x1f{seed}".encode(), digest_size=4).digest(), "big")


def make_features(task: Task, examples: Sequence[Any], tokenizer: Any, *, max_length: int, train: bool) -> Features:
    """Rows for the encoder by the task's format."""
    more = {key: task.options[key] for key in ("query_length",) if key in task.options}
    return formats.get(task.format).features(
        examples, tokenizer, task.labels, max_length=max_length, train=train, **more
    )
