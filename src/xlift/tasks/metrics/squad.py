"""Exact match and F1 of answers, by the rules of SQuAD's evaluation scripts, v1.1 and v2.0.

The English normaliser (ASCII punctuation, "a", "an", "the", words between white space) is applied to every language,
as XQuAD and TyDiQA do it: in Chinese and Thai, which have no spaces, F1 is then nearly exact match. The best of the
gold answers counts. A question without gold answers follows SQuAD v2.0: the empty prediction is right.

The two scripts differ where nothing is left of an answer: v1.1 gives F1 0 to "the" for "an", v2.0 gives 1 and drops
such gold answers beforehand.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from xlift.tasks.metrics.answers import best, overlap
from xlift.tasks.metrics.base import Metric, mean

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _f1(gold: str, prediction: str, language: str = "") -> float:
    return overlap(normalise(gold).split(), normalise(prediction).split())


def _exact(gold: str, prediction: str, language: str = "") -> float:
    return float(normalise(gold) == normalise(prediction))


def f1_counts(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """(F1 against the best answer, 1)."""
    if not gold:
        return float(not normalise(prediction)), 1.0
    return best(_f1, gold, prediction), 1.0


def exact_counts(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """(1 if the prediction is one of the answers, 1)."""
    return best(_exact, gold or ("",), prediction), 1.0


def f1_counts_v2(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    """As v2.0: gold answers of which nothing is left do not count; where none is left, no answer is right."""
    left = [answer for answer in gold if normalise(answer)]
    return f1_counts(left, prediction)


def exact_counts_v2(gold: Sequence[str], prediction: str) -> tuple[float, ...]:
    return exact_counts([answer for answer in gold if normalise(answer)], prediction)


class Threshold(NamedTuple):
    score: float
    """Mean score (0..1) if every question whose null probability is above `at` is answered with nothing."""
    at: float


def best_threshold(
    scores: Sequence[float], answered: Sequence[bool], has_answer: Sequence[bool], null: Sequence[float], *, repaired: bool = False
) -> Threshold:  # fmt: skip
    """`best_exact` or `best_f1` of SQuAD v2.0: the threshold that the *gold* likes best, an oracle and no score of a model.

    Going up the null probabilities, one question after the other is answered by the model instead of by nothing; equal
    scores keep the lower threshold, the first of which is 0.

    Args:
        scores: exact match or F1 of each prediction as it stands.
        answered: whether the prediction is not the empty string.
        has_answer: whether the question has a gold answer.
        null: probability (or score) of having no answer.
        repaired: cut between different probabilities only. The official scan also cuts between questions of one
            probability, in the order of the file, which no threshold can do.

    Raises:
        ValueError: no questions.
    """
    if not len(scores):
        raise ValueError("no questions")
    order = sorted(range(len(scores)), key=lambda i: null[i])
    reached = highest = sum(not there for there in has_answer)
    at = 0.0
    for place, i in enumerate(order):
        reached += scores[i] if has_answer[i] else -int(answered[i])
        tied = place + 1 < len(order) and null[order[place + 1]] == null[i]
        if reached > highest and not (repaired and tied):
            highest, at = reached, null[i]
    return Threshold(highest / len(scores), at)


SQUAD_F1 = Metric("squad-f1", "F1", ("f1", "questions"), f1_counts, mean)
SQUAD_EM = Metric("squad-em", "exact match", ("exact", "questions"), exact_counts, mean)
SQUAD2_F1 = Metric("squad2-f1", "F1 (SQuAD v2.0)", ("f1", "questions"), f1_counts_v2, mean)
SQUAD2_EM = Metric("squad2-em", "exact match (SQuAD v2.0)", ("exact", "questions"), exact_counts_v2, mean)
