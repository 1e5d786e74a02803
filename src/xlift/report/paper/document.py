"""A paper as data: sections with paragraphs, lists, tables, figures and citations. The renderers escape every text.

    Document("Title", sections=[Section("Question", [Paragraph("Does it help?")])], ...)

A text is a string, or a tuple of strings and pieces: `("as in ", Cite("holm-1979"), ".")`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from xlift.bibtex import Entry


@dataclass(frozen=True)
class Code:
    """A name or command as it is typed."""

    text: str


@dataclass(frozen=True)
class Strong:
    text: str


@dataclass(frozen=True)
class Link:
    url: str


@dataclass(frozen=True)
class Cite:
    keys: tuple[str, ...]
    """Of entries of the document."""

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)


@dataclass(frozen=True)
class Break:
    """The end of a line inside of a table's cell."""


Piece = str | Code | Strong | Link | Cite | Break
Text = str | tuple[Piece, ...]


@dataclass(frozen=True)
class Paragraph:
    text: Text


@dataclass(frozen=True)
class Bullets:
    items: Sequence[Text]


@dataclass(frozen=True)
class Table:
    caption: Text
    head: Sequence[str]
    rows: Sequence[Sequence[Text]]
    num_right: int = 0
    """Number of columns on the right that hold numbers, which are aligned to the right."""


@dataclass(frozen=True)
class Figure:
    name: str
    """Last part of the name of its file."""
    caption: Text
    svg: str


@dataclass(frozen=True)
class Commands:
    """Commands for a shell, one a line."""

    lines: Sequence[str]


Block = Paragraph | Bullets | Table | Figure | Commands


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    level: int = 1
    """2 for a part of the section above."""


@dataclass(frozen=True)
class Document:
    title: str
    byline: Text
    date: str
    abstract: Sequence[Text]
    """Paragraphs."""
    sections: Sequence[Section]
    appendix: Sequence[Section] = ()
    """Sections after the references."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """Key -> every entry that a text may cite. The references are those that texts do cite, in their order."""

    def references(self) -> list[Entry]:
        """The cited entries in order of first citation.

        Raises:
            KeyError: a text cites an entry that the document does not have.
        """
        keys = dict.fromkeys(key for text in self._texts() if isinstance(text, tuple) for key in _cited(text))
        return [self.entries[key] for key in keys]

    def figures(self) -> list[Figure]:
        return [block for block in self._blocks() if isinstance(block, Figure)]

    def _texts(self) -> Iterator[Text]:
        yield from (self.byline, *self.abstract)
        for block in self._blocks():
            yield from texts_of(block)

    def _blocks(self) -> Iterator[Block]:
        yield from (block for section in (*self.sections, *self.appendix) for block in section.blocks)


def texts_of(block: Block) -> Iterator[Text]:
    """All texts of a block."""
    if isinstance(block, Paragraph):
        yield block.text
    elif isinstance(block, Bullets):
        yield from block.items
    elif isinstance(block, Table):
        yield block.caption
        yield from (cell for row in block.rows for cell in row)
    elif isinstance(block, Figure):
        yield block.caption


def pieces(text: Text | Piece) -> tuple[Piece, ...]:
    return text if isinstance(text, tuple) else (text,)


def joined(*texts: Text | Piece) -> Text:
    """Texts one after the other."""
    return tuple(piece for text in texts for piece in pieces(text))


def is_web_address(url: str) -> bool:
    """Whether a link may be made of it. Anything else is shown as text."""
    return bool(re.fullmatch(r"https?://[\w.:/?&=+,;@~#%()-]+", url))


def _cited(text: Iterable[Piece]) -> Iterator[str]:
    for piece in text:
        if isinstance(piece, Cite):
            yield from piece.keys
