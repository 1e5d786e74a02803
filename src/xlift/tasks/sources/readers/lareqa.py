"""LAReQA (XQuAD-R): SQuAD's JSON with `sentence_breaks` in each paragraph. What is retrieved are sentences.

One file gives pairs to train on: a question, the sentence that its answer begins in, and the paragraph. Several files give
what is scored: the questions of the first, then every sentence of every paragraph of the others, which are the pool (all
languages of XQuAD-R; the first file again, if the pool is to be of its language). As in the benchmark's script
(`utils_lareqa.py`) a candidate is `LANGUAGE_PARAGRAPH_POSITION`, relevant are the candidates of every language whose
question has the same id, and a question whose answer begins in no sentence is left out.

Files without `sentence_breaks` (SQuAD v1.1, which XTREME-R trains on) are cut by `sentences`. The benchmark cuts with a
longer list of rules, so a few of its pairs have another sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.tasks.formats.dual_encoding import DualExample
from xlift.tasks.sources.base import clipped
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.tasks.sources.readers.squad import field, paragraphs

_END = re.compile(r"[.?!][)\]'\"”’]*\s+(?=[\[('\"“‘]?[^\W_a-z])")
_NO_END = re.compile(
    r"(?:^|[\s(.])(?:[A-Z]|[Ss]t|[Nn]o|[Vv]ol|Mr|Mrs|Ms|Dr|Prof|Gen|Col|Lt|Capt|Sgt|Gov|Sen|Rev|vs|ca)$"
)

Question = tuple[str, str, str, list[int]]
"""(place, id, text, positions of the sentences that are its answer)."""


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence: one ends at `.`, `?` or `!` before white space and a capital or a digit, but not after
    an initial or a title."""
    breaks, start = [], len(text) - len(text.lstrip())
    for end in _END.finditer(text):
        if not _NO_END.search(text[max(start, end.start() - 8) : end.start()]):
            breaks.append((start, start + len(text[start : end.end()].rstrip())))
            start = end.end()
    rest = text[start:].rstrip()
    return [*breaks, (start, start + len(rest))] if rest else breaks


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    asked, *pool = paths
    if not pool:
        for at, context, texts, questions in _paragraphs(asked):
            for place, name, question, positions in questions:
                yield Row(asked, place, DualExample(name, question, texts[positions[0]], context), at)
        return
    relevant: dict[str, list[str]] = {}
    for path in pool:
        for number, (_, _, _, questions) in enumerate(_paragraphs(path), start=1):
            for _, name, _, positions in questions:
                relevant.setdefault(name, []).extend(_candidate(path, number, position) for position in positions)
    for _, _, _, questions in _paragraphs(asked):
        for place, name, question, _ in questions:
            if name not in relevant:
                raise UserError(f"question '{clipped(name)}' has no answer in the pool", where=f"{asked}:{place}")
            yield Row(asked, place, DualExample(name, question, relevant=tuple(relevant[name])))
    for path in pool:
        for number, (at, context, texts, _) in enumerate(_paragraphs(path), start=1):
            for position, text in enumerate(texts):
                yield Row(path, at, DualExample(_candidate(path, number, position), "", text, context))


def _candidate(path: Path, paragraph: int, position: int) -> str:
    return f"{path.stem}_{paragraph}_{position}"


def _paragraphs(path: Path) -> Iterator[tuple[str, str, list[str], list[Question]]]:
    """(place, text, its sentences, its questions) of each paragraph."""
    cut = None
    for at, _, paragraph in paragraphs(path):
        context = field(path, paragraph, "context", str, at)
        cut = "sentence_breaks" in paragraph if cut is None else cut
        spans = _breaks(path, at, paragraph, context) if cut else sentences(context)
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
                raise UserError(f"answer_start {start} lies outside of the context", where=f"{path}:{place}")
            answer = next((text for (a, b), text in zip(spans, texts, strict=True) if a <= start < b), None)
            if answer is not None:  # else it begins between two sentences: left out, as the benchmark does
                questions.append((place, name, question, [i for i, text in enumerate(texts) if text == answer]))
        yield at, context, texts, questions


def _breaks(path: Path, at: str, paragraph: Any, context: str) -> list[tuple[int, int]]:
    spans = field(path, paragraph, "sentence_breaks", list, at)
    for span in spans:
        whole = isinstance(span, list) and len(span) == 2 and all(type(place) is int for place in span)
        if not whole or not 0 <= span[0] <= span[1] <= len(context):
            raise UserError(f"{clipped(span)} is no sentence of the context", where=f"{path}:{at}.sentence_breaks")
    return [(start, end) for start, end in spans]


LAREQA = Reader("lareqa", 1, ("dual-encoding",), read)
