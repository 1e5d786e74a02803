"""Exact match and F1 of answers, by the rules of MLQA's evaluation script (mlqa_evaluation_v1.py, Lewis et al. 2020).

It removes Unicode punctuation and the language's articles, and compares Chinese by character. The official rule has a
bug, kept here: its pattern for the Arabic article, `\\sال^|ال`, removes the two letters from the middle of words as
well ("سؤال", question, becomes "سؤ"), because the first alternative never matches. `answers.py` has the repaired rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xlift.language_tags import folded_code
from xlift.tasks.metrics.answers import ARTICLES, max_over_answers, token_f1, without_punctuation
from xlift.tasks.metrics.base import Metric, mean

LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
"""The languages of MLQA."""
_HAN = re.compile("([\u4e00-\u9fa5])")
"""Characters that the script splits as Chinese; rarer ones outside this range stay joined."""


def tokenize_answer(answer: str, language: str) -> list[str]:
    """Words of an answer. MLQA's seven languages have rules; in others only punctuation is removed."""
    language = folded_code(language)
    text = without_punctuation(answer.lower())
    if language == "ar":
        text = text.replace("ال", " ")
    elif language == "zh":
        text = _HAN.sub(r" \1 ", text)
    elif language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    return text.split()


def _f1(gold: str, prediction: str, language: str) -> float:
    return token_f1(tokenize_answer(gold, language), tokenize_answer(prediction, language))


def _exact(gold: str, prediction: str, language: str) -> float:
    return float(tokenize_answer(gold, language) == tokenize_answer(prediction, language))


def f1_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(maximal F1 over the gold answers, 1). Without gold answers the empty prediction is correct (as SQuAD v2.0)."""
    if not gold:
        return float(not tokenize_answer(prediction, language)), 1.0
    return max_over_answers(_f1, gold, prediction, language), 1.0


def exact_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(1 if the prediction equals a gold answer, 1)."""
    return max_over_answers(_exact, gold or ("",), prediction, language), 1.0


def _unknown_language(language: str) -> str:
    return "" if folded_code(language) in LANGUAGES else "only punctuation is removed"


MLQA_F1 = Metric(
    "mlqa-f1", "F1 (MLQA)", ("f1", "questions"), f1_counts, mean, formats=("span-qa",),
    uses_language=True,
    unknown_language=_unknown_language,
)  # fmt: skip
MLQA_EM = Metric(
    "mlqa-em", "exact match (MLQA)", ("exact", "questions"), exact_counts, mean, formats=("span-qa",),
    uses_language=True,
    unknown_language=_unknown_language,
)  # fmt: skip
