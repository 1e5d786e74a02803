"""Read claims from YAML. Every error names file, line and key.

question: Does an intermediate task in the source language lift the other languages?
source: [phang-2020]
delta: {mean: 1.0, language: 2.0}
claims:
  - name: qa-lifts
    text: Question answering lifts the mean of the targets.
    lift: isle-qa
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xlift.claims.claim import (
    ALL,
    FACT,
    HIGHER_PUBLISHED_SCORES,
    KINDS,
    QUANTITIES,
    ZERO_SHOT,
    Claim,
    ClaimSet,
    Kind,
    Names,
)
from xlift.errors import UserError, did_you_mean
from xlift.yaml_document import Keys, parse_yaml

Locate = Callable[[Keys], str]
"""Keys of a value -> its place, such as 'claims.yaml:12: claims.3.lift'."""

DELTA = {"mean": 1.0, "language": 2.0}
"""The smallest effect of interest in points: of means, and of one language of one target."""

_FILE_KEYS = ("question", "source", "delta", "languages", "names", "claims")
_OPTIONS: dict[Kind, Names] = {
    "lift": ("at_least",),
    "no_lift": ("at_least",),
    "contrast": ("at_least",),
    "not_worse": ("margin", "at_least"),
    "best": ("among",),
    "trend": ("at_least",),
    "interaction": ("at_least",),
    "equals": (),
    "best_per_target": (),
    "fact": ("at_least", "at_most", "equals"),
}
"""Keys of a claim beside its kind and `_COMMON`."""
_COMMON = ("name", "text", "target", "languages", "delta")


def shipped_claims() -> dict[str, Path]:
    """Name -> file of the claims inside the package."""
    folder = Path(__file__).parent.parent / "shipped" / "claims"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_claims(file: str, folder: Path = Path(), where: str = "") -> ClaimSet:
    """Read a claims file, or one that ships with xlift by its name.

    Args:
        folder: relative paths start here.
        where: what names the file, for messages.

    Raises:
        UserError: no such file, not YAML, or not valid claims (file:line: key: what).
    """
    shipped, path = shipped_claims(), folder / file
    if not path.is_file():
        if file not in shipped:
            names = [*shipped, *(each.name for each in folder.glob("*.yaml"))]
            raise UserError(
                f"no claims '{file}'",
                where=where,
                fix=f"{did_you_mean(file, names)}Expected a YAML file, or claims that ship with xlift: "
                f"{', '.join(shipped)}.",
            )
        path = shipped[file]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path), fix="give a text file in UTF-8.") from None
    document = parse_yaml(text, str(path))

    def locate(keys: Keys) -> str:
        line = document.line(keys)
        place = f"{path}:{line}" if line else str(path)
        return f"{place}: {'.'.join(map(str, keys))}" if keys else place

    return parse_claims(document.value, locate, str(path))


def read_claims_entry(entry: Any, folder: Path, locate: Locate) -> ClaimSet:
    """The claims of a study: a file, a file with `names`, or the claims themselves.

    Args:
        entry: the value of `claims:` in the study.
        folder: of the study; relative paths start here.
        locate: keys inside of `entry` -> place.
    """
    reader = _Reader(locate)
    if isinstance(entry, str):
        return read_claims(entry, folder, locate(()))
    if not isinstance(entry, dict) or "file" not in entry:
        return parse_claims(entry, locate, locate(()))
    reader.check_keys(entry, ("file", "names"), ())
    claim_set = read_claims(reader.text(entry["file"], ("file",)), folder, locate(("file",)))
    names = dict(claim_set.names) | dict(reader.mapping_of_names(entry.get("names", {}), ("names",)))
    reader.check_used(names, claim_set.claims, ("names",))
    return ClaimSet(claim_set.claims, claim_set.question, claim_set.source, tuple(names.items()), claim_set.file)


def parse_claims(value: Any, locate: Locate, file: str = "") -> ClaimSet:
    """Claims from plain values (mappings, lists, text, numbers).

    Args:
        file: where they were read.

    Raises:
        UserError: they are not valid; the place is that of `locate`.
    """
    reader = _Reader(locate)
    if not isinstance(value, dict):
        raise reader.error("expected claims", (), "write `claims:` with a list, each with `name`, `text` and a kind.")
    reader.check_keys(value, _FILE_KEYS, ())
    delta = DELTA | reader.numbers(value.get("delta", {}), tuple(DELTA), ("delta",))
    names = reader.mapping_of_names(value.get("names", {}), ("names",))
    languages = reader.names(value["languages"], ("languages",)) if "languages" in value else (ZERO_SHOT,)
    listed = value.get("claims")
    if not isinstance(listed, list | tuple) or not listed:
        raise reader.error("expected a list of claims", ("claims",) if "claims" in value else (), "write at least one.")
    claims: list[Claim] = []
    for at, entry in enumerate(listed):
        claim = _Entry(reader, entry, ("claims", at), dict(names), delta, languages).claim()
        if any(other.name == claim.name for other in claims):
            raise reader.error(f"two claims are called '{claim.name}'", ("claims", at, "name"), "rename one of them.")
        claims.append(claim)
    reader.check_used(dict(names), claims, ("names",))
    question = reader.text(value["question"], ("question",)) if value.get("question") else ""
    source = reader.names(value["source"], ("source",)) if value.get("source") else ()
    return ClaimSet(tuple(claims), question, source, names, file)


class _Reader:
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
                f"expected text, found {_show(value)}", keys, "write text, in quotes where YAML needs them."
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
            raise self.error(f"expected {expected}, found {_show(value)}", keys, "give points, such as 1.0.")
        return float(value)

    def count(self, value: Any, keys: Keys) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(f"expected a count, found {_show(value)}", keys, "give a whole number, such as 2.")
        return value

    def numbers(self, value: Any, allowed: Names, keys: Keys) -> dict[str, float]:
        if not isinstance(value, dict):
            raise self.error(
                f"expected a mapping, found {_show(value)}",
                keys,
                f"write {{{', '.join(f'{key}: 1.0' for key in allowed)}}}.",
            )
        self.check_keys(value, allowed, keys)
        return {key: self.number(each, (*keys, key), 0) for key, each in value.items()}

    def mapping_of_names(self, value: Any, keys: Keys) -> tuple[tuple[str, Names], ...]:
        """`names:`. A name without a value, or with an empty list, stands for nothing in the study."""
        if not isinstance(value, dict):
            raise self.error(
                f"expected a mapping, found {_show(value)}",
                keys,
                "write {name in the claims: row or target of the study}.",
            )
        return tuple(
            (name, () if each is None or each in ([], ()) else self.names(each, (*keys, name)))
            for name, each in value.items()
        )

    def check_used(self, names: dict[str, Names], claims: Iterable[Claim], keys: Keys) -> None:
        """Refuse a name in `names` that no claim has: it is a typing error."""
        used = list(dict.fromkeys(name for claim in claims for name in _names_in(claim)))
        for name in used:  # grows: what a name stands for may be a name of the claims
            used += [each for each in names.get(name, ()) if each not in used]
        for name in names:
            if name not in used:
                fix = f"{did_you_mean(name, used)}Names in the claims: {', '.join(used)}."
                raise self.error(f"no claim has the name '{name}'", (*keys, name), fix)


class _Entry:
    """One item of the list of claims."""

    def __init__(
        self,
        reader: _Reader,
        value: Any,
        keys: Keys,
        names: dict[str, Names],
        delta: dict[str, float],
        languages: Names,
    ) -> None:
        self.reader, self.value, self.keys, self.meanings, self.deltas, self.default = (
            reader, value, keys, names, delta, languages
        )  # fmt: skip

    def claim(self) -> Claim:
        reader, value = self.reader, self.value
        if not isinstance(value, dict):
            raise reader.error(f"expected a claim, found {_show(value)}", self.keys, "write {name, text, lift: ROW}.")
        kind = self._kind()
        common = ("name", "text") if kind == FACT else _COMMON
        extra = ("model", "target") if value.get(FACT) == HIGHER_PUBLISHED_SCORES else ()
        options = (kind, *_OPTIONS[kind], *common, *extra)
        reader.check_keys(value, options, self.keys)
        name, text = (self._required(key) for key in ("name", "text"))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name):
            raise reader.error(f"'{name}' cannot name a claim", (*self.keys, "name"), "use letters, digits and '-'.")
        fields: dict[str, Any] = {"name": name, "text": text, "kind": kind, "where": reader.locate(self.keys)}
        if kind == FACT:
            return Claim(**fields, **self._fact())
        fields["targets"] = self._names("target", (ALL,))
        fields["languages"] = self._names("languages", self.default)
        if len(fields["languages"]) > 1 and {ALL, ZERO_SHOT} & set(fields["languages"]):
            raise reader.error(
                f"'{ALL}' and '{ZERO_SHOT}' stand alone",
                (*self.keys, "languages"),
                "list codes, or one of these words.",
            )
        fields["delta"] = self._number("delta", self._default_delta(fields["targets"], fields["languages"]), 0)
        if kind in ("contrast", "not_worse"):
            fields["sides"] = self._sides(value[kind], (*self.keys, kind))
        elif kind in ("interaction", "equals"):
            fields |= self._interaction() if kind == "interaction" else self._equals()
        else:
            fields["rows"] = reader.names(value[kind], (*self.keys, kind))
        if kind == "not_worse":
            fields["margin"] = self._number("margin", fields["delta"], 0)
        if "among" in value:
            fields["among"] = self._names("among", ())
        if "at_least" in value:
            fields["at_least"] = reader.count(value["at_least"], (*self.keys, "at_least"))
        return Claim(**fields)

    def _kind(self) -> Kind:
        kinds: list[Kind] = [kind for kind in KINDS if kind in self.value]
        if FACT in kinds:  # its `equals` is a bound
            return FACT
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            near = next((hint for key in self.value if (hint := did_you_mean(str(key), KINDS))), "")
            raise self.reader.error(
                f"expected one key for the kind of claim, found {found}", self.keys, f"{near}Kinds: {', '.join(KINDS)}."
            )
        return kinds[0]

    def _required(self, key: str) -> str:
        if key not in self.value:
            raise self.reader.error(f"'{key}' is missing", self.keys, "a claim has `name`, `text` and a kind.")
        return self.reader.text(self.value[key], (*self.keys, key))

    def _names(self, key: str, default: Names) -> Names:
        return self.reader.names(self.value[key], (*self.keys, key)) if key in self.value else default

    def _number(self, key: str, default: float, least: float) -> float:
        return self.reader.number(self.value[key], (*self.keys, key), least) if key in self.value else default

    def _default_delta(self, targets: Names, languages: Names) -> float:
        codes = [code for name in languages for code in self.meanings.get(name, (name,))]
        is_one = len(codes) == 1 and codes[0] not in (ALL, ZERO_SHOT) and ALL not in targets
        return self.deltas["language" if is_one else "mean"]

    def _sides(self, value: Any, keys: Keys) -> tuple[Names, Names]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise self.reader.error(f"expected two sides, found {_show(value)}", keys, "write [A, B] for A - B.")
        first, second = (self.reader.names(side, (*keys, at)) for at, side in enumerate(value))
        if first == second:
            raise self.reader.error(f"both sides are '{', '.join(first)}'", keys, "give two different rows.")
        return first, second

    def _section(self, kind: str, allowed: Names, required: Names) -> dict[str, Any]:
        section, keys = self.value[kind], (*self.keys, kind)
        if not isinstance(section, dict):
            raise self.reader.error(
                f"expected a mapping, found {_show(section)}", keys, f"its keys: {', '.join(allowed)}."
            )
        self.reader.check_keys(section, allowed, keys)
        if missing := [key for key in required if key not in section]:
            raise self.reader.error(f"'{missing[0]}' is missing", keys, f"its keys: {', '.join(allowed)}.")
        return section

    def _interaction(self) -> dict[str, Any]:
        keys = (*self.keys, "interaction")
        section = self._section("interaction", ("rows", "languages", "noise"), ("rows",))
        fields: dict[str, Any] = {"sides": self._sides(section["rows"], (*keys, "rows"))}
        if ("languages" in section) == ("noise" in section):
            raise self.reader.error(
                "expected one of `languages` and `noise`",
                keys,
                "write two groups of languages, or the name of a noise.",
            )
        if "noise" in section:
            return fields | {"noise": self.reader.text(section["noise"], (*keys, "noise"))}
        if "languages" in self.value:
            raise self.reader.error(
                "`languages` has no effect beside the groups of the interaction",
                (*self.keys, "languages"),
                "remove it.",
            )
        return fields | {"groups": self._sides(section["languages"], (*keys, "languages"))}

    def _equals(self) -> dict[str, Any]:
        keys = (*self.keys, "equals")
        section = self._section("equals", ("lift", "contrast", "points", "within"), ("points", "within"))
        if ("lift" in section) == ("contrast" in section):
            raise self.reader.error(
                "expected one of `lift` and `contrast`", keys, "write {lift: ROW, points: 8.2, within: 0.5}."
            )
        if "lift" in section:
            sides = (self.reader.names(section["lift"], (*keys, "lift")), ())
        else:
            sides = self._sides(section["contrast"], (*keys, "contrast"))
        return {
            "sides": sides,
            "points": self.reader.number(section["points"], (*keys, "points")),
            "within": self.reader.number(section["within"], (*keys, "within"), 0),
        }

    def _fact(self) -> dict[str, Any]:
        quantity = self.reader.text(self.value[FACT], (*self.keys, FACT))
        quantities = (*QUANTITIES, HIGHER_PUBLISHED_SCORES)
        if quantity not in quantities:
            fix = f"{did_you_mean(quantity, quantities)}Quantities: {', '.join(quantities)}."
            raise self.reader.error(f"unknown quantity '{quantity}'", (*self.keys, FACT), fix)
        bounds = {
            key: self.reader.count(self.value[key], (*self.keys, key))
            for key in ("at_least", "at_most", "equals")
            if key in self.value
        }
        if not bounds or ("equals" in bounds and len(bounds) > 1):
            raise self.reader.error("expected a bound", self.keys, "give `equals`, or `at_least` and `at_most`.")
        exactly = bounds.get("equals")
        least, most = (bounds.get(key, exactly) for key in ("at_least", "at_most"))
        fields: dict[str, Any] = {"quantity": quantity, "at_least": least, "at_most": most}
        if quantity == HIGHER_PUBLISHED_SCORES:
            fields |= {"model": self._required("model"), "targets": self._names("target", (ALL,))}
        return fields


def _names_in(claim: Claim) -> Iterable[str]:
    """All names that `names:` can map."""
    groups = (claim.rows, *claim.sides, claim.among, claim.targets, claim.languages, *claim.groups)
    yield from (name for group in groups for name in group)
    if claim.noise:
        yield claim.noise


def _show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else repr(value)
