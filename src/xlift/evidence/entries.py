"""What an evidence file holds: numbers, facts and statements that a source has published.

An entry counts only if a person has accepted it. Scores and lifts are in points (71.4, not 0.714).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ALL = "all"
"""As target: the mean over all targets of the source."""

NONE = "none"
"""The row without an intermediate task, as in a study."""

BEST_PER_TARGET = "best-per-target"
"""The row that has, for each target, the best of all intermediate tasks."""

Status = Literal["verified", "secondary"]
STATUSES: Mapping[str, str] = {
    "verified": "read in the source",
    "secondary": "read in another publication",
}

Quantity = Literal["score", "lift"]
QUANTITIES: tuple[Quantity, ...] = ("score", "lift")

Bearing = Literal["supports", "contradicts"]
BEARINGS: tuple[Bearing, ...] = ("supports", "contradicts")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What every entry has."""

    name: str
    """Unique in its file."""
    source: str
    """BibTeX key of the publication that has it."""
    place: str
    """File and line of the entry."""
    status: Status = "verified"
    table: str = ""
    """Table, figure or section of the source: '16', 'abstract'."""
    page: str = ""
    doubt: str = ""
    """Why it may be wrong or mean something else."""
    quote: str = ""
    """Words of the source, as they stand there."""
    note: str = ""
    other_setting: str = ""
    """How its setting differs from that of the claims. Such an entry is shown and decides nothing."""
    accepted: bool = False
    """A person has checked it. Without this, it never counts."""

    @property
    def is_accepted(self) -> bool:
        """Whether a person has accepted it and all that it is computed from."""
        return self.accepted

    @property
    def difference_of_setting(self) -> str:
        """`other_setting` of this entry, or of one that it is computed from; '' if it may decide."""
        return self.other_setting


@dataclass(frozen=True, kw_only=True)
class Number(Entry):
    """A published score or lift, in points."""

    quantity: Quantity
    row: str
    """An intermediate task, `none`, `best-per-target`, or a name that a claim uses."""
    target: tuple[str, ...]
    """One target; several: the mean over them; `(ALL,)`: the mean over all of the source."""
    value: float
    metric: str
    model: str = ""
    languages: tuple[str, ...] = (ALL,)
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Derived(Number):
    """A number that no source prints: a weighted sum of other numbers, divided by a number."""

    terms: tuple[tuple[float, Number], ...]
    divide_by: float = 1.0
    assumes: str = ""
    """What must hold for the derivation to be right."""

    @property
    def is_accepted(self) -> bool:
        return self.accepted and all(number.accepted for _, number in self.terms)

    @property
    def difference_of_setting(self) -> str:
        return next(filter(None, (self.other_setting, *(number.other_setting for _, number in self.terms))), "")


@dataclass(frozen=True, kw_only=True)
class Fact(Entry):
    """A quantity of a published study, such as its number of intermediate tasks."""

    fact: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Statement(Entry):
    """A sentence of a source that bears on claims."""

    statement: str
    """What the source says, in the words of the person who wrote the entry."""
    claims: tuple[str, ...]
    """Names of claims: `name`, or `file/name` for the claim of one claims file only."""
    bears: Bearing


@dataclass(frozen=True, kw_only=True)
class Candidate(Entry):
    """A sentence that a search has found. It never counts: a person who accepts it writes a number, a fact or a statement."""

    claims: tuple[str, ...] = ()
    """Names of claims on which it may bear."""


@dataclass(frozen=True)
class Evidence:
    """The entries of one or more evidence files."""

    numbers: tuple[Number, ...] = ()
    facts: tuple[Fact, ...] = ()
    statements: tuple[Statement, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    bibliography: Mapping[str, str] = field(default_factory=dict)
    """BibTeX key -> BibTeX entry, of every source."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (*self.numbers, *self.facts, *self.statements, *self.candidates)

    @property
    def waiting(self) -> tuple[Entry, ...]:
        """Entries that no person has accepted yet."""
        return tuple(entry for entry in self.entries if not entry.is_accepted)

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.numbers + other.numbers,
            self.facts + other.facts,
            self.statements + other.statements,
            self.candidates + other.candidates,
            {**self.bibliography, **other.bibliography},
        )
