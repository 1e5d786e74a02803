"""JSON lines with their labels in a file of their own, one a line, as SocialIQA comes: train.jsonl and train-labels.lst.

The label of a record is its column `label`. Two files, or more pairs of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.sources.base import parse_json
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import Record, record_reader
from xlift.tasks.sources.readers.pairs import together

FORMATS = ("classification", "multiple-choice")


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    if len(paths) % 2:
        raise UserError(f"{len(paths)} files where records and labels come in pairs", where=str(paths[0]))
    labels = dict(zip(paths[::2], paths[1::2], strict=True))

    def records(path: Path, layout: Layout) -> Iterator[tuple[str, Record]]:
        for number, line, label in together(path, labels[path]):
            record = parse_json(line.rstrip("\r\n"), path, number, "Expected one JSON object a line.")
            if not isinstance(record, dict) or "label" in record:
                raise UserError("not a JSON object without a label", where=f"{path}:{number}")
            yield str(number), {**record, "label": label}

    yield from record_reader(LABELLED.name, LABELLED.version, FORMATS, records).read(tuple(labels), layout)


LABELLED = Reader("jsonl-labels", 1, FORMATS, read, has_columns=True)
