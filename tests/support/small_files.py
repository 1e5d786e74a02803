"""A task on small files written by a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlift.errors import UserError
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

NLI = ("entailment", "neutral", "contradiction")


def task(
    reader,
    path: str | tuple[str, ...] = "x.{lang}",
    *,
    format="classification",
    labels=NLI,
    languages=("en",),
    **options,
):
    source = FileSource(reader, {"test": path}, {"test": languages}, **options)
    return Task("toy", "Toy", format, (), source, labels=labels)


def read(task, data, language="en", **options):
    return list(task.source.read(task, language, "test", data, **options))


def write(folder: Path, text: str | bytes, name="x.en") -> Path:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refuses(match, task, data, **options):
    with pytest.raises(UserError) as error:
        read(task, data, **options)
    assert match in str(error.value)
    return str(error.value)
