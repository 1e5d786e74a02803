"""LAReQA (XQuAD-R): SQuAD's JSON with `sentence_breaks` in each paragraph. Sentences are retrieved.

One file gives training pairs: a question, the sentence in which its answer begins, and the paragraph. Several files give
scored examples: the questions of the first file, then the pool, which is every sentence of every paragraph of the others
(all languages of XQuAD-R; repeat the first file for a pool in its own language). As in the benchmark's script
(`utils_lareqa.py`), a candidate's id is `LANGUAGE_PARAGRAPH_POSITION`, the relevant candidates are those of every language
whose question has the same id, and a question whose answer begins in no sentence is skipped.

Files without `sentence_breaks` (SQuAD v1.1, which XTREME-R trains on) are split by `sentences`. The benchmark splits with a
longer list of rules, so a few of its pairs have a different sentence.
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
from xlift.tasks.sources.readers.squad import field, paragraphs

_END = re.compile(r"[.?!][)\]'\"”’]*\s+(?=[\[('\"“‘]?[^\W_a-z])")
_NO_END = re.compile(
    r"(?:^|[\s(.])(?:[A-Z]|[Ss]t|[Nn]o|[Vv]ol|Mr|Mrs|Ms|Dr|Prof|Gen|Col|Lt|Capt|Sgt|Gov|Sen|Rev|vs|ca)$"
)

Question = tuple[str, str, str, list[int]]
"""(place, id, text, positions of the sentences that answer it)."""


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence. A sentence ends at `.`, `?` or `!` before white space and a capital or a digit, but
    not after an initial or a title."""
    breaks, start = [], len(text) - len(text.lstrip())
    for end in _END.finditer(text):
        if not _NO_END.search(text[max(start, end.start() - 8) : end.start()]):
            breaks.append((start, start + len(text[start : end.end()].rstrip())))
            start = end.end()
    rest = text[start:].rstrip()
    return [*breaks, (start, start + len(rest))] if rest else breaks


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    question_file, *pool = paths
    if not pool:
        for at, context, texts, questions in _paragraphs(question_file):
            for place, name, question, positions in questions:
                yield Row(question_file, place, DualExample(name, question, texts[positions[0]], context), at)
        return
    relevant: dict[str, list[str]] = {}
    for path in pool:
        for number, (_, _, _, questions) in enumerate(_paragraphs(path), start=1):
            for _, name, _, positions in questions:
                relevant.setdefault(name, []).extend(_candidate(path, number, position) for position in positions)
    for _, _, _, questions in _paragraphs(question_file):
        for place, name, question, _ in questions:
            if name not in relevant:
                raise UserError(
                    f"question '{truncate(name)}' has no answer in the pool", where=f"{question_file}:{place}"
                )
            yield Row(question_file, place, DualExample(name, question, relevant=tuple(relevant[name])))
    for path in pool:
        for number, (at, context, texts, _) in enumerate(_paragraphs(path), start=1):
            for position, text in enumerate(texts):
                yield Row(path, at, DualExample(_candidate(path, number, position), "", text, context))


def _candidate(path: Path, paragraph: int, position: int) -> str:
    return f"{path.stem}_{paragraph}_{position}"


def _paragraphs(path: Path) -> Iterator[tuple[str, str, list[str], list[Question]]]:
    """(place, text, its sentences, its questions) of each paragraph."""
    has_breaks = None
    for at, _, paragraph in paragraphs(path):
        context = field(path, paragraph, "context", str, at)
        has_breaks = "sentence_breaks" in paragraph if has_breaks is None else has_breaks
        spans = _sentence_spans(path, at, paragraph, context) if has_breaks else sentences(context)
        texts = [context[start:end] for start, end in spans]
        questions: list[Question] = []
        for q, node in enumerate(field(path, paragraph, "qas", list, at)):
            place = f"{at}.qas[{q}]"
            name, question = field(path, node, "id", str, place), field(path, node, "question", str, place)
            answers = field(path, node, "answers", list, place)
            if not answers:
                raise UserError("a question without an answer", where=f"{path}:{place}")
            start = field(path, answers[0], "answer_start", int, f"{place}.answers[0]")
            if not 0 <= start < len(context):
                raise UserError(f"answer_start {start} is outside the context", where=f"{path}:{place}")
            answer = next((text for (a, b), text in zip(spans, texts, strict=True) if a <= start < b), None)
            if answer is not None:  # otherwise it begins between sentences: skipped, as in the benchmark
                questions.append((place, name, question, [i for i, text in enumerate(texts) if text == answer]))
        yield at, context, texts, questions


def _sentence_spans(path: Path, at: str, paragraph: Any, context: str) -> list[tuple[int, int]]:
    spans = field(path, paragraph, "sentence_breaks", list, at)
    for span in spans:
        is_span = isinstance(span, list) and len(span) == 2 and all(type(place) is int for place in span)
        if not is_span or not 0 <= span[0] <= span[1] <= len(context):
            raise UserError(f"{truncate(span)} is not a sentence of the context", where=f"{path}:{at}.sentence_breaks")
    return [(start, end) for start, end in spans]


LAREQA = Reader("lareqa", 1, ("dual-encoding",), read)
