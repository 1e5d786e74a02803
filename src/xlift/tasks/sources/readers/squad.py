"""SQuAD's JSON, v1.1 and v2.0, also used by XQuAD, MLQA and TyDiQA GoldP: data > paragraphs > qas > answers.

A question that v2.0 marks `is_impossible` has no answers. Ids are those of the questions, so translations in XQuAD share
them. The article is the document that is never split. TyDiQA's single file of all languages is filtered by
`where: {id: "swahili-*"}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.sources.base import parse_json, read_document, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

EXPECTED = "Expected SQuAD: data > paragraphs > context, qas > id, question, answers > text, answer_start."


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    for path in paths:
        for at, title, context, question in questions(path):
            try:
                if _matches_where(path, question, layout.where, at):
                    row = Row(path, at, _example(path, context, question, at), title)
                else:
                    continue
            except UserError as error:
                row = Row(path, at, None, error=error)
            yield row


def questions(path: Path) -> Iterator[tuple[str, str, str, Any]]:
    """(place, title of its article, text of its paragraph, JSON) of each question of a file."""
    for at, title, paragraph in paragraphs(path):
        context = field(path, paragraph, "context", str, at)
        for q, question in enumerate(field(path, paragraph, "qas", list, at)):
            yield f"{at}.qas[{q}]", title, context, question


def paragraphs(path: Path) -> Iterator[tuple[str, str, Any]]:
    """(place, title of its article, JSON) of each paragraph of a file."""
    tree = parse_json(read_document(path), path, 1, "Expected one JSON document in the format of SQuAD.")
    for a, article in enumerate(field(path, tree, "data", list, "")):
        at_article = f"data[{a}]"
        for p, paragraph in enumerate(field(path, article, "paragraphs", list, at_article)):
            title = article.get("title")
            yield (
                f"{at_article}.paragraphs[{p}]",
                title if title and isinstance(title, str) else f"article {a}",
                paragraph,
            )


def _matches_where(path: Path, question: Any, where: Mapping[str, str], at: str) -> bool:
    return all(fnmatchcase(field(path, question, name, str, at), value) for name, value in where.items())


def _example(path: Path, context: str, question: Any, at: str) -> SpanExample:
    name = field(path, question, "id", str, at)
    text = field(path, question, "question", str, at)
    answers = field(path, question, "answers", list, at)
    if "is_impossible" in question and field(path, question, "is_impossible", bool, at) and answers:
        raise UserError("a question marked `is_impossible` has answers", where=f"{path}:{at}")
    places = [f"{at}.answers[{i}]" for i in range(len(answers))]
    return SpanExample(
        id=name,
        context=context,
        question=text,
        answers=tuple(field(path, answer, "text", str, place) for answer, place in zip(answers, places, strict=True)),
        starts=tuple(
            field(path, answer, "answer_start", int, place) for answer, place in zip(answers, places, strict=True)
        ),
    )


def field(path: Path, node: Any, key: str, kind: type, at: str) -> Any:
    """A member of a JSON object, checked to be of type `kind`.

    Raises:
        UserError: it is missing or of another type; the message gives its place in the tree.
    """
    value = node.get(key) if isinstance(node, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        name = {str: "text", int: "number", list: "list", bool: "true or false"}[kind]
        actual = f" (found: {truncate(value, 60)})" if isinstance(node, dict) and key in node else ""
        raise UserError(f"no {name} '{key}' here{actual}", where=f"{path}:{at}" if at else str(path), fix=EXPECTED)
    return value


SQUAD = Reader("squad", 1, ("span-qa",), read, has_columns=True)
