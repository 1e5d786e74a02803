"""Read the rows of a user's file as examples without gold labels. A column of labels is ignored.

| extension | content | formats |
| --- | --- | --- |
| .csv, .tsv, .jsonl | records with named columns | all |
| .txt | one text per line (of tagging: words separated by blanks) | with it in `Format.input_files` |
| .conll | one word per line, first column; an empty line ends a sentence | the same |
| .json | SQuAD layout | the same |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers import squad
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Fields, Record
from xlift.tasks.sources.readers.records import csv_records, jsonl_records, tsv_records

TABLES = {".csv": csv_records, ".tsv": tsv_records, ".jsonl": jsonl_records}


@dataclass(frozen=True)
class InputRow:
    place: str
    """File and line."""
    example: Any
    """An instance of the format's example class. Its id is the value of column `id`, else the line number."""


@dataclass(frozen=True)
class InputRows:
    """The rows of a file. Every iteration reads the file again.

    Raises, while iterating:
        UserError: the file cannot be read, or a row is damaged or lacks a field; the message gives the line.
    """

    path: Path
    format: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> name of its column, if it has an unusual name."""
    pair: bool | None = None
    """Of formats with one text or a pair: whether a row must have two texts."""
    direction: tuple[str, str] = ("", "")
    """Of formats with a direction: source and target language."""

    def __post_init__(self) -> None:
        if not self._format.input_fields:
            supported = (name for name, format in formats.FORMATS.items() if format.input_fields)
            raise UserError(
                f"`xlift predict` does not support models of the format '{self.format}'",
                fix=f"It supports {', '.join(supported)}. The model card shows how to use this model.",
            )
        field_names = ("id", *self._format.input_fields)
        if unknown := [name for name in self.columns if name not in field_names]:
            raise UserError(
                f"unknown field '{unknown[0]}'",
                where="--column",
                fix=f"Fields of {self.format} are {', '.join(field_names)}.",
            )
        if not self.path.is_file():
            raise UserError("no such file", where=str(self.path))
        if self.columns and self.path.suffix.lower() not in TABLES:
            raise UserError(f"'{self.path.suffix}' files have no columns", where="--column", fix="Leave --column out.")

    @property
    def _format(self) -> formats.Format:
        return formats.get(self.format)

    @property
    def _layout(self) -> Layout:
        return Layout(self.format, "", dict(self.columns), direction=self.direction)

    def __iter__(self) -> Iterator[InputRow]:
        extension = self.path.suffix.lower()
        if extension in TABLES:
            return self._with_cli_advice(self._examples(TABLES[extension](self.path, self._layout)))
        if extension not in self._format.input_files:
            supported = [*TABLES, *self._format.input_files]
            raise UserError(
                f"a model of the format '{self.format}' cannot read '{extension}' files", where=str(self.path),
                fix=f"Expected {', '.join(supported)}.",
            )  # fmt: skip
        if extension == ".txt" and self.pair:
            raise UserError(
                "the model needs pairs of texts, but this file has one text per line", where=str(self.path),
                fix="Give a .tsv, .csv or .jsonl file with the columns text_a and text_b.",
            )  # fmt: skip
        return self._examples(FILES[extension](self.path), strip=extension != ".json")

    def check(self) -> int:
        """Read all rows and return their number. Raises UserError for the first bad row and for an empty file."""
        number = 0
        for row in self:
            empty = not any(text.strip() for text in self._format.texts(row.example))
            problem = "the row has no text" if empty else self._problem(row.example)
            if problem:
                raise UserError(problem, where=row.place)
            number += 1
        if not number:
            raise UserError("the file has no rows", where=str(self.path))
        return number

    def _problem(self, example: Any) -> str | None:
        try:
            "".join(self._format.texts(example)).encode()
        except UnicodeEncodeError:
            return "the text holds an unpaired surrogate, which is not a character"
        return self._format.check_input(example)

    def _examples(self, records: Iterable[tuple[str, Record]], *, strip: bool = True) -> Iterator[InputRow]:
        layout = self._layout
        for at, record in records:
            fields = Fields(record, layout, f"{self.path}:{at}", strip=strip)
            if self.pair:
                fields.text("text_b")  # reports a missing column
            example = self._format.read_record(fields, fields.optional("id") or at, with_gold=False)
            yield InputRow(fields.where, example)

    @staticmethod
    def _with_cli_advice(rows: Iterator[InputRow]) -> Iterator[InputRow]:
        """Replace the advice to use a study's key `columns` by the option --column."""
        try:
            yield from rows
        except UserError as error:
            advice = error.fix.replace("`columns` maps", "`--column FIELD=NAME` maps")
            raise UserError(error.what, where=error.where, fix=advice) from None


def _lines(path: Path) -> Iterator[tuple[str, Record]]:
    return ((str(number), {"text": text}) for number, text in read_lines(path) if text.strip())


def _sentences(path: Path) -> Iterator[tuple[str, Record]]:
    start, words = 0, []
    for number, text in read_lines(path):
        columns = text.split()
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                yield str(start), {"words": words}
            start, words = 0, []
        elif not text.startswith("# "):
            start = start or number
            words.append(columns[0])
    if words:
        yield str(start), {"words": words}


def _questions(path: Path) -> Iterator[tuple[str, Record]]:
    for at, _, context, question in squad.questions(path):
        name, text = (squad.field(path, question, key, str, at) for key in ("id", "question"))
        yield at, {"id": name, "context": context, "question": text}


FILES: dict[str, Callable[[Path], Iterator[tuple[str, Record]]]] = {
    ".txt": _lines, ".conll": _sentences, ".json": _questions,
}  # fmt: skip
"""Extension of a file without columns -> its records."""
