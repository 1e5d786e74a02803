"""Read the rows of a user's file as examples without gold labels. A column of labels is ignored.

| extension | content | formats |
| --- | --- | --- |
| .csv, .tsv, .jsonl | records with named columns | all |
| .txt | one text per line | classification, tagging (words separated by blanks), translation |
| .conll | one word per line, first column; an empty line ends a sentence | tagging |
| .json | SQuAD layout | span QA |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.formats.translation import TranslationExample
from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers import squad
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import Fields, Record
from xlift.tasks.sources.readers.records import csv_records, jsonl_records, tsv_records

TABLES = {".csv": csv_records, ".tsv": tsv_records, ".jsonl": jsonl_records}
FIELDS = {
    "classification": ("text_a", "text_b"),
    "tagging": ("words", "text"),
    "span-qa": ("context", "question"),
    "multiple-choice": ("context", "question", "choices"),
    "translation": ("text",),
}
"""Format -> fields that `columns` may map, besides `id`."""


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
    """Classification: whether a row must have two texts."""
    direction: tuple[str, str] = ("", "")
    """Translation: source and target language."""

    def __post_init__(self) -> None:
        if self.format not in FIELDS:
            raise UserError(
                f"`xlift predict` does not support models of the format '{self.format}'",
                fix="It supports classification, tagging, span QA, multiple choice and translation. The model card shows how to "
                "use this model.",
            )
        field_names = ("id", *FIELDS[self.format])
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

    def __iter__(self) -> Iterator[InputRow]:
        extension = self.path.suffix.lower()
        if extension in TABLES:
            return self._with_cli_advice(self._records(extension))
        readers: dict[tuple[str, str], Callable[[], Iterator[InputRow]]] = {
            (".txt", "classification"): lambda: self._texts(lambda name, text: ClassificationExample(name, text)),
            (".txt", "tagging"): lambda: self._texts(lambda name, text: TaggingExample(name, tuple(text.split()))),
            (".txt", "translation"): lambda: self._texts(self._translation),
            (".conll", "tagging"): self._sentences,
            (".json", "span-qa"): self._questions,
        }
        if (extension, self.format) not in readers:
            supported = [*TABLES, *(each for each, format in readers if format == self.format)]
            raise UserError(
                f"a model of the format '{self.format}' cannot read '{extension}' files", where=str(self.path),
                fix=f"Expected {', '.join(supported)}.",
            )  # fmt: skip
        if extension == ".txt" and self.pair:
            raise UserError(
                "the model needs pairs of texts, but this file has one text per line", where=str(self.path),
                fix="Give a .tsv, .csv or .jsonl file with the columns text_a and text_b.",
            )  # fmt: skip
        return readers[extension, self.format]()

    def check(self) -> int:
        """Read all rows and return their number. Raises UserError for the first bad row and for an empty file."""
        number, format = 0, formats.get(self.format)
        for row in self:
            empty = not any(text.strip() for text in format.texts(row.example))
            problem = "the row has no text" if empty else self._problem(row.example)
            if problem:
                raise UserError(problem, where=row.place)
            number += 1
        if not number:
            raise UserError("the file has no rows", where=str(self.path))
        return number

    def _problem(self, example: Any) -> str | None:
        try:
            "".join(formats.get(self.format).texts(example)).encode()
        except UnicodeEncodeError:
            return "the text holds an unpaired surrogate, which is not a character"
        if isinstance(example, ChoiceExample | TaggingExample | TranslationExample):
            return formats.get(self.format).check(example, ())
        return None

    def _records(self, extension: str) -> Iterator[InputRow]:
        layout = Layout(format=self.format, language="", columns=dict(self.columns))
        for line, record in TABLES[extension](self.path, layout):
            place = f"{self.path}:{line}"
            if isinstance(record.get("choices"), list) and "choices" not in self.columns:
                layout = replace(layout, columns={**self.columns, "choices": "choices"})
            fields = Fields(record, layout, place)
            yield InputRow(place, self._example(fields, record, fields.optional("id") or line))

    @staticmethod
    def _with_cli_advice(rows: Iterator[InputRow]) -> Iterator[InputRow]:
        """Replace the advice to use a study's key `columns` by the option --column."""
        try:
            yield from rows
        except UserError as error:
            advice = error.fix.replace("`columns` maps", "`--column FIELD=NAME` maps")
            raise UserError(error.what, where=error.where, fix=advice) from None

    def _example(self, fields: Fields, record: Record, name: str) -> Any:
        if self.format == "classification":
            second = fields.text("text_b") if self.pair else fields.optional("text_b")
            return ClassificationExample(name, fields.text("text_a"), second)
        if self.format == "tagging":
            column = fields.column("words")
            if column is not None and isinstance(record.get(column), list):
                return TaggingExample(name, fields.texts("words"))
            return TaggingExample(name, tuple(fields.text("text" if column is None else "words").split()))
        if self.format == "span-qa":
            return SpanExample(name, fields.text("context", strip=False), fields.text("question"))
        if self.format == "multiple-choice":
            return ChoiceExample(name, fields.text("context"), fields.optional("question") or "", fields.choices())
        return self._translation(name, fields.text("text"))

    def _translation(self, name: str, text: str) -> TranslationExample:
        return TranslationExample(name, text, None, *self.direction)

    def _texts(self, make: Callable[[str, str], Any]) -> Iterator[InputRow]:
        for number, text in read_lines(self.path):
            if text.strip():
                yield InputRow(f"{self.path}:{number}", make(str(number), text.strip()))

    def _sentences(self) -> Iterator[InputRow]:
        start, words = 0, []
        for number, text in read_lines(self.path):
            columns = text.split()
            if not columns or columns[0] == "-DOCSTART-":
                if words:
                    yield InputRow(f"{self.path}:{start}", TaggingExample(str(start), tuple(words)))
                start, words = 0, []
            elif not text.startswith("# "):
                start = start or number
                words.append(columns[0])
        if words:
            yield InputRow(f"{self.path}:{start}", TaggingExample(str(start), tuple(words)))

    def _questions(self) -> Iterator[InputRow]:
        for at, _, context, question in squad.questions(self.path):
            name, text = (squad.field(self.path, question, key, str, at) for key in ("id", "question"))
            yield InputRow(f"{self.path}:{at}", SpanExample(name, context, text))
