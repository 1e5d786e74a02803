"""What a study says on its claims.

Each effect of a claim has two one-sided t tests, on the pooled variance between seeds: of what supports the claim, and of
what refutes it. The tests of several effects are combined by partial conjunction (Benjamini and Heller 2008), and those of
all statistical claims of a file are adjusted by Holm, within each of the two sides. docs/claims.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from xlift.analysis.best_per_target import measure_best_per_target
from xlift.analysis.contrasts import ContrastEstimate
from xlift.analysis.effects import EffectMeasurer, MeasuredEffect
from xlift.analysis.estimates import ScoredCell
from xlift.analysis.multiplicity import holm
from xlift.analysis.needs import Needs, seeds_and_rows
from xlift.analysis.training_status import COLLAPSED
from xlift.claims import FACT, Claim, ClaimSet
from xlift.claims.effects import Expansion, expand
from xlift.claims.table import Table

Verdict = Literal["supported", "refuted", "undecided", "verified", "false", "not measured"]

ALPHA = 0.025
"""Of each side."""
MOST_CONFIDENT = ((3, 0.95), (5, 0.99))
"""(seeds, largest confidence below that number of seeds)."""
MOST_HALVINGS = 4
FEWEST_SEEDS = 3
"""Proposed where one seed says nothing about the variance between seeds."""


@dataclass(frozen=True)
class Part:
    """One effect that a claim is about: a row, a difference of rows or a slope, on one target. In points."""

    label: str
    """'isle-qa on isle-nli'."""
    effect: float
    low: float
    """Of the 95% interval."""
    high: float
    seeds: int
    p_support: float | None
    """One-sided, for this part alone. None with one seed."""
    p_refute: float | None
    low_other_languages: float | None = None
    """The interval with languages drawn at random, for other languages of the same kind. None with one language."""
    high_other_languages: float | None = None
    is_unstable: bool = False
    """Whether it varies far more over seeds than the other rows do."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one claim. Fields are the keys of the JSON. Effects are points (percent)."""

    claim: str
    """Its name."""
    text: str
    kind: str
    verdict: Verdict
    effect: float | None = None
    """Of the part that decides; of a fact the count."""
    low: float | None = None
    """Of the 95% interval."""
    high: float | None = None
    low_other_languages: float | None = None
    high_other_languages: float | None = None
    delta: float | None = None
    """The smallest effect of interest."""
    seeds: int = 0
    p_support: float | None = None
    """One-sided, adjusted by Holm over the statistical claims of the file. None with one seed and for facts."""
    p_refute: float | None = None
    confidence: float | None = None
    """1 - the adjusted p-value of the verdict; at most .95 below 3 seeds and .99 below 5. No probability of the claim."""
    negligible: bool = False
    """Whether the effect is above 0 and below delta, both significantly."""
    needs: Needs | None = None
    """Of an undecided claim."""
    reason: str = ""
    """Why it is not measured or undecided, and what of the claim the study does not have."""
    decided_by: str = ""
    """Label of the part that decides."""
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    claim_set: ClaimSet, cells: Iterable[ScoredCell], facts: Mapping[str, int], table: Table | None = None
) -> list[Judgement]:
    """The verdict on every claim, in the order of the file.

    Args:
        facts: what ran, by the quantity of a fact (`facts.count_facts`).
        table: the planned rows and columns; default: those of the cells. A claim about planned cells without scores is
            not measured.

    Raises:
        UserError: a claim is about rows, targets or languages that the study does not have; or as `compute_lifts`.
    """
    cells = list(cells)
    table = table or Table.of(cells)
    measurer = EffectMeasurer(cells)
    tested = {
        claim.name: _test(claim_set, claim, table, measurer) for claim in claim_set.claims if claim.is_statistical
    }
    names = list(
        tested
    )  # a claim without a test counts in the family with p = 1, so that it is the same before and after
    supports = dict(zip(names, holm([tested[name].p_support for name in names]), strict=True))
    refutes = dict(zip(names, holm([tested[name].p_refute for name in names]), strict=True))
    return [
        _judge_fact(claim, facts)
        if claim.kind == FACT
        else _decide(claim, tested[claim.name], supports[claim.name], refutes[claim.name])
        for claim in claim_set.claims
    ]


def _judge_fact(claim: Claim, facts: Mapping[str, int]) -> Judgement:
    count = facts.get(claim.quantity)
    if count is None:
        return Judgement(claim.name, claim.text, claim.kind, "not measured", reason="the study does not count it")
    holds = (claim.at_least is None or count >= claim.at_least) and (claim.at_most is None or count <= claim.at_most)
    return Judgement(claim.name, claim.text, claim.kind, "verified" if holds else "false", effect=float(count))


class _Test(NamedTuple):
    """The tests of one claim, before the adjustment for other claims."""

    p_support: float = 1.0
    p_refute: float = 1.0
    is_large: bool = True
    """Whether the estimates are as large as support needs."""
    is_refutable: bool = True
    """Whether the estimates are as large as refutation needs."""
    supporting: Part | None = None
    """The part that decides on support."""
    refuting: Part | None = None
    parts: tuple[Part, ...] = ()
    measured: tuple[MeasuredEffect, ...] = ()
    notes: str = ""
    """What of the claim is left out, and what to know of its rows."""
    has_collapsed: bool = False
    """Whether training behind it ended at chance in its last attempt."""
    reason: str = ""
    """Why it is not measured."""


def _test(claim_set: ClaimSet, claim: Claim, table: Table, measurer: EffectMeasurer) -> _Test:
    expansion = expand(claim_set, claim, table)
    absent = [f"without {', '.join(expansion.absent)}, which the study does not have"] if expansion.absent else []
    notes = "; ".join([*absent, *expansion.notes])
    if not expansion.effects:
        only = f"the study does not have {', '.join(expansion.absent)}"
        return _Test(reason="; ".join([*([only] if absent else []), *expansion.notes]))
    measured = _measure(claim, expansion, measurer)
    if missing := measured.count(None):
        if claim.kind == "best_per_target":
            return _Test(reason="it needs scores of two seeds: one to choose on, one to score")
        count = f"{missing} of {len(measured)} effects have" if len(measured) > 1 else "the effect has"
        return _Test(reason=f"{count} no scores yet")
    found = [each for each in measured if each is not None]
    parts = [_part(claim, each) for each in found]
    has_collapsed = any(each.contrast.training_status == COLLAPSED for each in found)
    if has_collapsed or any(part.seeds < 2 for part in parts):
        return _Test(
            supporting=parts[0], parts=tuple(parts), measured=tuple(found), notes=notes, has_collapsed=has_collapsed
        )
    needed = _needed(claim, len(parts))
    by_support = sorted(parts, key=lambda part: part.p_support or 0.0)
    by_refute = sorted(parts, key=lambda part: part.p_refute or 0.0)
    p_support, supporting = _partial_conjunction(by_support, [part.p_support or 0.0 for part in by_support], needed)
    against = len(parts) - needed + 1  # so many parts that do not hold refute the claim
    p_refute, refuting = _partial_conjunction(by_refute, [part.p_refute or 0.0 for part in by_refute], against)
    large = sum(part.effect >= claim.delta for part in parts)
    is_gain = claim.kind not in ("no_lift", "not_worse", "equals")
    return _Test(
        p_support, p_refute, large >= needed if is_gain else True, large >= against if claim.kind == "no_lift" else True,
        supporting, refuting, tuple(parts), tuple(found), notes,
    )  # fmt: skip


def _measure(claim: Claim, expansion: Expansion, measurer: EffectMeasurer) -> list[MeasuredEffect | None]:
    if claim.kind == "best_per_target":
        return [measure_best_per_target(expansion.effects, measurer)]
    return [measurer.measure(effect) for effect in expansion.effects]


def _needed(claim: Claim, parts: int) -> int:
    return parts if claim.at_least is None else min(claim.at_least, parts)


def _partial_conjunction(parts: Sequence[Part], p_values: Sequence[float], count: int) -> tuple[float, Part]:
    """The p-value of "fewer than `count` of the parts hold" (Benjamini and Heller 2008), and the part that decides.

    Args:
        p_values: of the parts, ascending.
    """
    return min(1.0, (len(parts) - count + 1) * p_values[count - 1]), parts[count - 1]


def _part(claim: Claim, measured: MeasuredEffect) -> Part:
    contrast, interval, other = measured.contrast, measured.contrast.interval(), measured.other_languages
    has_p = contrast.seeds > 1
    p_support, p_refute = p_values(claim, contrast) if has_p else (None, None)
    return Part(
        label=measured.effect.label,
        effect=100 * interval.value,
        low=100 * interval.low,
        high=100 * interval.high,
        seeds=contrast.seeds,
        p_support=p_support,
        p_refute=p_refute,
        low_other_languages=other and 100 * other.low,
        high_other_languages=other and 100 * other.high,
        is_unstable=bool(contrast.pool and contrast.pool.is_unstable),
    )


def p_values(claim: Claim, contrast: ContrastEstimate) -> tuple[float, float]:
    """One-sided p-values of what an effect has to be for the claim to hold, and for it to fail."""
    delta, margin = claim.delta / 100, claim.margin / 100
    match claim.kind:
        case "no_lift":
            return contrast.p_below(delta), contrast.p_above()
        case "not_worse":
            return contrast.p_above(-margin), contrast.p_below(-margin)
        case "equals":
            low, high = ((claim.points + sign * claim.within) / 100 for sign in (-1, 1))
            outside = 2 * min(contrast.p_below(low), contrast.p_above(high))  # it is above or below
            return max(contrast.p_above(low), contrast.p_below(high)), min(1.0, outside)
        case _:
            return contrast.p_above(), contrast.p_below(delta)


def _decide(claim: Claim, test: _Test, p_support: float, p_refute: float) -> Judgement:
    fields: dict[str, Any] = {"claim": claim.name, "text": claim.text, "kind": claim.kind, "delta": claim.delta}
    if test.supporting is None:
        return Judgement(**fields, verdict="not measured", reason=test.reason)
    seeds = min(part.seeds for part in test.parts)
    fields |= {"seeds": seeds, "parts": test.parts}
    reasons = [test.notes] if test.notes else []
    if seeds < 2:
        needs = Needs(claim.delta, FEWEST_SEEDS)
        reason = "; ".join([*reasons, "one seed says nothing about the variation between seeds"])
        return Judgement(**fields, **_numbers(test.supporting), verdict="undecided", needs=needs, reason=reason)
    if test.has_collapsed:
        reason = "; ".join([*reasons, "training behind it ended at chance, so the effect says nothing"])
        return Judgement(**fields, **_numbers(test.supporting), verdict="undecided", reason=reason)
    verdict: Verdict = "undecided"
    if p_support < ALPHA and test.is_large:
        verdict = "supported"
    elif p_refute < ALPHA and test.is_refutable:
        verdict = "refuted"
    decisive = test.refuting if verdict == "refuted" and test.refuting else test.supporting
    confidence = None
    if verdict != "undecided":
        largest = next((most for below, most in MOST_CONFIDENT if seeds < below), 1.0)
        confidence = min(largest, 1 - (p_support if verdict == "supported" else p_refute))
    return Judgement(
        **fields,
        **_numbers(decisive),
        verdict=verdict,
        p_support=p_support,
        p_refute=p_refute,
        confidence=confidence,
        negligible=p_support < ALPHA and p_refute < ALPHA and claim.kind not in ("not_worse", "equals"),
        needs=_find_needs(claim, test) if verdict == "undecided" else None,
        reason="; ".join(reasons),
    )


def _numbers(part: Part) -> dict[str, Any]:
    keys = ("effect", "low", "high", "low_other_languages", "high_other_languages")
    return {key: getattr(part, key) for key in keys} | {"decided_by": part.label}


def _find_needs(claim: Claim, test: _Test) -> Needs | None:
    """What the least precise part needs for a half-width of the smallest effect of interest. Where every part has that
    already, the effect is close to 0 or to delta, and the half-width is halved until seeds or examples are missing."""
    width = {"not_worse": claim.margin, "equals": claim.within}.get(claim.kind, claim.delta) / 100
    if width <= 0:
        return None
    found: list[Needs] = []
    for halvings in range(MOST_HALVINGS + 1):
        half_width = width / 2**halvings
        found = [seeds_and_rows(each.contrast, half_width, each.rows_per_language) for each in test.measured]
        if any(each.seeds != part.seeds or each.rows for each, part in zip(found, test.parts, strict=True)):
            break
    return max(found, key=lambda each: (each.seeds is None, each.rows or 0, each.seeds or 0))
