"""Known faults of published data: what is wrong in the files, where that is documented, and what reading does about it.

A fault is declared with its task in the catalogue. Only a value that is certain is corrected, by default and on reading; the
files stay as they are. Other faulty rows are counted and read as published. `known_faults: keep` in a study reads everything
as published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Correction:
    """The right values of one field of the examples, by id."""

    field: str
    """Field of the format's example."""
    table: str
    """Key of catalog/corrections.json, which has one letter for each of the ids 0, 1, 2, ... of a split."""
    values: Mapping[str, Any]
    """Letter -> right value."""
    origin: str
    """Where the right values are from."""

    def right_value(self, split: str, name: str) -> Any:
        """The right value for the example with the id `name`; None if the table does not have the id."""
        letters = _tables()[self.table][split]
        known = name.isascii() and name.isdecimal() and int(name) < len(letters)
        return self.values[letters[int(name)]] if known else None

    def content(self, split: str) -> list[Any]:
        """Everything that determines the corrected values of a split, for the fingerprint."""
        return [self.field, dict(self.values), _tables()[self.table][split]]


@dataclass(frozen=True)
class Fault:
    """One fault of a task's files. A declaration."""

    name: str
    what: str
    """What is wrong, as the beginning of a sentence that ends with '... in 37 rows of sw'."""
    url: str
    """Where the fault, or the script that causes it, is published."""
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Split -> language -> number of faulty rows. A correction is applied to these languages only."""
    all_rows_of: tuple[str, ...] = ()
    """Splits in which every row is faulty, in every language."""
    sources: tuple[str, ...] = ()
    """The kinds of source whose files have it; empty for all."""
    correction: Correction | None = None
    placeholder: str | None = None
    """This text in place of a sentence marks a faulty row."""
    differs_from_english: bool = False
    """A label other than that of the English row with the same id marks a faulty row."""

    @property
    def treatment(self) -> str:
        """'corrected'; 'marked' (counted, and read as published); 'refused' (the files cannot be used)."""
        if self.correction:
            return "corrected"
        return "marked" if self.placeholder is not None or self.differs_from_english else "refused"

    def applies_to(self, language: str, split: str, kind: str) -> bool:
        """Whether to look for faulty rows in a split that is read from a source of this kind."""
        if self.sources and kind not in self.sources:
            return False
        return language in self.rows.get(split, {}) if self.correction else self.treatment == "marked"

    def describe(self, rows: Mapping[str, int], *, keep: bool = False) -> str:
        """A sentence with the number of faulty rows in each language, what is done about them, and the address."""
        amounts = ", ".join(f"{count:,} {'row' if count == 1 else 'rows'} of {code}" for code, count in rows.items())
        if self.correction is None:
            done = "they are read as published"
        elif keep:
            done = "they are kept as published, since the study has `known_faults: keep`"
        else:
            done = f"they are corrected from {self.correction.origin}"
        return f"{self.what} in {amounts}; {done} ({self.url})."


@dataclass(frozen=True)
class FaultyRows:
    """The rows of one (task, language, split) that have a known fault."""

    task: str
    fault: Fault
    count: int
    keep: bool
    """Whether a correction was left out."""


@cache
def _tables() -> dict[str, dict[str, str]]:
    return json.loads((Path(__file__).parent / "catalog" / "corrections.json").read_text(encoding="utf-8"))
