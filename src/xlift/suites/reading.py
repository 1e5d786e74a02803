"""The files of a leaderboard folder, read as `evaluate.py` reads them, and refused by name and place where it would crash.

Lines end in LF, CRLF or CR, white space around them is dropped, and empty lines count where they count there.
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
    doubled: list[str]
    """Keys that stand more than once in one object: the last one counts."""


class Question(NamedTuple):
    id: str
    answers: list[str]
    where: str


def read_lines(path: Path) -> Lines:
    """Stripped lines. A byte-order mark stays in the first one, as it does there, and is warned of.

    Raises:
        UserError: the file cannot be read or is not UTF-8.
    """
    text = _text(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    marked = text.startswith("\ufeff")
    warning = f"{path}: begins with a byte-order mark, which the official rule takes for a part of the first line"
    return Lines([line.strip() for line in lines], [warning] if marked else [])


def sentences(lines: list[str]) -> list[list[str]]:
    """Tags of every sentence; each empty line ends one, so two of them in a row hold an empty sentence."""
    found: list[list[str]] = []
    tags: list[str] = []
    for line in lines:
        if line:
            tags.append(line)
        else:
            found.append(tags)
            tags = []
    return [*found, tags] if tags else found


def read_choices(path: Path) -> list[Any]:
    """The 'label' of every line of JSON."""
    labels = []
    for at, line in enumerate(read_lines(path).lines, start=1):
        try:
            labels.append(json.loads(line)["label"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UserError(
                "no JSON object with a 'label'", where=f"{path}:{at}",
                fix='Expected one per line, as {"label": 0}.',
            ) from None  # fmt: skip
    return labels


def read_document(path: Path) -> Document:
    """The JSON of a file, or what stands under its key 'data'.

    Raises:
        UserError: not UTF-8, or not one JSON document.
    """
    doubled: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            doubled.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return found

    text = _text(path)
    if text.startswith("\ufeff"):
        raise UserError("begins with a byte-order mark", where=f"{path}:1", fix="Save it as UTF-8 without one.")
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise UserError(
            f"broken JSON: {error.msg}, column {error.colno}", where=f"{path}:{error.lineno}",
            fix="Expected one JSON document.",
        ) from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise UserError(f"unreadable JSON: {error}", where=str(path), fix="Expected one JSON document.") from None
    inside = isinstance(value, dict) and "data" in value
    return Document(value["data"] if inside else value, doubled)


def read_mapping(path: Path) -> Document:
    """A document that must be an object."""
    found = read_document(path)
    if not isinstance(found.value, dict):
        raise UserError("no JSON object", where=str(path), fix="Expected ids and what was predicted for each.")
    return found


def questions(path: Path, data: Any) -> Iterator[Question]:
    """Every question of a file of labels in SQuAD's layout.

    Raises:
        UserError: the layout is another one.
    """
    layout = "Expected SQuAD's layout: data > paragraphs > qas > id, answers > text."

    def part(node: Any, key: str, kind: type, at: str) -> Any:
        if not isinstance(node, dict) or not isinstance(node.get(key), kind):
            raise UserError(f"no '{key}' here", where=f"{path}:{at}", fix=layout)
        return node[key]

    if not isinstance(data, list):
        raise UserError("no list of articles", where=str(path), fix=layout)
    for a, article in enumerate(data):
        for p, paragraph in enumerate(part(article, "paragraphs", list, f"data[{a}]")):
            for q, question in enumerate(part(paragraph, "qas", list, f"data[{a}].paragraphs[{p}]")):
                at = f"data[{a}].paragraphs[{p}].qas[{q}]"
                answers = part(question, "answers", list, at)
                texts = [part(answer, "text", str, f"{at}.answers[{i}]") for i, answer in enumerate(answers)]
                yield Question(part(question, "id", str, at), texts, f"{path}:{at}")


def number(count: int, what: str) -> str:
    """'1 line', '5,010 lines'."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"not UTF-8 (byte {error.start})", where=f"{path}:{line}", fix="Save it as UTF-8.") from None
