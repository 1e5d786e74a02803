"""JSON lines with their labels in a separate file, one per line, as in SocialIQA: train.jsonl and train-labels.lst.

The label becomes the record's column `label`. Reads one or more pairs of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import parse_json
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import Record, record_reader
from xlift.tasks.sources.readers.pairs import read_aligned_lines
from xlift.units import count_noun

FORMATS = ("classification", "multiple-choice")


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    if len(paths) % 2:
        raise UserError(
            f"{count_noun(len(paths), 'file')} given, records and labels come in pairs", where=str(paths[0])
        )
    labels = dict(zip(paths[::2], paths[1::2], strict=True))

    def records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
        for number, line, label in read_aligned_lines(path, labels[path]):
            record = parse_json(line.rstrip("\r\n"), path, number, "Expected one JSON object per line.")
            if not isinstance(record, dict) or "label" in record:
                raise UserError("expected a JSON object without the key 'label'", where=f"{path}:{number}")
            yield str(number), {**record, "label": label}

    yield from record_reader(JSONL_LABELS.name, JSONL_LABELS.version, FORMATS, records).rows(tuple(labels), layout)


JSONL_LABELS = Reader("jsonl-labels", 1, FORMATS, read, has_columns=True)
