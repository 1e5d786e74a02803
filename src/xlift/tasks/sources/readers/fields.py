"""Build examples of any format from records with named columns (tables, JSON lines, Parquet).

The layout names a column, or the usual names of the format (`Format.columns`) are tried. A name may be a path:
`question.stem` goes into an object, and `choices.text` gives the texts of a list of objects, or the list in an object of
lists.

An empty cell, null and NaN mean that a record lacks an optional field, an answer or an id. (A published file may hold empty
texts in optional fields: `Layout.keeps_empty`.) In the column of any other text, an empty cell is an empty text, which
the plan reports, and null is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.spelling import usual_spelling

Record = dict[str, Any]
Records = Callable[[Path, Layout], Iterator[tuple[str, Record | UserError]]]
"""(path, layout) -> (place, record) of each record; the error of a record that cannot be read, if the next ones can be."""

COMMON_COLUMNS = {"id": ("id", "index_id", "idx")}
"""Usual columns of the fields that every format has. `Format.columns` has those of the others."""

LABEL_FIELDS = ("label", "labels", "tags")
"""Fields whose values are names of classes: `true` and `1.0` are possible."""
_CHOICE = re.compile(r"(choice|answer|option|ending)_?([0-9]{1,6})")
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
        self.found: dict[str, bool | None] = {}
        """Optional field that was looked for -> as `Row.optional`."""

    def problem(self, what: str, fix: str = "") -> UserError:
        """An error at the record's place."""
        return UserError(truncate(what, 500), where=self.where, fix=fix)

    def column(self, field: str) -> str | None:
        self.layout.usage.fields.add(field)
        named = self.layout.columns.get(field)
        if named is not None:
            return self._check_present(named) if named else None
        return next((name for name in self._usual(field) if _value(self.record, name) is not _ABSENT), None)

    def _usual(self, field: str) -> tuple[str, ...]:
        return COMMON_COLUMNS.get(field) or self.format.columns[field]

    def matches_where(self) -> bool:
        """Whether the record matches the layout's `where`."""
        return all(
            matches(self.cell_text(self._check_present(column), ""), pattern)
            for column, pattern in self.layout.where.items()
        )

    def example_id(self, number: int) -> str:
        """The id from its column or columns; without one the row number, which parallel files share."""
        named = self.layout.columns.get("id")
        if not isinstance(named, str) and named is not None:
            return "-".join(self.cell_text(self._check_present(name), "id") for name in named)
        column = self.column("id")
        self.found["id"] = None if column is None else True
        name = None if column is None else self._optional_cell(column, "id")
        if name is None and column is not None and not self.layout.keeps_empty:
            raise self.problem(
                f"the id in column '{column}' is empty",
                "Give each row an id, or write `columns: {id: ''}`: then the row numbers are the ids.",
            )
        return name or str(number)

    def choices(self) -> tuple[str, ...]:
        named = self.layout.columns.get("choices")
        if isinstance(named, str):
            return self._list(self._check_present(named), "choices")
        columns = named or self._numbered_columns()
        if len(columns) < 2 and isinstance(self.record.get("choices"), list):
            return self._list("choices", "choices")
        if len(columns) < 2:
            raise self._missing("choices", "list two or more columns in `columns: {choices: [...]}`")
        if self.layout.keeps_empty:
            return tuple(self.cell_text(self._check_present(name), "choices") for name in columns)
        texts = [self._optional_cell(self._check_present(name), "choices") for name in columns]
        while texts and texts[-1] is None:  # a question with fewer choices than others
            texts.pop()
        empty = next((name for name, text in zip(columns, texts, strict=False) if text is None), None)
        if empty is not None:
            raise self.problem(f"'{empty}' is empty, but a choice after it is not")
        return tuple(text for text in texts if text is not None)

    def _numbered_columns(self) -> list[str]:
        """The columns choice1, choice2, ... by their numbers."""
        matches = [match for name in self.record if (match := _CHOICE.fullmatch(name))]
        matches.sort(key=lambda match: int(match[2]))
        if len({match[1] for match in matches}) > 1 or len({int(match[2]) for match in matches}) < len(matches):
            names = truncate(", ".join(match[0] for match in matches))
            raise self.problem(
                f"the order of the choices {names} is not clear", "List their columns in `columns: {choices: [...]}`."
            )
        return [match[0] for match in matches]

    def optional(self, field: str, *, in_some_rows: bool = False) -> str | None:
        """The text of a field that a task may lack; None if it is missing.

        Args:
            in_some_rows: False if all rows of the task have the field, or none.
        """
        column = self.column(field)
        text = None if column is None else self._optional_cell(column, field)
        if not in_some_rows:
            self.found[field] = None if column is None else text is not None
        return text

    def _optional_cell(self, column: str, field: str) -> str | None:
        if _is_null(_value(self.record, column)):
            return None
        text = self.cell_text(column, field)
        return text if text.strip() or self.layout.keeps_empty else None

    def text(self, field: str, *, strip: bool = True) -> str:
        """The text of a field; of several columns their texts, joined by spaces."""
        named = self.layout.columns.get(field)
        if named is not None and not isinstance(named, str):
            return " ".join(self.cell_text(self._check_present(name), field, strip=strip) for name in named)
        return self.cell_text(self._column(field), field, strip=strip)

    def text_or_empty(self, field: str, *, strip: bool = True) -> str:
        """The text of a field whose cell may be empty, such as an answer."""
        column = self._column(field)
        text = "" if _is_null(_value(self.record, column)) else self.cell_text(column, field, strip=strip)
        return text if text.strip() or self.layout.keeps_empty else ""

    def optional_integer(self, field: str) -> int | None:
        return None if self.optional(field) is None else self.integer(field)

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
        if isinstance(value, bool) and field in ("", *LABEL_FIELDS):
            value = str(value).lower()  # as JSON writes it
        if not isinstance(value, str):
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise UserError(f"'{column}' is {truncate(value)}, expected a text", where=self.where)
            value = str(value)
        text = value.strip() if strip and self.strip else value
        if self.layout.unquote and field != "label" and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        mapped = self.layout.values.get(field, {})
        spelling = text if text in mapped or field not in LABEL_FIELDS else usual_spelling(text)
        if spelling in mapped:
            self.layout.usage.values.add((field, spelling))
        if text in mapped or field not in LABEL_FIELDS:
            return mapped.get(text, text)
        text = mapped.get(spelling, text)
        known = self.layout.labels
        return text if not known or text in known else self.layout.labels_by_value.get(usual_spelling(text), text)

    def _list(self, column: str, field: str, *, strip: bool = False) -> tuple[str, ...]:
        value = _value(self.record, column)
        if not isinstance(value, list):
            raise UserError(f"'{column}' is not a list of texts", where=self.where)
        return tuple(self._cell(item, column, field, strip=strip) for item in value)

    def _number(self, text: str, column: str) -> int:
        if not _INTEGER.fullmatch(usual_spelling(text)):
            raise UserError(f"'{column}' is '{truncate(text)}', expected a whole number", where=self.where)
        return int(usual_spelling(text))

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
        near = find_near(self.record, self._usual(field))
        return UserError(f"no column for '{field}' ({detail})", where=self.where, fix=near + self._list_columns())

    def _list_columns(self) -> str:
        columns = f"Columns of the file: {truncate(', '.join(self.record), 500)}. `columns` maps a field to its column."
        separator = next((mark for mark in ";,\t" if any(mark in name for name in self.record)), None)
        if separator is None:
            return columns
        return f"{columns} If {separator!r} separates the columns, name the file .csv and begin it with the line `sep={separator}`."


def find_near(columns: Collection[str], wanted: Collection[str]) -> str:
    """A hint if the name of a column is similar to one that is wanted ("is 'hypothese' meant to be 'hypothesis'? "), or ''."""
    for column in list(columns)[:100]:
        matches = (
            get_close_matches(column, wanted, n=1, cutoff=0.8) if len(column) < 100 and column.isprintable() else ()
        )
        if matches and column not in wanted:
            return f"is '{column}' meant to be '{matches[0]}'? "
    return ""


def matches(value: str, pattern: str) -> bool:
    """Whether a cell has the value of a `where`, or fits its pattern."""
    if value == pattern or usual_spelling(value) == usual_spelling(pattern):
        return True
    return "*" in pattern and fnmatchcase(value, pattern)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


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
    plain = Layout(layout.format, layout.language, direction=layout.direction, keeps_empty=True)
    fields = Fields({"text": text, "translation": translation}, plain, where)
    return FORMATS[layout.format].read_record(fields, name)


def record_reader(name: str, version: int, formats: tuple[str, ...], records: Records) -> Reader:
    """Make a reader of files whose records have named columns."""

    def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        number = 0
        make = FORMATS[layout.format].read_record
        selected = Selection(layout.where)
        for path in paths:
            for place, record in records(path, layout):
                if isinstance(record, UserError):
                    yield Row(path, place, None, error=record)
                    continue
                fields = Fields(record, layout, f"{path}:{place}")
                try:
                    if layout.where and not selected.add(fields.matches_where(), record):
                        continue
                    if layout.drop and fields.text("label") in layout.drop:
                        continue
                    document = fields.text("document") if "document" in layout.columns else ""
                    example = make(fields, fields.example_id(number))
                    row = Row(path, place, example, document, optional=fields.found, columns=record.keys())
                except UserError as error:
                    row = Row(path, place, None, error=error)
                yield row
                number += 1
        selected.check(paths[0])

    return Reader(name, version, formats, read, has_columns=True, has_fields=True, records=records)


class Selection:
    """The rows that `where` selects, and values of its columns for the message if there are none."""

    MAX_VALUES = 8

    def __init__(self, where: Mapping[str, str]) -> None:
        self.where, self.any = where, not where
        self.values: dict[str, dict[str, None]] = {column: {} for column in where}

    def add(self, is_selected: bool, record: Record) -> bool:
        self.any = self.any or is_selected
        if not self.any:
            for column, values in self.values.items():
                if len(values) <= self.MAX_VALUES:
                    values.setdefault(str(_value(record, column)))
        return is_selected

    def check(self, path: Path) -> None:
        """Raise UserError if there were rows, and none was selected."""
        if self.any or not any(self.values.values()):
            return
        shown = "; ".join(
            f"{column}: {', '.join(repr(truncate(value, 40)) for value in list(values)[: self.MAX_VALUES])}"
            + (", ..." if len(values) > self.MAX_VALUES else "")
            for column, values in self.values.items()
        )
        wanted = ", ".join(f"{column}: {truncate(pattern)}" for column, pattern in self.where.items())
        raise UserError(f"no row has {wanted}", where=f"{path}", fix=f"Values in the file: {shown}. Change `where`.")
