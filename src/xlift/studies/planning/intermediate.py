"""Plan the rows of the table: training stages, or merging of rows above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xlift.recipes import Recipe
from xlift.steps import divide_steps
from xlift.studies.job import Data, MergeSpec, make_job
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.same_task import exclude_target_data
from xlift.studies.planning.stages import add_stage
from xlift.studies.rows import IntermediateRow, MixtureShare, TrainingStage
from xlift.tasks import formats
from xlift.tasks.task import MLM_HEAD


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
        if row.control == "steps":
            state = replace(state, more_steps=state.more_steps + _count_steps(context, state, stage, seed))
        else:
            state = _add_intermediate_stage(context, state, stage, seed)
        state = replace(state, path=path)
    return state


def _count_steps(context: PlanContext, state: ModelState, stage: TrainingStage, seed: int) -> int:
    """Optimizer steps of a stage, early stopping aside."""
    sizes, text_sizes = (
        [context.resolver.count_examples(data) for data in _make_data(context, shares, seed)]
        for shares in (stage.shares, stage.text)
    )
    recipe = _make_stage_recipe(context, state, stage)
    divided = divide_steps(sizes, recipe, stage.sampling, stage.weights(), text_sizes, stage.text_share())
    return sum(round(steps.sum()) for steps in divided)


def _make_stage_recipe(context: PlanContext, state: ModelState, stage: TrainingStage) -> Recipe:
    recipe = context.make_recipe(state, "intermediate", stage.training, [share.task for share in stage.shares])
    return recipe.model_copy(update={"early_stopping": None, "eval_steps": None}) if stage.is_control else recipe


def _make_data(context: PlanContext, shares: tuple[MixtureShare, ...], seed: int) -> tuple[Data, ...]:
    made = []
    for each in shares:
        data = context.resolver.make_data(each.task, each.language, each.split, each.size, seed, each.where, each.noise)
        data = exclude_target_data(context, each, data, seed)
        if each.labels != "given":
            # every seed has its own order of the labels, also where it has all examples
            data = data.model_copy(
                update={"labels": each.labels, "seed": seed if each.labels == "shuffled" else data.seed}
            )
        made.append(data)
    return tuple(made)


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
    if stage.is_control and MLM_HEAD in state.heads and any(share.labels == "none" for share in stage.shares):
        stage = replace(stage, keep_heads=(MLM_HEAD,))
    if stage.head:
        for share in stage.shares[1:]:
            context.resolver.check_same_labels(share.task, stage.shares[0].task, share.where)
    if state.prompt_patches is None:
        _check_kept_heads(context, stage, state)
    _check_text(context, stage, state)
    mixture, text = (_make_data(context, shares, seed) for shares in (stage.shares, stage.text))
    return add_stage(context, state, mixture, stage, _make_stage_recipe(context, state, stage), seed, text=text)


def _check_kept_heads(context: PlanContext, stage: TrainingStage, state: ModelState) -> None:
    """Raises UserError for a kept head that the model lacks, or that this stage does not train."""
    trained = list(dict.fromkeys(stage.head or share.learned_task.head for share in stage.shares))
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
    shares = (*stage.shares, *stage.text)
    text = next((share for share in shares if formats.get(share.learned_task.format).is_plain_text), None)
    if text is None and stage.masking is not None:
        raise context.error(
            "`masking` has no effect without a text part", (*stage.where, "masking"),
            "remove it, or add a part such as {task: isle-text, size: 1000}.",
        )  # fmt: skip
    head = "" if text is None else MLM_HEAD if text in stage.text else stage.head or MLM_HEAD
    if text is not None and state.family == "encoder" and state.seed is not None and head not in stage.keep_heads:
        place = context.file.locate(*stage.where)
        context.warn(f"{place}: the MLM head starts at random, since an earlier stage dropped the checkpoint's.")
