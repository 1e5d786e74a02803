"""Reads the keys of a mapping of an untrusted YAML file: types, sizes and unknown keys, with file, line and key in errors."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from xlift.errors import UserError, did_you_mean, quote_hint
from xlift.yaml_document import Document, Keys

MAX_TEXT = 2_000
MAX_NAME = 100
MAX_ITEMS = 200
MAX_VALUE = 1e9

_NAME = re.compile(r"[^\W_](?:[\w .+/()-]*[\w+)])?")


class Fields:
    """The keys of one mapping. Every method raises `UserError` for a value that it does not expect.

    Args:
        value: the mapping, as parsed.
        keys: its position in the document.
        where: the path of the file.
    """

    def __init__(self, value: Any, keys: Keys, document: Document, where: str, allowed: Sequence[str] = ()) -> None:
        self.keys, self.document, self.where = keys, document, where
        if not isinstance(value, dict):
            raise UserError(
                f"expected lines of `key: value`, found {_show(value)}",
                where=self.place(),
                fix=f"Allowed keys: {', '.join(allowed)}." if allowed else "",
            )
        self.value: dict[str, Any] = value

    def place(self, *keys: str | int) -> str:
        """'file.yaml:12: entries.3.value'."""
        path = (*self.keys, *keys)
        line = self.document.line(path)
        place = f"{self.where}:{line}" if line else self.where
        return f"{place}: {'.'.join(map(str, path))}" if path else place

    def error(self, key: str, what: str, fix: str = "") -> UserError:
        return UserError(what, where=self.place(key), fix=fix)

    def check_keys(self, allowed: Sequence[str]) -> None:
        """Refuse keys that are not in `allowed`."""
        for key in self.value:
            if key not in allowed:
                hint = did_you_mean(key, list(allowed))
                raise self.error(key, f"unknown key '{key}'", f"{hint}Allowed keys: {', '.join(allowed)}.")

    def text(self, key: str, *, default: str | None = None, at_most: int = MAX_TEXT) -> str:
        """One text; numbers such as a table's are taken as they are written."""
        if key not in self.value and default is not None:
            return default
        return self._text(key, self._get(key), self.document.written.get((*self.keys, key), ""), at_most)

    def name(self, key: str, *, default: str | None = None) -> str:
        """A short name: letters, digits and ` . _ + / ( ) -`."""
        found = self.text(key, default=default, at_most=MAX_NAME)
        if found != default:
            self._check_name(key, found)
        return found

    def names(self, key: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """One name, or a list of different ones."""
        if key not in self.value and default is not None:
            return default
        value = self._get(key)
        if not isinstance(value, list):
            return (self.name(key),)
        if not value or len(value) > MAX_ITEMS:
            raise self.error(key, f"a list of {len(value)} items", f"give 1 to {MAX_ITEMS}.")
        found = tuple(
            self._text(key, item, self.document.written.get((*self.keys, key, at), ""), MAX_NAME)
            for at, item in enumerate(value)
        )
        for item in found:
            self._check_name(key, item)
        if len(set(found)) < len(found):
            raise self.error(key, "a name is repeated", "name each one once.")
        return found

    def number(self, key: str, *, default: float | None = None, at_most: float = MAX_VALUE) -> float:
        if key not in self.value and default is not None:
            return default
        return self._number(key, self._get(key), at_most)

    def choice(self, key: str, choices: Sequence[str], *, default: str | None = None) -> str:
        if key not in self.value and default is not None:
            return default
        value = self._get(key)
        if value not in choices or not isinstance(value, str):
            hint = did_you_mean(value, list(choices)) if isinstance(value, str) else ""
            raise self.error(
                key, f"expected {' or '.join(repr(c) for c in choices)}, found {_show(value)}", hint.strip()
            )
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.value.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, found {_show(value)}", "write it without quotes.")
        return value

    def weights(self, key: str) -> dict[str, float]:
        """A mapping of names to numbers."""
        value = self._get(key)
        if not isinstance(value, dict) or not value or len(value) > MAX_ITEMS:
            raise self.error(key, "expected lines of `name: number`", f"give 1 to {MAX_ITEMS} of them.")
        return {name: self._number(key, weight, MAX_VALUE) for name, weight in value.items()}

    def _get(self, key: str) -> Any:
        if key not in self.value:
            raise UserError(f"'{key}' is missing", where=self.place(), fix="add it.")
        return self.value[key]

    def _number(self, key: str, value: Any, at_most: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            fix = "write it without quotes." if isinstance(value, str) else ""
            raise self.error(key, f"expected a number, found {_show(value)}", fix)
        if not math.isfinite(value) or abs(value) > at_most:
            raise self.error(key, f"{value} is out of range", f"expected a number from {-at_most:g} to {at_most:g}.")
        return float(value)

    def _text(self, key: str, value: Any, written: str, at_most: int) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = written or str(value)
        if not isinstance(value, str):
            raise self.error(key, f"expected text, found {_show(value)}", quote_hint(value, written))
        text = " ".join(value.split())
        if not text:
            raise self.error(key, "the value is empty", "write it, or remove the key.")
        if len(text) > at_most:
            raise self.error(key, f"a text of {len(text):,} characters", f"write at most {at_most:,}.")
        if not text.isprintable():
            raise self.error(key, "a character that cannot be printed", "remove it.")
        return text

    def _check_name(self, key: str, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise self.error(key, f"'{name}' is not a name", "use letters, digits and - . _ + / ( ) and spaces.")


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
