"""Rows as CSV. Text that a spreadsheet would run as a formula is quoted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from xlift.analysis.lift import exported_fields


def format_cell(value: Any) -> Any:
    """A value as a cell: lists and objects as JSON. A text that starts like a formula gets a single quote before it (OWASP, "CSV
    Injection"), since names and texts may come from a stranger's bundle."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def iterate_csv(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines of CSV: a header, then a line for each row. None is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in chain([names], rows):
        writer.writerow([format_cell(value) for value in row])
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def rows_to_csv(row_class: type[Any], rows: Sequence[Any]) -> str:
    """Return dataclass instances of one type with a `to_dict` method as CSV with a header."""
    return "".join(iterate_csv(exported_fields(row_class), (row.to_dict().values() for row in rows)))
