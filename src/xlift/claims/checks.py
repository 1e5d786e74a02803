"""Checks of the plain values in a claims file, with the place of each in the error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from xlift.claims.claim import Claim, ClaimSet, Names
from xlift.errors import UserError, did_you_mean
from xlift.yaml_document import Keys

Locate = Callable[[Keys], str]
"""Keys of a value -> its place, such as 'claims.yaml:12: claims.3.lift'."""


class Reader:
    """Checks of plain values, with the place of each in the error."""

    def __init__(self, locate: Locate) -> None:
        self.locate = locate

    def error(self, what: str, keys: Keys, fix: str) -> UserError:
        return UserError(what, where=self.locate(keys), fix=fix)

    def check_keys(self, value: dict[str, Any], allowed: Names, keys: Keys) -> None:
        for key in value:
            if key not in allowed:
                fix = f"{did_you_mean(str(key), allowed)}Allowed keys: {', '.join(allowed)}."
                raise self.error(f"unknown key '{key}'", (*keys, key), fix)

    def text(self, value: Any, keys: Keys) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self.error(
                f"expected text, found {show(value)}", keys, "write text, in quotes where YAML needs them."
            )
        return value.strip()

    def names(self, value: Any, keys: Keys) -> Names:
        """One name or a list of them, each once."""
        listed = value if isinstance(value, list | tuple) else [value]
        if not listed:
            raise self.error("the list is empty", keys, "give at least one name.")
        found: list[str] = []
        for at, each in enumerate(listed):
            name = self.text(each, (*keys, at) if listed is value else keys)
            if name in found:
                raise self.error(f"'{name}' is listed twice", (*keys, at), "remove one.")
            found.append(name)
        return tuple(found)

    def number(self, value: Any, keys: Keys, least: float | None = None) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) < float("inf") or (least is not None and value < least):
            expected = "a number" if least is None else f"a number of {least:g} or more"
            raise self.error(f"expected {expected}, found {show(value)}", keys, "give percentage points, such as 1.0.")
        return float(value)

    def count(self, value: Any, keys: Keys) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(f"expected a count, found {show(value)}", keys, "give a whole number, such as 2.")
        return value

    def numbers(self, value: Any, allowed: Names, keys: Keys) -> dict[str, float]:
        if not isinstance(value, dict):
            raise self.error(
                f"expected a mapping, found {show(value)}",
                keys,
                f"write {{{', '.join(f'{key}: 1.0' for key in allowed)}}}.",
            )
        self.check_keys(value, allowed, keys)
        return {key: self.number(each, (*keys, key), 0) for key, each in value.items()}

    def mapping_of_names(self, value: Any, keys: Keys) -> tuple[tuple[str, Names], ...]:
        """`names:`. A name without a value, or with an empty list, stands for nothing in the study."""
        if not isinstance(value, dict):
            raise self.error(
                f"expected a mapping, found {show(value)}",
                keys,
                "write {name in the claims: row or target of the study}.",
            )
        return tuple(
            (name, () if each is None or each in ([], ()) else self.names(each, (*keys, name)))
            for name, each in value.items()
        )

    def add_study_names(self, claim_set: ClaimSet, value: Any) -> ClaimSet:
        """The claims with the `names:` of a study."""
        names = self.mapping_of_names(value, ("names",))
        self.check_used(claim_set.mapping | dict(names), claim_set.claims, ("names",))
        return replace(claim_set, study_names=names)

    def check_used(self, names: dict[str, Names], claims: Iterable[Claim], keys: Keys) -> None:
        """Refuse a name in `names` that no claim has: it is a typing error."""
        used = list(dict.fromkeys(name for claim in claims for name in names_in(claim)))
        for name in used:  # grows: what a name stands for may be a name of the claims
            used += [each for each in names.get(name, ()) if each not in used]
        for name in names:
            if name not in used:
                fix = f"{did_you_mean(name, used)}Names in the claims: {', '.join(used)}."
                raise self.error(f"no claim has the name '{name}'", (*keys, name), fix)


def names_in(claim: Claim) -> Iterable[str]:
    """All names that `names:` can map."""
    groups = (claim.rows, *claim.sides, claim.among, claim.targets, claim.languages, *claim.groups)
    yield from (name for group in groups for name in group)
    if claim.noise:
        yield claim.noise


def show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else repr(value)
