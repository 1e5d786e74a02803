"""The training history of a run: losses, gradient norms, loss spikes and dev scores (the part of Trainer's `TrainerState`).

It is saved in checkpoints as JSON and restored exactly.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

NUM_INTERVALS = 20
"""Equal parts of a run, each with a mean loss and a mean gradient norm."""
SPIKE_WINDOW = 100
"""Number of last losses of a mixture part that a new loss is compared with."""
MIN_LOSSES = 20
"""Number of losses of a mixture part before one can be a spike."""
MAX_SPIKES = 50
"""Spikes that are kept with step and loss; all are counted."""


@dataclass
class PartLosses:
    """Losses of one part of a mixture. They are kept by part, since the level of the loss differs between parts."""

    num_losses: int = 0
    initial_median: float = 0.0
    """Median of the first MIN_LOSSES losses; 0 until then."""
    recent: list[float] = field(default_factory=list)

    def is_spike(self, loss: float) -> bool:
        """Whether a loss is above three times the median of the window, six standard deviations above that median, and
        above the initial median.

        The standard deviation is estimated from the median absolute deviation, which a spike in the window does not
        increase. The last condition leaves out single hard batches of a part that the model has nearly memorized."""
        if self.num_losses < MIN_LOSSES:
            return False
        median = float(np.median(self.recent))
        deviation = 1.4826 * float(np.median(np.abs(np.array(self.recent) - median)))
        return loss > max(3 * median, median + 6 * deviation, self.initial_median)

    def add(self, loss: float) -> None:
        self.num_losses += 1
        self.recent = [*self.recent, loss][-SPIKE_WINDOW:]
        if self.num_losses == MIN_LOSSES:
            self.initial_median = float(np.median(self.recent))

    @property
    def final_mean(self) -> float:
        """Mean of the last twentieth of this part's losses, within the window."""
        count = min(len(self.recent), math.ceil(self.num_losses / NUM_INTERVALS))
        return sum(self.recent[-count:]) / count


@dataclass
class TrainingHistory:
    max_steps: int
    """Steps of the whole schedule."""
    global_step: int = 0
    """Steps done."""
    num_tokens: int = 0
    loss_sums: list[float] = field(default_factory=lambda: [0.0] * NUM_INTERVALS)
    """Sum of the losses of each interval."""
    grad_norm_sums: list[float] = field(default_factory=lambda: [0.0] * NUM_INTERVALS)
    """Sum of the gradient norms of each interval, before clipping."""
    parts: dict[str, PartLosses] = field(default_factory=dict)
    """By the part's number, as a string, since JSON keys are strings."""
    spikes: list[tuple[int, float]] = field(default_factory=list)
    """(step, loss) of the first MAX_SPIKES spikes."""
    num_spikes: int = 0
    dev_scores: list[tuple[int, list[float]]] = field(default_factory=list)
    """(steps done, score of each dev set)."""

    def record_step(self, loss: float, grad_norm: float, num_tokens: int, part: int) -> None:
        interval = self.global_step * NUM_INTERVALS // self.max_steps
        self.global_step += 1
        self.num_tokens += num_tokens
        self.loss_sums[interval] += loss
        self.grad_norm_sums[interval] += grad_norm
        part_losses = self.parts.setdefault(str(part), PartLosses())
        if part_losses.is_spike(loss):
            self.num_spikes += 1
            self.spikes = [*self.spikes, (self.global_step, loss)][:MAX_SPIKES]
        part_losses.add(loss)

    def interval_means(self, sums: list[float]) -> list[float]:
        """Means of `loss_sums` or `grad_norm_sums`, for each interval that has steps."""
        intervals = np.arange(self.global_step) * NUM_INTERVALS // self.max_steps
        counts = np.bincount(intervals, minlength=NUM_INTERVALS)
        return [round(total / int(count), 5) for total, count in zip(sums, counts, strict=True) if count]

    @property
    def interval_ends(self) -> list[int]:
        """Steps done at the end of each interval of `interval_means`."""
        intervals = np.arange(self.global_step) * NUM_INTERVALS // self.max_steps
        return [int(end) for end in np.flatnonzero(np.diff(intervals, append=NUM_INTERVALS)) + 1]

    def record_evaluation(self, scores: list[float]) -> None:
        self.dev_scores.append((self.global_step, scores))

    @property
    def is_evaluated(self) -> bool:
        """Whether the current weights were evaluated."""
        return bool(self.dev_scores) and self.dev_scores[-1][0] == self.global_step

    @property
    def best_step(self) -> int:
        """The first step with the highest mean dev score; the last step if nothing was evaluated."""
        best_step, highest = self.global_step, -math.inf
        for step, scores in self.dev_scores:
            if (score := sum(scores) / len(scores)) > highest:
                best_step, highest = step, score
        return best_step

    @property
    def evaluations_since_best(self) -> int:
        return sum(step > self.best_step for step, _ in self.dev_scores)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, max_steps: int, saved: dict[str, Any]) -> TrainingHistory:
        """Restore the history of a checkpoint; {} starts a new one."""
        if not saved:
            return cls(max_steps)
        return cls(
            **{
                **saved,
                "parts": {name: PartLosses(**part) for name, part in saved["parts"].items()},
                "spikes": [(step, loss) for step, loss in saved["spikes"]],
                "dev_scores": [(step, scores) for step, scores in saved["dev_scores"]],
            }
        )
