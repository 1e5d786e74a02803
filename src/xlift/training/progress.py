"""Progress callback and stop flag of a job, and its metrics for experiment trackers. This module does not import torch, since the executor imports it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LOGS_PER_STAGE = 200
"""About how often the loss of a stage is logged; more often would slow short steps down."""


class Interrupted(Exception):
    """The job stopped on request, after saving what it needs to resume."""


@dataclass(frozen=True)
class Progress:
    """Progress callback and stop flag of one job. By default, nothing is reported and the job never stops."""

    report: Callable[[int, int], None] = lambda done, total: None
    """Called with (steps done, total steps)."""
    should_stop: Callable[[], bool] = lambda: False
    """Whether to stop soon. It is called after every step, so it should take microseconds."""
    log: Callable[[Mapping[str, float], int], None] | None = None
    """Called with metrics of training and the number of steps done, for experiment trackers. None: nobody reads them."""
    warn: Callable[[str], None] = lambda message: None
    """Called with a warning to show to the user."""


class MetricLog:
    """Sends metrics of a stage to `Progress.log`, under the names that transformers' Trainer uses: `train/loss` and
    `train/grad_norm`, both means over some steps, `train/learning_rate`, and `eval/score`, the mean over the dev sets."""

    def __init__(self, progress: Progress, max_steps: int) -> None:
        self.log = progress.log
        self.interval = max(1, max_steps // LOGS_PER_STAGE)
        self.max_steps = max_steps
        self.losses: list[float] = []
        self.grad_norms: list[float] = []

    def add_step(self, step: int, loss: float, grad_norm: float, lr: float) -> None:
        """
        Args:
            step: number of steps done.
        """
        if self.log is None:
            return
        self.losses.append(loss)
        self.grad_norms.append(grad_norm)
        if step % self.interval == 0 or step == self.max_steps:
            means = (sum(values) / len(values) for values in (self.losses, self.grad_norms))
            self.log(dict(zip(("train/loss", "train/grad_norm"), means)) | {"train/learning_rate": lr}, step)
            self.losses, self.grad_norms = [], []

    def add_evaluation(self, step: int, scores: Sequence[float]) -> None:
        if self.log is not None:
            self.log({"eval/score": sum(scores) / len(scores)}, step)
