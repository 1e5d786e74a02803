"""A claim and a set of claims, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

Kind = Literal[
    "lift", "no_lift", "contrast", "not_worse", "best", "trend", "interaction", "equals", "best_per_target", "fact"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
FACT: Kind = "fact"
"""The only kind that needs no statistics."""

ALL = "all"
"""As a target: the mean of the targets. As languages: the mean of all languages of a target."""
OTHER_TASKS = "other-tasks"
"""As a target: the mean of the targets whose own task no row trains on."""
ZERO_SHOT = "zero-shot"
"""As languages: the mean of the languages of a target without those that it was trained on."""

QUANTITIES = (
    "intermediate-tasks", "target-tasks", "formats", "languages", "multi-task-rows", "phases", "models", "seeds"
)  # fmt: skip
"""What a fact can count in a study. `analysis/facts.py` says how."""
HIGHER_PUBLISHED_SCORES = "higher-published-scores"
"""What a fact can count in the literature: models with a higher published score than `model` on a target."""

Names = tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """One sentence that is judged. Numbers are points (percent), names are those of its file."""

    name: str
    text: str
    """The sentence."""
    kind: Kind
    rows: Names = ()
    """Rows of lift, no_lift, best, trend and best_per_target; each of them counts."""
    sides: tuple[Names, ...] = ()
    """Two sides of contrast, not_worse, interaction and equals. The rows of a side are averaged. A side without rows is the
    baseline."""
    among: Names = ()
    """The rows that those of `best` are compared with; () for all."""
    targets: Names = (ALL,)
    """Each of them counts."""
    languages: Names = (ZERO_SHOT,)
    """Codes are averaged."""
    groups: tuple[Names, ...] = ()
    """Two groups of languages of an interaction: difference in the first minus difference in the second."""
    noise: str = ""
    """Of an interaction: difference with this noise minus difference without."""
    delta: float = 1.0
    """The smallest effect of interest."""
    margin: float = 0.0
    """Of not_worse: how much worse the first side may be."""
    points: float = 0.0
    """Of equals: the effect."""
    within: float = 0.0
    """Of equals: how far the effect may be from `points`."""
    quantity: str = ""
    """What a fact counts (`QUANTITIES`, or `HIGHER_PUBLISHED_SCORES`)."""
    model: str = ""
    """Of `HIGHER_PUBLISHED_SCORES`: the model that others are compared with, on `targets`."""
    at_least: int | None = None
    """How many of the parts (rows x targets) must hold; None for all. Of a fact: the smallest count."""
    at_most: int | None = None
    """Of a fact: the largest count."""
    where: str = field(default="", compare=False)
    """File, line and key, for messages."""

    @property
    def is_statistical(self) -> bool:
        """Whether it is tested, so that it belongs to the family of its file."""
        return self.kind != FACT

    def to_dict(self) -> dict[str, Any]:
        """The claim as its file has it."""
        content: dict[str, Any] = {"name": self.name, "text": self.text}
        if self.kind == FACT:
            bounds = {"at_least": self.at_least, "at_most": self.at_most}
            if self.at_least == self.at_most:
                bounds = {"equals": self.at_least}
            if self.model:
                content |= {"model": self.model, "target": list(self.targets)}
            return content | {FACT: self.quantity} | {key: n for key, n in bounds.items() if n is not None}
        sides = [list(side) for side in self.sides]
        if self.kind in ("contrast", "not_worse"):
            content[self.kind] = sides
        elif self.kind == "interaction":
            split = {"noise": self.noise} if self.noise else {"languages": [list(group) for group in self.groups]}
            content[self.kind] = {"rows": sides} | split
        elif self.kind == "equals":
            effect = {"contrast": sides} if self.sides[1] else {"lift": sides[0]}
            content[self.kind] = effect | {"points": self.points, "within": self.within}
        else:
            content[self.kind] = list(self.rows)
        content |= {"target": list(self.targets), "delta": self.delta}
        if not self.groups:
            content["languages"] = list(self.languages)
        if self.kind == "not_worse":
            content["margin"] = self.margin
        if self.among:
            content["among"] = list(self.among)
        if self.at_least is not None:
            content["at_least"] = self.at_least
        return content


@dataclass(frozen=True)
class ClaimSet:
    """The claims of one file. Its statistical claims are the family of tests that Holm's adjustment covers."""

    claims: tuple[Claim, ...]
    question: str = ""
    source: Names = ()
    """BibTeX keys of the papers that make the claims."""
    names: tuple[tuple[str, Names], ...] = ()
    """Of the file: (name in the claims, names that it stands for)."""
    study_names: tuple[tuple[str, Names], ...] = ()
    """Of the study that uses the file; they override those of the file. Nothing: the study has no such row or target."""
    file: str = ""
    """Where it was read, for messages; not part of what is claimed."""

    @property
    def mapping(self) -> dict[str, Names]:
        """What each name stands for."""
        return dict(self.names) | dict(self.study_names)

    def without_study(self) -> ClaimSet:
        """The claims as their file has them, with its names."""
        return replace(self, study_names=())

    def expand(self, names: Iterable[str]) -> Names:
        """The names of the study that names of the claims stand for, without repetition. What a name stands for may be a
        name of the claims too; a name inside of what it stands for is that of the study."""
        mapping, found = self.mapping, dict[str, None]()

        def add(name: str, inside: frozenset[str]) -> None:
            if name in inside or name not in mapping:
                found[name] = None
                return
            for each in mapping[name]:
                add(each, inside | {name})

        for name in names:
            add(name, frozenset())
        return tuple(found)

    def absent(self, names: Iterable[str]) -> Names:
        """The names, or names that they stand for, that stand for nothing in the study."""
        mapping, found, seen = self.mapping, dict[str, None](), set[str]()

        def add(name: str) -> None:
            if name in seen or name not in mapping:
                return
            seen.add(name)
            if not mapping[name]:
                found[name] = None
            for each in mapping[name]:
                add(each)

        for name in names:
            add(name)
        return tuple(found)

    def find(self, name: str) -> Claim | None:
        return next((claim for claim in self.claims if claim.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The claims as a file has them, with every default; `parse_claims` reads it. With names of the study, the file is
        inside, under `claims`."""
        content = {
            "question": self.question,
            "source": list(self.source),
            "names": {name: list(meant) for name, meant in self.names},
            "claims": [claim.to_dict() for claim in self.claims],
        }
        if not self.study_names:
            return content
        return {"claims": content, "names": {name: list(meant) for name, meant in self.study_names}}

    @property
    def digest(self) -> str:
        """SHA-256 of `to_dict`: equal for equal claims, wherever they stand."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
