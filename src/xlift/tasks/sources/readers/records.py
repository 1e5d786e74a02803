"""Tables and JSON lines: one record with named columns per example.

csv         RFC 4180: commas, and quotes around fields that hold commas, quotes or line ends; the first record is the header.
            Semicolons or tabs separate where the header has them and no comma, or after Excel's first line `sep=;`
tsv         tabs only; a quote is an ordinary character, as in the published files of XNLI and SIB-200
quoted-tsv  tabs, and quotes as in csv: the output of Python's csv.writer with tabs, as in XTREME's XNLI and PAWS-X files
            and in Quora's file of questions
jsonl       one JSON object per line
txt         one text per line, no header

Empty lines are skipped. A table without a header line takes its column names from `header`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import LINE_LIMIT, parse_json, read_lines, truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Record, record_reader

Cells = Iterator[tuple[int, list[str]]]
RecordsOrErrors = Iterator[tuple[str, Record | UserError]]
_DELIMITERS = ",;\t"
_EXCEL = re.compile(r"sep=([,;\t|])")
_QUOTED = re.compile(r'"[^"]*"')


def _raise_errors(records: RecordsOrErrors) -> Iterator[tuple[str, Record]]:
    for place, record in records:
        if isinstance(record, UserError):
            raise record
        yield place, record


def _table(path: Path, cells: Cells, layout: Layout) -> RecordsOrErrors:
    """(line, record) of each row below the header; empty lines are skipped."""
    header: list[str] | None = list(layout.header) or None
    for line, row in cells:
        if not row or row == [""]:
            continue
        if header is None:
            header = [name.strip() for name in row]
            if any("\r" in name for name in header):
                raise UserError(
                    "a carriage return inside the header", where=f"{path}:{line}", fix="End lines with a line feed."
                )
            if len(set(header)) < len(header):
                duplicate, _ = Counter(header).most_common(1)[0]
                raise UserError(f"duplicate column '{truncate(duplicate)}' in the header", where=f"{path}:{line}")
        elif len(row) == len(header):
            yield str(line), dict(zip(header, row, strict=True))
        elif not layout.ragged:
            error = UserError(
                f"{len(row)} fields, the header has {len(header)}",
                where=f"{path}:{line}",
                fix=f"The header is: {truncate(', '.join(header), 500)}.",
            )
            yield str(line), error


def _csv(path: Path, layout: Layout) -> RecordsOrErrors:
    lines = read_lines(path)
    first = next(lines, (1, ""))
    declared = _EXCEL.fullmatch(first[1].rstrip("\r\n"))
    if declared:
        return _table(path, _quoted_cells(path, lines, declared[1], first_line=2), layout)
    return _table(path, _quoted_cells(path, chain([first], lines), _find_delimiter(first[1], layout)), layout)


def _find_delimiter(first_line: str, layout: Layout) -> str:
    """The comma; or a semicolon or a tab, if the first line has it, and no comma, outside of quotes."""
    marks = Counter(_QUOTED.sub("", first_line))
    if layout.header:
        fitting = (mark for mark in _DELIMITERS if marks[mark] == len(layout.header) - 1 > 0)
        return next(fitting, ",")
    return "," if marks[","] else max(_DELIMITERS, key=lambda mark: marks[mark])


def _quoted_tsv(path: Path, layout: Layout) -> RecordsOrErrors:
    return _table(path, _quoted_cells(path, read_lines(path), "\t"), layout)


def _quoted_cells(path: Path, lines: Iterator[tuple[int, str]], delimiter: str, first_line: int = 1) -> Cells:
    csv.field_size_limit(LINE_LIMIT)  # the same limit as in every reader; Python's default is 131,072 characters
    rows = csv.reader((text for _, text in lines), delimiter=delimiter, strict=True)
    line = first_line
    try:
        for row in rows:
            yield line, row
            line = first_line + rows.line_num  # a quoted field may span lines; report the line where the record begins
    except csv.Error as error:
        problem = "a carriage return outside quotes" if "new-line" in str(error) else truncate(str(error))
        raise UserError(
            f"invalid CSV: {problem}",
            where=f"{path}:{line}",
            fix='Put a field with a comma, a quote or a line end in quotes, and double quotes inside it: "a ""b"" c".',
        ) from None


def tsv_records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _raise_errors(_tsv(path, layout))


def _tsv(path: Path, layout: Layout) -> RecordsOrErrors:
    return _table(path, ((line, text.rstrip("\r\n").split("\t")) for line, text in read_lines(path)), layout)


def jsonl_records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    return _raise_errors(_jsonl(path, layout))


def _jsonl(path: Path, layout: Layout) -> RecordsOrErrors:
    return parse_json_lines(read_lines(path), path)


def parse_json_lines(lines: Iterator[tuple[int, str]], path: Path) -> RecordsOrErrors:
    """(line, record or what is wrong with it) of each line that is not blank; `path` is for errors."""
    for line, text in lines:
        if not text.strip():
            continue
        try:
            record = parse_json(text.rstrip("\r\n"), path, line, "Expected one JSON object per line.")
        except UserError as error:
            record = error
        if not isinstance(record, dict | UserError):
            record = UserError("not a JSON object", where=f"{path}:{line}", fix='Expected {"column": value, ...}.')
        yield str(line), record


def _txt(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
    for line, text in read_lines(path):
        if text.strip():
            yield str(line), {"text": text}


TABLES = tuple(name for name, format in FORMATS.items() if not format.tags_words)  # words are lists, which tables lack
CSV = record_reader("csv", 1, TABLES, _csv)
TSV = record_reader("tsv", 1, TABLES, _tsv)
QUOTED_TSV = record_reader("quoted-tsv", 1, TABLES, _quoted_tsv)
JSONL = record_reader("jsonl", 1, tuple(FORMATS), _jsonl)
TXT = record_reader("txt", 1, ("text",), _txt)
