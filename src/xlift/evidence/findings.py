"""The published numbers that bear on a claim: on one with statistics (`find_numbers`), or on a fact (`find_facts`)."""

from __future__ import annotations

from collections.abc import Iterator

from xlift.claims import ALL, HIGHER_PUBLISHED_SCORES, Claim, ClaimSet
from xlift.evidence.effects import Effect, Names, difference, lifts, tables
from xlift.evidence.entries import BEST_PER_TARGET, NONE, Derived, Evidence, Number
from xlift.evidence.judgement import ERROR, Finding, Role, cite_all, side


def find_numbers(claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> tuple[Finding, ...]:
    """The published effects on the rows and targets of a claim. Of trends and interactions there are none."""
    return tuple(_Finder(claim, claim_set, evidence).find())


class _Finder:
    def __init__(self, claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> None:
        self.claim, self.evidence, self.numbers = claim, evidence, evidence.numbers
        self.expand = claim_set.expand
        self.targets = self.expand(claim.targets)

    def find(self) -> Iterator[Finding]:
        claim = self.claim
        if claim.kind in ("lift", "no_lift"):
            yield from self._lifts_of_rows()
        elif claim.kind == "best_per_target":
            for effect in lifts(self.numbers, BEST_PER_TARGET):
                yield from self._finding(effect, effect.value - claim.delta, "direct", "the best task of each target")
        elif claim.kind == "best":
            yield from self._best()
        elif claim.kind in ("contrast", "not_worse", "equals"):
            yield from self._difference_of_sides()

    def _lifts_of_rows(self) -> Iterator[Finding]:
        claim, rows = self.claim, self.expand(self.claim.rows)
        sign = 1 if claim.kind == "lift" else -1
        found = [(row, effect) for row in rows for effect in lifts(self.numbers, row)]
        known = {(row, effect.target) for row, effect in found if not effect.difference_of_setting}
        is_whole = all((row, (target,)) in known for row in rows for target in self.targets)
        for row, effect in found:
            margin = sign * (effect.value - claim.delta)
            yield from self._finding(effect, margin, "direct" if is_whole else "derived", f"the lift of {row}")
        if len(rows) == 1 or BEST_PER_TARGET in rows:
            return
        is_direct = claim.kind == "no_lift" and claim.at_least is None
        why = "the largest lift of all tasks" if is_direct else "no task lifts more than the best one"
        for effect in lifts(self.numbers, BEST_PER_TARGET):
            margin = sign * (effect.value - claim.delta)
            yield from self._finding(effect, margin, "direct" if is_direct else "derived", why, bounds_all=True)

    def _best(self) -> Iterator[Finding]:
        rows, among = self.expand(self.claim.rows), self.expand(self.claim.among)
        for table in tables(self.numbers):
            others = [row for row in (among or table) if row in table and row not in (*rows, NONE, BEST_PER_TARGET)]
            pairs = [(difference(table, (row,), (other,)), other) for row in rows for other in others]
            effects = [(effect, other) for effect, other in pairs if effect]
            if not effects or len(effects) < len(pairs):
                continue
            effect, other = min(effects, key=lambda pair: pair[0].value)
            role: Role = "direct" if all(row in table for row in among) else "derived"
            yield from self._finding(effect, effect.value - self.claim.delta, role, f"compared with {other}")

    def _difference_of_sides(self) -> Iterator[Finding]:
        claim = self.claim
        first, second = self.expand(claim.sides[0]), self.expand(claim.sides[1]) or (NONE,)
        for table in tables(self.numbers):
            effect = difference(table, first, second)
            if effect is None:
                continue
            if claim.kind == "equals":
                margin = claim.within - abs(effect.value - claim.points)
            elif claim.kind == "not_worse":
                margin = effect.value + claim.margin
            else:
                margin = effect.value - claim.delta
            why = "the lift" if second == (NONE,) else "the difference of the two sides"
            yield from self._finding(effect, margin, "direct", why)

    def _finding(
        self, effect: Effect, margin: float, role: Role, why: str, bounds_all: bool = False
    ) -> Iterator[Finding]:
        """A finding if the effect is on targets of the claim.

        Args:
            margin: points by which the effect is on the claim's side of its limit.
        """
        target = effect.target
        if self.targets == (ALL,) and len(target) > 1:
            role, why = "shown", f"the mean of {len(target)} of the targets"
        elif not set(target) <= set(self.targets):
            return
        elif len(target) > 1 and role == "direct":  # each target counts, and this is the mean of several
            role = "derived"
        if effect.difference_of_setting:
            role, why = "shown", effect.difference_of_setting
        first = effect.numbers[0]
        derived = first if isinstance(first, Derived) else None
        if derived and role == "direct":
            role = "derived"
        numbers = [derived, *(term for _, term in derived.terms)] if derived else effect.numbers
        yield Finding(
            part=f"{' and '.join(effect.rows)} on {_targets(target)}",
            metric=first.metric,
            effect=round(effect.value, 6),
            how=effect.how,
            role=role,
            side=None if role == "shown" else side(margin),
            why=why,
            citations=cite_all(numbers, self.evidence),
            assumes=derived.assumes if derived else "",
            bounds_all=bounds_all,
        )


def find_facts(claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> tuple[Finding, ...]:
    """What the sources of the claims declare about their study; or published scores, if the claim compares them."""
    if claim.quantity == HIGHER_PUBLISHED_SCORES:
        return tuple(_higher_scores(claim, claim_set, evidence))
    return tuple(
        Finding(
            part=claim.quantity,
            metric="count",
            effect=fact.value,
            how=f"{fact.value:g}",
            role="shown" if fact.other_setting else "direct",
            side=None if fact.other_setting else "for" if _is_within(fact.value, claim) else "against",
            why=fact.other_setting or "its source says so",
            citations=cite_all([fact], evidence),
        )
        for fact in evidence.facts
        if fact.is_accepted and fact.fact == claim.quantity and fact.source in claim_set.source
    )


def _higher_scores(claim: Claim, claim_set: ClaimSet, evidence: Evidence) -> Iterator[Finding]:
    """Models with a score that is higher by more than the error, without an intermediate task; the highest first."""
    targets = claim_set.expand(claim.targets)
    scores = [
        number
        for number in evidence.numbers
        if (number.quantity, number.row, number.target) == ("score", NONE, targets)
        and number.is_accepted
        and not number.difference_of_setting
    ]
    own = [number for number in scores if number.model == claim.model]
    highest: dict[str, tuple[float, Number, Number]] = {}
    for number in scores:
        for mine in sorted(own, key=lambda each: each.source != number.source):  # of the same publication, if it has it
            above = number.value - mine.value
            is_alike = (number.metric, number.languages) == (mine.metric, mine.languages)
            if is_alike and above > max(ERROR[1], highest.get(number.model, (0.0,))[0]):
                highest[number.model] = (above, number, mine)
    count = len(highest)
    found = sorted(highest.values(), key=lambda each: -each[0]) or [(0.0, mine, mine) for mine in own[:1]]
    for above, number, mine in found:
        yield Finding(
            part=f"{number.model} on {_targets(targets)}",
            metric=number.metric,
            effect=round(above, 6),
            how=f"{number.value:.1f} - {mine.value:.1f}" if count else f"{mine.value:.1f}",
            role="direct",
            side="for" if _is_within(count, claim) else "against",
            why=f"above {claim.model}" if count else "no published score is higher by more than the error",
            citations=cite_all([number, mine] if count else [mine], evidence),
        )


def _is_within(count: float, claim: Claim) -> bool:
    return (claim.at_least is None or count >= claim.at_least) and (claim.at_most is None or count <= claim.at_most)


def _targets(target: Names) -> str:
    if target == (ALL,):
        return "all targets"
    return target[0] if len(target) == 1 else f"the mean of {', '.join(target)}"
