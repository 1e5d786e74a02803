"""Write predictions as .tsv, .csv or .jsonl, or as .conll for tagging (word, tag, score).

A row of a table or of JSON lines has the columns of the input, then the answer: `label`, `score` and, if they are asked for,
the probability of each label. Rows of a file without columns have `id` in place of the input's columns.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from xlift.errors import UserError
from xlift.execution.file_prediction.input_rows import InputRow
from xlift.execution.file_prediction.predictor import Prediction
from xlift.tasks import formats
from xlift.tasks.sources.base import truncate

EXTENSIONS = (".tsv", ".csv", ".jsonl", ".conll")
_BREAKS = re.compile(r"[\t\r\n]+")
_PREFIX = "predicted_"


def check_extension(extension: str, format_name: str, where: str = "--out") -> None:
    """Raise UserError if predictions of a format cannot be written as such a file."""
    supported = [name for name in EXTENSIONS if name != ".conll" or formats.get(format_name).tags_words]
    if extension not in supported:
        raise UserError(
            f"cannot write {format_name} predictions as '{extension}'",
            where=where,
            fix=f"Expected {', '.join(supported)}.",
        )


@dataclass
class OutputColumns:
    """The columns of the output: those of the input and those of the answer, which must have other names."""

    extension: str
    labels: tuple[str, ...] = ()
    """Labels whose probabilities are written."""
    names: list[str] | None = None
    """The columns of the first input row."""
    prefix: str = ""
    """Before the names of the answer's columns, if the input has one of these names."""
    _known: set[str] = field(default_factory=set)

    @property
    def answer_names(self) -> list[str]:
        """Columns of the answer in a table, without the prefix."""
        return ["label", "score", *(f"probability_{label}" for label in self.labels)]

    def check(self, row: InputRow) -> None:
        """Take the columns of the first row, and check that the others have no new ones.

        Raises:
            UserError: a row has a column for which the output has no place.
        """
        if self.extension == ".conll" or (self.names is not None and row.record.keys() <= self._known):
            return
        answer = {*self.answer_names, "scores", "probabilities"}
        if self.names is None:
            self.names = list(row.record)
            self._known = set(self.names)
            self.prefix = _PREFIX if answer & self._known else ""
        added = {self.prefix + name for name in answer}
        if taken := next((name for name in row.record if name in added), None):
            raise UserError(
                f"the column '{truncate(taken)}' has the name of a column of the output",
                where=row.place,
                fix="Rename the column.",
            )
        new = next((name for name in row.record if name not in self._known), None)
        if new is not None and self.extension != ".jsonl":
            raise UserError(
                f"the row has a column '{truncate(new)}' that the first row lacks",
                where=row.place,
                fix="Write JSON lines (.jsonl), or give all rows the same columns.",
            )


class PredictionWriter:
    """Writes predictions to an open text file. `columns.check` must have had the input rows."""

    def __init__(self, stream: IO[str], format_name: str, columns: OutputColumns) -> None:
        self.stream, self.columns, self._format = stream, columns, formats.get(format_name)
        self._csv = csv.writer(stream, lineterminator="\n")
        self._has_header = columns.extension not in (".tsv", ".csv")

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Write all predictions, in order."""
        write = {".conll": self._write_words, ".jsonl": self._write_json}.get(self.columns.extension, self._write_cells)
        for prediction in predictions:
            write(prediction)

    def _write_cells(self, prediction: Prediction) -> None:
        if not self._has_header:
            self._has_header = True
            answer = [self.columns.prefix + name for name in self.columns.answer_names]
            self._write_line([*(self.columns.names or ["id"]), *answer])
        probabilities = prediction.probabilities if self.columns.labels else ()
        given = [_cell(prediction.record.get(name)) for name in self.columns.names or ()] or [prediction.id]
        label = self._format.answer_cell(prediction.label)
        self._write_line([*given, label, *map(_score, (prediction.score, *probabilities))])

    def _write_line(self, cells: Sequence[str]) -> None:
        if self.columns.extension == ".csv":
            self._csv.writerow(cells)
        else:  # as the reader of .tsv, which has no quotes
            self.stream.write("\t".join(_BREAKS.sub(" ", cell) for cell in cells) + "\n")

    def _write_json(self, prediction: Prediction) -> None:
        answer: dict[str, Any] = {"label": prediction.label, "score": _rounded(prediction.score)}
        if self.columns.labels:
            pairs = zip(self.columns.labels, prediction.probabilities, strict=True)
            answer["probabilities"] = {label: _rounded(own) for label, own in pairs}
        record = prediction.record or {"id": prediction.id}
        if prediction.scores:
            record = record if prediction.record else {**record, "words": list(prediction.example.words)}
            answer["scores"] = [_rounded(score) for score in prediction.scores]
        named = {self.columns.prefix + name: value for name, value in answer.items()}
        self.stream.write(json.dumps({**_without_nan(record), **named}, ensure_ascii=False, default=str) + "\n")

    def _write_words(self, prediction: Prediction) -> None:
        scores = prediction.scores or (None,) * len(prediction.label)
        for word, tag, score in zip(prediction.example.words, prediction.label, scores, strict=True):
            self.stream.write(f"{word}\t{tag}\t{_score(score)}\n")
        self.stream.write("\n")


def _cell(value: Any) -> str:
    """A value of the input as a cell: lists and objects as JSON, and nothing for null and NaN."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(_without_nan(value), ensure_ascii=False, default=str)
    return str(value)


def _without_nan(value: Any) -> Any:
    """The value with null in place of numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return {key: _without_nan(each) for key, each in value.items()} if isinstance(value, dict) else value


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.6f}"


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
