"""What may explain a lift besides the transfer between tasks, and the lifts that conclusions are about.

A row may train on the target's own task, and may train for more steps than what it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from xlift.analysis.estimates import ALL, OTHER_TASKS, TARGET_MEANS, ZERO_SHOT
from xlift.analysis.lift import LiftRow


def main_means(rows: Sequence[LiftRow]) -> list[LiftRow]:
    """The mean over languages of each pipeline and target that conclusions are about: over those that the target was not trained
    on, or over all where that is the same or there are no such languages."""
    with_zero_shot = {(row.model, row.target) for row in rows if row.language == ZERO_SHOT}
    return [row for row in rows if row.language == (ZERO_SHOT if (row.model, row.target) in with_zero_shot else ALL)]


def compared_lifts(rows: Sequence[LiftRow]) -> list[LiftRow]:
    """The mean lifts that are compared with each other: over the targets on which no row has been trained before, or over the
    languages of the only target. Controls and rows of the same task are left out."""
    lifts = [row for row in rows if row.lift is not None and not row.control]
    means = [row for row in main_means(lifts) if not row.same_task]
    for target in (OTHER_TASKS, ALL):
        if found := [row for row in means if row.target == target]:
            return found
    only = {(row.target, row.metric) for row in lifts if row.target not in TARGET_MEANS}
    return means if len(only) == 1 else []


def same_task_pairs(rows: Sequence[LiftRow]) -> dict[str, list[str]]:
    """Target -> intermediates that train on its own task."""
    pairs: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.same_task and row.target not in TARGET_MEANS:
            pairs.setdefault(row.target, {})[row.intermediate] = None
    return {target: list(names) for target, names in pairs.items()}


TOLERANCE = 0.05
"""Numbers of steps that differ by this share count as equal: last batches of the parts of a mixture are not full."""

Pipeline = tuple[str, str, str, str]
"""Intermediate, language, size and model."""


def uncontrolled_steps(rows: Sequence[LiftRow]) -> dict[str, float]:
    """`unequal_steps` of the rows of a study, with the numbers of steps that were trained."""
    means = [row for row in rows if row.language == ALL]
    wide = ALL if any(row.target == ALL for row in means) else None
    steps: dict[Pipeline, list[float]] = {}
    for row in means:
        if row.target == (wide or row.target) and row.steps is not None and not row.control:
            steps.setdefault(_names(row, row.intermediate), []).append(row.steps)
    return unequal_steps(steps, {_names(row, row.control_of) for row in rows if row.control})


def unequal_steps(steps: Mapping[Pipeline, Sequence[float]], controlled: Set[Pipeline]) -> dict[str, float]:
    """Name of a row -> its mean number of training steps: of the baseline and of all rows without a control of equal steps, if
    these numbers differ; else empty.

    Args:
        steps: of each row that is no control, the numbers under its seeds and targets.
        controlled: rows with a control. It is a control for the rows of its model with as many steps, too.
    """
    counts = {names: sum(each) / len(each) for names, each in steps.items()}
    with_control = [(names[-1], counts[names]) for names in controlled if names in counts]

    def is_controlled(model: str, count: float) -> bool:
        return any(other == model and abs(count - steps) <= TOLERANCE * steps for other, steps in with_control)

    found = {names: count for names, count in counts.items() if not is_controlled(names[-1], count)}
    if len({round(count) for count in found.values()}) < 2:
        return {}
    return {_row_name(names, list(found)): count for names, count in found.items()}


def _row_name(row: Pipeline, among: Sequence[Pipeline]) -> str:
    """The intermediate, and what differs between rows with the same one."""
    alike = [names for names in among if names[0] == row[0]]
    return " ".join([row[0], *(row[at] for at in range(1, 4) if len({names[at] for names in alike}) > 1 and row[at])])


def _names(row: LiftRow, intermediate: str) -> Pipeline:
    return intermediate, row.intermediate_language, row.size, row.model
