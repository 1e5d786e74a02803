"""What a format makes of examples: rows for the model, and prompts of text mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlift.tasks.formats.ragged import Ragged

IGNORE_INDEX = -100
"""Target value that the loss ignores (the default `ignore_index` of torch's cross entropy)."""


@dataclass(frozen=True)
class Features:
    """Model inputs of many examples, one row per sequence that goes through the model.

    Row i belongs to example `example_index[i]`; the rows of an example are adjacent and in order.
    """

    input_ids: Ragged
    example_index: np.ndarray
    """(rows,) int: index of the example that each row was made from."""
    unit: np.ndarray
    """(rows,) int, non-decreasing from 0: rows of one unit stay in one batch (all choices of a question). The batch
    size of training counts units."""
    token_type_ids: Ragged | None = None
    targets: dict[str, np.ndarray | Ragged] = field(default_factory=dict)
    """Name -> one value per row for the loss: (rows,) int64, or rows aligned with `input_ids`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Name -> one value per row that only decoding needs (offsets, first sub-words)."""

    decoder_labels: Ragged | None = None
    """Tokens that an encoder-decoder model learns to write for each row, end token included; None for a head."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) tokens that go through the model for each row."""
        lengths = self.input_ids.lengths
        return lengths if self.decoder_labels is None else lengths + self.decoder_labels.lengths


@dataclass(frozen=True)
class Direction:
    """Text and languages of a translation. A tokenizer with language tokens (NLLB, mBART) reads `text` after the token
    of its language, and its output begins with the token of the other; every other tokenizer reads `Prompt.source`."""

    text: str
    source_language: str
    target_language: str


@dataclass(frozen=True)
class Prompt:
    """An example as text."""

    source: str
    """Model input."""
    answer: str | None
    """Text the model should write; None if gold is unknown."""
    candidates: tuple[str, ...] = ()
    """The only possible answers, ranked by their likelihood. Empty: the answer is generated."""
    contexts: tuple[str, ...] = ()
    """For each candidate its own input, in place of `source`: the candidates then differ in what they follow. Empty: all follow
    `source`."""
    delimiter: str = " "
    """Between the input and an answer; empty for an answer that is a whole text, with nothing before it."""
    slots: tuple[tuple[str, ...], ...] = ()
    """Constraint on a generated answer: one text from each slot in order, separated by spaces. Empty: no constraint."""
    max_new_tokens: int = 64
    """Of a generated answer."""
    has_end_token: bool = True
    """Whether the end token follows the answer and each candidate."""
    direction: Direction | None = None
    """Of a translation."""
    fewshot_examples: tuple[str, ...] = ()
    """Solved examples before the source, each with its delimiter; if a row is too long, the first ones are dropped."""
    truncatable: tuple[int, int] | None = None
    """Span [begin, end) of `source`, in code points, that is cut from the left if a row is still too long: the longest
    text of the example. None: the whole source."""
    truncation_points: tuple[tuple[int, int], ...] = ()
    """(position in `source`, length of `answer`) after each word of `truncatable`: where it may be cut from the right,
    and how much of the answer then remains (tagging)."""
