"""What a job measures, as its manifest holds it: one record for each kind of job. Fields that do not apply are left out."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel


class JobNumbers(BaseModel):
    """Numbers of a job of any kind."""

    examples: int | None = None
    """Examples that went through the model, repetitions included."""
    threads: int | None = None
    """Of each process."""
    peak_memory_bytes: int | None = None

    def set_to(self, other: JobNumbers) -> None:
        """Take over the fields that are set in `other`."""
        for name in other.model_fields_set:
            setattr(self, name, getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """The fields that were set. NumPy and torch scalars become plain numbers; nan and infinities, which JSON lacks, None."""
        names = (name for name in type(self).model_fields if name in self.model_fields_set)
        return {name: _to_json(getattr(self, name)) for name in names}


class DataNumbers(JobNumbers):
    """Numbers of the data that a job reads."""

    tokens: int | None = None
    """Without padding."""
    noise_texts: int | None = None
    """Texts that noise was applied to."""
    noise_words: int | None = None
    """Their words; 0 for paraphrases."""
    noise_changeable: int | None = None
    """Words (for paraphrases, sentences) that the noise can change."""
    noise_changed: int | None = None
    rows: int | None = None
    """Prompts, in text mode."""
    truncated_rows: int | None = None
    """Prompts that were too long and lost few-shot examples or text."""


class TrainNumbers(DataNumbers):
    steps: int | None = None
    loss: float | None = None
    """Mean of the last twentieth of the run."""
    loss_curve: list[tuple[int, float]] | None = None
    """(steps done, mean loss) of each twentieth of the run in the last attempt."""
    spikes: int | None = None
    """Losses far above the previous ones."""
    token_budget: int | None = None
    """Most tokens of a micro-batch."""
    precision: str | None = None
    """What was used: 'bf16' or 'fp32'."""
    devices: int | None = None
    """If there are several."""
    attempts: int | None = None
    went_to_fp32: bool | None = None
    """Whether an attempt in bf16 diverged, so that later ones were in fp32."""
    collapsed: bool | None = None
    """Whether the last attempt collapsed too. None without an evaluation on dev."""
    lr: float | None = None
    """The learning rate that was chosen out of several."""
    dev_score: float | None = None
    """Mean score of the model on the dev data of its stage."""
    dev_curve: list[tuple[int, float]] | None = None
    """(steps done, mean score) of every evaluation on dev in the last attempt, with `eval_steps` or early stopping."""
    trained_embeddings: int | None = None
    """Rows of a compact vocabulary."""
    transferred_tensors: int | None = None
    transferred_parameters: int | None = None
    documents: int | None = None
    """Rows of pretraining."""
    parameters: int | None = None
    """Of the pretrained model."""


class MergeNumbers(JobNumbers):
    merged_models: int | None = None


class PredictNumbers(DataNumbers):
    layer: int | None = None
    """The layer that was chosen on dev."""


NUMBERS: dict[str, type[JobNumbers]] = {
    "pretrain": TrainNumbers, "train": TrainNumbers, "merge": MergeNumbers, "layer": DataNumbers, "predict": PredictNumbers,
}  # fmt: skip
"""Kind of job -> the record of its numbers."""


def _to_json(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
