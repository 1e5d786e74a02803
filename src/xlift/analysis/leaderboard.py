"""The predictions of one pipeline of a study, in the form that a benchmark suite needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlift.analysis.scores import mined_pairs
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.predictions import read_predictions
from xlift.studies.record import Record
from xlift.studies.store import Store
from xlift.suites.definitions import Suite
from xlift.suites.submission import TaskPredictions
from xlift.tasks import catalog

PIPELINE_FIELDS = ("model", "intermediate", "intermediate_language", "size", "seed")
"""The fields that identify a pipeline of a study. Its targets may be trained in different languages."""


def choose_pipeline_cells(
    record: Record, suite: Suite, requested: Mapping[str, Any], targets: tuple[str, ...] = ()
) -> dict[str, dict[str, Cell]]:
    """Task of the suite -> language -> cell, for the only pipeline with the requested fields.

    Args:
        requested: attribute of a cell -> its value, of `PIPELINE_FIELDS` and 'train_language'.
        targets: names of targets, to choose among several of one task.

    Raises:
        UserError: no pipeline or more than one matches.
    """
    names = {task.name for task in suite.tasks}
    cells = [cell for cell in record.cells if cell.task in names and not cell.noise]
    if not cells:
        tasks = ", ".join(sorted({cell.task for cell in record.cells})) or "none"
        raise UserError(f"the study has no task of {suite.name}", fix=f"its targets are: {tasks}.")
    for key, value in requested.items():
        # A target without training (retrieval) belongs to every pipeline, whatever language the others are trained in.
        matching = [
            cell
            for cell in cells
            if getattr(cell, key) == value or (key == "train_language" and not cell.train_language)
        ]
        if not matching or all(getattr(cell, key) != value for cell in matching):
            raise _unknown_value(key, value, cells)
        cells = matching
    chosen: dict[str, dict[str, Cell]] = {}
    _check_unique(cells, PIPELINE_FIELDS)
    for name in dict.fromkeys(cell.task for cell in cells):
        task_cells = [cell for cell in cells if cell.task == name]
        named = [cell for cell in task_cells if cell.target in targets] or task_cells
        _check_unique(named, ("target", "train_language"))
        chosen[name] = {cell.language: cell for cell in named}
    return chosen


def _unknown_value(key: str, value: Any, cells: list[Cell]) -> UserError:
    values = ", ".join(str(other) for other in dict.fromkeys(getattr(cell, key) for cell in cells) if other != "")
    return UserError(f"the study has no {key.replace('_', ' ')} '{value}'", fix=f"it has: {values or 'none'}.")


def _check_unique(cells: list[Cell], keys: tuple[str, ...]) -> None:
    for key in keys:
        values = list(dict.fromkeys(getattr(cell, key) for cell in cells))
        if len(values) > 1:
            listed = ", ".join(str(value) or "''" for value in values)
            raise UserError(
                f"the study has several values of --{key.replace('_', '-')}: {listed}",
                fix="choose one: a folder holds one pipeline.",
            )


def load_predictions(
    cells: Mapping[str, Mapping[str, Cell]], suite: Suite, store: Store, data: Path | None
) -> dict[str, dict[str, TaskPredictions]]:
    """The predictions in the store.

    Args:
        data: root folder of data files. Needed only for tasks whose lines are in the order of the English sentences.

    Raises:
        UserError: predictions are missing or not of the whole test set, or the data differs from the data of the run.
    """
    missing = [
        f"{task}/{code}" for task, found in cells.items() for code, cell in found.items()
        if not all(store.has(key) for key in (cell.key, cell.dev_key) if key)
    ]  # fmt: skip
    if missing:
        raise UserError(
            f"not in the store yet: {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            fix="run `xlift run` first.",
        )
    return {
        task: {code: _load_task_predictions(cell, suite, store, data) for code, cell in found.items()}
        for task, found in cells.items()
    }


def _load_task_predictions(cell: Cell, suite: Suite, store: Store, data: Path | None) -> TaskPredictions:
    where = f"{cell.task}/{cell.language}"
    data_spec = store.open(cell.key).manifest["spec"]["data"]
    if data_spec["split"] != "test":
        raise UserError(
            f"predictions of the split '{data_spec['split']}'", where=where, fix="a folder needs those of 'test'."
        )
    if data_spec.get("size") is not None:
        raise UserError(
            f"predictions of a sample of {data_spec['size']} test examples",
            where=where,
            fix="run the target without `size:`.",
        )
    if cell.dev_key:
        pairs = mined_pairs(store, cell.key, cell.dev_key, catalog.get(cell.task).metrics[0])
        return TaskPredictions([text for text, _ in pairs], [translation for _, translation in pairs])
    ids, _, predictions = read_predictions(store, cell.key)
    english: list[str] = []
    if suite.task(cell.task).rule == "positions":
        english = _read_english(cell, data_spec["fingerprint"], data, where)
    return TaskPredictions(ids, predictions, _published_size(cell), english)


def _published_size(cell: Cell) -> int | None:
    """The number of test examples according to the catalogue."""
    counts = catalog.get(cell.task).counts.get("test")
    return counts if isinstance(counts, int) or counts is None else counts.get(cell.language)


def _read_english(cell: Cell, fingerprint: str, data: Path | None, where: str) -> list[str]:
    task = catalog.get(cell.task)
    if not task.source.is_present(cell.language, "test", data):
        raise UserError(
            "the lines of this task follow the order of the English sentences, which the store does not have", where=where,
            fix="give the data folder with --data.",
        )  # fmt: skip
    if task.source.fingerprint(task, cell.language, "test", data) != fingerprint:
        raise UserError(
            "this data differs from the data of the run",
            where=where,
            fix="give the data folder that the study was run with.",
        )
    return [example.translation for example in task.source.read(task, cell.language, "test", data)]
