"""Scores of answers that ignore the input: guesses at random, the most frequent answer, and the best constant one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlift.analysis.estimates import GuessScores
from xlift.analysis.lift import LiftRow
from xlift.studies.predictions import DecisionScores, read_predictions
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import formats, metrics
from xlift.tasks.formats.base import Format
from xlift.tasks.metrics.base import Metric


def is_choice(form: Format) -> bool:
    """Whether an answer is one of a few: a label of the task, or a choice of the question."""
    return form.has_fixed_answers and form.has_probabilities


def guess_scores(
    metric: Metric, form: Format, gold: Sequence[Any], scores: DecisionScores | None, language: str
) -> GuessScores | None:
    """The scores of two models that ignore the input; None if answers are no choice, or no example has gold.

    Args:
        scores: of any predictions of these examples; they hold the labels of the task, or the number of choices of
            each question. Without them the labels are those in gold, and the score of guesses among choices is unknown.
    """
    if not is_choice(form) or metric.leave_one_out:
        return None
    frequency = Counter(answer for answer in gold if answer is not None)
    if not frequency:
        return None
    labels = sorted({*(scores.labels if scores else ()), *frequency}) if form.has_classes else []

    def sums(answer: Any, constant: Any) -> np.ndarray:
        return np.array(metric.count_example(answer, constant, language, labels))

    most_frequent = max(sorted(frequency), key=lambda answer: frequency[answer])
    majority = sum(count * sums(answer, most_frequent) for answer, count in frequency.items())
    pools: Counter[tuple[Any, tuple[Any, ...]]] = Counter()
    for at, answer in enumerate(gold):
        if answer is not None:
            row = scores.rows[at] if scores else None
            pools[answer, tuple(labels) if labels else tuple(range(len(row or ())))] += 1
    chance = None
    if all(pool for _, pool in pools):
        expected = sum(
            count * np.mean([sums(answer, guess) for guess in pool], axis=0) for (answer, pool), count in pools.items()
        )
        chance = float(metric.compute_score(np.asarray(expected)))
    return GuessScores(chance, float(metric.compute_score(np.asarray(majority))))


@dataclass(frozen=True)
class ChanceLevel:
    """The best constant answer on a target in a language, beside the baseline."""

    target: str
    language: str
    score: float
    """Of the constant answer, from 0 to 1."""
    baseline_low: float
    """Lower end of the interval of the baseline's score."""

    @property
    def is_reached(self) -> bool:
        """Whether the baseline may be no better than the constant answer."""
        return self.baseline_low <= self.score


def chance_levels(record: Record, store: Store, baseline_rows: Sequence[LiftRow]) -> list[ChanceLevel]:
    """The chance level of every language of the targets whose answers are one of a few.

    Args:
        baseline_rows: rows of the pipelines to compare with it; the first of a target and language is used.

    Raises:
        UserError: an artifact is damaged.
    """
    lows: dict[tuple[str, str, str], float] = {}
    for row in baseline_rows:
        lows.setdefault((row.target, row.language, row.metric), row.low)
    found: dict[tuple[str, str], ChanceLevel] = {}
    for cell in record.cells:
        place, note = (cell.target, cell.language), record.tasks[cell.task]
        metric = note.metrics[0]
        low = lows.get((*place, metric))
        form = formats.get(note.format)
        if place in found or low is None or not is_choice(form) or cell.noise or not store.has(cell.key):
            continue
        gold = [each for each in read_predictions(store, cell.key)[1] if isinstance(each, Hashable)]
        definition = metrics.get(metric)
        constant = max(
            (
                definition.score(definition.count_examples(gold, [each] * len(gold), cell.language))
                for each in set(gold)
            ),
            default=0.0,
        )
        found[place] = ChanceLevel(*place, constant, low)
    return list(found.values())
