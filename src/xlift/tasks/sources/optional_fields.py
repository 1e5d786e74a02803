"""Fields that a task may lack, such as the second text of a pair: all rows of all files of a task have them, or none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import COMMON_COLUMNS, find_near


def find_first_row(reader: Reader, files: Iterable[tuple[str, tuple[Path, ...], Layout]]) -> Row | None:
    """The first row of a task that can be read, by which the others are checked. None if there is none, or if the reader has
    no named columns.

    Args:
        files: (fingerprint, paths, layout) of each split and language, in order.
    """
    if not reader.has_columns:
        return None
    for fingerprint, paths, layout in files:
        if fingerprint not in _FIRST_ROWS:
            try:
                rows = reader.rows(paths, layout)
                _FIRST_ROWS[fingerprint] = next((row for row in rows if row.example is not None), None)
            except UserError:  # reported where the file is read
                _FIRST_ROWS[fingerprint] = None
        if _FIRST_ROWS[fingerprint] is not None:
            return _FIRST_ROWS[fingerprint]
    return None


def find_mixed_field(
    row: Row, first: Row | None, first_here: Row, format: str, *, checks_ids: bool
) -> UserError | None:
    """The error of a row that lacks an optional field, or has one, unlike the others.

    Args:
        first: the first row of the task; if it has a column for a field, every row has the field.
        first_here: the first row of the same files, by which ids are checked.
    """
    for field, found in row.optional.items():
        other = (first_here if checks_ids else None) if field == "id" else first
        if other is None or field not in other.optional:
            continue
        expected = other.optional[field] is not None
        if bool(found) != expected:
            return _mixed(row, other, field, format, lacks=expected)
    return None


def _mixed(row: Row, other: Row, field: str, format: str, *, lacks: bool) -> UserError:
    usual = COMMON_COLUMNS.get(field) or formats.get(format).columns[field]
    present = "the cell is empty" if row.optional[field] is False else "no column"
    problem = f"the row has no '{field}' ({present})" if lacks else f"the row has '{field}'"
    near = find_near((row if lacks else other).columns, usual)
    return UserError(
        f"{problem}, but {other.where} has {'a column for it' if lacks else 'none'}", where=row.where,
        fix=f"{near}All rows of a task have '{field}', or none. Its usual columns are {', '.join(usual)}."
        f" `columns: {{{field}: ''}}` leaves it out.",
    )  # fmt: skip


_FIRST_ROWS: dict[str, Row | None] = {}
"""Fingerprint -> the first row of its files that can be read."""
