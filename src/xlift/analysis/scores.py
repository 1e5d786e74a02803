"""Scored cells from the predictions in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from xlift.analysis.chance import guess_scores, is_choice
from xlift.analysis.estimates import GuessScores, ScoredCell
from xlift.analysis.natural import PUBLISHED, add_published_noise
from xlift.analysis.training_status import TrainingStatusReader
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.predictions import PredictedRows, Shared, read_predictions, read_rows, read_scores
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import formats, metrics

AT_OFFICIAL_LAYER = " at the official layer"
"""Suffix of the name of a metric at the official layer, beside the same metric at a layer chosen on dev pairs."""


def load_cells(record: Record, store: Store, *, every_metric: bool = False) -> tuple[list[ScoredCell], list[Cell]]:
    """The scored cells of a study, and the cells whose predictions are missing.

    A cell at a chosen layer gives two scored cells per metric, the second at the official layer. A cell of a published
    test set with typos also gives one with noise over the clean test set (analysis/natural.py).

    Args:
        every_metric: score all metrics of a task; otherwise the first.

    Raises:
        UserError: an artifact is damaged (its digests are checked before it is read).
    """
    cells: list[tuple[Cell, ScoredCell]] = []
    missing: list[Cell] = []
    tables: dict[tuple[str, str], tuple[PredictedRows, np.ndarray]] = {}
    guesses: dict[tuple[str, str, str], GuessScores | None] = {}
    splits = {target.name or target.task: target.split for target in record.study.targets}
    status_reader, shared = TrainingStatusReader(store), {}
    for cell in record.cells:
        keys = (cell.key, cell.dev_key, cell.official_key, cell.official_dev_key)
        if not all(store.has(key) for key in keys if key):
            missing.append(cell)
            continue
        names: Sequence[str] = record.tasks[cell.task].metrics
        for name in names if every_metric else names[:1]:
            for key, dev_key, suffix in ((*keys[:2], ""), (*keys[2:], AT_OFFICIAL_LAYER)):
                if not key:
                    continue
                if (key, name) not in tables:  # several cells may use one artifact
                    tables[key, name] = _counts(store, key, dev_key, name, cell.language, shared)
                rows, counts = tables[key, name]
                metric = metrics.get(name)
                column = (cell.target, cell.language, name)
                if column not in guesses and not cell.noise:
                    guesses[column] = _guesses(record, store, cell, name, rows)
                scored = ScoredCell(
                    model=cell.model, intermediate=cell.intermediate, intermediate_language=cell.intermediate_language,
                    size=cell.size, seed=cell.seed, target=cell.target, language=cell.language, metric=name + suffix,
                    ids=rows.ids, counts=counts, value=metric.compute_score, train_language=cell.train_language,
                    training_status=status_reader.status(key), noise=cell.noise, leave_one_out=metric.leave_one_out,
                    lowest_score=metric.lowest_score, control=cell.control, control_of=cell.control_of,
                    units=rows.units, examples=_examples(record, cell, splits.get(cell.target, "test")),
                    same_task=cell.same_task, steps=status_reader.steps(key),
                    guesses=None if cell.noise else guesses[column],
                )  # fmt: skip
                cells.append((cell, scored))
    return [scored for _, scored in cells] + add_published_noise(cells), missing


def _guesses(record: Record, store: Store, cell: Cell, metric: str, rows: PredictedRows) -> GuessScores | None:
    """The scores of models that ignore the examples of a cell."""
    form = formats.get(record.tasks[cell.task].format)
    if not is_choice(form):
        return None
    scores = read_scores(store, cell.key)
    with readable(store, cell.key, metric):
        return guess_scores(metrics.get(metric), form, rows.references, scores, cell.language)


def _examples(record: Record, cell: Cell, split: str) -> str:
    """The 'task/split' that has the examples of a cell."""
    aligned = PUBLISHED.get(cell.task)
    if aligned and cell.language in aligned.languages:
        return f"{aligned.clean_task}/{split}"
    own = f"{cell.task}/{split}"
    return record.tasks[cell.task].examples_of.get(split, own)


def _counts(
    store: Store, key: str, dev_key: str, metric: str, language: str, shared: Shared
) -> tuple[PredictedRows, np.ndarray]:
    rows = read_rows(store, key, shared)
    definition = metrics.get(metric)
    if definition.fit_threshold:
        apply_threshold = definition.fit_threshold(*read_predictions(store, dev_key)[1:])
        rows = rows._replace(predictions=[apply_threshold(prediction) for prediction in rows.predictions], answers=None)
    with readable(store, key, metric):
        return rows, rows.count(definition, language)


@contextmanager
def readable(store: Store, key: str, metric: str) -> Iterator[None]:
    """Raises UserError for any error of a metric that reads predictions of another form."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise UserError(
            f"the predictions {key[:12]} are not of the form that the metric {metric} reads: {error}",
            where=store.where,
            fix="`xlift store verify` finds damaged files; a bundle from elsewhere may be wrong.",
        ) from None


def mined_pairs(store: Store, key: str, dev_key: str, metric: str) -> list[tuple[str, str]]:
    """The mined pairs above the threshold chosen on dev, as ids of the text and of its translation."""
    fit_threshold = metrics.get(metric).fit_threshold
    assert fit_threshold is not None
    apply_threshold = fit_threshold(*read_predictions(store, dev_key)[1:])
    return [(p["text"], p["translation"]) for p in read_predictions(store, key)[2] if apply_threshold(p) is not None]
