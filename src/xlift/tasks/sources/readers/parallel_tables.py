"""Two tab-separated tables whose rows match by id. SIB-200 has one file per language with the same sentences, so any two of
its files are parallel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats.text import FORMAT as TEXT
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.fields import Fields, build_pair
from xlift.tasks.sources.readers.records import tsv_records
from xlift.units import count_noun


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    """Read the texts of the first file and their translations in the second. The first is in the split's language, or, in a
    translation task, in the source language. Both have `id` and `text`."""
    if len(paths) != 2:
        raise UserError(f"{count_noun(len(paths), 'file')} given, expected two parallel tables", where=str(paths[0]))
    path, other = paths
    translations: dict[str, str] = {}
    for at, name, text in _texts(other, layout):
        if name in translations:
            raise UserError(f"duplicate id '{truncate(name)}'", where=f"{other}:{at}")
        translations[name] = text
    unused = set(translations)
    for at, name, text in _texts(path, layout):
        unused.discard(name)
        if name not in translations:
            raise UserError(
                f"the id '{truncate(name)}' is not in {other.name}", where=f"{path}:{at}",
                fix="Both files must hold the same sentences.",
            )  # fmt: skip
        yield Row(path, at, build_pair(name, text, translations[name], layout, f"{path}:{at}"))
    if unused:
        raise UserError(
            f"the id '{truncate(min(unused))}' is not in {path.name}", where=str(other),
            fix="Both files must hold the same sentences.",
        )  # fmt: skip


def _texts(path: Path, layout: Layout) -> Iterator[tuple[str, str, str]]:
    """(line, id, text) of each row."""
    layout = replace(layout, format=TEXT.name)  # whatever the pairs become, each table has texts
    for at, record in tsv_records(path, layout):
        fields = Fields(record, layout, f"{path}:{at}")
        yield at, fields.text("id"), fields.text("text")


PARALLEL_TSV = Reader("parallel-tsv", 1, ("retrieval", "text", "translation"), read)
