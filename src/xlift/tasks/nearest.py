"""Exact nearest neighbours by cosine, in both directions at once and in bounded memory.

Each block of similarities comes from one matrix product and serves its rows (neighbours of x among y) and its columns
(neighbours of y among x); only the best of each are kept. What has to be looked at is found by comparison with the worst
that is kept so far, so nearly all of the time is the product's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from xlift.errors import UserError

ROWS, COLUMNS = 1024, 2048
"""Similarities held at a time: 8 MB, which stay in the cache while they are looked at, and enough for a matrix product at full
speed."""
STRETCHES = 64
"""Parts that the first values are cut into for a bound on their best."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest of one set for each vector of another, nearest first; of equally near ones the first in the set."""

    similarity: np.ndarray
    """(n, k) float32 cosines, falling."""
    index: np.ndarray
    """(n, k) int64."""


def unit_vectors(vectors: np.ndarray, center: bool = False) -> np.ndarray:
    """(n, dimension) float32 vectors of length one (a zero vector stays zero); `center` subtracts their mean first.

    Raises:
        UserError: there is a number among them that is none.
    """
    vectors = np.array(vectors, dtype=np.float32)
    if center:
        vectors -= vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    for start in range(0, len(vectors), ROWS):  # the norm of all at once would hold their squares
        part = vectors[start : start + ROWS]
        length = np.linalg.norm(part, axis=1, keepdims=True)
        if not np.isfinite(length).all():
            raise UserError("a sentence's vector is not finite, so nothing is near it", fix="has the model diverged?")
        part /= np.maximum(length, 1e-12)
    return vectors


def neighbours(x: np.ndarray, y: np.ndarray, k: int) -> tuple[Neighbours, Neighbours]:
    """The k nearest of y for each x, and the k nearest of x for each y (all of them where there are fewer than k).

    Args:
        x: (n, dimension) float32 unit vectors; memory-mapped arrays do.
        y: (m, dimension) likewise.

    Beside x, y and the result it holds a few blocks, whatever n and m are. Ties between float32 similarities go to the
    lower index, so equal calls give equal results; across machines the last bit may differ, as in all matrix products.
    """
    of_x, of_y = _Best(len(x), min(k, len(y))), _Best(len(y), min(k, len(x)))
    buffer = np.empty(min(ROWS, len(x)) * min(COLUMNS, len(y)), np.float32)
    with ThreadPoolExecutor(1) as beside:  # the two do not meet, and NumPy's loops leave the interpreter free
        for top in range(0, len(x), ROWS):
            part = x[top : top + ROWS]
            for left in range(0, len(y), COLUMNS):
                other = y[left : left + COLUMNS]
                block = buffer[: len(part) * len(other)].reshape(len(part), len(other))
                np.matmul(part, other.T, out=block)
                taken = beside.submit(of_y.take, block, 1, left, top)
                of_x.take(block, 0, top, left)
                taken.result()
    return of_x.found(), of_y.found()


class _Best:
    """The k best of each of n vectors so far. Blocks come in rising order of the other set's indices."""

    def __init__(self, n: int, k: int) -> None:
        self.k = k
        self.similarity = np.full((n, k), -np.inf, np.float32)
        self.index = np.full((n, k), np.iinfo(np.int64).max)
        """Of a place not taken yet: larger than any."""

    def found(self) -> Neighbours:
        return Neighbours(self.similarity, self.index)

    def take(self, block: np.ndarray, axis: int, start: int, other: int) -> None:
        """Take what is better out of a block of similarities.

        Args:
            axis: 0 if the block's rows belong to these vectors, 1 if its columns do.
            start: number of the first of these vectors.
            other: number of the first one of the other set.
        """
        bound = self.similarity[start : start + block.shape[axis], -1]
        if other == 0:
            changed, part = np.arange(len(bound)), block
            mask = block >= np.expand_dims(_bound(block, axis, self.k), 1 - axis)
        else:  # an equally near one stands later in the other set and is not taken
            changed = np.flatnonzero(block.max(axis=1 - axis) > bound)
            part = block.take(changed, axis)
            mask = part > np.expand_dims(bound[changed], 1 - axis)
        at = np.flatnonzero(mask)
        if not len(at):
            return
        places = np.divmod(at, part.shape[1])
        self._merge(changed[places[axis]] + start, part.reshape(-1)[at], places[1 - axis] + other)

    def _merge(self, vector: np.ndarray, similarity: np.ndarray, index: np.ndarray) -> None:
        changed = np.unique(vector)
        vector = np.concatenate((np.repeat(changed, self.k), vector))
        similarity = np.concatenate((self.similarity[changed].reshape(-1), similarity))
        index = np.concatenate((self.index[changed].reshape(-1), index))
        order = np.lexsort((index, -similarity, vector))
        first = np.searchsorted(vector[order], changed)
        kept = order[first[:, None] + np.arange(self.k)]
        self.similarity[changed], self.index[changed] = similarity[kept], index[kept]


def _bound(block: np.ndarray, axis: int, k: int) -> np.ndarray:
    """For each row (axis 0) or column (axis 1) of a block something that at least k of its values reach.

    The k-th best of the bests of stretches is one, and close to the k-th best of all.
    """
    length = block.shape[1 - axis]
    stretches = max(k, STRETCHES)
    if length <= stretches:
        return np.full(block.shape[axis], -np.inf, np.float32)
    starts = np.linspace(0, length, stretches, endpoint=False).astype(int)
    bests = np.maximum.reduceat(block, starts, axis=1 - axis)
    return np.partition(bests, stretches - k, axis=1 - axis).take(stretches - k, 1 - axis)
