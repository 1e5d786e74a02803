"""What of a study has run, as counts: the facts that claims are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xlift.analysis.estimates import BASELINE, ScoredCell
from xlift.studies.job import noise_name
from xlift.studies.record import Record
from xlift.studies.schema.intermediate import Intermediate
from xlift.tasks import formats


def count_facts(record: Record, cells: Sequence[ScoredCell]) -> dict[str, int]:
    """Counts over the rows, targets and languages that have scores, by the quantities of claims:

    - intermediate-tasks: tasks with labels that intermediate stages train on, those of mixtures included;
    - target-tasks: tasks that are scored;
    - formats: formats of the intermediate tasks;
    - languages: languages that are scored;
    - multi-task-rows: rows that train on several tasks, at once or one after the other;
    - phases: pretraining, intermediate stages, and training on targets, as far as there are any;
    - models, seeds.
    """
    entries = {_row_name(each): each for each in record.study.intermediate if isinstance(each, Intermediate)}
    ran = [entry for name, entry in entries.items() if any(cell.intermediate == name for cell in cells)]
    tasks = [_labelled_tasks(record, entry, entries) for entry in ran]
    every = set[str]().union(*tasks)
    scored = {cell.target for cell in cells}
    return {
        "intermediate-tasks": len(every),
        "target-tasks": len({cell.task for cell in record.cells if cell.target in scored}),
        "formats": len({record.tasks[task].format for task in every}),
        "languages": len({cell.language for cell in cells}),
        "multi-task-rows": sum(len(each) > 1 for each in tasks),
        "phases": bool(cells)
        + any(cell.intermediate != BASELINE for cell in cells)
        + any(c.train_language for c in cells),
        "models": len({cell.model for cell in cells}),
        "seeds": len({cell.seed for cell in cells}),
    }


def _row_name(entry: Intermediate) -> str:
    """The name of an entry's rows, as `rows.py` makes it."""
    return entry.name or entry.task + (f" ({noise_name(entry.noise)})" if entry.noise else "")


def _labelled_tasks(record: Record, entry: Intermediate, entries: dict[str, Intermediate]) -> set[str]:
    names = {name for name in _tasks(entry, entries) if name in record.tasks}
    return {name for name in names if not formats.get(record.tasks[name].format).is_plain_text}


def _tasks(entry: Intermediate, entries: dict[str, Intermediate]) -> Iterator[str]:
    """The tasks of a row; of a merge, those of its rows."""
    if entry.task:
        yield entry.task
    yield from (part.task for part in entry.mixture)
    yield from (part.task for stage in entry.stages for part in stage.mixture)
    for name in entry.merge:
        if name in entries and entries[name] is not entry:
            yield from _tasks(entries[name], entries)
