"""Precision, recall and F1 of each label, the confusion matrix, and the calibration of the probabilities.

Of targets whose answers are a choice (chance.py). Every number is a mean over seeds, then over languages, as all scores are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np

from xlift.analysis.chance import is_choice
from xlift.analysis.estimates import ALL, ZERO_SHOT, PipelineKey
from xlift.analysis.scores import readable
from xlift.language_tags import has_language
from xlift.studies.plan import Cell
from xlift.studies.predictions import DecisionScores, PredictedRows, read_rows, read_scores
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import formats
from xlift.tasks.metrics.base import f1
from xlift.tasks.metrics.multilabel import precision, recall

CALIBRATION_BINS = 15
"""As in Guo et al. (2017), 'On Calibration of Modern Neural Networks', ICML."""


@dataclass(frozen=True)
class ClassRow:
    """The scores of one label, or of all labels together. Fields are the keys of the JSON and CSV. Values are fractions."""

    study: str
    model: str
    intermediate: str
    intermediate_language: str
    size: str
    seeds: int
    target: str
    train_language: str
    language: str
    """A language, or the mean 'all' or 'zero-shot'."""
    label: str
    """'' for all labels together."""
    n: int
    """Number of examples with this gold label; the sum for a mean."""
    precision: float | None
    """0 if the label is never predicted. For all labels: the mean over those in gold, the metric macro-precision."""
    recall: float | None
    f1: float | None
    """These three are None for a label that is not in gold, and for choices of a question."""
    accuracy: float | None = None
    """For all labels together."""
    calibration_error: float | None = None
    """For all labels together: `expected_calibration_error`. None without probabilities."""
    predicted: dict[str, int] | None = None
    """Of one label: what the examples with this gold label were predicted as, with their number over all seeds and languages."""

    @property
    def pipeline(self) -> PipelineKey:
        return PipelineKey(self.model, self.intermediate, self.intermediate_language, self.size)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS
) -> float | None:
    """The mean distance between confidence and accuracy over bins of equal width, weighted by their examples (Guo et al., 2017).

    Args:
        confidence: (n,) probability of the predicted answer. Bin m holds ((m - 1) / bins, m / bins].
        correct: (n,) whether it is right.

    Returns:
        From 0 (best) to 1; None without examples.
    """
    if not len(confidence):
        return None
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, correct.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


@dataclass(frozen=True)
class _Scored:
    """The predictions of one run in one language, or their mean over seeds or languages."""

    confusion: np.ndarray
    """(labels, labels) number of examples by gold label and predicted label; (0, 0) for choices."""
    by_label: np.ndarray
    """(labels, 3) precision, recall and F1; nan for labels without gold."""
    macro: np.ndarray
    """(3,) their means."""
    accuracy: float
    calibration_error: float
    """nan if unknown."""
    support: np.ndarray
    """(labels,) number of gold examples."""
    n: int


def class_rows(
    record: Record, store: Store, shown: Collection[tuple[PipelineKey, str]] | None = None
) -> list[ClassRow]:
    """The rows of every pipeline and target, with means over languages where it has all of them.

    Args:
        shown: the only pipelines and targets to read.

    Raises:
        UserError: an artifact is damaged.
    """
    cells = [
        cell
        for cell in record.cells
        if not cell.noise and is_choice(formats.get(record.tasks[cell.task].format)) and store.has(cell.key)
    ]
    languages: dict[tuple[str, str], dict[str, None]] = {}
    groups: dict[tuple[PipelineKey, str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        languages.setdefault((cell.target, cell.train_language), {})[cell.language] = None
        key = PipelineKey(cell.model, cell.intermediate, cell.intermediate_language, cell.size)
        if shown is None or (key, cell.target) in shown:
            by_language = groups.setdefault((key, cell.target, cell.train_language), {})
            by_language.setdefault(cell.language, []).append(cell)
    rows: list[ClassRow] = []
    for (pipeline, target, trained), by_language in groups.items():
        labels, scored = _score(record, store, by_language)
        every = list(languages[target, trained])
        zero_shot = [code for code in every if not has_language(trained.split("+"), code)]
        means = {ALL: every} if len(every) > 1 else {}
        means = {ZERO_SHOT: zero_shot} | means if 0 < len(zero_shot) < len(every) else means
        averages = {
            name: _average([scored[code] for code in codes], np.add.reduce)
            for name, codes in means.items()
            if set(codes) <= scored.keys()
        }
        seeds = min(map(len, by_language.values()))
        for language, found in (averages | scored).items():
            place: dict[str, Any] = {"study": record.name, **pipeline._asdict(), "seeds": seeds, "target": target}
            place |= {"train_language": trained, "language": language}
            accuracy, error = _optional(found.accuracy), _optional(found.calibration_error)
            everything = {
                "label": "",
                "n": found.n,
                **_named(found.macro),
                "accuracy": accuracy,
                "calibration_error": error,
            }
            rows.append(ClassRow(**place, **everything))
            for at, label in enumerate(labels):
                predicted = {to: int(n) for to, n in zip(labels, found.confusion[at], strict=True) if n}
                own = {
                    "label": label,
                    "n": int(found.support[at]),
                    **_named(found.by_label[at]),
                    "predicted": predicted,
                }
                rows.append(ClassRow(**place, **own))
    return rows


def _named(values: np.ndarray) -> dict[str, Any]:
    """(3,) precision, recall and F1 by name."""
    return dict(zip(("precision", "recall", "f1"), map(_optional, values), strict=True))


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _score(record: Record, store: Store, by_language: dict[str, list[Cell]]) -> tuple[list[str], dict[str, _Scored]]:
    """The labels of a target in their order, and the means over seeds in each language."""
    runs = {}
    labels: dict[str, None] = {}
    others: set[str] = set()
    for language, cells in by_language.items():
        for cell in cells:
            rows, scores = read_rows(store, cell.key), read_scores(store, cell.key)
            runs.setdefault(language, []).append((cell, rows, scores))
            if formats.get(record.tasks[cell.task].format).has_classes:
                labels |= dict.fromkeys(scores.labels if scores else ())
                found_answers = rows.answers.pairs()[:2] if rows.answers else (rows.references, rows.predictions)
                others |= {str(answer) for answer in chain(*found_answers) if answer is not None}
    names = [*labels, *sorted(others - labels.keys())]
    scored = {}
    for language, found in runs.items():
        several = []
        for cell, rows, scores in found:
            with readable(store, cell.key, "accuracy"):
                probabilities = scores if scores and scores.kind == "probability" else None
                several.append(_score_run(rows, probabilities, names))
        scored[language] = _average(several, lambda supports: supports[0])
    return names, scored


def _score_run(rows: PredictedRows, probabilities: DecisionScores | None, labels: Sequence[str]) -> _Scored:
    if rows.answers:
        gold, predictions, pair = rows.answers.pairs()
    else:
        gold, predictions, pair = rows.references, rows.predictions, np.arange(len(rows.references))
    is_known = np.array([answer is not None for answer in gold], dtype=bool)[pair]
    is_right = np.array([one == other for one, other in zip(gold, predictions, strict=True)], dtype=bool)
    correct, error = is_right[pair[is_known]], None
    if probabilities is not None and (confidence := _confidence(probabilities, is_known)) is not None:
        error = expected_calibration_error(confidence, correct)
    index = {label: at for at, label in enumerate(labels)}
    confusion = np.zeros((len(labels), len(labels)), dtype=int)
    numbers = np.bincount(pair, minlength=len(gold))
    for one, other, number in zip(gold, predictions, numbers.tolist(), strict=True) if labels else ():
        if one is not None:
            confusion[index[str(one)], index[str(other)]] += number
    sums = np.stack([np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)], axis=-1)
    by_label = np.stack([score(sums) for score in (precision, recall, f1)], axis=-1)
    by_label[sums[:, 1] == 0] = np.nan
    return _Scored(
        confusion,
        by_label,
        _mean_of_known(by_label),
        float(correct.mean()) if len(correct) else np.nan,
        np.nan if error is None else error,
        sums[:, 1],
        len(correct),
    )


def _confidence(scores: DecisionScores, is_known: np.ndarray) -> np.ndarray | None:
    """(known,) the probability of the most probable answer of each example with gold; None if one has no probabilities."""
    if (matrix := scores.matrix()) is not None:
        return matrix[is_known].max(axis=1)
    rows = [row for row, known in zip(scores.rows, is_known.tolist(), strict=True) if known]
    return np.array([max(row) for row in rows], dtype=float) if all(rows) else None


def _average(parts: Sequence[_Scored], supports: Any) -> _Scored:
    """The mean of each score, with summed confusions.

    Args:
        supports: of the parts -> that of the mean: the first of equal ones (seeds), or the sum (languages).
    """
    return _Scored(
        np.add.reduce([part.confusion for part in parts]),
        _mean_of_known(np.stack([part.by_label for part in parts])),
        np.mean([part.macro for part in parts], axis=0),
        float(np.mean([part.accuracy for part in parts])),
        float(np.mean([part.calibration_error for part in parts])),
        supports([part.support for part in parts]),
        int(supports([np.array(part.n) for part in parts])),
    )


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis without nan; nan where all are."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
