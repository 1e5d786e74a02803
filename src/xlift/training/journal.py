"""What a run has seen of itself by some step: losses, gradient norms, spikes, scores on dev. Goes into checkpoints as JSON
and comes back exactly.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

PARTS = 20
"""Stretches of a run whose mean losses and gradient norms are kept."""
WINDOW = 100
"""Last losses of each part of a mixture that a spike is measured against."""
LEAST = 20
"""Losses of a part that must have been seen before one can be a spike."""
SPIKES = 50
"""Spikes that are kept with step and loss; all are counted."""


@dataclass
class PartLosses:
    """Losses of one part of a mixture: parts differ in the level of their losses."""

    seen: int = 0
    start: float = 0.0
    """Median of the first LEAST losses, once they are there."""
    recent: list[float] = field(default_factory=list)

    def is_spike(self, loss: float) -> bool:
        """Whether a loss stands out: three times the median of the window, six standard deviations above it (by the
        median absolute deviation, which a spike in the window does not widen), and above where the part began. The last
        condition leaves out single hard batches of a part that is nearly learnt by heart."""
        if self.seen < LEAST:
            return False
        median = float(np.median(self.recent))
        deviation = 1.4826 * float(np.median(np.abs(np.array(self.recent) - median)))
        return loss > max(3 * median, median + 6 * deviation, self.start)

    def add(self, loss: float) -> None:
        self.seen += 1
        self.recent = [*self.recent, loss][-WINDOW:]
        if self.seen == LEAST:
            self.start = float(np.median(self.recent))

    @property
    def last(self) -> float:
        """Mean of the last twentieth of this part's losses, as far as the window reaches."""
        count = min(len(self.recent), math.ceil(self.seen / PARTS))
        return sum(self.recent[-count:]) / count


@dataclass
class Journal:
    steps: int
    """Of the whole schedule."""
    done: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=lambda: [0.0] * PARTS)
    """Sums over each twentieth of the schedule."""
    norms: list[float] = field(default_factory=lambda: [0.0] * PARTS)
    """As `losses`: gradient norms before clipping."""
    parts: dict[str, PartLosses] = field(default_factory=dict)
    """By the part's number, as text (JSON knows no other keys)."""
    spikes: list[tuple[int, float]] = field(default_factory=list)
    """(step, loss) of the first SPIKES of them."""
    num_spikes: int = 0
    dev: list[tuple[int, list[float]]] = field(default_factory=list)
    """(steps done, score of each part that was judged)."""

    def saw(self, loss: float, norm: float, tokens: int, part: int) -> None:
        """One more step."""
        place = self.done * PARTS // self.steps
        self.done += 1
        self.tokens += tokens
        self.losses[place] += loss
        self.norms[place] += norm
        of_part = self.parts.setdefault(str(part), PartLosses())
        if of_part.is_spike(loss):
            self.num_spikes += 1
            self.spikes = [*self.spikes, (self.done, loss)][:SPIKES]
        of_part.add(loss)

    def means(self, sums: list[float]) -> list[float]:
        """Of `losses` or `norms`: of each twentieth that has steps."""
        counts = np.bincount(np.arange(self.done) * PARTS // self.steps, minlength=PARTS)
        return [round(total / int(count), 5) for total, count in zip(sums, counts, strict=True) if count]

    def judged(self, scores: list[float]) -> None:
        self.dev.append((self.done, scores))

    @property
    def is_judged(self) -> bool:
        """Whether the weights as they stand were judged."""
        return bool(self.dev) and self.dev[-1][0] == self.done

    @property
    def best(self) -> int:
        """The step with the highest mean score on dev, of equal ones the first; the last step where nothing was judged."""
        step, highest = self.done, -math.inf
        for at, scores in self.dev:
            if (score := sum(scores) / len(scores)) > highest:
                step, highest = at, score
        return step

    @property
    def since_best(self) -> int:
        """Judgements after the best one."""
        return sum(step > self.best for step, _ in self.dev)

    def numbers(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, steps: int, numbers: dict[str, Any]) -> Journal:
        """From the numbers of a checkpoint; {} is a run that starts."""
        if not numbers:
            return cls(steps)
        return cls(
            **{
                **numbers,
                "parts": {name: PartLosses(**part) for name, part in numbers["parts"].items()},
                "spikes": [(step, loss) for step, loss in numbers["spikes"]],
                "dev": [(step, scores) for step, scores in numbers["dev"]],
            }
        )
