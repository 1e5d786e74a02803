"""Sentences of found papers that have a number and bear on a claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xlift.evidence.search.papers import Paper, Text
from xlift.evidence.search.ranking import Embed, bm25, rank, tokenize

MAX_SENTENCE = 600
"""Characters of a sentence. What is longer is a table or a list of references."""
MAX_EMBEDDED = 200
"""Sentences for which vectors are computed for each claim: the best ones by BM25."""

_ABBREVIATION = re.compile(
    r"(?:\b(?:al|cf|e\.g|eq|etc|fig|figs|i\.e|no|resp|sec|tab|vs|approx)|\b[A-Z])\.$", re.IGNORECASE
)
_END = re.compile(r"[.!?][\"')\]\u201d]*\s+(?=[\"'(\[\u201cA-Z0-9])")
_NO_RESULT = re.compile(
    r"\[[\d,;\s\u2013-]+\]"  # citations
    r"|\b(?:table|figure|fig\.?|section|sec\.?|appendix|equation|eq\.?|chapter|page|pages|pp?\.|footnote|algorithm)\s*\d+(?:[.:-]\d+)*"
    r"|§\s*\d+(?:\.\d+)*|\b\d{4}\.\d{4,5}(?:v\d+)?\b|\b(?:18|19|20|21)\d\d[a-z]?\b",
    re.IGNORECASE,
)
_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000,
}  # fmt: skip
_NUMBER = re.compile(
    rf"(?<![\w.,-])[+\u2212\u2013-]?\d[\d,]*(?:\.\d+)?(?![\w])|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Sentence:
    """A sentence of a paper, as it stands there."""

    paper: Paper
    text: str
    where: str
    page: int | None
    numbers: tuple[float, ...]


def numbered_sentences(papers: Sequence[Paper]) -> list[Sentence]:
    """The sentences with numbers, in the order of the papers. Years, citations and numbers of tables do not count."""
    found: dict[tuple[str, str], Sentence] = {}
    for paper in papers:
        for text in paper.texts:
            for sentence in split_sentences(text):
                if len(sentence) <= MAX_SENTENCE and (numbers := find_numbers(sentence)):
                    found.setdefault((paper.title, sentence), Sentence(paper, sentence, text.where, text.page, numbers))
    return list(found.values())


def split_sentences(text: Text) -> list[str]:
    """The sentences of a text."""
    sentences, start = [], 0
    for match in _END.finditer(text.text):
        if not _ABBREVIATION.search(text.text, start, match.start() + 1):
            sentences.append(text.text[start : match.end()].strip())
            start = match.end()
    return [sentence for sentence in [*sentences, text.text[start:].strip()] if sentence]


def find_numbers(sentence: str) -> tuple[float, ...]:
    """The numbers of a sentence that can be results, in their order."""
    found = (sentence[start:end] for start, end in number_spans(sentence))
    return tuple(
        float(_WORDS.get(number.casefold()) or re.sub("[\u2212\u2013]", "-", number).replace(",", ""))
        for number in found
    )


def number_spans(sentence: str) -> list[tuple[int, int]]:
    """Start and end of each number that can be a result."""
    masked = _NO_RESULT.sub(lambda match: " " * len(match[0]), sentence)
    return [match.span() for match in _NUMBER.finditer(masked)]


def choose_sentences(
    claim: str, sentences: Sequence[Sentence], count: int, embed: Embed | None = None
) -> list[Sentence]:
    """The sentences that bear most on a claim: at least two words shared with it, at most two of a paper, best first."""
    words = set(tokenize(claim))
    related = [sentence for sentence in sentences if len(words & set(tokenize(sentence.text))) >= min(2, len(words))]
    if embed is not None and len(related) > MAX_EMBEDDED:
        best = np.argsort(-bm25(claim, [sentence.text for sentence in related]), kind="stable")[:MAX_EMBEDDED]
        related = [related[at] for at in sorted(best)]
    scores = rank(claim, [sentence.text for sentence in related], embed)
    chosen: list[Sentence] = []
    for at in np.argsort(-scores, kind="stable"):
        sentence = related[at]
        if len(chosen) < count and sum(other.paper == sentence.paper for other in chosen) < 2:
            chosen.append(sentence)
    return chosen
