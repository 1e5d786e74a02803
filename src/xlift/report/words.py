"""Lists of names, and times, as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def join_names(names: Iterable[str], most: int | None = None) -> str:
    """'a, b and c'; '' for none.

    Args:
        most: names that are shown; of more, the first ones and the number of the others.
    """
    found = list(names)
    if most is not None and len(found) > most:
        found = [*found[: most - 1], f"{len(found) - most + 1} others"]
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def format_time(moment: str) -> str:
    """'2026-01-31 12:00 UTC' for a time in ISO 8601; '' for ''."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""
