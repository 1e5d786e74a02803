"""Exact nearest neighbours by cosine, in both directions at once and in bounded memory.

One matrix product gives each block of similarities. It serves its rows (neighbours of x in y) and its columns
(neighbours of y in x); only the k best of each are kept. A comparison with the worst kept similarity finds the
candidates of a block, so the products take nearly all of the time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from xlift.errors import UserError

BLOCK_ROWS, BLOCK_COLUMNS = 1024, 2048
"""Shape of a block of similarities: 8 MB, which fit into the cache and give a matrix product at full speed."""
NUM_SEGMENTS = 64
"""Segments of the first block; their maxima give a lower bound on the k-th best."""


@dataclass(frozen=True)
class Neighbours:
    """For each vector of one set its nearest in another, nearest first; ties in the order of the other set."""

    similarity: np.ndarray
    """(n, k) float32 cosines, descending."""
    index: np.ndarray
    """(n, k) int64."""


def unit_vectors(vectors: np.ndarray, center: bool = False) -> np.ndarray:
    """(n, dimension) float32 vectors of length one (a zero vector stays zero); `center` subtracts their mean first.

    Raises:
        UserError: a value is NaN or infinite.
    """
    vectors = np.array(vectors, dtype=np.float32)
    if center:
        vectors -= vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):  # in blocks: the norm of all at once would hold their squares
        block = vectors[start : start + BLOCK_ROWS]
        length = np.linalg.norm(block, axis=1, keepdims=True)
        if not np.isfinite(length).all():
            raise UserError("a sentence vector is not finite", fix="check whether the training of the model diverged.")
        block /= np.maximum(length, 1e-12)
    return vectors


def find_neighbours(x: np.ndarray, y: np.ndarray, k: int) -> tuple[Neighbours, Neighbours]:
    """The k nearest in y of each x, and the k nearest in x of each y (all of them if there are fewer than k).

    Args:
        x: (n, dimension) float32 unit vectors; memory-mapped arrays are allowed.
        y: (m, dimension) likewise.

    Beside x, y and the result it holds a few blocks, whatever n and m are. Ties between float32 similarities go to the
    lower index, so equal calls give equal results; across machines the last bit may differ, as in all matrix products.
    """
    of_x, of_y = _TopK(len(x), min(k, len(y))), _TopK(len(y), min(k, len(x)))
    buffer = np.empty(min(BLOCK_ROWS, len(x)) * min(BLOCK_COLUMNS, len(y)), np.float32)
    with ThreadPoolExecutor(1) as executor:  # the two updates share no data, and NumPy's loops release the GIL
        for top in range(0, len(x), BLOCK_ROWS):
            x_part = x[top : top + BLOCK_ROWS]
            for left in range(0, len(y), BLOCK_COLUMNS):
                y_part = y[left : left + BLOCK_COLUMNS]
                block = buffer[: len(x_part) * len(y_part)].reshape(len(x_part), len(y_part))
                np.matmul(x_part, y_part.T, out=block)
                update = executor.submit(of_y.update, block, 1, left, top)
                of_x.update(block, 0, top, left)
                update.result()
    return of_x.neighbours(), of_y.neighbours()


class _TopK:
    """The k best so far for each of n vectors. Blocks come in ascending order of the other set's indices."""

    def __init__(self, n: int, k: int) -> None:
        self.k = k
        self.similarity = np.full((n, k), -np.inf, np.float32)
        self.index = np.full((n, k), np.iinfo(np.int64).max)
        """Maximal where nothing has been found yet."""

    def neighbours(self) -> Neighbours:
        return Neighbours(self.similarity, self.index)

    def update(self, block: np.ndarray, axis: int, start: int, other_start: int) -> None:
        """Merge what is better out of a block of similarities.

        Args:
            axis: 0 if the block's rows belong to these vectors, 1 if its columns do.
            start: index of the first of these vectors.
            other_start: index of the first vector of the other set.
        """
        bound = self.similarity[start : start + block.shape[axis], -1]
        if other_start == 0:
            changed, part = np.arange(len(bound)), block
            mask = block >= np.expand_dims(_lower_bound(block, axis, self.k), 1 - axis)
        else:  # a tie has a higher index in the other set, so it is not taken
            changed = np.flatnonzero(block.max(axis=1 - axis) > bound)
            part = block.take(changed, axis)
            mask = part > np.expand_dims(bound[changed], 1 - axis)
        flat = np.flatnonzero(mask)
        if not len(flat):
            return
        positions = np.divmod(flat, part.shape[1])
        self._merge(changed[positions[axis]] + start, part.reshape(-1)[flat], positions[1 - axis] + other_start)

    def _merge(self, vector: np.ndarray, similarity: np.ndarray, index: np.ndarray) -> None:
        changed = np.unique(vector)
        vector = np.concatenate((np.repeat(changed, self.k), vector))
        similarity = np.concatenate((self.similarity[changed].reshape(-1), similarity))
        index = np.concatenate((self.index[changed].reshape(-1), index))
        order = np.lexsort((index, -similarity, vector))
        first = np.searchsorted(vector[order], changed)
        kept = order[first[:, None] + np.arange(self.k)]
        self.similarity[changed], self.index[changed] = similarity[kept], index[kept]


def _lower_bound(block: np.ndarray, axis: int, k: int) -> np.ndarray:
    """For each row (axis 0) or column (axis 1) of a block a value that at least k of its values reach.

    The k-th best of the maxima of segments is one, and close to the k-th best of all.
    """
    length = block.shape[1 - axis]
    num_segments = max(k, NUM_SEGMENTS)
    if length <= num_segments:
        return np.full(block.shape[axis], -np.inf, np.float32)
    starts = np.linspace(0, length, num_segments, endpoint=False).astype(int)
    maxima = np.maximum.reduceat(block, starts, axis=1 - axis)
    return np.partition(maxima, num_segments - k, axis=1 - axis).take(num_segments - k, 1 - axis)
