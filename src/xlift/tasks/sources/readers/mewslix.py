"""Mewsli-X: mentions in WikiNews or Wikipedia, and the entities that they refer to. Descriptions are retrieved.

One file, `wikipedia_pairs-*.jsonl`, gives training pairs: {"contextual_mention": {...}, "entity": {...}}. Two files,
`wikinews_mentions-*.jsonl` and `candidate_set_entities.jsonl`, give scored examples: the mentions in the split's language,
then every entity as the pool. Texts follow XTREME-R's baseline (`utils_mewslix.py`): a mention is its words, a colon, and
its sentence with the mention in braces; an entity is the sentences of its description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.dual_encoding import DualExample
from xlift.tasks.sources.base import truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.records import jsonl_records
from xlift.units import count_noun

_BRACES = re.compile(r"\{(.*?)\}")
_KINDS = {str: "text", int: "number", list: "list", dict: "object"}


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    if len(paths) > 2:
        raise UserError(f"{count_noun(len(paths), 'file')} given, expected mentions and entities", where=str(paths[0]))
    for place, record in jsonl_records(paths[0], layout):
        where = f"{paths[0]}:{place}"
        pair = len(paths) == 1
        node = _field(record, "contextual_mention", dict, where) if pair else record
        context = _field(node, "context", dict, where)
        if not pair and _field(context, "language", str, where) != layout.language:
            continue
        for mention in (
            [_field(node, "mention", dict, where)] if "mention" in node else _field(node, "mentions", list, where)
        ):
            name, entity = _field(mention, "example_id", str, where), _field(mention, "entity_id", str, where)
            query = _mention_text(context, mention, where)
            passage = _entity_text(_field(record, "entity", dict, where), where) if pair else ""
            yield Row(paths[0], place, DualExample(name, query, passage, relevant=() if pair else (entity,)))
    if len(paths) == 2:
        for place, record in jsonl_records(paths[1], layout):
            where = f"{paths[1]}:{place}"
            example = DualExample(_field(record, "entity_id", str, where), "", _entity_text(record, where))
            yield Row(paths[1], place, example)


def _mention_text(context: dict[str, Any], mention: dict[str, Any], where: str) -> str:
    """The mention and the sentence around it."""
    text = _field(context, "text", str, where)
    span = _field(mention, "mention_span", dict, where)
    words, (start, end) = _field(span, "text", str, where), _span(span, text, where)
    if text[start:end] != words:
        raise UserError(
            f"the mention '{truncate(words)}' is not at characters {start} to {end}"
            f" (found: '{truncate(text[start:end])}')",
            where=where,
        )
    for first, last in _sentences(context, text, where):
        if first <= start and end <= last:
            left, right = _BRACES.sub(r"(\1)", text[first:start]), _BRACES.sub(r"(\1)", text[end:last])
            return _one_line(f"{words}: {left} {{ {words} }} {right}")
    raise UserError(f"the mention '{truncate(words)}' is not inside one sentence", where=where)


def _entity_text(entity: dict[str, Any], where: str) -> str:
    text = _field(entity, "description", str, where)
    return _one_line(" ".join(text[first:last] for first, last in _sentences(entity, text, where)))


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _sentences(node: dict[str, Any], text: str, where: str) -> list[tuple[int, int]]:
    return [_span(span, text, where) for span in _field(node, "sentence_spans", list, where)]


def _span(span: Any, text: str, where: str) -> tuple[int, int]:
    start, end = _field(span, "start", int, where), _field(span, "end", int, where)
    if not 0 <= start < end <= len(text):
        raise UserError(f"characters {start} to {end} are outside a text of {len(text):,}", where=where)
    return start, end


def _field(node: Any, key: str, kind: type, where: str) -> Any:
    value = node.get(key) if isinstance(node, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"no {_KINDS[kind]} '{key}' here", where=where, fix="Expected the format of Mewsli-X.")
    return value


MEWSLIX = Reader("mewslix", 1, ("dual-encoding",), read)
