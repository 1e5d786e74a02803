"""The types of readers: a reader takes files of one format and yields rows with examples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.language_tags import folded_code
from xlift.languages import canonical
from xlift.tasks.sources.readers.spelling import unique_by_value


@dataclass(frozen=True)
class Row:
    """One example and its place in a file."""

    path: Path
    position: str
    """Line number, or path in a JSON tree."""
    example: Any
    document: str = ""
    """The unit that must not be split between training and test (an article); empty if rows are independent."""
    skip_reason: str = ""
    """Why the row gives no example; `example` is then None. Such rows are counted."""
    error: UserError | None = None
    """What is wrong with this record alone, so that the records after it can be read; `example` is then None."""
    optional: Mapping[str, bool | None] = field(default_factory=dict)
    """Optional field that was looked for -> True if the record has it, False if its cell is empty, None without a column."""
    columns: Collection[str] = ()
    """Names of the record's columns, for messages."""

    @property
    def where(self) -> str:
        return f"{self.path}:{self.position}"


@dataclass(frozen=True)
class Usage:
    """What of a layout the rows that were read have used."""

    fields: set[str] = field(default_factory=set)
    """Fields whose column was looked for."""
    values: set[tuple[str, str]] = field(default_factory=set)
    """(field, value in a file) that `Layout.values` maps."""


@dataclass(frozen=True)
class Layout:
    """How the fields of a format are stored in a file. Data only, and all but `usage` is part of the
    fingerprint."""

    format: str
    """Name of the format of the examples."""
    language: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Field of the example -> column name, or a dotted path into a column ('answers.text'). 'choices' -> several columns,
    or one that holds a list; 'id' -> one or several columns, whose values are joined by '-'; in the catalogue a text -> one
    or several, joined by spaces. An empty name means that the file has no such column, even if one has a usual name."""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Field -> value in the file -> value in the example; other values are unchanged."""
    drop: tuple[str, ...] = ()
    """Labels of rows that the dataset's authors exclude."""
    unquote: bool = False
    """Remove a pair of quotes around every text."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column -> value of the rows to read, for a file that holds several languages. `*` matches anything."""
    header: tuple[str, ...] = ()
    """Column names of a table without a header line."""
    ragged: bool = False
    """Skip table rows whose number of fields differs from the header's: some published files have a few."""
    direction: tuple[str, ...] = ()
    """For translations without language columns: the languages of the source and of the translation."""
    labels: tuple[str, ...] = ()
    """The task's labels, if known. A label of a file that is written differently (`1.0`, `TRUE`) is read as one of them."""
    keeps_empty: bool = False
    """Read an empty cell of an optional field as an empty text. Published files are read so; in a user's own file it is missing."""
    usage: Usage = field(default_factory=Usage, compare=False, repr=False)
    """Filled by the reader (sources/usage.py)."""

    @cached_property
    def labels_by_value(self) -> dict[str, str]:
        """Whole number or truth value, in its usual spelling -> the one label that means it."""
        return unique_by_value(self.labels)


@dataclass(frozen=True)
class Reader:
    name: str
    version: int
    """Increased when the same bytes give different examples than before; part of the fingerprint."""
    formats: tuple[str, ...]
    """Formats whose examples it can build."""
    rows: Callable[[Sequence[Path], Layout], Iterator[Row]]
    """Yields rows in file order; several files are read one after the other (pairs: in parallel). An error of one record is
    yielded as a row with `error`; every other error is raised."""
    languages: tuple[str, ...] = ()
    """Languages that it has rules of their own for."""
    has_columns: bool = False
    """Whether its records have named columns, so that `where` applies."""
    has_fields: bool = False
    """Whether the columns hold the fields of the format, so that `columns` and `values` apply."""
    records: Callable[[Path, Layout], Iterator[tuple[str, Any]]] | None = None
    """(place, record or its error) of each record of a file, if its examples are built from records (fields.py)."""

    def read(self, paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
        """The rows of `rows`.

        Raises:
            UserError: the first error of a record, or of a whole file.
        """
        for row in self.rows(paths, layout):
            if row.error is not None:
                raise row.error
            yield row

    def rules_for(self, language: str) -> str:
        """The language whose rules a code has that is not in the table of languages ('es' for 'es-MX'); '' for others."""
        known = folded_code(language)
        return known if known in self.languages and canonical(language) is None else ""
