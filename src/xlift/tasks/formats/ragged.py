"""Rows of integers of different lengths in two arrays: 4 bytes per number, where Python lists take about 40."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np


class Ragged:
    """Immutable rows: row i is `values[starts[i] : starts[i + 1]]`.

    Args:
        values: (total,) int32.
        starts: (rows + 1,) int64, from 0 to total.
    """

    def __init__(self, values: np.ndarray, starts: np.ndarray) -> None:
        if starts[0] != 0 or starts[-1] != len(values):
            raise ValueError(f"{len(values)} values, but rows from {starts[0]} to {starts[-1]}")
        self.values = values.astype(np.int32, copy=False)
        self.starts = starts.astype(np.int64, copy=False)

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[int] | np.ndarray]) -> Ragged:
        """Consumes the rows one by one, so the rows of a generator are never in memory together."""
        builder = RaggedBuilder()
        for row in rows:
            builder.append(row)
        return builder.build()

    @classmethod
    def concatenate(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts in order."""
        lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
        return cls(np.concatenate([np.zeros(0, np.int32), *(part.values for part in parts)]), np.cumsum(lengths))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(rows,) int64."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        """(length,) int32, a view. Negative indices count from the end, as in a list."""
        row = range(len(self))[row]
        return self.values[self.starts[row] : self.starts[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        edges = self.starts.tolist()
        return (self.values[start:end] for start, end in zip(edges, edges[1:], strict=False))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ragged):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.values, other.values)

    __hash__: Any = None

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {len(self.values)} values)"

    def tolist(self) -> list[list[int]]:
        return [row.tolist() for row in self]

    def to_padded(self, rows: np.ndarray, fill: int, width: int | None = None) -> np.ndarray:
        """Selected rows, padded on the right.

        Args:
            width: columns of the result; by default the length of the longest selected row.

        Returns:
            (len(rows), width) int64.
        """
        lengths = self.lengths[rows]
        longest = int(lengths.max(initial=0))
        width = longest if width is None else width
        if longest > width:
            raise ValueError(f"a row of {longest} does not fit into {width}")
        columns = np.arange(width)
        filled = columns < lengths[:, None]
        padded = np.full((len(lengths), width), fill, dtype=np.int64)
        padded[filled] = self.values[(self.starts[rows][:, None] + columns)[filled]]
        return padded


class RaggedBuilder:
    """Builds a `Ragged` row by row."""

    def __init__(self) -> None:
        self._values = array("i")  # grows in place, like a list
        self._lengths = array("i")

    def __len__(self) -> int:
        return len(self._lengths)

    def append(self, row: Sequence[int] | np.ndarray) -> None:
        """Add a row of 32-bit integers.

        Raises:
            OverflowError: a number in a list has more than 32 bits.
        """
        if isinstance(row, np.ndarray):
            self._values.frombytes(np.ascontiguousarray(row, dtype=np.int32).tobytes())
        else:
            self._values.fromlist(list(row))  # twice as fast as extend
        self._lengths.append(len(row))

    def build(self) -> Ragged:
        lengths = np.frombuffer(self._lengths, dtype=np.int32)
        starts = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=starts[1:])
        return Ragged(np.frombuffer(self._values, dtype=np.int32), starts)
