"""Plan the rows of the table: training stages, or merging of rows above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xlift.studies.job import MergeSpec, make_job
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.stages import add_stage
from xlift.studies.rows import IntermediateRow, TrainingStage
from xlift.studies.schema.training import make_recipe
from xlift.tasks import formats


def add_row(
    context: PlanContext, start: ModelState, row: IntermediateRow, seed: int, above: Mapping[str, ModelState]
) -> ModelState:
    """Plan the jobs of a row and return the model after it.

    Args:
        above: id of each row planned before -> the model after it, under this seed.

    Raises:
        UserError: the model cannot be trained as a stage requires.
    """
    path = f"{start.path} > {row.name}"
    if row.merge:
        return replace(_add_merge(context, start, row, seed, above), path=path)
    state = start
    for stage in row.stages:
        state = replace(_add_intermediate_stage(context, state, stage, seed), path=path)
    return state


def _add_merge(
    context: PlanContext, start: ModelState, row: IntermediateRow, seed: int, above: Mapping[str, ModelState]
) -> ModelState:
    spec = MergeSpec(
        model=start.ref,
        merged=tuple(above[name].ref.job for name, _ in row.merge),
        weights=tuple(weight for _, weight in row.merge),
    )
    names = " + ".join(dict.fromkeys(above[name].path.removeprefix(f"{start.path} > ") for name, _ in row.merge))
    job = make_job(spec, f"merge {names} (from {start.path}, seed {seed})", len(row.merge) + 1)
    return start.after(context.plan.add(job), seed)


def _add_intermediate_stage(context: PlanContext, state: ModelState, stage: TrainingStage, seed: int) -> ModelState:
    if stage.head:
        for share in stage.shares[1:]:
            context.resolver.check_same_labels(share.task, stage.shares[0].task, share.where)
    if state.prompt_patches is None:
        _check_kept_heads(context, stage, state)
    _check_text(context, stage, state)
    mixture, text = (
        tuple(
            context.resolver.make_data(each.task, each.language, each.split, each.size, seed, each.where, each.noise)
            for each in shares
        )
        for shares in (stage.shares, stage.text)
    )
    recipe = make_recipe(context.study.training, context.study.training.intermediate, *stage.training)
    return add_stage(context, state, mixture, stage, recipe, seed, text=text)


def _check_kept_heads(context: PlanContext, stage: TrainingStage, state: ModelState) -> None:
    """Raises UserError for a kept head that the model lacks, or that this stage does not train."""
    trained = list(dict.fromkeys(stage.head or share.task.head for share in stage.shares))
    trained += [share.task.head for share in stage.text[:1]]
    for name in stage.keep_heads:
        if name in state.heads and name in trained:
            continue
        why = "this stage does not train it" if name in state.heads else "the model has no such head before this stage"
        has = f"the model has the heads {', '.join(state.heads)}" if state.heads else "the model has no heads yet"
        raise context.error(
            f"cannot keep the head '{name}': {why}", (*stage.where, "keep_heads"),
            f"{has}; this stage trains {', '.join(trained)}.",
        )  # fmt: skip


def _check_text(context: PlanContext, stage: TrainingStage, state: ModelState) -> None:
    """Raises UserError for `masking` without text; warns where text needs a new head, since the checkpoint's is gone."""
    text = next((share for share in (*stage.shares, *stage.text) if formats.get(share.task.format).is_plain_text), None)
    if text is None and stage.masking is not None:
        raise context.error(
            "`masking` has no effect without a text part", (*stage.where, "masking"),
            "remove it, or add a part such as {task: isle-text, size: 1000}.",
        )  # fmt: skip
    head = "" if text is None else text.task.head if text in stage.text else stage.head or text.task.head
    if text is not None and state.seed is not None and head not in stage.keep_heads:
        place = context.file.locate(*stage.where)
        context.warn(f"{place}: the MLM head starts at random, since an earlier stage dropped the checkpoint's.")
