"""Plan the training stage of a target whose learning rate is chosen out of several.

The first seed of the study trains the stage with each rate, in jobs of their own. Then every seed, the first one included, has a
job that takes the rate with the best score on dev data in the languages that the stage trains on. Under the first seed it takes
over the model that exists already (execution/work/rate_choice.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlift.recipes import Recipe
from xlift.studies.job import LearningRateChoice
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.families import training_place

AddStage = Callable[[Recipe, tuple[LearningRateChoice, ...]], ModelState]


def add_chosen_stage(
    context: PlanContext, place: tuple[Any, ...], recipe: Recipe, rates: tuple[float, ...], add: AddStage
) -> ModelState:
    """Plan a stage with a choice of the learning rate, and return the model after it.

    Args:
        place: what identifies the stage among those of its seed.
        recipe: of the stage, with any learning rate.
        add: plans the stage with a recipe and choices.
    """
    if place not in context.lr_choices:  # under the first seed
        trained = [(lr, add(recipe.model_copy(update={"lr": lr}), ())) for lr in rates]
        context.lr_choices[place] = tuple(LearningRateChoice(lr=lr, job=after.ref.job) for lr, after in trained)
    return add(recipe, context.lr_choices[place])


def check_rates(context: PlanContext, state: ModelState, rates: tuple[float, ...], num_stages: int, index: int) -> None:
    """Raises UserError if a learning rate is to be chosen for a target with several training stages.

    Args:
        index: of the target in the study.
    """
    if rates and num_stages > 1:
        raise context.error(
            f"a learning rate cannot be chosen for a target with {num_stages} training stages",
            training_place(context, state, ("targets", index), "lr"),
            "write one learning rate, or train the target on one task.",
        )  # fmt: skip
