"""Read the rows of a user's file as examples without gold labels, by the reader that training uses. Labels are ignored.

| extension | content | formats |
| --- | --- | --- |
| .csv, .tsv, .jsonl, .json, .parquet | records with named columns | all |
| .txt | one text per line (of tagging: words separated by blanks) | with it in `Format.input_files` |
| .conll | one word per line, first column; an empty line ends a sentence | the same |
| .conllu | CoNLL-U | the same |
| .json | SQuAD layout | span QA |

All but .parquet may be gzip: `.csv.gz`. Standard input is read once, as a file of one of `STREAMED`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.base import STDIN, file_extension
from xlift.tasks.sources.readers import READERS, conll, squad
from xlift.tasks.sources.readers.base import Layout
from xlift.tasks.sources.readers.fields import COMMON_COLUMNS, Fields, Record, find_near

TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet", ".json": "json"}
"""Extension -> reader of files with named columns. A format may read `.json` otherwise."""

STREAMED = (".tsv", ".csv", ".jsonl", ".txt")
"""Extensions of the files that are read once, line by line."""


@dataclass(frozen=True)
class InputRow:
    place: str
    """File and line."""
    example: Any
    """An instance of the format's example class. Its id is the value of column `id`, else the line number."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Column -> value, of a file with columns."""


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
    optional_fields: Mapping[str, bool] = field(default_factory=dict)
    """Optional field -> whether the model was trained with it. Of others, all rows must have it or none."""
    direction: tuple[str, str] = ("", "")
    """Of formats with a direction: source and target language."""
    labels: tuple[str, ...] = ()
    """Of the model."""
    _: KW_ONLY
    extension: str = ""
    """Kind of the file; '' for that of its name. Standard input (`STDIN`) needs it."""

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
        if self.path != STDIN and not self.path.is_file():
            raise UserError("no such file", where=str(self.path))
        if self.columns and not self._has_columns:
            raise UserError(f"'{self._extension}' files have no columns", where="--column", fix="Leave --column out.")

    @property
    def _format(self) -> formats.Format:
        return formats.get(self.format)

    @property
    def _extension(self) -> str:
        return self.extension or file_extension(self.path)

    @property
    def _has_columns(self) -> bool:
        return self._extension in TABLES and self._extension not in self._format.input_files

    @property
    def _layout(self) -> Layout:
        return Layout(self.format, "", dict(self.columns), direction=self.direction, labels=self.labels)

    def __iter__(self) -> Iterator[InputRow]:
        if self._has_columns:
            records = READERS[TABLES[self._extension]].records
            assert records is not None
            return self._with_cli_advice(self._examples(records(self.path, self._layout)))
        if self._extension not in self._format.input_files:
            supported = dict.fromkeys([*TABLES, *self._format.input_files])
            raise UserError(
                f"a model of the format '{self.format}' cannot read '{self._extension}' files", where=str(self.path),
                fix=f"Expected {', '.join(supported)}.",
            )  # fmt: skip
        if self._extension == ".txt" and self.optional_fields.get("text_b"):
            raise UserError(
                "the model needs pairs of texts, but this file has one text per line", where=str(self.path),
                fix="Give a .tsv, .csv or .jsonl file with the columns text_a and text_b.",
            )  # fmt: skip
        return self._examples(FILES[self._extension](self.path, self._layout), strip=self._extension == ".txt")

    def check(self, check_row: Callable[[InputRow], None] = lambda row: None) -> int:
        """Read all rows and return their number. Raises UserError as `checked`."""
        return sum(1 for _ in self.checked(check_row))

    def checked(self, check_row: Callable[[InputRow], None] = lambda row: None) -> Iterator[InputRow]:
        """The rows, each after its check.

        Args:
            check_row: a further check, which raises UserError.

        Raises:
            UserError: a bad row, or a file without rows.
        """
        is_empty = True
        for row in self:
            if problem := self._problem(row):
                raise UserError(problem, where=row.place)
            check_row(row)
            is_empty = False
            yield row
        if is_empty:
            raise UserError("the file has no rows", where=str(self.path))

    def _problem(self, row: InputRow) -> str | None:
        texts = self._format.texts(row.example)
        if not any(text.strip() for text in texts):
            return "the row has no text"
        try:
            for text in (*texts, *row.record, *row.record.values()):
                (text if isinstance(text, str) else json.dumps(text, ensure_ascii=False, default=str)).encode()
        except UnicodeEncodeError:
            return "the text holds an unpaired surrogate, which is not a character"
        return self._format.check_input(row.example)

    def _examples(self, records: Iterable[tuple[str, Record | UserError]], *, strip: bool = True) -> Iterator[InputRow]:
        layout, expected, has_columns = self._layout, dict(self.optional_fields), self._has_columns
        for at, record in records:
            if isinstance(record, UserError):
                raise record
            fields = Fields(record, layout, f"{self.path}:{at}", strip=strip)
            example = self._format.read_record(
                fields, fields.optional("id") or at.removeprefix("row "), with_gold=False
            )
            for name, found in fields.found.items():
                if name != "id" and bool(found) != expected.setdefault(name, bool(found)):
                    raise self._mixed(fields, name)
            yield InputRow(fields.where, example, record if has_columns else {})

    def _mixed(self, fields: Fields, name: str) -> UserError:
        """The error of a row that lacks a field of the model or of the rows above, or has one that they lack."""
        by_model = name in self.optional_fields
        others = "the model was trained" if by_model else "the rows above are"
        usual = COMMON_COLUMNS.get(name) or self._format.columns[name]
        if fields.found[name]:
            column = fields.column(name)
            advice = f"Remove the column '{column}'." if by_model else f"Give every row '{name}', or none."
            return fields.problem(f"the row has '{name}' (column '{column}'), but {others} without it", advice)
        near = find_near(fields.record, usual)
        problem = f"no column for '{name}'" if fields.found[name] is None else f"'{fields.column(name)}' is empty"
        return fields.problem(
            f"{problem}, but {others} with it",
            f"{near}Its usual columns are {', '.join(usual)}; `--column {name}=NAME` names another.",
        )

    @staticmethod
    def _with_cli_advice(rows: Iterator[InputRow]) -> Iterator[InputRow]:
        """Replace the advice to use a study's key `columns` by the option --column."""
        try:
            yield from rows
        except UserError as error:
            advice = error.fix.replace("`columns` maps", "`--column FIELD=NAME` maps")
            raise UserError(error.what, where=error.where, fix=advice) from None


def _sentences(path: Path, layout: Layout) -> Iterator[tuple[str, Record | UserError]]:
    for start, words, _ in conll.sentences(path, layout, with_gold=False):
        yield str(start), {"words": words}


def _treebank(path: Path, layout: Layout) -> Iterator[tuple[str, Record | UserError]]:
    for row in READERS["conllu"].read([path], layout):
        yield row.position, {"words": list(row.example.words)}


def _questions(path: Path, layout: Layout) -> Iterator[tuple[str, Record | UserError]]:
    for at, _, context, question in squad.questions(path):
        name, text = (squad.field(path, question, key, str, at) for key in ("id", "question"))
        yield at, {"id": name, "context": context, "question": text}


def _lines(path: Path, layout: Layout) -> Iterator[tuple[str, Record | UserError]]:
    records = READERS["txt"].records
    assert records is not None
    return records(path, layout)


FILES: dict[str, Callable[[Path, Layout], Iterator[tuple[str, Record | UserError]]]] = {
    ".txt": _lines, ".conll": _sentences, ".conllu": _treebank, ".json": _questions,
}  # fmt: skip
"""Extension of a file without columns -> its records."""
