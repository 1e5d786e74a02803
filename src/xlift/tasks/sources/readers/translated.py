"""Training sets translated by XTREME's authors.

translated-tsv     five columns and no header: both English texts, both translations, the label (XNLI, PAWS-X). The id is a
                   digest of the English pair and its label, so it is the same in every language, although the files have
                   their rows in different orders. For English the originals are read.
squad-translated   SQuAD v1.1 whose answers are searched in the translated passage, near the place given in the file

Rows without a usable example carry `Row.skip_reason`: a question whose answer is lost in translation, and in a ragged table
a row with another number of fields or an unknown label.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.squad import field, questions

COLUMNS = 5


def read_table(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    labels = layout.values.get("label", {})
    seen: Counter[str] = Counter()
    for path in paths:
        for line, text in read_lines(path):
            text = text.rstrip("\r\n")
            if not text:
                continue
            cells = [_unquoted(cell.strip()) if layout.unquote else cell.strip() for cell in text.split("\t")]
            if len(cells) != COLUMNS:
                if not layout.ragged:
                    raise UserError(
                        f"{len(cells)} fields, expected {COLUMNS}", where=f"{path}:{line}",
                        fix="Expected: English text, English text, translation, translation, label.",
                    )  # fmt: skip
                yield Row(path, str(line), None, skip_reason="a row without five fields")
                continue
            *english, first, second, label = cells
            if layout.ragged and label not in labels:
                yield Row(path, str(line), None, skip_reason="a row without a label")
                continue
            label = labels.get(label, label)
            name = hashlib.sha256("\t".join((*english, label)).encode("utf-8", "replace")).hexdigest()[:16]
            seen[name] += 1
            if seen[name] > 1:  # a few pairs occur in MultiNLI more than once
                name = f"{name}-{seen[name]}"
            pair = english if layout.language == "en" else (first, second)
            yield Row(path, str(line), ClassificationExample(name, pair[0], pair[1], label))


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def read_squad(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    for path in paths:
        for at, title, context, question in questions(path):
            name = field(path, question, "id", str, at)
            text = field(path, question, "question", str, at)
            located = list(_locate_answers(path, context, question, at))
            if not located:
                yield Row(path, at, None, title, skip_reason="a question whose answer is not in the translated passage")
                continue
            answers, starts = zip(*located, strict=True)
            yield Row(path, at, SpanExample(name, context, text, answers, starts), title)


def _locate_answers(path: Path, context: str, question: Any, at: str) -> Iterator[tuple[str, int]]:
    """(text, start) of the answers that occur in the context: at the given place, or the nearest occurrence to it."""
    for i, answer in enumerate(field(path, question, "answers", list, at)):
        place = f"{at}.answers[{i}]"
        text = field(path, answer, "text", str, place).strip()
        given = field(path, answer, "answer_start", int, place)
        if not text or text not in context:
            continue
        near = max(0, min(given, len(context)))
        before, after = context.rfind(text, 0, near + len(text)), context.find(text, near)
        yield text, min((start for start in (after, before) if start >= 0), key=lambda start: abs(start - given))


TRANSLATED_TSV = Reader("translated-tsv", 1, ("classification",), read_table)
SQUAD_TRANSLATED = Reader("squad-translated", 1, ("span-qa",), read_squad)
