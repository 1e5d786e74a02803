"""Tables and JSON lines: one record per example, its fields under names of columns.

csv         RFC 4180: commas, quotes around fields that hold commas, quotes or line ends; the first record is the header
tsv         tabs and nothing else: a quote is a letter like any other, as in the published files of XNLI and SIB-200
quoted-tsv  tabs, and quotes as in csv: what Python's csv.writer makes with tabs, hence XTREME's XNLI and PAWS-X files, and
            Quora's own file of questions
jsonl       one JSON object a line
txt         one text a line, no header

Empty lines hold no record and are passed over. A table without a header line takes its names from `header`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import LINE_LIMIT, clipped, lines, parse_json
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import EXAMPLES, Record, record_reader

Cells = Iterator[tuple[int, list[str]]]


def _table(path: Path, cells: Cells, layout: Layout) -> Iterator[tuple[str, Record]]:
    """(line, record) of each row under the header; empty lines are passed over."""
    header: list[str] | None = list(layout.header) or None
    for line, row in cells:
        if not row or row == [""]:
            continue
        if header is None:
            header = [name.strip() for name in row]
            if any("\r" in name for name in header):
                raise UserError(
                    "a carriage return inside the header", where=f"{path}:{line}", fix="Lines end in a line feed."
                )
            if len(set(header)) < len(header):
                twice, _ = Counter(header).most_common(1)[0]
                raise UserError(f"the header names '{clipped(twice)}' twice", where=f"{path}:{line}")
        elif len(row) == len(header):
            yield str(line), dict(zip(header, row, strict=True))
        elif not layout.ragged:
            raise UserError(
                f"{len(row)} fields where the header has {len(header)}",
                where=f"{path}:{line}",
                fix=f"The header is: {clipped(', '.join(header), 500)}.",
            )


def csv_records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _table(path, _quoted_cells(path, ","), layout)


def _quoted_tsv(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _table(path, _quoted_cells(path, "\t"), layout)


def _quoted_cells(path: Path, delimiter: str) -> Cells:
    csv.field_size_limit(LINE_LIMIT)  # one limit for every reader; Python's own is 131,072 letters
    rows = csv.reader((text for _, text in lines(path)), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in rows:
            yield line, row
            line = rows.line_num + 1  # a quoted field may span lines: a record stands where it begins
    except csv.Error as error:
        what = "a carriage return outside of quotes" if "new-line" in str(error) else clipped(str(error))
        raise UserError(
            f"broken CSV: {what}",
            where=f"{path}:{line}",
            fix='A field with a comma, a quote or a line end stands in quotes; a quote inside is doubled: "a ""b"" c".',
        ) from None


def tsv_records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _table(path, ((line, text.rstrip("\r\n").split("\t")) for line, text in lines(path)), layout)


def jsonl_records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    for line, text in lines(path):
        if not text.strip():
            continue
        record = parse_json(text.rstrip("\r\n"), path, line, "Expected one JSON object a line.")
        if not isinstance(record, dict):
            raise UserError("not a JSON object", where=f"{path}:{line}", fix='Expected {"column": value, ...}.')
        yield str(line), record


def _txt(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    for line, text in lines(path):
        if text.strip():
            yield str(line), {"text": text}


TABLES = tuple(name for name in EXAMPLES if name != "tagging")  # words and tags are lists: JSON has them, tables do not
CSV = record_reader("csv", 1, TABLES, csv_records)
TSV = record_reader("tsv", 1, TABLES, tsv_records)
QUOTED_TSV = record_reader("quoted-tsv", 1, TABLES, _quoted_tsv)
JSONL = record_reader("jsonl", 1, (*TABLES, "tagging"), jsonl_records)
TXT = record_reader("txt", 1, ("text",), _txt)
