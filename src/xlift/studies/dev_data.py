"""The dev data of a training stage: of the languages it trains on, and of no other.

Training evaluates on it to detect collapse (Recipe.retries) and to choose a checkpoint (Recipe.early_stopping). So a target
language is never evaluated during training unless the study trains on its labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xlift.errors import UserError
from xlift.recipes import Recipe
from xlift.studies.job import Data
from xlift.studies.resolver import Resolver
from xlift.tasks import formats
from xlift.yaml_document import Keys

MAX_DEV_EXAMPLES = 500
"""A larger dev split is subsampled to this size, under seed 0."""
_NO_EARLY_STOPPING = "leave `early_stopping` out of this stage's training."


def find_dev_data(
    resolver: Resolver, mixture: Sequence[Data], recipe: Recipe, where: Keys, warn: Callable[[str], None]
) -> tuple[Data, ...]:
    """The dev data of a stage, once for each (task, language) with labels; () if the recipe needs none.

    Args:
        where: the place of the stage in the study.

    Raises:
        UserError: early stopping is on, and some part has no dev data.
    """
    if recipe.early_stopping is None and recipe.retries == 0:
        return ()
    is_text = {data: formats.get(data.find_task(resolver.tasks).format).is_plain_text for data in mixture}
    labelled = (data for data in mixture if data.labels == "given" and not is_text[data])
    parts = {(data.task, data.language): data for data in labelled}
    dev_data: list[Data] = []
    for data in parts.values():
        try:
            is_optional = recipe.early_stopping is None and _is_present(resolver, data, data.split)
            dev = _dev_data_of_part(resolver, data, where, is_optional)
        except UserError as error:
            if recipe.early_stopping is not None or _is_present(resolver, data, "dev"):
                raise
            warn(f"{data.task} {data.language} has no dev data here, so a collapse would go unnoticed: {error.what}.")
            continue
        if isinstance(dev, Data):
            dev_data.append(dev)
        elif recipe.early_stopping is not None:
            raise UserError(
                f"early stopping is impossible: {data.task} in '{data.language}' {dev}",
                where=resolver.file.locate(*where), fix=_NO_EARLY_STOPPING,
            )  # fmt: skip
    if recipe.early_stopping is not None and not dev_data:
        raise UserError(
            "early stopping is impossible: the stage has no labels to evaluate on",
            where=resolver.file.locate(*where), fix=_NO_EARLY_STOPPING,
        )  # fmt: skip
    return tuple(dev_data)


def _dev_data_of_part(resolver: Resolver, data: Data, where: Keys, is_optional: bool) -> Data | str:
    """The dev data of one part, or the reason why there is none.

    Args:
        is_optional: missing files are an error, after which the stage does without them. Otherwise the plan lists them as missing.
    """
    task = resolver.tasks[data.task]
    if formats.get(task.format).ranks_pool:  # it includes the other languages
        return f"is {task.format}, which is not scored alone"
    if data.split == "dev":
        return "is trained on its dev split"
    if data.language not in task.source.languages("dev"):
        return "has no dev split"
    whole = resolver.make_data(task, data.language, "dev", None, 0, where, is_optional=is_optional)
    if resolver.count_examples(whole) <= MAX_DEV_EXAMPLES:
        return whole
    return resolver.make_data(task, data.language, "dev", MAX_DEV_EXAMPLES, 0, where)


def _is_present(resolver: Resolver, data: Data, split: str) -> bool:
    return resolver.availability.has(resolver.tasks[data.task], data.language, split)
