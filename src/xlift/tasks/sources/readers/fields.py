"""Build examples of any format from records with named columns (tables, JSON lines, Parquet).

The layout names a column, or the usual names of the format (`Format.columns`) are tried. A name may be a path: `question.stem` goes into an object,
and `choices.text` gives the texts of a list of objects, or the list in an object of lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

Record = dict[str, Any]
Records = Callable[[Path, Layout], Iterator[tuple[str, Record | UserError]]]
"""(path, layout) -> (place, record) of each record; the error of a record that cannot be read, if the next ones can be."""

COMMON_COLUMNS = {"id": ("id", "index_id", "idx")}
"""Usual columns of the fields that every format has. `Format.columns` has those of the others."""

_CHOICE = re.compile(r"(choice|answer|option|ending)_?\d+")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]{1,2})?", re.IGNORECASE)
_ABSENT = object()


class Fields:
    """The fields of an example in one record, by a layout; errors name the missing column and the record's place."""

    def __init__(self, record: Record, layout: Layout, where: str, *, strip: bool = True) -> None:
        """
        Args:
            strip: False to keep the white space around every text.
        """
        self.record, self.layout, self.where, self.strip = record, layout, where, strip
        self.format = FORMATS[layout.format]

    def problem(self, what: str, fix: str = "") -> UserError:
        """An error at the record's place."""
        return UserError(truncate(what, 500), where=self.where, fix=fix)

    def column(self, field: str) -> str | None:
        named = self.layout.columns.get(field)
        if named is not None:
            return self._check_present(named) if named else None
        return next((name for name in self._usual(field) if _value(self.record, name) is not _ABSENT), None)

    def _usual(self, field: str) -> tuple[str, ...]:
        return COMMON_COLUMNS.get(field) or self.format.columns[field]

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
        if len(named) < 2 and isinstance(self.record.get("choices"), list):
            return self._list("choices", "choices")
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
        text = value.strip() if strip and self.strip else value
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
            raise self._missing(field, f"tried {', '.join(self._usual(field))}")
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


def build_pair(name: str, text: str, translation: str, layout: Layout, where: str) -> Any:
    """An example of a text and its translation, for each format that consists of such pairs.

    Raises:
        UserError: a translation task has no direction.
    """
    plain = Layout(layout.format, layout.language, direction=layout.direction)
    fields = Fields({"text": text, "translation": translation}, plain, where)
    return FORMATS[layout.format].read_record(fields, name)


def record_reader(name: str, version: int, formats: tuple[str, ...], records: Records) -> Reader:
    """Make a reader of files whose records have named columns."""

    def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        number = 0
        make = FORMATS[layout.format].read_record
        for path in paths:
            for place, record in records(path, layout):
                if isinstance(record, UserError):
                    yield Row(path, place, None, error=record)
                    continue
                fields = Fields(record, layout, f"{path}:{place}")
                try:
                    if layout.where and not fields.matches_where():
                        continue
                    if layout.drop and fields.text("label") in layout.drop:
                        continue
                    document = fields.text("document") if "document" in layout.columns else ""
                    row = Row(path, place, make(fields, fields.example_id(number)), document)
                except UserError as error:
                    row = Row(path, place, None, error=error)
                yield row
                number += 1

    return Reader(name, version, formats, read, has_columns=True, has_fields=True)
