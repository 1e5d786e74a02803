"""Scores of the best constant answer, to tell a baseline that guesses."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from xlift.analysis.lift import LiftRow
from xlift.studies.predictions import read_predictions
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import formats, metrics


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
        is_choice = form.has_fixed_answers and form.has_probabilities  # the answer is one of a few
        if place in found or low is None or not is_choice or cell.noise or not store.has(cell.key):
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
