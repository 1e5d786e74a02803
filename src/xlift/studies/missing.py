"""What a plan lacks on this machine: data and models. A study with anything missing is planned, and not run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xlift.errors import UserError
from xlift.tasks.catalog.sizes import Count
from xlift.tasks.task import Task

SHOWN = 12
"""Names in a message."""


@dataclass(frozen=True)
class MissingData:
    """The examples of a (task, language, split) whose files are not here."""

    task: Task
    language: str
    split: str
    count: Count
    """Their number in estimates."""
    repository: str = ""
    """Dataset of the Hub that has them; '' if the files must come from elsewhere."""
    uses_all: bool = False
    """Whether a job uses all of them, so that estimates depend on their number."""
    reason: UserError | None = None
    """Why they cannot be had, if it was tried."""


@dataclass(frozen=True)
class MissingModel:
    """A model of the Hub whose files are not here."""

    name: str
    bytes: int | None = None
    """Of its weights; None if its shape is unknown."""
    licence: str = ""
    terms: str = ""
    """What must be accepted before it can be fetched; '' if nothing."""
    reason: UserError | None = None


def refuse(missing: Iterable[MissingData | MissingModel], study: str) -> None:
    """Raises UserError if anything is missing: the first thing with its own reason, and a list of the others."""
    listed = list(missing)
    if not listed:
        return
    reasons = [each.reason for each in listed if each.reason]
    first = reasons[0] if reasons else UserError(f"{_name(listed[0])} is missing", where=study)
    others = [name for name in dict.fromkeys(map(_name, listed)) if len(listed) > 1]
    shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
    advice = f"`xlift plan {study}` lists everything; `xlift fetch {study}` brings what the Hub has."
    fix = "\n  ".join(filter(None, (first.fix, shown and f"Missing in all: {shown}. {advice}")))
    raise UserError(first.what, where=first.where, fix=fix)


def _name(missing: MissingData | MissingModel) -> str:
    return missing.name if isinstance(missing, MissingModel) else f"{missing.task.name} {missing.split}"
