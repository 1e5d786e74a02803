"""Plan one training stage of any section of a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from xlift.recipes import Masking, Recipe
from xlift.studies.dev_data import find_dev_data
from xlift.studies.job import Data, LearningRateChoice, TrainSpec, make_job
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.families import check_recipe, check_stage
from xlift.studies.planning.limits import check_limits
from xlift.studies.planning.text_mode import make_text_mode
from xlift.studies.rows import TrainingStage
from xlift.studies.schema.training import PromptSettingsPatch
from xlift.tasks import formats
from xlift.tasks.task import MLM_HEAD

NO_PROMPT_PATCH = PromptSettingsPatch()


def add_stage(
    context: PlanContext,
    state: ModelState,
    mixture: tuple[Data, ...],
    stage: TrainingStage,
    recipe: Recipe,
    seed: int,
    prompt: PromptSettingsPatch = NO_PROMPT_PATCH,
    *,
    text: tuple[Data, ...] = (),
    more_steps: int = 0,
    lr_choices: tuple[LearningRateChoice, ...] = (),
    chooses_lr: bool = False,
) -> ModelState:
    """Plan a training job and return the model after it.

    Args:
        prompt: changes to the prompt settings of the study and the model.
        text: the data of `stage.text`.
        more_steps: steps beyond those of the recipe.
        lr_choices: the jobs that the learning rate is chosen from.
        chooses_lr: whether it is chosen, by this job or from this job among others. So the stage needs dev data.

    Raises:
        UserError: the model cannot be trained so, or early stopping or the choice of a learning rate has no dev data.
    """
    tasks = [data.find_task(context.resolver.tasks) for data in mixture + text]
    check_stage(context, state, tasks, stage)
    check_recipe(context, state, recipe, stage.where)
    for task in tasks:
        check_limits(context, state, task, recipe, stage.where)
    # tagging and text have equal keys for both poolings
    pools_row = any(formats.get(task.format).pools_row for task in tasks)
    spec = TrainSpec(
        model=state.ref,
        mixture=mixture,
        sampling=stage.sampling,
        weights=stage.weights(),
        text=text,
        mlm=stage.text_share(),
        recipe=recipe,
        more_steps=more_steps,
        head=stage.head,
        keep_heads=stage.keep_heads,
        masking=stage.masking or Masking(),
        classifier_pooling=state.classifier_pooling if pools_row else "last",
        dev=find_dev_data(context.resolver, mixture, recipe, stage.where, context.warn, chooses_lr=chooses_lr),
        text_mode=make_text_mode(context, state, mixture + text, prompt, seed, stage.where, train=True),
        lr_choices=lr_choices,
        seed=seed,
    )
    rate = " at the chosen learning rate" if lr_choices else f" at learning rate {recipe.lr:g}" if chooses_lr else ""
    label = f"train {' + '.join(spec.part_names())}{rate} (from {state.path}, seed {seed})"
    sizes = [min(context.resolver.count_examples(data), stage.sampling.cap or 10**12) for data in mixture]
    examples = count_examples(recipe, sizes) / (1 - (stage.text_settings.share if stage.text_settings else 0))
    examples += more_steps * recipe.batch_size
    job = make_job(spec, label, round(examples))
    key = context.plan.add(replace(job, examples=0) if job.repeats_choice else job)
    if state.prompt_patches is not None:
        return state.after(key, seed)
    heads = [stage.head or data.find_task(context.plan.tasks).head for data in mixture]
    heads += [context.plan.tasks[data.task].head for data in text[:1]]
    if state.family != "encoder":  # text has no head but the output layer
        heads = [head for head in heads if head != MLM_HEAD]
    return state.after(key, seed, tuple(dict.fromkeys(heads)))


def count_examples(recipe: Recipe, sizes: Iterable[int]) -> int:
    """Examples that a stage trains on, repetitions included. Agrees with `Recipe.count_steps`, where the last step of every
    pass has the remaining examples.

    Args:
        sizes: examples in each part of the mixture.
    """
    if recipe.max_steps:
        return recipe.max_steps * recipe.batch_size
    whole, rest = divmod(recipe.epochs, 1)

    def partial_pass(n: int) -> int:
        return min(n, ceil(round(rest * n / recipe.batch_size, 6)) * recipe.batch_size)

    return max(1, sum(int(whole) * n + partial_pass(n) for n in sizes))
