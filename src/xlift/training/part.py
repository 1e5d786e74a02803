"""One part of a stage's mixture, ready for the model."""

from __future__ import annotations

from dataclasses import dataclass

from xlift.tasks.formats.base import Features
from xlift.tasks.task import Task
from xlift.training.masking import Masker


@dataclass(frozen=True)
class Part:
    task: Task
    features: Features
    head: str = ""
    """Name of the head that learns from it; default: the task's own."""
    masker: Masker | None = None
    """Of text, and only of text."""

    @property
    def head_name(self) -> str:
        return self.head or self.task.head
