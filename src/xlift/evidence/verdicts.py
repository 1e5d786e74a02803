"""What published numbers and statements say on each claim. Never a confidence: published numbers have no spread.

- `contradicted by its source`: a source of the claim says otherwise, or prints a number that is on the other side by more
  than the error of published numbers.
- `contradicted by another source`: the same by a number that another publication prints.
- `reported`: sources print the number that the claim is about. Each number is shown with its side.
- `consistent`: numbers that only bound a part of the claim, or give it under an assumption, do not contradict it.
- `no number`: none of these. A statement alone is no number.
- facts: `verified` or `false`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from xlift.claims import FACT, HIGHER_PUBLISHED_SCORES, Claim, ClaimSet
from xlift.evidence.entries import Evidence
from xlift.evidence.findings import find_facts, find_numbers
from xlift.evidence.judgement import ERROR, Finding, PublishedJudgement, PublishedStatement, Verdict, cite

Reasoned = tuple[Verdict, str]
"""A verdict, and how it follows."""


def judge_published(claim_set: ClaimSet, evidence: Evidence) -> list[PublishedJudgement]:
    """Judge every claim by published results. Entries that no person has accepted are left out.

    Args:
        claim_set: as its file has it. The names of its rows and targets are those of the evidence.
    """
    return [_judge(claim, claim_set, evidence) for claim in claim_set.claims]


def _judge(claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> PublishedJudgement:
    statements = tuple(_statements(claim, claim_set, evidence))
    if claim.kind == FACT:
        findings = find_facts(claim, claim_set, evidence)
        verdict, reason = _judge_fact(claim, findings)
    else:
        findings = find_numbers(claim, claim_set, evidence)
        verdict, reason = _judge_effect(claim, claim_set, findings, statements)
    return PublishedJudgement(claim.name, claim.text, claim.kind, verdict, reason, findings, statements)


def _judge_effect(
    claim: Claim, claim_set: ClaimSet, findings: tuple[Finding, ...], statements: tuple[PublishedStatement, ...]
) -> Reasoned:
    denied = [each.citation.cited for each in statements if each.by_its_source and each.bears == "contradicts"]
    if denied:
        return (
            "contradicted by its source",
            f"Its source says otherwise: {'; '.join(denied)}.{_own_margin(claim, claim_set)}",
        )
    deciding = [finding for finding in findings if finding.role != "shown"]
    if not deciding:
        shown = " Numbers of other settings are shown and decide nothing." if findings else ""
        statement = " A statement is no number." if statements else ""
        return "no number", f"No accepted entry has a number for it.{shown}{statement}"
    if against := _contradictions(claim, claim_set, deciding):
        is_own = all(citation.source in claim_set.source for each in against for citation in each.citations)
        by: Verdict = "contradicted by its source" if is_own else "contradicted by another source"
        return by, f"On the other side: {_show(against)}."
    assumed = "".join(f" It assumes that {each.assumes}." for each in deciding if each.assumes)
    direct = [finding for finding in deciding if finding.role == "direct"]
    if not direct:
        return "consistent", f"Not printed as such, but it agrees with {_show(deciding)}.{assumed}"
    is_near = any(finding.side != "for" for finding in direct)
    error = (
        f" Published numbers are off by {ERROR[0]} to {ERROR[1]} percentage points, so they do not decide it."
        if is_near
        else ""
    )
    return "reported", f"Published: {_show(direct)}.{error}"


def _contradictions(claim: Claim, claim_set: ClaimSet, deciding: list[Finding]) -> list[Finding]:
    """The numbers that contradict a claim: of each part that all of its numbers are against, if so many parts must hold."""
    parts: dict[str, list[Finding]] = {}
    for finding in deciding:
        parts.setdefault(finding.part, []).append(finding)
    against = [found for found in parts.values() if all(finding.is_against for finding in found)]
    if claim.at_least is not None and not any(found[0].bounds_all for found in against):
        count = len(claim_set.expand(claim.rows) or ("difference",)) * len(claim_set.expand(claim.targets))
        if len(against) <= count - claim.at_least:
            return []
    return [finding for found in against for finding in found]


def _show(findings: Iterable[Finding]) -> str:
    return "; ".join(
        f"{each.effect:+.1f} for {each.part} ({each.citations[0].cited}; {each.metric}; {each.side})"
        for each in findings
    )


def _own_margin(claim: Claim, claim_set: ClaimSet) -> str:
    """For `best`: by how much the numbers that the claims themselves give differ, if that is less than delta."""
    points = {
        each.sides[0][0]: each.points
        for each in claim_set.claims
        if each.kind == "equals" and not each.sides[1] and len(each.sides[0]) == 1 and each.targets == claim.targets
    }
    rows = claim_set.expand(claim.rows)
    others = [points[row] for row in claim_set.expand(claim.among) or points if row in points and row not in rows]
    if claim.kind != "best" or not others or not all(row in points for row in rows):
        return ""
    margin = min(points[row] for row in rows) - max(others)
    if margin >= claim.delta:
        return ""
    return (
        f" The numbers of the claims themselves differ by {margin:.1f} percentage points, less than {claim.delta:.1f}."
    )


def _judge_fact(claim: Claim, findings: tuple[Finding, ...]) -> Reasoned:
    deciding = [finding for finding in findings if finding.role == "direct"]
    if not deciding:
        return "no number", "No accepted entry of its source has this quantity."
    against = [finding for finding in deciding if finding.is_against]
    first = (against or deciding)[0]
    if claim.quantity == HIGHER_PUBLISHED_SCORES:
        name = first.part.partition(" on ")[0]
        reason = (
            f"{name} is {first.effect:.1f} percentage points higher: {first.how}."
            if first.effect
            else f"{first.how}: {first.why}."
        )
        reason += f" This depends on the date: {first.citations[0].cited}."
    else:
        reason = f"Published: {first.how} ({first.citations[0].cited})."
    return ("false" if against else "verified"), reason


def _statements(claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> Iterator[PublishedStatement]:
    names = {claim.name, f"{Path(claim_set.file).stem}/{claim.name}"}
    for entry in evidence.statements:
        if entry.is_accepted and names & set(entry.claims):
            is_own = entry.source in claim_set.source and not entry.other_setting
            yield PublishedStatement(entry.statement, entry.bears, cite(entry, evidence), is_own, entry.note)
