"""Every prediction of a study beside its gold answer, one row for each example of each run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from xlift.analysis.chance import is_choice
from xlift.analysis.scores import readable
from xlift.analysis.seed_scores import DEV_LAYER, OFFICIAL_LAYER, SeedRow
from xlift.studies.plan import Cell
from xlift.studies.predictions import read_rows, read_scores
from xlift.studies.record import Record, TaskNote
from xlift.studies.store import Store
from xlift.tasks import formats, metrics
from xlift.tasks.metrics.base import Metric, mean


@dataclass(frozen=True)
class ExamplePrediction(SeedRow):
    """The prediction of one example."""

    control: str
    control_of: str
    id: str
    """Of the example."""
    gold: Any
    """A label, an index of a choice, or what the format of the task has."""
    prediction: Any
    correct: bool | None
    """Whether the prediction is right: all tags of a sentence, all labels of a text, exact match of an answer. None without gold, and
    for translations, rankings, pairs and numbers, which are not right or wrong."""
    score: float | None
    """Of this example by the task's first metric, where that is a mean over examples or words."""
    probability: float | None
    """Of the prediction, for labels and choices."""
    probabilities: dict[str, float] | None
    """Of each label, by name, or of each choice, by its index."""
    score_kind: str
    """What `scores` are: 'probability', 'logit', 'similarity', 'log-likelihood' or 'log-likelihood per token'."""
    scores: list[float] | None
    """The numbers that decided the prediction, as the store has them."""


def select_cells(record: Record, store: Store, **chosen: Collection[Any]) -> list[Cell]:
    """The finished cells of a study whose fields have one of the chosen values.

    Args:
        chosen: field -> values; no values choose all.
    """
    return [
        cell
        for cell in record.cells
        if store.has(cell.key) and all(not values or getattr(cell, name) in values for name, values in chosen.items())
    ]


def read_examples(record: Record, store: Store, cell: Cell) -> Iterator[ExamplePrediction]:
    """The predictions of one cell, of a chosen layer also those at the official layer.

    Raises:
        UserError: an artifact is damaged.
    """
    for layer, key in layers_of(store, cell).items():
        yield from read_layer(record, store, cell, layer, key)


def layers_of(store: Store, cell: Cell) -> dict[str, str]:
    """`ExamplePrediction.layer` -> key of the prediction job."""
    keys = {DEV_LAYER if cell.official_key else "": cell.key}
    if cell.official_key and store.has(cell.official_key):
        keys[OFFICIAL_LAYER] = cell.official_key
    return keys


def identity(record: Record, cell: Cell, layer: str) -> dict[str, Any]:
    """The columns that all rows of a prediction job share."""
    return {
        "study": record.name, "model": cell.model, "intermediate": cell.intermediate,
        "intermediate_language": cell.intermediate_language, "size": cell.size, "seed": cell.seed, "target": cell.target,
        "train_language": cell.train_language, "language": cell.language, "noise": cell.noise, "layer": layer,
        "control": cell.control, "control_of": cell.control_of,
    }  # fmt: skip


def read_layer(record: Record, store: Store, cell: Cell, layer: str, key: str) -> Iterator[ExamplePrediction]:
    """The predictions of one job of a cell, row by row."""
    judge, form = Judge.of(record.tasks[cell.task]), formats.get(record.tasks[cell.task].format)
    rows, scores = read_rows(store, key), read_scores(store, key)
    names = scores.labels if scores and scores.kind == "probability" else ()
    counts_choices = scores is not None and scores.kind == "probability" and is_choice(form)
    same = identity(record, cell, layer)
    numbers_of = list(scores.rows) if scores else []
    for at, (gold, prediction) in enumerate(zip(rows.references, rows.predictions, strict=True)):
        with readable(store, key, judge.first.name):
            numbers = numbers_of[at] if scores else None
            numbers = None if numbers is None else [float(number) for number in numbers]
            probabilities = None
            if numbers and (names or counts_choices):
                probabilities = dict(zip(map(str, names or range(len(numbers))), numbers))
            correct, score = judge(gold, prediction, cell.language)
        yield ExamplePrediction(
            **same, id=rows.ids[at], gold=gold, prediction=prediction, correct=correct, score=score,
            probability=probabilities.get(str(prediction)) if probabilities else None, probabilities=probabilities,
            score_kind=scores.kind if scores else "", scores=numbers,
        )  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """Whether an answer is right, and its score, by the metrics of a task."""

    first: Metric
    by_answer: Metric | None

    @classmethod
    def of(cls, note: TaskNote) -> Judge:
        return cls(metrics.get(note.metrics[0]), _metric_of_answers(note.metrics, note.format))

    def __call__(self, gold: Any, prediction: Any, language: str) -> tuple[bool | None, float | None]:
        """`ExamplePrediction.correct` and `score`."""
        correct = _is_correct(self.by_answer, gold, prediction, language)
        return correct, _score(self.first, gold, prediction, language)


def _metric_of_answers(names: tuple[str, ...], format_name: str) -> Metric | None:
    """A metric whose counts of one example say whether its answer is right: exact match, else the share that is correct, else the
    correct ones of those in gold and predicted. Of the task's metrics, else of its format's."""
    candidates = [*map(metrics.get, names), *metrics.of_format(format_name)]
    for wanted in (("exact",), ("correct", "examples"), ("correct", "words"), ("correct", "gold", "predicted")):
        for metric in candidates:
            is_counted = not metric.uses_labels and not metric.fit_threshold
            if is_counted and metric.count_names[: len(wanted)] == wanted:
                return metric
    return None


def _is_correct(metric: Metric | None, gold: Any, prediction: Any, language: str) -> bool | None:
    if metric is None or gold is None:
        return None
    counts = metric.count_example(gold, prediction, language)[: 3 if metric.count_names[1] == "gold" else 2]
    return len(set(counts)) == 1


def _score(metric: Metric, gold: Any, prediction: Any, language: str) -> float | None:
    """The metric of one example; None if it is no mean over examples, or the example is not scored."""
    if metric.compute_score is not mean or metric.fit_threshold or metric.uses_labels:
        return None
    total, number = metric.count_example(gold, prediction, language)
    return total / number if number else None
