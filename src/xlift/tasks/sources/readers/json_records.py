"""Records in a .json file, in the three ways that are in use:

one JSON object per line                        JSON lines under another extension (OCNLI, JGLUE)
[{...}, {...}]                                  a list of records (pandas `orient="records"`)
{"q1": {...}, "q2": {...}}                      records by key (pandas `orient="index"`); the key is the id of a record that
                                                has no `id`
"""

from __future__ import annotations

import json
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats import FORMATS
from xlift.tasks.sources.base import LINE_LIMIT, open_text, parse_json, read_document, read_lines, truncate
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Record, record_reader
from xlift.tasks.sources.readers.records import RecordsOrErrors, parse_json_lines

_EXPECTED = "Expected one JSON object per line, a list of objects, or an object of objects."


def _records(path: Path, layout: Layout) -> RecordsOrErrors:
    return parse_json_lines(read_lines(path), path) if _has_lines(path) else _document_records(path)


def _has_lines(path: Path) -> bool:
    """Whether the first line that is not blank is a whole record."""
    with open_text(path) as file:
        while (line := file.readline(LINE_LIMIT)) and not line.removeprefix(b"\xef\xbb\xbf").strip():
            pass
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and not _is_table(record)


def _is_table(record: Record) -> bool:
    return all(isinstance(value, dict) for value in record.values())


def _document_records(path: Path) -> RecordsOrErrors:
    document = parse_json(read_document(path), path, 1, _EXPECTED)
    if not isinstance(document, dict | list):
        raise UserError("not a list or an object", where=str(path), fix=_EXPECTED)
    for key, record in document.items() if isinstance(document, dict) else enumerate(document):
        place = f"[{truncate(json.dumps(key, ensure_ascii=False))}]"
        if not isinstance(record, dict):
            yield place, UserError("not a JSON object", where=f"{path}:{place}", fix=_EXPECTED)
        else:
            yield place, {"id": key, **record} if isinstance(key, str) else record


JSON = record_reader("json", 1, tuple(name for name in FORMATS if name != "span-qa"), _records)
