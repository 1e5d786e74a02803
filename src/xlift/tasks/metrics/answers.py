"""Shared parts of the question answering metrics, and language-aware exact match and F1.

Each metric normalises an answer to a list of words. The official rules are in `squad.py` and `mlqa.py`, with known
errors: XQuAD and TyDiQA use the English rule in every language, so that in Chinese and Thai F1 is almost exact match
and "Paris" differs from «Paris»; MLQA's rule removes the letters of the Arabic article from the middle of words.
`tokenize_answer` is the repaired rule, the same for all three:

- remove punctuation of every script, as in MLQA;
- remove articles, MLQA's in the languages that it covers; the Arabic one only at the beginning of a word;
- compare scripts without spaces (Han, kana, Thai, Lao, Khmer, Burmese) by character, marks with their base;
- convert text to composed form (NFC) first, since "của" in two code points is the same word as in three;
- two answers that normalise to nothing are equal in F1 too (as in SQuAD v2.0; v1.1 gives exact match 1 and F1 0).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.language_tags import find_language, folded_code
from xlift.tasks.metrics.base import Metric, mean

ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
}
"""Articles of MLQA's evaluation script (Lewis et al. 2020); it includes "của" and "những", which are not articles."""

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
                       "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai and Lao, Burmese, Khmer  # fmt: skip


def max_over_answers(
    measure: Callable[[str, str, str], float], gold: Sequence[str], prediction: str, language: str = ""
) -> float:
    """Maximum over the gold answers. `gold` must not be empty."""
    return max(measure(answer, prediction, language) for answer in gold)


def token_f1(gold: Sequence[str], words: Sequence[str]) -> float:
    """F1 of two bags of words; 0 if they share none, even if both are empty (SQuAD v1.1)."""
    shared = sum((Counter(gold) & Counter(words)).values())
    return 2 * shared / (len(gold) + len(words)) if shared else 0.0


@lru_cache(maxsize=1 << 16)
def is_punctuation(character: str) -> bool:
    """ASCII punctuation and symbols, and every character whose Unicode category is punctuation (MLQA)."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def without_punctuation(text: str) -> str:
    return "".join(character for character in text if not is_punctuation(character))


def tokenize_answer(answer: str, language: str) -> list[str]:
    """Words of an answer by the repaired rule."""
    language = folded_code(language).split("-")[0]
    text = without_punctuation(unicodedata.normalize("NFC", answer).lower())
    if language == "ar":
        text = re.sub(r"(?<!\S)ال", " ", text)
    elif language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    return [token for word in text.split() for token in _split_unspaced(word)]


def _split_unspaced(word: str) -> list[str]:
    """Single characters of scripts without spaces, runs of all others."""
    tokens: list[str] = []
    in_run = False  # whether the next character may extend the last token
    for character in word:
        is_mark = tokens and unicodedata.category(character).startswith("M")
        is_unspaced = bool(_UNSPACED.match(character))
        if is_mark or (in_run and not is_unspaced):
            tokens[-1] += character
        else:
            tokens.append(character)
            in_run = not is_unspaced
    return tokens


def _f1(gold: str, prediction: str, language: str) -> float:
    left, right = tokenize_answer(gold, language), tokenize_answer(prediction, language)
    return token_f1(left, right) if left or right else 1.0


def _exact(gold: str, prediction: str, language: str) -> float:
    return float(tokenize_answer(gold, language) == tokenize_answer(prediction, language))


def f1_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(maximal F1 over the gold answers, 1). Without gold answers the empty prediction is correct."""
    return max_over_answers(_f1, gold or ("",), prediction, language), 1.0


def exact_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(1 if the prediction equals a gold answer, 1)."""
    return max_over_answers(_exact, gold or ("",), prediction, language), 1.0


def _unknown_language(language: str) -> str:
    return "" if language in GENERATED_LANGUAGES or find_language(language) else "no articles are removed"


ANSWER_F1 = Metric(
    "answer-f1", "F1 by the language's words", ("f1", "questions"), f1_counts, mean, formats=("span-qa",),
    uses_language=True,
    unknown_language=_unknown_language,
)  # fmt: skip
ANSWER_EM = Metric(
    "answer-em", "exact match by the language's words", ("exact", "questions"), exact_counts, mean, formats=("span-qa",),
    uses_language=True,
    unknown_language=_unknown_language,
)  # fmt: skip
