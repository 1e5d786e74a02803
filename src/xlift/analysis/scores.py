"""From the predictions in a store to scored cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlift.analysis.lift import ScoredCell
from xlift.studies.plan import Cell
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.tasks import metrics

PREDICTIONS = "predictions.parquet"


def load_cells(record: Record, store: Store, *, every_metric: bool = False) -> tuple[list[ScoredCell], list[Cell]]:
    """Scored cells of a study, and the cells whose predictions are not there yet.

    Args:
        every_metric: all metrics of a task, not only the first.

    Raises:
        UserError: a product is damaged (it is checked against its digests before it is read).
    """
    cells: list[ScoredCell] = []
    missing: list[Cell] = []
    tables: dict[tuple[str, str], tuple[list[str], np.ndarray]] = {}
    for cell in record.cells:
        if not store.has(cell.key):
            missing.append(cell)
            continue
        names: Sequence[str] = record.tasks[cell.task].metrics
        for name in names if every_metric else names[:1]:
            if (cell.key, name) not in tables:  # one product may answer several cells
                tables[cell.key, name] = _counts(store, cell.key, name, cell.language)
            ids, counts = tables[cell.key, name]
            cells.append(
                ScoredCell(
                    model=cell.model, intermediate=cell.intermediate, intermediate_language=cell.intermediate_language,
                    size=cell.size, seed=cell.seed, target=cell.target, language=cell.language, metric=name, ids=ids,
                    counts=counts, value=metrics.get(name).value, train_language=cell.train_language,
                )
            )  # fmt: skip
    return cells, missing


def _counts(store: Store, key: str, metric: str, language: str) -> tuple[list[str], np.ndarray]:
    ids, gold, predictions = read_predictions(store, key)
    measure = metrics.get(metric).measure
    return ids, np.array([measure(g, p, language) for g, p in zip(gold, predictions, strict=True)], dtype=float)


def read_predictions(store: Store, key: str) -> tuple[list[str], list[Any], list[Any]]:
    """Ids, gold answers and predictions of one predict job."""
    import pyarrow.parquet as pq

    table = pq.read_table(store.open(key).file(PREDICTIONS))
    gold, predictions = ([json.loads(value) for value in table[name].to_pylist()] for name in ("gold", "prediction"))
    return table["id"].to_pylist(), gold, predictions
