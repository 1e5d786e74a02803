"""Vectors of queries and passages by a dual encoder, for ranking."""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlift.models.backbone import Encoder
from xlift.tasks.formats.base import Features
from xlift.training.batches import collate, micro_batches
from xlift.training.progress import Interrupted, Progress


@dataclass
class _Pool:
    encoder: weakref.ref[Encoder]
    head: str
    digest: bytes
    vectors: np.ndarray


_LAST: list[_Pool] = []
"""The last pool embedded: all languages of a task ask the same one, and of one model they come one after the other."""


def dual_vectors(
    encoder: Encoder, head: str, features: Features, pad_id: int, budget: int, progress: Progress
) -> np.ndarray:
    """(rows, dimension) float32, in the order of the rows.

    Passages go through the model apart from queries, in batches that depend on nothing but themselves, so that a pool
    embedded for one language has the very bits it would have for the next.

    Args:
        budget: padded tokens of one forward pass.

    Raises:
        Interrupted: `progress.stopping()` came true.
    """
    side = np.array(features.targets["side"], dtype=int)
    queries, passages = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    digest = _digest(features, passages)
    known = next((p for p in _LAST if p.encoder() is encoder and (p.head, p.digest) == (head, digest)), None)
    total = len(queries) + (0 if known else len(passages))
    if known is None:
        _LAST.clear()  # before the next is made: a pool may be large
        vectors = _embed(encoder, head, features, passages, pad_id, budget, progress, 0, total)
        known = _Pool(weakref.ref(encoder), head, digest, vectors)
        _LAST.append(known)
    asked = _embed(encoder, head, features, queries, pad_id, budget, progress, total - len(queries), total)
    result = np.empty((len(features), (known.vectors if len(passages) else asked).shape[1]), dtype=np.float32)
    result[passages], result[queries] = known.vectors, asked
    return result


def _embed(
    encoder: Encoder, head: str, features: Features, rows: np.ndarray, pad_id: int, budget: int,
    progress: Progress, done: int, total: int,
) -> np.ndarray:  # fmt: skip
    result: np.ndarray | None = None
    for part in micro_batches(np.array([len(features.input_ids[row]) for row in rows]), budget):
        if progress.stopping():
            raise Interrupted
        inputs, _ = collate(features, rows[part], pad_id)
        vectors = encoder(inputs, head).float().cpu().numpy()
        if result is None:
            result = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
        result[part] = vectors
        done += len(part)
        progress.report(done, total)
    return np.empty((0, 0), dtype=np.float32) if result is None else result


def _digest(features: Features, rows: np.ndarray) -> bytes:
    digest = hashlib.sha256()
    for row in rows:
        ids: list[Any] = features.input_ids[row]
        digest.update(np.array([len(ids), *ids], dtype=np.int32).tobytes())
    return digest.digest()
