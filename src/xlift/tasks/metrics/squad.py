"""Exact match and F1 of answers, by the rules of SQuAD's evaluation scripts, v1.1 and v2.0.

The English normalisation (ASCII punctuation, "a", "an", "the", words between white space) is applied to every language,
as in XQuAD and TyDiQA: in Chinese and Thai, which have no spaces, F1 is then nearly exact match. The score is the
maximum over the gold answers. A question without gold answers follows SQuAD v2.0: the empty prediction is correct.

The two scripts differ if normalisation leaves nothing of an answer: v1.1 gives F1 0 to "the" for "an", v2.0 gives 1 and
drops such gold answers beforehand.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from xlift.tasks.metrics.answers import max_over_answers, token_f1
from xlift.tasks.metrics.base import Metric, mean

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _f1(gold: str, prediction: str, language: str = "") -> float:
    return token_f1(normalise(gold).split(), normalise(prediction).split())


def _exact(gold: str, prediction: str, language: str = "") -> float:
    return float(normalise(gold) == normalise(prediction))


def f1_counts(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """(maximal F1 over the gold answers, 1)."""
    if not gold:
        return float(not normalise(prediction)), 1.0
    return max_over_answers(_f1, gold, prediction), 1.0


def exact_counts(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """(1 if the prediction equals a gold answer, 1)."""
    return max_over_answers(_exact, gold or ("",), prediction), 1.0


def f1_counts_v2(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """As v2.0: gold answers that normalise to nothing are dropped; if none remains, the empty prediction is correct."""
    return f1_counts([answer for answer in gold if normalise(answer)], prediction)


def exact_counts_v2(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    return exact_counts([answer for answer in gold if normalise(answer)], prediction)


class Threshold(NamedTuple):
    score: float
    """Mean score (0..1) if every question with a null probability above `threshold` gets no answer."""
    threshold: float


def best_threshold(
    scores: Sequence[float], answered: Sequence[bool], has_answer: Sequence[bool], null: Sequence[float], *,
    repaired: bool = False,
) -> Threshold:  # fmt: skip
    """`best_exact` or `best_f1` of SQuAD v2.0: the threshold that is best on the *gold* answers. It is an oracle, so
    the result is not a score of the model.

    The threshold goes up the null probabilities and lets the model answer one more question at a time. Ties keep the
    lower threshold; the first one is 0.

    Args:
        scores: exact match or F1 of each prediction.
        answered: whether the prediction is not empty.
        has_answer: whether the question has a gold answer.
        null: probability (or score) of having no answer.
        repaired: use only thresholds between different probabilities. The official scan also stops between questions of
            equal probability, in the order of the file, which no threshold can do.

    Raises:
        ValueError: no questions.
    """
    if not len(scores):
        raise ValueError("no questions")
    order = sorted(range(len(scores)), key=lambda i: null[i])
    total = best_total = sum(not answerable for answerable in has_answer)
    threshold = 0.0
    for position, i in enumerate(order):
        total += scores[i] if has_answer[i] else -int(answered[i])
        is_tied = position + 1 < len(order) and null[order[position + 1]] == null[i]
        if total > best_total and not (repaired and is_tied):
            best_total, threshold = total, null[i]
    return Threshold(best_total / len(scores), threshold)


SQUAD_F1 = Metric("squad-f1", "F1", ("f1", "questions"), f1_counts, mean, formats=("span-qa",))
SQUAD_EM = Metric("squad-em", "exact match", ("exact", "questions"), exact_counts, mean, formats=("span-qa",))
SQUAD2_F1 = Metric("squad2-f1", "F1 (SQuAD v2.0)", ("f1", "questions"), f1_counts_v2, mean, formats=("span-qa",))
SQUAD2_EM = Metric(
    "squad2-em", "exact match (SQuAD v2.0)", ("exact", "questions"), exact_counts_v2, mean, formats=("span-qa",)
)
