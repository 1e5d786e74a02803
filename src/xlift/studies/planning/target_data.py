"""The data that targets are trained on. It is the same in every row, so it is known before any row is planned."""

from __future__ import annotations

from collections.abc import Iterator

from xlift.studies.job import Data
from xlift.studies.planning.context import PlanContext
from xlift.studies.schema.targets import Target, TargetData
from xlift.tasks import formats
from xlift.tasks.task import Task


def training_tasks(task: Task, target: Target) -> tuple[str, ...]:
    """Names of the tasks that a target is trained on, one after the other; none if it is scored without training."""
    if target.train is False or not formats.get(task.format).is_trainable:
        return ()
    train = target.train or TargetData()
    names = (train.task,) if isinstance(train.task, str) else train.task
    if names == ("",):
        return (task.name,) if train.split in task.source.splits() or not task.train_task else task.train_task
    return names


def target_mixtures(
    context: PlanContext, task: Task, target: Target, index: int, seed: int
) -> Iterator[tuple[Data, ...]]:
    """The training data of each stage of a target that is trained, one after the other.

    Args:
        index: of the target in the study.

    Raises:
        UserError: a task or language is unknown, cannot replace the target's, or has too few examples.
    """
    resolver, where, train = context.resolver, ("targets", index), target.train or TargetData()
    where_task = (*where, "train", "task")
    *earlier, last = (resolver.find_training_task(name, where_task) for name in training_tasks(task, target))
    for source in earlier:
        resolver.check_same_labels(source, task, where_task)
        language = resolver.find_languages(source, "", "train", where_task)[0]
        yield (resolver.make_data(source, language, "train", None, seed, where_task),)
    resolver.check_same_labels(last, task, where_task)
    place = (*where, "train", "language") if train.language else (*where, "train")
    languages = resolver.find_languages(last, train.language, train.split, place)
    yield tuple(
        resolver.make_data(last, language, train.split, train.size, seed, (*where, "train")) for language in languages
    )
