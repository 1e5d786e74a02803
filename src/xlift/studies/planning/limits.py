"""What the profile of a named model says that it cannot do: warnings, and errors where a run would fail."""

from __future__ import annotations

from xlift.model_profiles import Limit
from xlift.recipes import Recipe
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.tasks.task import Task
from xlift.yaml_document import Keys


def check_limits(context: PlanContext, state: ModelState, task: Task, recipe: Recipe, where: Keys) -> None:
    """Warn of the limits of a model that hold for a task. A limit without a condition is shown by `xlift models` only.

    Raises:
        UserError: the limit makes the task impossible.
    """
    for limit in state.profile.limits if state.profile else ():
        if not _holds(limit, state, task, recipe):
            continue
        if limit.refuse:
            raise context.error(f"{state.model} cannot do {task.name} ({task.format}): {limit.text}", where, limit.fix)
        context.warn(f"{state.model}, {task.name}: {limit.text} ({limit.source})")


def _holds(limit: Limit, state: ModelState, task: Task, recipe: Recipe) -> bool:
    mode = "head" if state.prompt_patches is None else "text"
    return (
        limit.is_conditional
        and (not limit.formats or task.format in limit.formats)
        and limit.mode in ("", mode)
        # 'auto' may be any precision
        and (not limit.precision or recipe.precision in (*limit.precision, "auto"))
    )
