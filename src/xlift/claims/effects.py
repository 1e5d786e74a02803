"""What a claim is about, as weighted sums of scores: a lift, a difference, a slope or an interaction is an `Effect`.

It needs no scores, so a plan can refuse a claim about rows that its study does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xlift.claims.claim import ALL, OTHER_TASKS, ZERO_SHOT, Claim, ClaimSet, Names
from xlift.claims.table import BASELINE, Column, RowKey, Table, list_names
from xlift.errors import UserError, did_you_mean

Weights = Mapping[RowKey, float]
MEANS = {ALL: "the mean of the targets", OTHER_TASKS: "the mean of the targets of other tasks"}


@dataclass(frozen=True)
class Effect:
    """A contrast of rows: sum over rows and columns of weight x weight x score."""

    label: str
    rows: Weights
    """Weights with sum 0."""
    columns: Mapping[Column, float]


@dataclass(frozen=True)
class Expansion:
    """A claim as the effects that it is about."""

    effects: tuple[Effect, ...]
    absent: Names
    """Names of the claim that stand for nothing in the study. Without effects, they are why."""
    notes: Names = ()
    """Clauses on rows that train on a target's own task."""


def check_claims(claim_set: ClaimSet, table: Table) -> None:
    """Raises UserError, with the place, for a claim about rows, targets, languages or noise that a study does not have."""
    for claim in claim_set.claims:
        if claim.is_statistical:
            expand(claim_set, claim, table)


def expand(claim_set: ClaimSet, claim: Claim, table: Table) -> Expansion:
    """The effects that a statistical claim is about, one for each row (or pair of rows) and target.

    Of `best_per_target` they are the lift of every row on every target.

    Raises:
        UserError: the study does not have what the claim names, with the place of the claim.
    """
    return _Expander(claim_set, claim, table).expand()


class _Expander:
    def __init__(self, claim_set: ClaimSet, claim: Claim, table: Table) -> None:
        self.set, self.claim, self.table = claim_set, claim, table
        self.absent: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def expand(self) -> Expansion:
        claim = self.claim
        columns, contrasts = list(self._columns()), list(self._contrasts())
        found = [
            Effect(f"{label} on {target}", rows, weights) for target, weights in columns for label, rows in contrasts
        ]
        effects = self._without_same_task(found)
        if found and claim.at_least is not None and not 0 < claim.at_least <= len(found):
            if not self.absent:
                raise self.error(
                    f"at least {claim.at_least} of {len(found)} cannot hold",
                    f"`at_least` is between 1 and {len(found)} here (rows x targets).",
                )
            effects = []
        if claim.at_least is not None and len(effects) < claim.at_least:
            effects = []
        return Expansion(tuple(effects), tuple(self.absent), tuple(self.notes))

    def _without_same_task(self, effects: list[Effect]) -> list[Effect]:
        """Leave out the lift of a row on a target whose own task it trains on, if the claim is about other rows too."""
        kept: list[Effect] = []
        for effect in effects:
            targets = tuple(dict.fromkeys(column.target for column in effect.columns))
            marked = {
                (row, target) for row in effect.rows for target in targets if (row, target) in self.table.same_task
            }
            rows = {row for row, _ in marked}
            if not marked or rows == set(effect.rows):  # a difference of two rows that both do is one of equals
                kept.append(effect)
                continue
            clause = " and ".join(
                f"{self.table.name(row)} trains on the task of {target}" for row, target in sorted(marked)
            )
            others = [other for other in effects if other.columns == effect.columns and other is not effect]
            if self.claim.kind in ("lift", "no_lift", "best_per_target") and len(targets) == 1 and others:
                self.notes[f"without {effect.label}: {clause}"] = None
            else:
                self.notes[clause] = None
                kept.append(effect)
        return kept or effects

    def error(self, what: str, fix: str) -> UserError:
        return UserError(f"claim {self.claim.name}: {what}", where=self.claim.where, fix=fix)

    def _meanings(self, names: Sequence[str]) -> Names:
        self.absent |= dict.fromkeys(self.set.absent(names))
        return self.set.expand(names)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _rows(self, names: Names) -> list[RowKey]:
        found = (row for name in self._meanings(names) for row in self.table.find_rows(name, self.claim.where))
        return list(dict.fromkeys(found))

    def _baseline(self, row: RowKey) -> RowKey:
        baseline = RowKey(row.model, BASELINE)
        if baseline not in self.table.rows:
            raise self.error("the study has no baseline", f"list `{BASELINE}` under `intermediate:`.")
        return baseline

    def _lift(self, row: RowKey) -> Weights:
        if row.intermediate == BASELINE:
            raise self.error("the lift of the baseline is always 0", "name rows with an intermediate stage.")
        return {row: 1.0, self._baseline(row): -1.0}

    def _contrasts(self) -> Iterator[tuple[str, Weights]]:
        """(label, weights of the rows) of every contrast."""
        claim, name = self.claim, self.table.name
        match claim.kind:
            case "lift" | "no_lift" | "best_per_target":
                yield from ((name(row), self._lift(row)) for row in self._rows(claim.rows))
            case "best":
                yield from self._best()
            case "trend":
                yield from self._trends()
            case _:
                yield from self._difference()

    def _difference(self) -> Iterator[tuple[str, Weights]]:
        first, second = (self._rows(side) for side in self.claim.sides)
        if not first or (not second and self.claim.sides[1]):
            return
        weights: dict[RowKey, float] = {}
        if not self.claim.sides[1]:
            for row in first:
                for each, weight in self._lift(row).items():
                    weights[each] = weights.get(each, 0.0) + weight / len(first)
            yield " and ".join(map(self.table.name, first)), weights
            return
        for side, sign in ((first, 1.0), (second, -1.0)):
            for row in side:
                weights[row] = weights.get(row, 0.0) + sign / len(side)
        if not any(abs(weight) > 1e-12 for weight in weights.values()):
            raise self.error("both sides are the same rows of this study", "check `names:` of the study.")
        label = " minus ".join(" and ".join(map(self.table.name, side)) for side in (first, second))
        yield label, {row: weight for row, weight in weights.items() if abs(weight) > 1e-12}

    def _best(self) -> Iterator[tuple[str, Weights]]:
        best = self._rows(self.claim.rows)
        among = self._rows(self.claim.among) if self.claim.among else self.table.rows
        others = [row for row in among if row not in best and (self.claim.among or row not in self.table.controls)]
        if best and not others and not self.absent:
            raise self.error("there is no other row to compare with", "leave `among` out, or list other rows in it.")
        for row in best:
            for other in others:
                if row.model == other.model:
                    yield f"{self.table.name(row)} minus {self.table.name(other)}", {row: 1.0, other: -1.0}

    def _trends(self) -> Iterator[tuple[str, Weights]]:
        groups: dict[RowKey, list[RowKey]] = {}
        for row in self._rows(self.claim.rows):
            groups.setdefault(row._replace(size=""), []).append(row)
        for rows in groups.values():
            sizes = {row.size for row in rows if row.size.isdecimal() and int(row.size)}
            if len(rows) < 2 or len(sizes) < len(rows):
                listed = list_names([self.table.name(row) for row in rows])
                raise self.error("a trend needs one row with two sizes or more, in numbers", f"Found: {listed}.")
            yield self.table.name(rows[0]).removesuffix(f",{rows[0].size}"), slope({row: int(row.size) for row in rows})

    # --- columns ------------------------------------------------------------------------------------------------------

    def _columns(self) -> Iterator[tuple[str, Mapping[Column, float]]]:
        """(label, weights) of every target of the claim."""
        targets = self._meanings(self.claim.targets)
        if self.claim.kind == "best_per_target" and targets in ((ALL,), (OTHER_TASKS,)):
            targets = self.table.find_targets(targets[0])
        for target in targets:
            if not (names := self.table.find_targets(target)):
                choices = (*self.table.targets, ALL, OTHER_TASKS)
                raise self.error(
                    f"no target '{target}'", f"{did_you_mean(target, choices)}Targets: {', '.join(choices)}."
                )
            is_interaction = self.claim.kind == "interaction"
            if weights := self._interaction(names) if is_interaction else self._mean(names, self.claim.languages):
                yield MEANS.get(target, target), weights

    def _interaction(self, targets: Names) -> Mapping[Column, float]:
        claim = self.claim
        if claim.noise:
            noises = self._meanings([claim.noise])
            if not noises:
                return {}
            noisy = [t for t in targets if any(c.target == t and c.noise == noises[0] for c in self.table.columns)]
            targets = tuple(noisy) or targets[:1]
            first = self._mean(targets, claim.languages, noises[0])
            second = {column._replace(noise=""): weight for column, weight in first.items()}
        else:
            in_both = [t for t in targets if all(self._codes(t, group) for group in claim.groups)]
            first, second = (self._mean(tuple(in_both) or targets, group) for group in claim.groups)
        if not first or not second:
            return {}
        weights = dict(first)
        for column, weight in second.items():
            weights[column] = weights.get(column, 0.0) - weight
        return weights

    def _codes(self, target: str, names: Names, noise: str = "") -> Names:
        meanings = self._meanings(names)
        self.table.check_languages(meanings, self.claim.where)
        return self.table.languages(target, meanings, noise, self.claim.where) if meanings else ()

    def _mean(self, targets: Names, languages: Names, noise: str = "") -> Mapping[Column, float]:
        """The mean over targets of the mean over languages. A target without any of the languages does not count."""
        if languages == (ZERO_SHOT,) and len(targets) > 1:
            targets = tuple(target for target in targets if self.table.has_zero_shot(target)) or targets[:1]
        codes = {target: self._codes(target, languages, noise) for target in targets}
        having = {target: found for target, found in codes.items() if found}
        if not having and not self.absent:
            raise self.error(
                f"{', '.join(targets)} {'is' if len(targets) == 1 else 'are'} not scored in {', '.join(languages)}",
                "name languages of the target.",
            )
        return {
            Column(target, code, noise): 1 / len(having) / len(found)
            for target, found in having.items()
            for code in found
        }


Row = TypeVar("Row")


def slope(sizes: Mapping[Row, float]) -> dict[Row, float]:
    """The weights that give the least-squares slope of the score per tenfold size."""
    places = {row: math.log10(size) for row, size in sizes.items()}
    centre = sum(places.values()) / len(places)
    total = sum((place - centre) ** 2 for place in places.values())
    return {row: (place - centre) / total for row, place in places.items()}
