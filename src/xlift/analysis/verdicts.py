"""What a study says on a claim.

Effects are points (percent). The rules are those of docs/claims.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["supported", "refuted", "undecided", "verified", "false", "not measured"]


@dataclass(frozen=True)
class Part:
    """One effect that a claim is about: a row, a difference of rows or a slope, on one target."""

    label: str
    """'isle-qa on isle-nli'."""
    effect: float
    low: float
    """Of the 95% interval."""
    high: float
    p_support: float | None
    """One-sided, for this part alone. None with one seed."""
    p_refute: float | None


@dataclass(frozen=True)
class Needs:
    """What would make the interval of an undecided effect half as wide as delta on each side."""

    seeds: int
    rows: int | None = None
    """Test examples per language; None where those of the study are enough."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one claim. Fields are the keys of the JSON."""

    claim: str
    """Its name."""
    text: str
    kind: str
    verdict: Verdict
    effect: float | None = None
    """Of the part that decides; of a fact the count."""
    low: float | None = None
    high: float | None = None
    low_other_languages: float | None = None
    """The interval with languages drawn at random, for other languages of the same kind."""
    high_other_languages: float | None = None
    delta: float | None = None
    seeds: int = 0
    p_support: float | None = None
    """One-sided, adjusted by Holm over the statistical claims of the file. None with one seed and for facts."""
    p_refute: float | None = None
    confidence: float | None = None
    """1 - the adjusted p-value of the verdict; at most .95 below 3 seeds and .99 below 5. No probability of the claim."""
    negligible: bool = False
    """Whether the effect is above zero and below delta, both significantly."""
    needs: Needs | None = None
    """Of an undecided claim."""
    reason: str = ""
    """Why it is not measured or undecided."""
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
