"""How the estimate of a run compares with the time it took. The record of a study keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xlift.units import count_noun, format_seconds

MIN_SECONDS = 5.0
"""Kinds of job that took less are not reported: most of that time is start-up."""


@dataclass(frozen=True)
class EstimateCheck:
    jobs: int
    workers: int
    is_measured: bool
    """Whether the estimate used a calibration of this machine."""
    estimated_seconds: float
    """Of the whole run."""
    elapsed_seconds: float
    seconds_by_kind: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Kind of job -> estimated and elapsed seconds of work, summed over all workers."""

    def describe(self) -> str:
        """'505 jobs in 5 min 0 s; the estimate was 4 min 24 s (12% too low)'."""
        jobs = f"{count_noun(self.jobs, 'job')} in {format_seconds(self.elapsed_seconds)}"
        return f"{jobs}; {self.describe_error()}"

    def describe_error(self) -> str:
        """'the estimate was 4 min 24 s (12% too low; train 20% too low, predict exact)'."""
        error = format_error(self.estimated_seconds, self.elapsed_seconds)
        kinds = ", ".join(
            f"{kind} {format_error(*seconds)}"
            for kind, seconds in self.seconds_by_kind.items()
            if max(seconds) >= MIN_SECONDS
        )
        by_kind = f"; {kinds}" if kinds and len(self.seconds_by_kind) > 1 else ""
        return f"the estimate was {format_seconds(self.estimated_seconds)} ({error}{by_kind})"


def format_error(estimated: float, elapsed: float) -> str:
    """'12% too low' for an estimate of 88 s and a run of 100 s."""
    percent = round(100 * (estimated - elapsed) / max(elapsed, 1e-9))
    return "exact" if percent == 0 else f"{abs(percent)}% too {'high' if percent > 0 else 'low'}"


def parse_estimate_check(value: Any) -> EstimateCheck | None:
    """The inverse of `asdict`; None gives None. Raises TypeError, KeyError or ValueError for any other value."""
    if value is None:
        return None
    kinds = {str(kind): (float(both[0]), float(both[1])) for kind, both in value["seconds_by_kind"].items()}
    return EstimateCheck(**{**value, "seconds_by_kind": kinds})
