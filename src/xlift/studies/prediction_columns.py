"""Columns of the tables of predictions, which become Python's values on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class StoredLists(Sequence[Any]):
    """A column of lists of numbers, which become Python's on demand."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, at: Any) -> Any:
        return self._column[at].as_py() if isinstance(at, int) else self._column.to_pylist()[at]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._column.to_pylist())

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def matrix(self) -> np.ndarray | None:
        import numpy as np

        array = self._column.combine_chunks()
        width, rest = divmod(len(array.values), max(1, len(array)))
        offsets = to_numbers(array.offsets)
        if (
            array.null_count
            or array.values.null_count
            or rest
            or not width
            or not np.array_equal(offsets, np.arange(len(array) + 1) * width)
        ):
            return None
        return to_numbers(array.values).reshape(len(array), width).astype(float)


@dataclass(frozen=True, eq=False)
class CodedAnswers:
    """Gold and predicted answers as numbers: equal answers of a column have one, so that a metric needs to read a pair of answers
    only once."""

    gold: list[Any]
    predictions: list[Any]
    gold_codes: np.ndarray
    """(n,) the place of each gold answer in `gold`."""
    prediction_codes: np.ndarray

    def pairs(self) -> tuple[list[Any], list[Any], np.ndarray]:
        """The gold answers and the predictions of the distinct pairs, and (n,) the pair of each example."""
        import numpy as np

        codes = self.gold_codes.astype(np.int64) * len(self.predictions) + self.prediction_codes
        possible = len(self.gold) * len(self.predictions)
        if possible <= len(codes):  # few labels: counting takes less time than sorting
            is_found = np.bincount(codes, minlength=possible) > 0
            distinct, index = np.flatnonzero(is_found), (np.cumsum(is_found) - 1)[codes]
        else:
            distinct, index = np.unique(codes, return_inverse=True)
        gold, predictions = np.divmod(distinct, max(1, len(self.predictions)))
        return [self.gold[n] for n in gold.tolist()], [self.predictions[n] for n in predictions.tolist()], index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodedAnswers) and self.decode() == other.decode()

    def decode(self) -> tuple[list[Any], list[Any]]:
        """The gold answers and the predictions of all examples."""
        return (
            [self.gold[n] for n in self.gold_codes.tolist()],
            [self.predictions[n] for n in self.prediction_codes.tolist()],
        )


def to_numbers(array: Any) -> np.ndarray:
    """An Arrow array of numbers without nulls. pyarrow's own conversion imports pandas."""
    import numpy as np

    numbers = np.dtype(array.type.to_pandas_dtype())
    if not len(array):
        return np.empty(0, numbers)
    return np.frombuffer(array.buffers()[1], numbers, len(array), array.offset * numbers.itemsize)
