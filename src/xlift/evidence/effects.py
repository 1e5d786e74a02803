"""Lifts and differences of rows that published numbers give.

Two numbers are subtracted only if they are of one table: same source, table, target, metric, model, languages and split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from xlift.errors import UserError
from xlift.evidence.entries import NONE, Derived, Number

Names = tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """A lift, or a difference of rows, in points."""

    rows: Names
    """The rows of the first side."""
    value: float
    numbers: tuple[Number, ...]
    """What it is computed from; all are of one table."""
    how: str
    """The computation: '80.0 - 79.2'."""

    @property
    def target(self) -> Names:
        return self.numbers[0].target

    @property
    def difference_of_setting(self) -> str:
        """How its setting differs from that of the claims; '' if it may decide."""
        return self.numbers[0].difference_of_setting


def tables(numbers: Iterable[Number]) -> Iterator[dict[str, Number]]:
    """Numbers that can be subtracted from each other: row -> number. Numbers that nobody has accepted are left out.

    Raises:
        UserError: two numbers of one table have the same row and different values.
    """
    found: dict[tuple, dict[str, Number]] = {}
    for number in numbers:
        if not number.is_accepted:
            continue
        key = (
            number.quantity, number.source, number.table, number.target, number.metric, number.model, number.languages,
            number.split, number.difference_of_setting,
        )  # fmt: skip
        table = found.setdefault(key, {})
        known = table.setdefault(number.row, number)
        if known.value != number.value:
            raise UserError(
                f"'{number.name}' is {number.value:g}, and '{known.name}' is {known.value:g} at the same place",
                where=number.place,
                fix=f"correct one of them, or name their tables. The other one is in {known.place}.",
            )
    yield from found.values()


def difference(table: dict[str, Number], first: Sequence[str], second: Sequence[str]) -> Effect | None:
    """Mean of the first rows minus mean of the second ones; None if the table lacks one of them.

    In a table of lifts, the row `none` is 0.
    """
    terms: list[tuple[float, Number]] = []
    quantity = next(iter(table.values())).quantity
    for sign, rows in ((1, first), (-1, second)):
        for row in rows:
            if row == NONE and quantity == "lift":
                continue
            if row not in table:
                return None
            terms.append((sign / len(rows), table[row]))
    if not terms:
        return None
    value = sum(weight * number.value for weight, number in terms)
    return Effect(tuple(first), value, tuple(number for _, number in terms), _formula(terms))


def lifts(numbers: Iterable[Number], row: str) -> list[Effect]:
    """The published lifts of a row: printed ones, and differences to the row `none`."""
    found = (difference(table, (row,), (NONE,)) for table in tables(numbers))
    return [effect for effect in found if effect]


def _formula(terms: Sequence[tuple[float, Number]]) -> str:
    if len(terms) == 1 and isinstance(terms[0][1], Derived):
        derived = terms[0][1]
        total = _sum(derived.terms)
        return total if derived.divide_by == 1 else f"({total}) / {derived.divide_by:g}"
    return _sum(terms)


def _sum(terms: Sequence[tuple[float, Number]]) -> str:
    text = ""
    for weight, number in terms:
        sign = "-" if weight < 0 else "+"
        times = "" if abs(weight) == 1 else f"{abs(weight):.3g} x "
        value = f"{number.value:.1f}"
        text += f" {sign} {times}{value}" if text else f"{'-' if weight < 0 else ''}{times}{value}"
    return text
