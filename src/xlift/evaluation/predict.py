"""Predictions of a model on the examples of one task and language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from xlift.errors import UserError
from xlift.evaluation.vectors import dual_vectors
from xlift.models.backbone import Encoder, pool
from xlift.tasks import formats
from xlift.tasks.formats.base import Features
from xlift.tasks.formats.retrieval import official_layer
from xlift.tasks.task import Task
from xlift.training.batches import collate
from xlift.training.progress import Interrupted, Progress

TOKENS_PER_BATCH = 8192
"""Padded tokens of one forward pass; a matter of memory and speed, not of results beyond rounding."""


@torch.inference_mode()
def predict(
    encoder: Encoder,
    pad_id: int,
    task: Task,
    examples: Sequence[Any],
    features: Features,
    head: str,
    options: dict[str, Any],
    *,
    progress: Progress | None = None,
) -> list[Any]:
    """One JSON-able prediction per example (the format says of what shape).

    Args:
        head: name of the head that answers; not used by retrieval and mining.
        options: retrieval and mining: `layer` ('official', 'last' or a number, 0 being the embeddings), `pooling` ('mean' or
            'cls'), `center`; mining: `margin`.

    Raises:
        UserError: the model has no such layer, or there is no such pooling.
        Interrupted: `progress.stopping()` came true; predictions are made anew the next time.
    """
    encoder.eval()
    kind = formats.get(task.format).head
    layer = _layer(encoder, options) if kind == "pooled" else 0
    outputs: Any = [None] * len(features)
    progress, done = progress or Progress(), 0
    if kind == "dual" and len(features):
        outputs = dual_vectors(encoder, head, features, pad_id, TOKENS_PER_BATCH, progress)
        return formats.get(task.format).decode(examples, features, outputs, task.labels)
    for rows in length_batches(features):
        if progress.stopping():
            raise Interrupted
        inputs, _ = collate(features, rows, pad_id)
        if kind == "pooled":
            vectors = pool(
                encoder.hidden_states(inputs)[layer], inputs["attention_mask"], options.get("pooling", "mean")
            )
            batch = vectors.numpy()
            if not isinstance(outputs, np.ndarray):  # rows one by one would take twice the memory
                outputs = np.empty((len(features), batch.shape[1]), dtype=np.float32)
        else:
            chosen = encoder.head(head)
            batch = chosen.rows(chosen.reduce(encoder(inputs, head)), inputs["attention_mask"])
        if isinstance(outputs, np.ndarray):
            outputs[rows] = batch
        else:
            for row, output in zip(rows, batch, strict=True):
                outputs[row] = output
        done += len(rows)
        progress.report(done, len(features))
    format = formats.get(task.format)
    decoding = {name: options.get(name, default) for name, default in getattr(format, "decoding", {}).items()}
    return format.decode(examples, features, outputs, task.labels, **decoding)


def length_batches(features: Features) -> list[np.ndarray]:
    """Row numbers in batches of like length: no more padding is computed than sorting leaves."""
    lengths = np.array([len(row) for row in features.input_ids])
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, TOKENS_PER_BATCH // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def _layer(encoder: Encoder, options: dict[str, Any]) -> int:
    count = int(encoder.backbone.config.num_hidden_layers)
    asked = options.get("layer", "official")
    if asked == "official":
        return official_layer(count)
    if asked == "last":
        return count
    if not isinstance(asked, int) or isinstance(asked, bool) or not 0 <= asked <= count:
        raise UserError(
            f"no layer '{asked}' in a model of {count} layers",
            where="options.layer",
            fix=f"expected 'official', 'last' or a number from 0 to {count}.",
        )
    return asked
