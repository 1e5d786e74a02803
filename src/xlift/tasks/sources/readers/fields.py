"""Build examples of any format from records with named columns (tables, JSON lines, Parquet).

The layout names a column, or the usual names below are tried. A name may be a path: `question.stem` goes into an object,
and `choices.text` gives the texts of a list of objects, or the list in an object of lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from sys import intern
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.languages import canonical
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.dual_encoding import DualExample
from xlift.tasks.formats.mining import MiningExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.retrieval import PairExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.formats.text import TextExample
from xlift.tasks.formats.translation import TranslationExample
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

Record = dict[str, Any]
Records = Callable[[Path, Layout], Iterator[tuple[str, Record]]]
"""(path, layout) -> (place, record) of each record."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "index_id", "idx"),
    "text_a": ("text_a", "text", "premise", "sentence1", "sentence"),
    "text_b": ("text_b", "hypothesis", "sentence2"),
    "label": ("label", "gold_label", "category"),
    "context": ("context", "premise"),
    "question": ("question",),
    "answer": ("answer",),
    "start": ("start", "answer_start"),
    "answers": ("answers.text",),
    "starts": ("answers.answer_start",),
    "text": ("text", "sentence", "source"),
    "source": ("source", "text", "sentence"),
    "translation": ("translation", "target"),
    "source_language": ("source_language", "source_lang"),
    "target_language": ("target_language", "target_lang"),
    "text_id": ("text_id",),
    "translation_id": ("translation_id",),
    "words": ("words", "tokens"),
    "tags": ("tags", "ner_tags", "pos_tags"),
    "query": ("query", "question"),
    "passage": ("passage", "answer", "positive"),
    "relevant": ("relevant",),
    "document": (),
}
"""Field -> usual column names, tried in order if the layout names none."""

_CHOICE = re.compile(r"(choice|answer|option|ending)_?\d+")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]{1,2})?", re.IGNORECASE)
_ABSENT = object()


class Fields:
    """The fields of an example in one record, by a layout; errors name the missing column and the record's place."""

    def __init__(self, record: Record, layout: Layout, where: str) -> None:
        self.record, self.layout, self.where = record, layout, where

    def column(self, field: str) -> str | None:
        named = self.layout.columns.get(field)
        if named is not None:
            return self._check_present(named) if named else None
        return next((name for name in COLUMNS[field] if _value(self.record, name) is not _ABSENT), None)

    def matches_where(self) -> bool:
        """Whether the record matches the layout's `where`."""
        for column, pattern in self.layout.where.items():
            value = self.cell_text(self._check_present(column), "")
            if value != pattern and not ("*" in pattern and fnmatchcase(value, pattern)):
                return False
        return True

    def example_id(self, number: int) -> str:
        """The id from its column or columns; without one the row number, which parallel files share."""
        named = self.layout.columns.get("id")
        if isinstance(named, str) or named is None:
            return self.optional("id") or str(number)
        return "-".join(self.cell_text(self._check_present(name), "id") for name in named)

    def choices(self) -> tuple[str, ...]:
        named = self.layout.columns.get("choices")
        if isinstance(named, str):
            return self._list(self._check_present(named), "choices")
        named = named or sorted(name for name in self.record if _CHOICE.fullmatch(name))
        if len(named) < 2:
            raise self._missing("choices", "list two or more columns in `columns: {choices: [...]}`")
        return tuple(self.cell_text(self._check_present(name), "choices") for name in named)

    def optional(self, field: str) -> str | None:
        column = self.column(field)
        return None if column is None else self.cell_text(column, field)

    def text(self, field: str, *, strip: bool = True) -> str:
        return self.cell_text(self._column(field), field, strip=strip)

    def cell_text(self, column: str, field: str, *, strip: bool = True) -> str:
        """The text of a cell, without quotes if the layout removes them, and with mapped values."""
        return self._cell(_value(self.record, column), column, field, strip=strip)

    def integer(self, field: str) -> int:
        column = self._column(field)
        return self._number(self.cell_text(column, field), column)

    def decimal(self, field: str) -> float:
        column = self._column(field)
        text = self.cell_text(column, field)
        if len(text) > 100 or not _DECIMAL.fullmatch(text):
            raise UserError(f"'{column}' is '{truncate(text)}', expected a number", where=self.where)
        return float(text)

    def items(self, field: str) -> tuple[str, ...]:
        """The texts of a list, or of a cell that separates them by `|`. An empty cell has none."""
        column = self._column(field)
        value = _value(self.record, column)
        if isinstance(value, str):
            value = [part for part in value.split("|") if part.strip()]
        return tuple(self._cell(part, column, field) for part in (value if isinstance(value, list) else [value]))

    def texts(self, field: str, *, strip: bool = True) -> tuple[str, ...]:
        return self._list(self._column(field), field, strip=strip)

    def integers(self, field: str) -> tuple[int, ...]:
        column = self._column(field)
        return tuple(self._number(text, column) for text in self._list(column, field))

    def _cell(self, value: Any, column: str, field: str, *, strip: bool = True) -> str:
        if not isinstance(value, str):
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise UserError(f"'{column}' is {truncate(value)}, expected a text", where=self.where)
            value = str(value)
        text = value.strip() if strip else value
        if self.layout.unquote and field != "label" and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        mapped = self.layout.values.get(field)
        return text if mapped is None else mapped.get(text, text)

    def _list(self, column: str, field: str, *, strip: bool = False) -> tuple[str, ...]:
        value = _value(self.record, column)
        if not isinstance(value, list):
            raise UserError(f"'{column}' is not a list of texts", where=self.where)
        return tuple(self._cell(item, column, field, strip=strip) for item in value)

    def _number(self, text: str, column: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise UserError(f"'{column}' is '{truncate(text)}', expected a whole number", where=self.where)
        return int(text)

    def _column(self, field: str) -> str:
        column = self.column(field)
        if column is None:
            raise self._missing(field, f"tried {', '.join(COLUMNS[field])}")
        return column

    def _check_present(self, column: str) -> str:
        if _value(self.record, column) is _ABSENT:
            names = [name for name in list(self.record)[:100] if len(name) < 100 and name.isprintable()]
            fix = did_you_mean(column, names) + self._list_columns()
            raise UserError(f"no column '{column}'", where=self.where, fix=fix)
        return column

    def _missing(self, field: str, detail: str) -> UserError:
        return UserError(f"no column for '{field}' ({detail})", where=self.where, fix=self._list_columns())

    def _list_columns(self) -> str:
        return f"Columns of the file: {truncate(', '.join(self.record), 500)}. `columns` maps a field to its column."


def _value(record: Record, column: str) -> Any:
    """The value of a column or a dotted path; _ABSENT if there is none."""
    if column in record:
        return record[column]
    if "." not in column:
        return _ABSENT
    value: Any = record
    for name in column.split("."):
        if isinstance(value, list):
            value = [item.get(name, _ABSENT) if isinstance(item, dict) else _ABSENT for item in value]
            if any(item is _ABSENT for item in value):
                return _ABSENT
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return _ABSENT
    return value


def _build_classification(fields: Fields, name: str) -> ClassificationExample:
    return ClassificationExample(
        id=name, text_a=fields.text("text_a"), text_b=fields.optional("text_b"), label=intern(fields.text("label"))
    )


def _build_choice(fields: Fields, name: str) -> ChoiceExample:
    return ChoiceExample(
        id=name,
        context=fields.text("context"),
        question=fields.optional("question") or "",
        choices=fields.choices(),
        label=fields.integer("label"),
    )


def _build_span(fields: Fields, name: str) -> SpanExample:
    """One answer per record, or a list; an empty answer means that the context has none. Without a start the first occurrence
    is used."""
    context = fields.text("context", strip=False)  # answer positions refer to the unstripped text
    question = fields.text("question")
    if fields.column("answer") is None and fields.column("answers") is not None:
        return SpanExample(name, context, question, fields.texts("answers"), fields.integers("starts"))
    answer = fields.text("answer", strip=False)
    start = fields.integer("start") if fields.column("start") else context.find(answer)
    if start < 0:
        raise UserError(f"the answer '{truncate(answer)}' is not in the context", where=fields.where)
    return SpanExample(name, context, question, (answer,) if answer else (), (start,) if answer else ())


def _build_tagging(fields: Fields, name: str) -> TaggingExample:
    tags = tuple(intern(tag) for tag in fields.texts("tags"))
    return TaggingExample(id=name, words=fields.texts("words"), tags=tags)


def build_pair(
    name: str, text: str, translation: str, layout: Layout, where: str
) -> PairExample | TextExample | TranslationExample:
    """An example of a text and its translation, for each format that consists of such pairs.

    Raises:
        UserError: a translation task has no direction.
    """
    if layout.format == "retrieval":
        return PairExample(name, text, translation)
    if layout.format == "text":
        return TextExample(name, text, translation)
    if len(layout.direction) != 2:
        raise UserError(
            "the direction of the translation is not given", where=where,
            fix="Write `direction: [\"{lang}\", en]` (the rows' language into English) or `direction: [en, \"{lang}\"]`.",
        )  # fmt: skip
    return TranslationExample(name, text, translation, *layout.direction)


def _build_retrieval(fields: Fields, name: str) -> PairExample:
    return PairExample(id=name, text=fields.text("text"), translation=fields.text("translation"))


def _build_mining(fields: Fields, name: str) -> MiningExample:
    """A pair, or a sentence whose other side is empty; each sentence may have its own id."""
    ids = (fields.optional("text_id") or "", fields.optional("translation_id") or "")
    return MiningExample(name, fields.text("text"), fields.text("translation"), *ids)


def _build_text(fields: Fields, name: str) -> TextExample:
    return TextExample(id=name, text=fields.text("text"), translation=fields.optional("translation"))


def _build_dual_encoding(fields: Fields, name: str) -> DualExample:
    """A pair; with a `relevant` column (a list of ids) a query, or a candidate if the query is empty."""
    relevant = fields.texts("relevant") if fields.column("relevant") else ()
    passage = (fields.optional("passage") if relevant else fields.text("passage")) or ""
    context = (fields.optional("context") if passage else None) or ""
    return DualExample(id=name, query=fields.text("query"), passage=passage, context=context, relevant=relevant)


def _build_translation(fields: Fields, name: str) -> TranslationExample:
    """A text and its translation, with languages from columns or from the layout."""
    source, translation = fields.text("source"), fields.text("translation")
    columns = (fields.optional("source_language"), fields.optional("target_language"))
    if columns[0] and columns[1]:
        return TranslationExample(name, source, translation, *(canonical(code) or code for code in columns if code))
    example = build_pair(name, source, translation, fields.layout, fields.where)
    assert isinstance(example, TranslationExample)
    return example


EXAMPLE_BUILDERS: dict[str, Callable[[Fields, str], Any]] = {
    "classification": _build_classification,
    "multiple-choice": _build_choice,
    "span-qa": _build_span,
    "tagging": _build_tagging,
    "retrieval": _build_retrieval,
    "mining": _build_mining,
    "text": _build_text,
    "translation": _build_translation,
    "dual-encoding": _build_dual_encoding,
}


def record_reader(name: str, version: int, formats: tuple[str, ...], records: Records) -> Reader:
    """Make a reader of files whose records have named columns."""

    def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        number = 0
        make = EXAMPLE_BUILDERS[layout.format]
        for path in paths:
            for place, record in records(path, layout):
                fields = Fields(record, layout, f"{path}:{place}")
                if layout.where and not fields.matches_where():
                    continue
                if layout.drop and fields.text("label") in layout.drop:
                    continue
                document = fields.text("document") if "document" in layout.columns else ""
                yield Row(path, place, make(fields, fields.example_id(number)), document)
                number += 1

    return Reader(name, version, formats, read, has_columns=True)
