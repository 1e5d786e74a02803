"""Exact match and F1 of answers, by the rules of MLQA's evaluation script (mlqa_evaluation_v1.py, Lewis et al. 2020).

Punctuation is Unicode's, articles are the language's own, and Chinese is compared by character. The official rule has
a bug, kept here: its pattern for the Arabic article, `\\sال^|ال`, takes the two letters out of the middle of words as
well ("سؤال", question, becomes "سؤ"), because the first alternative can never match. `answers.py` has the repair.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xlift.tasks.metrics.answers import ARTICLES, best, overlap, without_punctuation
from xlift.tasks.metrics.base import Metric, mean

_HAN = re.compile("([\u4e00-\u9fa5])")
"""The characters that the script takes for Chinese; rarer ones outside the range stay runs."""


def words(answer: str, language: str) -> list[str]:
    """The words of an answer. MLQA's seven languages have rules; every other one only loses its punctuation."""
    text = without_punctuation(answer.lower())
    if language == "ar":
        text = text.replace("ال", " ")
    elif language == "zh":
        text = _HAN.sub(r" \1 ", text)
    elif language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    return text.split()


def _f1(gold: str, prediction: str, language: str) -> float:
    return overlap(words(gold, language), words(prediction, language))


def _exact(gold: str, prediction: str, language: str) -> float:
    return float(words(gold, language) == words(prediction, language))


def f1_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(F1 against the best answer, 1). Without gold answers the empty prediction is right (as SQuAD v2.0)."""
    if not gold:
        return float(not words(prediction, language)), 1.0
    return best(_f1, gold, prediction, language), 1.0


def exact_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(1 if the prediction is one of the answers, 1)."""
    return best(_exact, gold or ("",), prediction, language), 1.0


MLQA_F1 = Metric("mlqa-f1", "F1 (MLQA)", ("f1", "questions"), f1_counts, mean, by_language=True)
MLQA_EM = Metric("mlqa-em", "exact match (MLQA)", ("exact", "questions"), exact_counts, mean, by_language=True)
