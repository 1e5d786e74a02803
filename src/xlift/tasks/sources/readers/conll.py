"""`token TAG` lines, as in CoNLL-2003 and MasakhaNER: the first column is the word, the last is its tag.

Columns are separated by tabs in a line that has tabs, so that words may hold blanks, and by blanks in any other line. All
lines of a file have one number of columns. An empty line ends a sentence.

Comments are lines above a sentence, as in CoNLL-U. A line there that begins with `#` is a token only if it has the columns
of the file, one word without blanks, and a tag that is known: a label of the task, or the tag of another line.

The files that XTREME's scripts write (udpos/, panx/) have this format too, except their test files, which have no tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from sys import intern
from typing import NamedTuple

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import read_lines, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

_BLANKS = re.compile(r"[ \t]+")  # other white space occurs inside tokens
_DOCUMENT = "-DOCSTART-"

Sentence = tuple[int, list[str], list[str]]
"""(first line, words, tags)"""
Sentences = Callable[[Path, Layout], Iterator[Sentence | UserError]]
"""(path, layout) -> each sentence, or the error of its first wrong line."""


def sentence_reader(name: str, version: int, sentences: Sentences) -> Reader:
    """Make a reader of files with one word per line and an empty line after each sentence."""

    def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        number = 0
        for path in paths:
            for sentence in sentences(path, layout):
                if isinstance(sentence, UserError):
                    yield Row(path, "", None, error=sentence)
                else:
                    start, words, tags = sentence
                    yield Row(path, str(start), TaggingExample(id=str(number), words=tuple(words), tags=tuple(tags)))
                number += 1

    return Reader(name, version, ("tagging",), read)


COMMENT = ("#", "")
"""What `parse` of `group_lines` returns for a comment."""


def group_lines(
    path: Path, parse: Callable[[str, int, bool], tuple[str, str] | None]
) -> Iterator[Sentence | UserError]:
    """Each sentence, or the error of its first wrong line.

    Args:
        parse: (line without its end, its number, whether it is inside a sentence) -> word and tag; COMMENT;
            None for a line that ends a sentence. Raises UserError.
    """
    start, words, tags = 0, [], []
    error: UserError | None = None
    for number, text in read_lines(path):
        try:
            parsed = parse(text.removesuffix("\n").removesuffix("\r"), number, bool(start))
        except UserError as raised:
            start, error = start or number, error or raised
            continue
        if parsed is None:
            if start:
                yield error or (start, words, tags)
                start, words, tags, error = 0, [], [], None
        elif parsed is not COMMENT:
            start = start or number
            words.append(parsed[0])
            tags.append(intern(parsed[1]))
    if start:
        yield error or (start, words, tags)


def sentences(path: Path, layout: Layout, *, with_gold: bool = True) -> Iterator[Sentence]:
    """(first line, words, tags) of each sentence of a file.

    Args:
        with_gold: False if tags may be absent, for `xlift predict`. Tags are then '' or what the file has.

    Raises:
        UserError: the first error.
    """
    for sentence in group_lines(path, _Lines(path, layout, with_gold).parse):
        if isinstance(sentence, UserError):
            raise sentence
        yield sentence


class _Columns(NamedTuple):
    cells: list[str]
    counts: frozenset[int]
    """Number of columns, with and without the empty ones: a file may use several tabs for alignment."""
    has_tab: bool


def _split(line: str) -> _Columns:
    if "\t" not in line:
        cells = [cell for cell in line.split(" ") if cell]
        return _Columns(cells, _counts(len(cells), len(cells)), False)
    cells = [cell.strip(" ") for cell in line.split("\t")]
    if "" not in cells:
        return _Columns(cells, _counts(len(cells), len(cells)), True)
    filled = [cell for cell in cells if cell]
    return _Columns([cells[0], *filled[bool(cells[0]) :]], _counts(len(cells), len(filled)), True)


@cache
def _counts(number: int, other: int) -> frozenset[int]:
    return frozenset((number, other))


def _is_empty(line: str) -> bool:
    text = line.strip(" \t")
    return not text or (text.startswith(_DOCUMENT) and _BLANKS.split(text, maxsplit=1)[0] == _DOCUMENT)


class _KnownTags(NamedTuple):
    """What a first look at a file tells about lines that can be read in two ways."""

    tags: Collection[str]
    """Of lines that do not begin with `#`."""
    tags_after_tabs: Collection[str]
    """Of lines with tabs. Empty if the file has none."""
    counts: frozenset[int]
    """Numbers of columns of the first line that does not begin with `#`."""


class _Lines:
    """Parses the lines of one file."""

    def __init__(self, path: Path, layout: Layout, with_gold: bool) -> None:
        self.path, self.layout, self.with_gold = path, layout, with_gold
        self.counts: frozenset[int] = frozenset()
        """Numbers of columns that fit all lines so far."""
        self.before = 0
        """Columns of the line before, where blanks separate them; else 0."""

    @cached_property
    def has_tabs(self) -> bool:
        """Whether a line has tabs that does not begin with `#`."""
        return any("\t" in text and text[0] != "#" for _, text in read_lines(self.path))

    @cached_property
    def known(self) -> _KnownTags:
        tags, after_tabs, counts = set(), set(), frozenset()
        for _, text in read_lines(self.path):
            line = text.removesuffix("\n").removesuffix("\r")
            if _is_empty(line) or line.startswith("#"):
                continue
            columns = _split(line)
            counts = counts or columns.counts
            if len(columns.cells) > 1:
                (after_tabs if columns.has_tab else tags).add(columns.cells[-1])
        return _KnownTags(tags | after_tabs, after_tabs, counts)

    def parse(self, line: str, number: int, inside: bool) -> tuple[str, str] | None:
        if "\r" in line:
            raise UserError(
                "a carriage return inside a line",
                where=f"{self.path}:{number}",
                fix="End lines with a line feed, with or without a carriage return before it.",
            )
        if _is_empty(line):
            return None
        columns = _split(line)
        if line.startswith("#") and not inside and not self._is_token(line, columns):
            return COMMENT
        is_usual = columns.counts == self.counts and len(columns.cells) > 1 and columns.cells[0]
        if is_usual and (columns.has_tab or (self.with_gold and not self.has_tabs)):
            self.before = 0
            return columns.cells[0], columns.cells[-1]  # most lines: no check can fail
        where = f"{self.path}:{number}"
        self._check(line, columns, where, inside)
        if not columns.cells[0]:
            raise UserError("the word is empty", where=where, fix="Expected a word, a tab and its tag.")
        return columns.cells[0], columns.cells[-1] if len(columns.cells) > 1 else ""

    def _is_token(self, line: str, columns: _Columns) -> bool:
        """Whether a line above a sentence that begins with `#` is a word."""
        if " " in columns.cells[0]:
            return False
        if len(columns.cells) == 1:  # only words, and this is one of them
            return not self.with_gold and 1 in (self.known.counts or columns.counts)
        if self.known.counts and not columns.counts & self.known.counts:
            return False
        return line.startswith("#\t") or columns.cells[-1] in self.layout.labels or columns.cells[-1] in self.known.tags

    def _check(self, line: str, columns: _Columns, where: str, inside: bool) -> None:
        """Raise UserError if the line lacks a tag, or has not the columns of the other lines."""
        if len(columns.cells) < 2 and self.with_gold:
            raise UserError(
                f"'{_shown(line)}' has no tag",
                where=where,
                fix="Expected a word and its tag, separated by a space or a tab. An empty line ends a sentence.",
            )
        if not columns.has_tab and len(columns.cells) > 1:
            known = self.known.tags_after_tabs if self.has_tabs else ()
            if known and columns.cells[-1] not in known and columns.cells[-1] not in self.layout.labels:
                raise UserError(
                    f"'{_shown(line)}' has no tab, but other lines of the file have", where=where,
                    fix="Put a tab between a word and its tag, in every line.",
                )  # fmt: skip
        number, before = len(columns.cells), self.before if inside else 0
        self.before = 0 if columns.has_tab else number
        if not columns.has_tab and before and (number == 1) != (before == 1):
            raise self._ragged(_shown(line), columns.counts, frozenset((before,)), where, inside)
        if number == 1:
            return  # a word without a tag
        fitting = self.counts & columns.counts if self.counts else columns.counts
        if not fitting:
            raise self._ragged(_shown(line), columns.counts, self.counts, where, inside)
        self.counts = fitting

    @staticmethod
    def _ragged(shown: str, counts: Collection[int], expected: Collection[int], where: str, inside: bool) -> UserError:
        advice = "Comments stand above a sentence, after an empty line. " if shown.startswith("#") and inside else ""
        return UserError(
            f"'{shown}' has {_number(counts)}, the lines above have {_number(expected)}", where=where,
            fix=f"{advice}Put tabs between the columns if words hold blanks.",
        )  # fmt: skip


def _shown(line: str) -> str:
    return truncate(line.strip(" \t"), 60)


def _number(counts: Collection[int]) -> str:
    number = max(counts)
    return f"{number} column{'s' * (number != 1)}"


CONLL = sentence_reader("conll", 2, lambda path, layout: group_lines(path, _Lines(path, layout, with_gold=True).parse))
