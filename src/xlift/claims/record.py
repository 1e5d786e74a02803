"""The claims in the record of a study: as they are, and as they were when it first ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlift.claims.claim import Claim, ClaimSet
from xlift.claims.parsing import parse_claims


@dataclass(frozen=True)
class ClaimsRecord:
    content: dict[str, Any] | None
    """`ClaimSet.to_dict` of the claims in the last run; None if they were removed."""
    first: dict[str, Any]
    """Of the claims in the first run that had some."""
    date: str
    """Of that run, as '2026-11-30'."""
    is_late: bool = False
    """Whether the study had run before without claims."""

    def claim_set(self) -> ClaimSet | None:
        """The claims in the last run. Raises UserError if the content is not valid."""
        return None if self.content is None else _parse(self.content)

    def describe_changes(self, now: ClaimSet | None) -> list[str]:
        """Sentences on what is no longer as it was when the study first ran; none if everything is."""
        sentences = [f"The claims are from {self.date}, after the study had first run."] if self.is_late else []
        first = _parse(self.first)
        if now is None:
            return [*sentences, f"The claims of {self.date} were removed."]
        changes = list(_changes(first, now))
        if changes:
            sentences.append(f"The claims have changed since the study first ran on {self.date}: {'; '.join(changes)}.")
        return sentences


def record_claims(
    claim_set: ClaimSet | None, previous: ClaimsRecord | None, date: str, *, ran_before: bool
) -> ClaimsRecord | None:
    """The claims for the record of a run.

    Args:
        previous: of the last record of the study.
        date: today.
        ran_before: whether the study has a record.
    """
    content = claim_set and claim_set.to_dict()
    if previous is not None:
        return ClaimsRecord(content, previous.first, previous.date, previous.is_late)
    return ClaimsRecord(content, content, date, ran_before) if content else None


def _parse(content: dict[str, Any]) -> ClaimSet:
    return parse_claims(content, lambda keys: f"the record: {'.'.join(map(str, keys))}".removesuffix(": "))


def _changes(first: ClaimSet, now: ClaimSet) -> Iterator[str]:
    before, after = ({claim.name: claim for claim in claims.claims} for claims in (first, now))
    for name in before:
        if name not in after:
            yield f"{name} was removed"
        elif changes := list(_claim_changes(before[name], after[name])):
            yield f"{name}: {', '.join(changes)}"
    yield from (f"{name} is new" for name in after if name not in before)
    old, new = first.mapping, now.mapping
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"the name {name} meant {_show(old.get(name, (name,)))} and means {_show(new.get(name, (name,)))}"


def _claim_changes(before: Claim, after: Claim) -> Iterator[str]:
    old, new = before.to_dict(), after.to_dict()
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"{key} was {_show(old.get(key))} and is {_show(new.get(key))}"


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_show, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_show(each)}' for key, each in value.items())}}}"
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
