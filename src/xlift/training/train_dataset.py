"""The training data of one part of a mixture, tokenized."""

from __future__ import annotations

from dataclasses import dataclass

from xlift.tasks.formats.base import Features
from xlift.tasks.task import Task
from xlift.training.masking import Masker


@dataclass(frozen=True)
class TrainDataset:
    task: Task
    features: Features
    head: str = ""
    """Name of the head to train; default: the task's own."""
    masker: Masker | None = None
    """Only for text."""

    @property
    def head_name(self) -> str:
        return self.head or self.task.head
