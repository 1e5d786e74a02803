"""Formats of examples, one per file; `get` returns one by the name that a task declares."""

from __future__ import annotations

from xlift.errors import UserError, did_you_mean
from xlift.tasks.formats import (
    classification,
    dual_encoding,
    mining,
    multi_label,
    multiple_choice,
    regression,
    retrieval,
    span_qa,
    tagging,
    text,
    translation,
)
from xlift.tasks.formats.base import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        classification, tagging, span_qa, multiple_choice, retrieval, mining, dual_encoding, text, translation,
        regression, multi_label,
    )
}  # fmt: skip


def of_output(kind: str) -> Format:
    """The first format with that kind of output."""
    return next(format for format in FORMATS.values() if format.output_kind == kind)


def get(name: str) -> Format:
    """The format of that name.

    Raises:
        UserError: no format has that name.
    """
    if name not in FORMATS:
        names = tuple(FORMATS)
        raise UserError(f"unknown format '{name}'", fix=f"{did_you_mean(name, names)}formats are {', '.join(names)}")
    return FORMATS[name]
