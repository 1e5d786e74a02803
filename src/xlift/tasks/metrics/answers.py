"""What every scorer of answers shares, and the rule that knows the language.

A rule is a function from an answer and its language to words. The official rules stand beside this file (`squad.py`,
`mlqa.py`). They are known wrong in places: XQuAD and TyDiQA are scored by the English rule in every language, so that in
Chinese and Thai F1 is almost exact match and "Paris" is not «Paris»; MLQA's rule cuts the letters of the Arabic article
out of the middle of words. `words` is the repaired rule, the same for all three:

- punctuation of every script goes, as in MLQA;
- articles go, MLQA's where MLQA has them; the Arabic one at the beginning of a word only;
- what is written without spaces (Han, kana, Thai, Lao, Khmer, Burmese) is compared by character, marks with their base;
- text is put into composed form (NFC) first, since "của" in two code points is the same word as in three;
- two answers of which nothing is left are equal in F1 too (as in SQuAD v2.0), where v1.1 says exact match 1 and F1 0.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from xlift.tasks.metrics.base import Metric, mean

Words = Callable[[str, str], list[str]]
"""(answer, language) -> its words, of which the rule compares nothing but their number and order."""

ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
}
"""What MLQA takes for articles (Lewis et al. 2020, its evaluation script); "của" and "những" are none, but stay."""

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
                       "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai and Lao, Burmese, Khmer  # fmt: skip


def best(measure: Callable[[str, str, str], float], gold: Sequence[str], prediction: str, language: str = "") -> float:
    """The best of the gold answers counts. `gold` must not be empty."""
    return max(measure(answer, prediction, language) for answer in gold)


def overlap(gold: Sequence[str], words: Sequence[str]) -> float:
    """F1 of two bags of words; 0 where they share none, even where both are empty (SQuAD v1.1)."""
    shared = sum((Counter(gold) & Counter(words)).values())
    return 2 * shared / (len(gold) + len(words)) if shared else 0.0


@lru_cache(maxsize=1 << 16)
def is_punctuation(character: str) -> bool:
    """ASCII's punctuation and symbols, and every character whose Unicode category is punctuation (MLQA)."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def without_punctuation(text: str) -> str:
    return "".join(character for character in text if not is_punctuation(character))


def words(answer: str, language: str) -> list[str]:
    """The repaired rule."""
    language = language.split("-")[0]
    text = without_punctuation(unicodedata.normalize("NFC", answer).lower())
    if language == "ar":
        text = re.sub(r"(?<!\S)ال", " ", text)
    elif language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    return [piece for word in text.split() for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    """Characters of what is written without spaces, runs of everything else."""
    pieces: list[str] = []
    open_run = False  # whether the last piece goes on with the next character
    for character in word:
        mark = pieces and unicodedata.category(character).startswith("M")
        alone = bool(_UNSPACED.match(character))
        if mark or (open_run and not alone):
            pieces[-1] += character
        else:
            pieces.append(character)
            open_run = not alone
    return pieces


def _f1(gold: str, prediction: str, language: str) -> float:
    left, right = words(gold, language), words(prediction, language)
    return overlap(left, right) if left or right else 1.0


def _exact(gold: str, prediction: str, language: str) -> float:
    return float(words(gold, language) == words(prediction, language))


def f1_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(F1 against the best answer, 1). Without gold answers the empty prediction is right."""
    return best(_f1, gold or ("",), prediction, language), 1.0


def exact_counts(gold: Sequence[str], prediction: str, language: str) -> tuple[float, ...]:
    """(1 if the prediction is one of the answers, 1)."""
    return best(_exact, gold or ("",), prediction, language), 1.0


ANSWER_F1 = Metric("answer-f1", "F1 by the language's words", ("f1", "questions"), f1_counts, mean, by_language=True)
ANSWER_EM = Metric("answer-em", "exact match by the language's words", ("exact", "questions"), exact_counts, mean, by_language=True)  # fmt: skip
