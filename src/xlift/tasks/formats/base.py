"""What every format offers. A format is a shape of supervision; all that belongs to it stands in its own file.

Reading order of each file in this folder: example, features, decode, (later) prompt and parse.
Formats work on NumPy; no torch is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from xlift.tasks.formats.ragged import Ragged

IGNORE = -100
"""Target value that takes no part in a loss (the convention of torch's cross entropy)."""


@dataclass(frozen=True)
class Features:
    """Model inputs of many examples: one row per sequence that goes through the encoder.

    `rows[i]` belongs to example `example[i]`; the rows of an example stand together and in order.
    """

    input_ids: Ragged
    example: np.ndarray
    """(rows,) int: index of the example each row was made from."""
    unit: np.ndarray
    """(rows,) int, non-decreasing from 0: rows of one unit are never parted into two batches
    (all choices of a question); a training batch counts units."""
    token_type_ids: Ragged | None = None
    targets: dict[str, np.ndarray | Ragged] = field(default_factory=dict)
    """Name -> one value per row for the loss: (rows,) int64, or rows aligned with `input_ids`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Name -> one value per row that only decoding needs (offsets, first sub-words)."""

    def __len__(self) -> int:
        return len(self.input_ids)


class Format(Protocol):
    name: str
    head: str
    """Kind of output: 'sequence', 'token', 'span', 'choice', 'dual' (models/kinds.py), 'pooled' (no head) or 'lm'."""
    example: type
    """The frozen dataclass of one example; its first field is `id: str`."""

    def check(self, example: Any, labels: Sequence[str]) -> str | None:
        """What is wrong with an example ("unknown label 'maybe' (expected ...)"), or None."""
        ...

    def texts(self, example: Any) -> tuple[str, ...]:
        """The natural-language strings of an example (vocabularies, leakage checks, MLM)."""
        ...

    def features(
        self, examples: Sequence[Any], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """Rows for the encoder, at most `max_length` tokens each; `targets` are filled where gold is known."""
        ...

    def decode(
        self,
        examples: Sequence[Any],
        features: Features,
        outputs: Any,
        labels: Sequence[str],
    ) -> list[Any]:
        """One JSON-able prediction per example, from one reduced output per row: a list, or an array of vectors.

        `outputs[i]` by head: sequence: int arg-max, the first of equal ones; token: (tokens,) of these;
        span: (2, tokens) float start and end scores; choice: float score; dual and pooled: (dimension,) float vector.
        """
        ...

    def gold(self, example: Any) -> Any:
        """The gold answer as JSON-able value, in the shape that `decode` gives and the metrics read."""
        ...
