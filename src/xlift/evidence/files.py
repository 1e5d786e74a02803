"""Reads evidence files: YAML with a list of entries, and a BibTeX file with their sources.

The files are untrusted: bytes and entries are limited, every type is checked, and a text is only ever shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from xlift.errors import ErrorCollector, UserError, combine_errors, did_you_mean
from xlift.evidence import bibliography
from xlift.evidence.entries import (
    ALL,
    BEARINGS,
    QUANTITIES,
    STATUSES,
    Candidate,
    Derived,
    Entry,
    Evidence,
    Fact,
    Number,
    Statement,
)
from xlift.evidence.fields import Fields
from xlift.yaml_document import Document, parse_yaml

SHIPPED = Path(__file__).parents[1] / "shipped" / "evidence"
MAX_BYTES = 2_000_000
MAX_ENTRIES = 2_000
MAX_QUOTE = 300
"""Quotes are short: they show what an entry rests on, and do not replace the source."""
MAX_POINTS = 1_000
"""Largest score or lift, in points."""

_TOP = ("title", "bibliography", "entries")
COMMON = ("name", "source", "status", "table", "page", "doubt", "quote", "note", "other_setting", "accepted")
_ABOUT = ("quantity", "row", "target", "metric", "model", "languages", "split")
KINDS = {
    "number": (*_ABOUT, "value"),
    "derived": (*_ABOUT, "terms", "divide_by", "assumes"),
    "fact": ("fact", "value"),
    "statement": ("statement", "claims", "bears"),
    "candidate": ("claims",),
}
"""Kind of entry -> its keys besides the common ones."""


@cache
def shipped_evidence() -> Evidence:
    """The published results that ship with xlift."""
    return read_evidence(sorted(SHIPPED.glob("*.yaml")))


def read_evidence(paths: Iterable[str | Path]) -> Evidence:
    """The entries of several files.

    Raises:
        UserError: a file cannot be read or is not valid. `UserErrors` if several entries of a file are wrong.
    """
    return sum(map(_read_file, map(Path, paths)), Evidence())


def _read_file(path: Path) -> Evidence:
    document = parse_yaml(_read_text(path, MAX_BYTES), str(path))
    top = Fields(document.value, (), document, str(path), _TOP)
    top.check_keys(_TOP)
    top.text("title", default="")
    items = top.value.get("entries")
    if not isinstance(items, list):
        raise UserError("`entries` must be a list", where=top.place("entries"), fix="write each one as `- name: ...`.")
    if len(items) > MAX_ENTRIES:
        raise UserError(
            f"{len(items):,} entries", where=top.place("entries"), fix=f"write at most {MAX_ENTRIES:,} in a file."
        )
    sources = _read_bibliography(top, path)
    collector = ErrorCollector()
    reader = _Reader(document, path, sources)
    for at, item in enumerate(items):
        with collector.collect():
            reader.read(item, at)
    for derived in reader.waiting:
        with collector.collect():
            reader.derive(derived)
    if collector.errors:
        raise combine_errors(collector.errors)
    kept = list(reader.entries.values())
    return Evidence(
        tuple(entry for entry in kept if isinstance(entry, Number)),
        tuple(entry for entry in kept if isinstance(entry, Fact)),
        tuple(entry for entry in kept if isinstance(entry, Statement)),
        tuple(entry for entry in kept if isinstance(entry, Candidate)),
        {entry.source: sources[entry.source] for entry in kept},
    )


class _Reader:
    """Reads the entries of one file."""

    def __init__(self, document: Document, path: Path, sources: dict[str, str]) -> None:
        self.document, self.path, self.sources = document, path, sources
        self.entries: dict[str, Entry] = {}
        self.waiting: list[Fields] = []

    def read(self, item: Any, at: int) -> None:
        fields = Fields(item, ("entries", at), self.document, str(self.path), COMMON)
        kind = _kind(fields)
        fields.check_keys((*COMMON, *KINDS[kind]))
        common = self._common(fields)
        if kind == "number":
            value = fields.number("value", at_most=MAX_POINTS)
            self.entries[common["name"]] = Number(**common, **_about(fields), value=value)
        elif kind == "fact":
            self.entries[common["name"]] = Fact(**common, fact=fields.name("fact"), value=fields.number("value"))
        elif kind == "statement":
            self.entries[common["name"]] = Statement(
                **common,
                statement=fields.text("statement"),
                claims=fields.names("claims"),
                bears=fields.choice("bears", BEARINGS),  # type: ignore[arg-type]
            )
        elif kind == "candidate":
            if common["accepted"]:
                raise fields.error(
                    "accepted",
                    "a quote alone cannot be accepted",
                    "write what it means: `statement:` and `bears:`, or `fact:` and `value:`, or `row:`, `target:`, "
                    "`value:` and `metric:`.",
                )
            self.entries[common["name"]] = Candidate(**common, claims=fields.names("claims", default=()))
        else:
            self.waiting.append(fields)

    def derive(self, fields: Fields) -> None:
        """Compute a derived number once all printed ones are read."""
        terms = []
        for name, weight in fields.weights("terms").items():
            number = self.entries.get(name)
            if not isinstance(number, Number) or isinstance(number, Derived):
                names = [n for n, e in self.entries.items() if isinstance(e, Number) and not isinstance(e, Derived)]
                raise fields.error(
                    "terms",
                    f"no number '{name}' in this file",
                    f"{did_you_mean(name, names)}A term names a number of the same file that has a `value`.",
                )
            terms.append((weight, number))
        divide_by = fields.number("divide_by", default=1.0)
        if divide_by == 0:
            raise fields.error("divide_by", "division by 0", "write another number.")
        common = self._common(fields)
        self.entries[common["name"]] = Derived(
            **common,
            **_about(fields),
            value=sum(weight * number.value for weight, number in terms) / divide_by,
            terms=tuple(terms),
            divide_by=divide_by,
            assumes=fields.text("assumes", default=""),
        )

    def _common(self, fields: Fields) -> dict[str, Any]:
        name, source = fields.name("name"), fields.text("source", at_most=200)
        if name in self.entries:
            raise fields.error("name", f"the name '{name}' is repeated", f"see {self.entries[name].place}.")
        if source not in self.sources:
            hint = did_you_mean(source, list(self.sources))
            raise fields.error(
                "source",
                f"no BibTeX entry '{source}'",
                f"{hint}Add it to the file that `bibliography:` names, beside this file.",
            )
        return {
            "name": name,
            "source": source,
            "place": fields.place().partition(": ")[0],
            "status": fields.choice("status", tuple(STATUSES), default="verified"),
            "table": fields.text("table", default="", at_most=200),
            "page": fields.text("page", default="", at_most=50),
            "doubt": fields.text("doubt", default=""),
            "quote": fields.text("quote", default="", at_most=MAX_QUOTE),
            "note": fields.text("note", default=""),
            "other_setting": fields.text("other_setting", default=""),
            "accepted": fields.flag("accepted", default=False),
        }


def _kind(fields: Fields) -> str:
    """What an entry is, by the one key that only this kind has."""
    marks = {"statement": "statement", "fact": "fact", "terms": "derived", "row": "number", "quote": "candidate"}
    kind = next((marks[key] for key in marks if key in fields.value), None)
    if kind is None:
        raise UserError(
            "neither a number, a fact nor a statement",
            where=fields.place(),
            fix="a number has `row:`, `target:` and `value:`, a fact `fact:` and `value:`, a statement `statement:`.",
        )
    return kind


def _about(fields: Fields) -> dict[str, Any]:
    """What a number measures."""
    return {
        "quantity": fields.choice("quantity", QUANTITIES, default="score"),
        "row": fields.name("row"),
        "target": fields.names("target"),
        "metric": fields.text("metric", at_most=200),
        "model": fields.name("model", default=""),
        "languages": fields.names("languages", default=(ALL,)),
        "split": fields.text("split", default="", at_most=50),
    }


def _read_bibliography(top: Fields, path: Path) -> dict[str, str]:
    """The sources that the entries may name: those of the file's own bibliography and the shipped ones."""
    name = top.text("bibliography", default="", at_most=200)
    if not name:
        return bibliography.shipped_bibliography()
    if Path(name).name != name or not name.endswith(".bib"):
        raise top.error("bibliography", f"'{name}' is not the name of a .bib file", "put it beside this file.")
    beside = path.parent / name
    return {
        **bibliography.shipped_bibliography(),
        **bibliography.parse_bibtex(_read_text(beside, bibliography.MAX_BYTES), str(beside)),
    }


def _read_text(path: Path, at_most: int) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(at_most + 1)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix="check the path.") from None
    if len(content) > at_most:
        raise UserError(f"more than {at_most:,} bytes", where=str(path), fix="divide the file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError("not UTF-8 text", where=f"{path}:{line}", fix="save the file as UTF-8.") from None
