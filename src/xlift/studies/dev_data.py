"""The dev data of a training stage: of the languages it trains on, and of no other.

Training evaluates on it to detect collapse (Recipe.retries), to choose a checkpoint (Recipe.early_stopping) or a learning
rate (TrainSpec.lr_choices), and for the dev curve (Recipe.eval_steps). So a target
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
_NO_CHOICE = "write one learning rate for this target."


def find_dev_data(
    resolver: Resolver, mixture: Sequence[Data], recipe: Recipe, where: Keys, warn: Callable[[str], None], *, chooses_lr: bool = False
) -> tuple[Data, ...]:  # fmt: skip
    """The dev data of a stage, once for each (task, language) with labels; () if the recipe needs none.

    Args:
        where: the place of the stage in the study.
        chooses_lr: whether the learning rate is chosen on it.

    Raises:
        UserError: early stopping is on, or the learning rate is chosen, and some part has no dev data.
    """
    purpose = "early stopping" if recipe.early_stopping else "choosing a learning rate" if chooses_lr else ""
    fix = _NO_EARLY_STOPPING if recipe.early_stopping else _NO_CHOICE
    if not purpose and recipe.retries == 0 and recipe.eval_steps is None:
        return ()
    is_text = {data: formats.get(data.find_task(resolver.tasks).format).is_plain_text for data in mixture}
    labelled = (data for data in mixture if data.labels == "given" and not is_text[data])
    parts = {(data.task, data.language): data for data in labelled}
    dev_data: list[Data] = []
    reasons: list[str] = []
    for data in parts.values():
        try:
            is_optional = not purpose and _is_present(resolver, data, data.split)
            dev = _dev_data_of_part(resolver, data, where, is_optional)
        except UserError as error:
            if purpose or _is_present(resolver, data, "dev"):
                raise
            if recipe.retries:
                warn(
                    f"{data.task} {data.language} has no dev data here, so a collapse would go unnoticed: {error.what}."
                )
            reasons.append(f"{data.task} {data.language} has no dev data here")
            continue
        if isinstance(dev, Data):
            dev_data.append(dev)
        elif purpose:
            raise UserError(
                f"{purpose} is impossible: {data.task} in '{data.language}' {dev}", where=resolver.file.locate(*where), fix=fix,
            )  # fmt: skip
        else:
            reasons.append(f"{data.task} in '{data.language}' {dev}")
    if not dev_data and purpose:
        raise UserError(
            f"{purpose} is impossible: the stage has no labels to evaluate on", where=resolver.file.locate(*where), fix=fix,
        )  # fmt: skip
    if recipe.eval_steps and len(reasons) == len(parts):
        why = "; ".join(reasons) or "the stage has no labels to evaluate on"
        warn(f"{resolver.file.locate(*where)}: `eval_steps` has no effect: {why}.")
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
