"""Progress callback and stop flag of a job. This module does not import torch, since the executor imports it too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Interrupted(Exception):
    """The job stopped on request, after saving what it needs to resume."""


@dataclass(frozen=True)
class Progress:
    """Progress callback and stop flag of one job. By default, nothing is reported and the job never stops."""

    report: Callable[[int, int], None] = lambda done, total: None
    """Called with (steps done, total steps)."""
    should_stop: Callable[[], bool] = lambda: False
    """Whether to stop soon. It is called after every step, so it should take microseconds."""
