"""The training data of one part of a mixture, tokenized."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from xlift.model_families import Family
from xlift.models.text_mode import TEXT
from xlift.recipes import Masking
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.task import Task
from xlift.training.masking import Masker
from xlift.training.objectives import SpanCorruption


class Corruption(Protocol):
    """Hides tokens of a text, which the model predicts. What it hides depends only on the text, the seed and the step."""

    def corrupt(
        self, inputs: dict[str, Tensor], *, seed: int, step: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """
        Args:
            inputs: the whole batch of a step, as `batches.collate` returns it.

        Returns:
            The inputs of the model, and the targets.
        """
        ...


@dataclass(frozen=True)
class TrainDataset:
    task: Task
    features: Features
    head: str = ""
    """Name of the head to train; default: the task's own."""
    corruption: Corruption | None = None
    """Only for text that an encoder or an encoder-decoder model learns."""

    @property
    def head_name(self) -> str:
        return self.head or self.task.head


def make_text_dataset(
    task: Task, features: Features, tokenizer: Any, family: Family, masking: Masking, *, max_length: int, head: str = ""
) -> TrainDataset:
    """Text under the objective of the family's pretraining: masked words (encoder), the next word (decoder), or the spans that
    were cut out (encoder-decoder).

    Args:
        features: rows of tokens. Their targets are not used.
        max_length: a row of a decoder that is shorter ends with the end token, if it does not already.
        head: name of an encoder's head; default: the task's own.

    Raises:
        UserError: the tokenizer has no token that stands for hidden words.
    """
    features = replace(features, targets={}, extra={}, decoder_labels=None)
    if family == "encoder":
        return TrainDataset(task, features, head, Masker(masking, tokenizer))
    if family == "seq2seq":
        return TrainDataset(task, replace(features, token_type_ids=None), TEXT, SpanCorruption(masking, tokenizer))
    end = tokenizer.eos_token_id
    has_end = (len(row) >= max_length or (len(row) > 0 and row[-1] == end) for row in features.input_ids)
    rows = (row if ended else np.append(row, end) for row, ended in zip(features.input_ids, has_end, strict=True))
    input_ids = Ragged.from_rows(rows)
    return TrainDataset(
        task, replace(features, input_ids=input_ids, token_type_ids=None, targets={"label": input_ids}), TEXT
    )
