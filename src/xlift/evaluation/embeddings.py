"""Vectors of rows: pooled hidden states of chosen layers, and the vectors of a dual encoder's head."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from xlift.evaluation.batching import concatenate_features, iterate_batches
from xlift.models.heads import pool
from xlift.models.model import Model
from xlift.tasks.formats.features import Features
from xlift.training.precision import no_autocast
from xlift.training.progress import Progress


class Pooling(NamedTuple):
    """How to pool a row's hidden states to one vector."""

    layer: int
    """0 is the embeddings, num_hidden_layers the last."""
    mode: str = "mean"
    """'mean' or 'cls'."""


def compute_pooled_vectors(
    model: Model,
    parts: Sequence[Features],
    wanted: Sequence[Collection[Pooling]],
    pad_token_id: int,
    budget: int,
    progress: Progress,
) -> list[dict[Pooling, np.ndarray]]:
    """Compute the wanted vectors of each part, (rows, dimension) float32, all in one pass.

    For each batch only the states of wanted layers are kept, and only vectors leave the device.

    Raises:
        Interrupted: `progress.should_stop()` returned true.
    """
    all_poolings = sorted(set().union(*wanted))
    layers = {pooling.layer for pooling in all_poolings}
    ends = np.cumsum([len(part) for part in parts])
    dimension = int(model.backbone.config.hidden_size)
    vectors = [
        {pooling: np.empty((len(part), dimension), dtype=np.float32) for pooling in poolings}
        for part, poolings in zip(parts, wanted, strict=True)
    ]
    for rows, inputs in iterate_batches(model, concatenate_features(parts), pad_token_id, budget, progress):
        states = model.hidden_states(inputs, layers)
        part_of_row = np.searchsorted(ends, rows, side="right")
        for pooling in all_poolings:
            batch = pool(states[pooling.layer], inputs["attention_mask"], pooling.mode).cpu().numpy()
            for part in np.unique(part_of_row).tolist():
                if pooling in vectors[part]:
                    in_part = part_of_row == part
                    start = ends[part] - len(parts[part])
                    vectors[part][pooling][rows[in_part] - start] = batch[in_part]
    return vectors


@dataclass
class _CachedPassages:
    model: weakref.ref[Model]
    head: str
    digest: bytes
    vectors: np.ndarray


_CACHE: list[_CachedPassages] = []
"""The last passages embedded. All languages of a task rank the same passages, and a model predicts them one after the other."""


def compute_dual_vectors(
    model: Model, head: str, features: Features, pad_token_id: int, budget: int, progress: Progress
) -> np.ndarray:
    """Compute vectors with a dual encoder's head, (rows, dimension) float32, in the order of the rows.

    Passages and queries are computed separately. The batches of passages depend only on the passages, so every language gets
    bit-equal vectors of them, cached or not.

    Args:
        budget: tokens of one forward pass.

    Raises:
        Interrupted: `progress.should_stop()` returned true.
    """
    side = np.array(features.targets["side"], dtype=int)
    queries, passages = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    digest = _hash_rows(features, passages)
    if torch.is_autocast_enabled(model.device.type):  # another precision gives other vectors
        digest += b"autocast"
    cached = next((c for c in _CACHE if c.model() is model and (c.head, c.digest) == (head, digest)), None)
    total = len(queries) + (0 if cached else len(passages))
    if cached is None:
        _CACHE.clear()  # free memory before the next passages are embedded
        vectors = _embed(model, head, features, passages, pad_token_id, budget, progress, 0, total)
        cached = _CachedPassages(weakref.ref(model), head, digest, vectors)
        _CACHE.append(cached)
    embedded = _embed(model, head, features, queries, pad_token_id, budget, progress, total - len(queries), total)
    result = np.empty((len(features), (cached.vectors if len(passages) else embedded).shape[1]), dtype=np.float32)
    result[passages], result[queries] = cached.vectors, embedded
    return result


def _embed(
    model: Model, head: str, features: Features, rows: np.ndarray, pad_token_id: int, budget: int,
    progress: Progress, done: int, total: int,
) -> np.ndarray:  # fmt: skip
    result: np.ndarray | None = None
    for indices, inputs in iterate_batches(
        model, features, pad_token_id, budget, progress, rows=rows, done=done, total=total
    ):
        states = model.last_hidden_state(inputs)
        with no_autocast(model.device):
            vectors = model.head(head)(states.float(), inputs["attention_mask"]).cpu().numpy()
        if result is None:
            result = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
        result[indices] = vectors
    return np.empty((0, 0), dtype=np.float32) if result is None else result


def _hash_rows(features: Features, rows: np.ndarray) -> bytes:
    digest = hashlib.sha256(features.input_ids.lengths[rows].tobytes())
    for row in rows.tolist():
        digest.update(features.input_ids[row].tobytes())
    return digest.digest()
