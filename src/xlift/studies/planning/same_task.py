"""Rows that train on the task of a target: their examples differ from those of the target, and their cells are marked.

More labels of a task lift it, whatever the intermediate stage does otherwise, and an example that both stages train on is no
new label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xlift.studies.examples import count_remaining, have_common_ids
from xlift.studies.job import Data, Subset
from xlift.studies.planning.context import PlanContext
from xlift.studies.planning.target_data import target_mixtures, training_tasks
from xlift.studies.rows import IntermediateRow, MixtureShare
from xlift.studies.schema.targets import Target
from xlift.tasks import catalog
from xlift.tasks.catalog.shared_examples import is_same_task
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.task import Task
from xlift.units import count_noun


def is_same_task_cell(context: PlanContext, row: IntermediateRow, task: Task, target: Target, index: int) -> bool:
    """Whether a row trains on labels of the task that a target is scored on or trained on. A control without those labels
    does not.

    Args:
        index: of the target in the study.
    """
    if (row.id, index) not in context.same_task_cells:  # every seed and model asks
        context.same_task_cells[row.id, index] = _trains_on_target(context, row, task, target)
    return context.same_task_cells[row.id, index]


def _trains_on_target(context: PlanContext, row: IntermediateRow, task: Task, target: Target) -> bool:
    if row.id not in context.row_tasks:
        own = {share.task.name for stage in row.stages for share in stage.shares if share.labels == "given"}
        merged = (context.row_tasks[name] for name, _ in row.merge)
        context.row_tasks[row.id] = frozenset(() if row.control == "steps" else own).union(*merged)
    names = (task.name, *training_tasks(task, target))
    return any(is_same_task(first, second) for first in context.row_tasks[row.id] for second in names)


def exclude_target_data(context: PlanContext, share: MixtureShare, data: Data, seed: int) -> Data:
    """The data of an intermediate stage without the examples that targets of the same task train on. If too few examples would
    be left, it stays as it is, and the plan says so."""
    resolver, task, place = context.resolver, share.task, context.file.locate(*share.where)
    subsets: dict[Subset, str] = {}
    for name, other in _target_data(context, task.name, seed):
        subset = Subset(**{key: getattr(other, key) for key in Subset.model_fields})
        if other.task != task.name and other.language != data.language and not _is_generated(task) and not have_common_ids(data, subset, resolver.tasks):  # fmt: skip
            what = f"{task.name} {data.language} and {other.task} {other.language}, which the target {name} trains on"
            context.warn(f"{place}: {what}, may have the same examples in translation, and nothing tells which.")
        elif _may_share(context, data, subset):
            subsets[subset] = name
    if not subsets:
        return data
    excluded = data.model_copy(update={"excluded": _without_contained(subsets)})
    available = resolver.availability.count(task, data.language, data.split)
    if available is None:
        return excluded.model_copy(update={"size": resolver.count_examples(data)})
    left, names = _count_left(context, excluded, available), " and ".join(dict.fromkeys(subsets.values()))
    what = f"{place}: {task.name} {data.language} {data.split} has {count_noun(available, 'example')}, and {left:,} that {names} does not train on"
    if left < (data.size or 1):
        size = f" The stage needs {data.size:,}." if data.size else ""
        context.warn(f"{what}, too few to keep the training examples apart.{size} A smaller `size` keeps them apart.")
        return data
    if data.size is None:
        context.warn(f"{what}. The stage trains on those.")
    return excluded.model_copy(update={"size": data.size or left})


def _target_data(context: PlanContext, name: str, seed: int) -> Iterator[tuple[str, Data]]:
    """(name of a target, data that it trains on) for all data of the same task."""
    for index, target in enumerate(context.study.targets):
        tasks = (*context.resolver.custom_tasks.values(), *catalog.TASKS)
        task = next((each for each in tasks if each.name == target.task), None)
        if task is None or not any(is_same_task(name, each) for each in training_tasks(task, target)):
            continue  # without a look at its data, so that the order of notes stays
        if (index, seed) not in context.target_data:
            task = context.resolver.find_task(target.task, ("targets", index, "task"))
            mixtures = target_mixtures(context, task, target, index, seed)
            context.target_data[index, seed] = tuple(data for mixture in mixtures for data in mixture)
        for data in context.target_data[index, seed]:
            if is_same_task(name, data.task):
                yield target.name or task.name, data


def _may_share(context: PlanContext, data: Data, subset: Subset) -> bool:
    """Whether some data and a subset can have examples in common."""
    if data.split != subset.split:
        return False
    if data.task != subset.task:
        return True
    if _is_generated(context.resolver.tasks[data.task]):
        return data.seed == subset.seed
    return have_common_ids(data, subset, context.resolver.tasks)


def _is_generated(task: Task) -> bool:
    return isinstance(task.source, GeneratedSource)


def _without_contained(subsets: Iterable[Subset]) -> tuple[Subset, ...]:
    """The largest subset of each (task, language, split, seed), which contains the others; a whole split contains all."""
    largest: dict[Any, Subset] = {}
    for subset in subsets:
        key = subset.model_copy(update={"size": None})
        other = largest.get(key)
        if other is None or (other.size is not None and (subset.size is None or subset.size > other.size)):
            largest[key] = subset
    return tuple(largest.values())


def _count_left(context: PlanContext, data: Data, available: int) -> int:
    """Number of examples that are not excluded. It is a lower bound if files are missing."""
    resolver = context.resolver
    counts = [
        each.size or resolver.availability.count(resolver.tasks[each.task], each.language, each.split) or 0
        for each in data.excluded
    ]
    is_exact = len(data.excluded) == 1 and data.excluded[0].task == data.task
    places = ((each.task, each.language, each.split) for each in (data, *data.excluded))
    if is_exact or any(place in resolver.availability.missing for place in places):
        return max(0, available - sum(counts))
    return count_remaining(data, resolver.tasks, resolver.data)
