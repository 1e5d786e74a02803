"""What the literature says on a claim, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from xlift.evidence.bibliography import short_citation
from xlift.evidence.entries import Derived, Entry, Evidence

Verdict = Literal[
    "reported",
    "consistent",
    "contradicted by its source",
    "contradicted by another source",
    "no number",
    "verified",
    "false",
]
Role = Literal["direct", "derived", "shown"]
Side = Literal["for", "against", "within the error"]

ERROR = (0.4, 1.5)
"""Points by which two publications disagree on the same submission to XTREME: X-STILTs in the paper of RemBERT and in the README
of mT5 (XNLI 0.4, NER 0.7, XQuAD 1.5). So the error of a published number is at least this large."""


@dataclass(frozen=True)
class Citation:
    """Where an entry stands."""

    entry: str
    source: str
    """BibTeX key."""
    cited: str
    """'Chung et al. 2021, table 16'."""
    status: str
    """`verified` or `secondary` (`entries.STATUSES`); `derived` for a number that is computed."""
    place: str
    """File and line of the entry."""
    quote: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Finding:
    """A published number, or a difference of published numbers, that bears on a claim."""

    part: str
    """Which part of the claim: 'squad on xnli'."""
    metric: str
    effect: float
    """Points; of a fact its count."""
    how: str
    """The computation from the published numbers."""
    role: Role
    """`direct`: the number that the claim is about. `derived`: it bounds or implies a part of it. `shown`: it decides nothing."""
    side: Side | None
    """Of the claim; `within the error` if it is within 1.5 points of the limit. None where it decides nothing."""
    why: str
    """What it has to do with the claim."""
    citations: tuple[Citation, ...]
    assumes: str = ""
    bounds_all: bool = False
    """Whether it holds for every row of the claim, since it is the largest lift."""

    @property
    def is_against(self) -> bool:
        return self.side == "against"


@dataclass(frozen=True)
class PublishedStatement:
    """A statement of a source."""

    statement: str
    bears: str
    citation: Citation
    by_its_source: bool
    """Whether a source of the claim itself says it."""
    note: str = ""


@dataclass(frozen=True)
class PublishedJudgement:
    """What the literature says on one claim. Fields are the keys of the JSON."""

    claim: str
    text: str
    kind: str
    verdict: Verdict
    reason: str
    """How the verdict follows, in one to three sentences."""
    findings: tuple[Finding, ...] = ()
    statements: tuple[PublishedStatement, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sources(self) -> tuple[str, ...]:
        """BibTeX keys of all that is cited, each once."""
        citations = [citation for finding in self.findings for citation in finding.citations]
        return tuple(dict.fromkeys(each.source for each in [*citations, *(each.citation for each in self.statements)]))


def side(margin: float) -> Side:
    """The side of a number that is `margin` points beyond the limit of a claim."""
    if abs(margin) <= ERROR[1]:
        return "within the error"
    return "for" if margin > 0 else "against"


def cite(entry: Entry, evidence: Evidence) -> Citation:
    table = f"table {entry.table}" if entry.table.isdecimal() else entry.table
    parts = [short_citation(entry.source, evidence.bibliography), table, entry.page and f"page {entry.page}"]
    status = "derived" if isinstance(entry, Derived) else entry.status
    cited = ", ".join(filter(None, parts))
    return Citation(entry.name, entry.source, cited, status, entry.place, entry.quote, entry.doubt)


def cite_all(entries: Iterable[Entry], evidence: Evidence) -> tuple[Citation, ...]:
    return tuple(cite(entry, evidence) for entry in entries)
