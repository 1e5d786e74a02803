"""Reads one claim."""

from __future__ import annotations

import re
from typing import Any

from xlift.claims.checks import Reader, show
from xlift.claims.claim import ALL, FACT, HIGHER_PUBLISHED_SCORES, KINDS, QUANTITIES, ZERO_SHOT, Claim, Kind, Names
from xlift.errors import did_you_mean
from xlift.yaml_document import Keys

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


class Entry:
    """One item of the list of claims."""

    def __init__(
        self,
        reader: Reader,
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
            raise reader.error(f"expected a claim, found {show(value)}", self.keys, "write {name, text, lift: ROW}.")
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
            raise self.reader.error(f"expected two sides, found {show(value)}", keys, "write [A, B] for A - B.")
        first, second = (self.reader.names(side, (*keys, at)) for at, side in enumerate(value))
        if first == second:
            raise self.reader.error(f"both sides are '{', '.join(first)}'", keys, "give two different rows.")
        return first, second

    def _section(self, kind: str, allowed: Names, required: Names) -> dict[str, Any]:
        section, keys = self.value[kind], (*self.keys, kind)
        if not isinstance(section, dict):
            raise self.reader.error(
                f"expected a mapping, found {show(section)}", keys, f"its keys: {', '.join(allowed)}."
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
