"""P-values of several tests at once, adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm (1979): below a level, all of them together are wrong at most that often."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Benjamini and Hochberg (1995): of those below a level, at most that share is wrong on
    average."""
    adjusted, smallest = [0.0] * len(p_values), 1.0
    for rank, index in reversed(list(enumerate(sorted(range(len(p_values)), key=p_values.__getitem__), 1))):
        smallest = min(smallest, len(p_values) / rank * p_values[index])
        adjusted[index] = smallest
    return adjusted
