"""Reads the files of a leaderboard folder as `evaluate.py` does. Where that would crash, raises an error with file and
position.

Lines end in LF, CRLF or CR. Surrounding white space is dropped. Empty lines count where `evaluate.py` counts them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from xlift.errors import UserError


class Lines(NamedTuple):
    lines: list[str]
    warnings: list[str]


class Document(NamedTuple):
    value: Any
    duplicates: list[str]
    """Keys that occur more than once in one object; the last value counts."""


class Question(NamedTuple):
    id: str
    answers: list[str]
    where: str


def read_lines(path: Path) -> Lines:
    """Stripped lines. A byte-order mark stays in the first line, as in `evaluate.py`, with a warning.

    Raises:
        UserError: the file cannot be read or is not UTF-8.
    """
    text = _read_text(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    has_mark = text.startswith("\ufeff")
    warning = f"{path}: begins with a byte-order mark, which the official rule treats as part of the first line"
    return Lines([line.strip() for line in lines], [warning] if has_mark else [])


def split_sentences(lines: list[str]) -> list[list[str]]:
    """Tags of every sentence. Each empty line ends a sentence, so two in a row make an empty sentence."""
    sentences: list[list[str]] = []
    tags: list[str] = []
    for line in lines:
        if line:
            tags.append(line)
        else:
            sentences.append(tags)
            tags = []
    return [*sentences, tags] if tags else sentences


def read_choices(path: Path) -> list[Any]:
    """The 'label' of every line of JSON."""
    labels = []
    for number, line in enumerate(read_lines(path).lines, start=1):
        try:
            labels.append(json.loads(line)["label"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UserError(
                "no JSON object with a 'label'", where=f"{path}:{number}",
                fix='Expected one per line, as {"label": 0}.',
            ) from None  # fmt: skip
    return labels


def read_document(path: Path) -> Document:
    """The JSON value of a file, or the value of its key 'data'.

    Raises:
        UserError: the file is not UTF-8, or not one JSON document.
    """
    duplicates: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            duplicates.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return value

    text = _read_text(path)
    if text.startswith("\ufeff"):
        raise UserError("begins with a byte-order mark", where=f"{path}:1", fix="Save it as UTF-8 without one.")
    try:
        value = json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        raise UserError(
            f"broken JSON: {error.msg}, column {error.colno}", where=f"{path}:{error.lineno}",
            fix="Expected one JSON document.",
        ) from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise UserError(f"unreadable JSON: {error}", where=str(path), fix="Expected one JSON document.") from None
    has_data = isinstance(value, dict) and "data" in value
    return Document(value["data"] if has_data else value, duplicates)


def read_mapping(path: Path) -> Document:
    """The document of a file; its value must be an object."""
    document = read_document(path)
    if not isinstance(document.value, dict):
        raise UserError("no JSON object", where=str(path), fix="Expected an object {id: prediction}.")
    return document


def read_questions(path: Path, data: Any) -> Iterator[Question]:
    """Every question of a label file in SQuAD's layout.

    Raises:
        UserError: the layout is different.
    """
    layout = "Expected SQuAD's layout: data > paragraphs > qas > id, answers > text."

    def get(node: Any, key: str, kind: type, position: str) -> Any:
        if not isinstance(node, dict) or not isinstance(node.get(key), kind):
            raise UserError(f"no '{key}' here", where=f"{path}:{position}", fix=layout)
        return node[key]

    if not isinstance(data, list):
        raise UserError("no list of articles", where=str(path), fix=layout)
    for a, article in enumerate(data):
        for p, paragraph in enumerate(get(article, "paragraphs", list, f"data[{a}]")):
            for q, question in enumerate(get(paragraph, "qas", list, f"data[{a}].paragraphs[{p}]")):
                position = f"data[{a}].paragraphs[{p}].qas[{q}]"
                answers = get(question, "answers", list, position)
                texts = [get(answer, "text", str, f"{position}.answers[{i}]") for i, answer in enumerate(answers)]
                yield Question(get(question, "id", str, position), texts, f"{path}:{position}")


def count_noun(count: int, noun: str) -> str:
    """'1 line', '5,010 lines'."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"not UTF-8 (byte {error.start})", where=f"{path}:{line}", fix="Save it as UTF-8.") from None
