"""COPA's original XML (copa-dev.xml, copa-test.xml): items with a premise and two alternatives.

    <item id="1" asks-for="cause" most-plausible-alternative="1"><p>...</p><a1>...</a1><a2>...</a2></item>

An item becomes a record with the columns id, asks-for, most-plausible-alternative, p, a1 and a2. SuperGLUE's COPA, which
XTREME-R trains on, is jsonl. Entity declarations, with which XML can grow without limit or read other files, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from xlift.errors import UserError
from xlift.tasks.sources.base import read_document, truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Record, record_reader

_PARTS = ("p", "a1", "a2")
_EXPECTED = "Expected COPA: copa-corpus > item > p, a1, a2."


class _ItemCollector:
    """Collects the items of a document while it is parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[tuple[str, Record]] = []
        self.item: Record | None = None
        self.part = ""
        self.parser = expat.ParserCreate("UTF-8")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.EntityDeclHandler = self.entity
        self.parser.buffer_text = True

    def where(self) -> str:
        return f"{self.path}:{self.parser.CurrentLineNumber}"

    def unexpected(self, what: str) -> UserError:
        return UserError(what, where=self.where(), fix=_EXPECTED)

    def entity(self, *declaration: Any) -> None:
        raise self.unexpected("the file declares an entity")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "item" and self.item is None:
            self.item = dict(attributes)
            self.records.append((str(self.parser.CurrentLineNumber), self.item))
        elif name in _PARTS and self.item is not None and not self.part and name not in self.item:
            self.item[name], self.part = "", name
        elif name != "copa-corpus" or self.item is not None:
            raise self.unexpected(f"unexpected element '{truncate(name)}'")

    def end(self, name: str) -> None:
        if name == "item":
            self.item = None
        self.part = ""

    def text(self, text: str) -> None:
        if self.item is not None and self.part:
            self.item[self.part] += text
        elif text.strip():
            raise self.unexpected(f"text outside p, a1 and a2: '{truncate(text.strip())}'")


def _records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    items = _ItemCollector(path)
    try:
        items.parser.Parse(read_document(path).encode(), True)
    except expat.ExpatError as error:
        raise UserError(
            f"invalid XML: {expat.ErrorString(error.code)}", where=f"{path}:{error.lineno}", fix=_EXPECTED
        ) from None
    yield from items.records


COPA = record_reader("copa-xml", 1, ("multiple-choice",), _records)
