"""Plan the columns of the table: a target's training, and a prediction for each language, layer rule and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.recipes import Noise, Recipe, Sampling
from xlift.studies.job import Data, LayerSpec, LearningRateChoice, PredictSpec, TextMode, make_job, noise_name
from xlift.studies.plan_types import Cell
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.families import check_max_length, check_pooling, check_untrained
from xlift.studies.planning.limits import check_limits
from xlift.studies.planning.rates import add_chosen_stage, check_rates
from xlift.studies.planning.same_task import is_same_task_cell
from xlift.studies.planning.stages import add_stage
from xlift.studies.planning.target_data import target_mixtures, training_tasks
from xlift.studies.planning.text_mode import make_text_mode
from xlift.studies.rows import IntermediateRow, TrainingStage
from xlift.studies.schema.targets import Options, Target
from xlift.studies.schema.training import PromptSettingsPatch
from xlift.tasks import formats, metrics
from xlift.tasks.task import Task
from xlift.yaml_document import Keys

SUITES = ("xtreme", "xtreme-r")
"""Names of suites that `languages:` accepts; `Task.suites` has their languages."""


@dataclass(frozen=True)
class _PredictionSettings:
    """Settings that all predictions of a target share."""

    head: str
    options: dict[str, Any]
    recipe: Recipe


def add_target(
    context: PlanContext, state: ModelState, row: IntermediateRow, index: int, target: Target, seed: int
) -> None:
    """Plan the training of a column, if it needs any, and its predictions.

    Raises:
        UserError: the target cannot be trained or scored so.
    """
    resolver, where = context.resolver, ("targets", index)
    task = resolver.find_task(target.task, (*where, "task"))
    _check_target(context, task, target, where)
    recipe, rates = context.make_recipe_and_rates(
        state, "target", (target.training,), [task] if formats.get(task.format).is_trainable else []
    )
    head, train_language, fewshot_data = "", "", None
    is_trainable = formats.get(task.format).is_trainable
    is_text_mode = is_trainable and state.prompt_patches is not None
    if is_trainable and target.train is False:
        check_untrained(context, state, task, (*where, "train"))
        check_limits(context, state, task, recipe, where)
    elif is_trainable:
        check_rates(context, state, rates, len(training_tasks(task, target)), index)
        state, mixture = _add_training(context, state, row, task, target, recipe, rates, index, seed)
        head, fewshot_data = ("" if is_text_mode else mixture[0].task), mixture[0]
        train_language = "+".join(data.language for data in mixture)
    else:
        check_pooling(context, state, target.options, (*where, "options"))
        check_max_length(context, state, recipe, where)
        check_limits(context, state, task, recipe, where)
    if row.control == "steps" and not train_language:
        context.warn(f"{row.name}: {target.name or task.name} has no stage to prolong, so its score is that of none.")
    options = {**task.options, **target.options.for_prediction()}
    if recipe.max_length is not None:
        options["max_length"] = recipe.max_length
    settings = _PredictionSettings(head, options, recipe)
    languages = _find_languages(context, task, target, where)
    layer_job = _add_layer_choice(context, state, task, target.options, settings, languages, where)
    official = replace(settings, options=_official_options(task, options))
    same_task = is_same_task_cell(context, row, task, target, index)
    for language in languages:
        clean = resolver.make_data(task, language, target.split, target.size, 0, where)
        text_mode = None
        if is_text_mode:
            text_mode = make_text_mode(
                context, state, (clean,), target.prompt, seed, where, train=False, fewshot_data=fewshot_data
            )
        has_threshold = any(metrics.get(name).fit_threshold for name in task.metrics)
        dev = _dev_data(context, task, clean, where) if has_threshold else None
        dev_key = _add_prediction(context, state, dev, settings, layer_job)
        official_dev_key = _add_prediction(context, state, dev, official) if layer_job else ""
        clean_key = ""
        for noise, data in ((None, clean), *_noisy_data(context, task, clean, target, where)):
            key = _add_prediction(context, state, data, settings, layer_job, text_mode)
            official_key = _add_prediction(context, state, data, official) if layer_job else ""
            context.plan.cells.append(
                Cell(
                    model=state.model, intermediate=row.name, intermediate_language=row.language, size=row.size, seed=seed,
                    target=target.name or task.name, task=task.name, language=language, train_language=train_language,
                    key=key, dev_key=dev_key, official_key=official_key, official_dev_key=official_dev_key,
                    noise=noise_name(noise) if noise else "", clean_key=clean_key, control=row.control or "",
                    control_of=row.control_of, same_task=same_task,
                )
            )  # fmt: skip
            clean_key = clean_key or key


def _find_languages(context: PlanContext, task: Task, target: Target, where: Keys) -> tuple[str, ...]:
    """The languages that a target is scored in, in the task's spelling: those of a suite first, then the others that it lists."""
    place = (*where, "languages") if target.languages else ("languages",)
    requested = target.languages or context.study.languages
    names = (requested,) if isinstance(requested, str) else requested
    suites = [name for name in names if name in SUITES]
    misspelt = next((name for name in names if name not in SUITES and name.casefold().startswith("xtreme")), None)
    if misspelt is not None:
        raise context.error(
            f"no suite '{misspelt}'", place, f"{did_you_mean(misspelt, SUITES)}Suites: {', '.join(SUITES)}."
        )
    if not suites:
        return context.resolver.find_languages(task, requested, target.split, place)
    found: dict[str, None] = {}
    for suite in suites:
        if not task.suites.get(suite):
            having = [each for each, languages in task.suites.items() if languages]
            fix = f"it has languages in {' and '.join(having)}" if having else "it is in no suite"
            raise context.error(
                f"{task.name} has no languages in {suite}", place,
                f"{fix}; list codes under `languages:` of this target, or `all`.",
            )  # fmt: skip
        found |= dict.fromkeys(context.resolver.find_languages(task, task.suites[suite], target.split, place))
    for name in names:
        if name not in SUITES:
            found |= dict.fromkeys(context.resolver.find_languages(task, name, target.split, place))
    return tuple(found)


def _noisy_data(context: PlanContext, task: Task, clean: Data, target: Target, where: Keys) -> list[tuple[Noise, Data]]:
    """The examples of a language with each noise that exists for it. With `languages: all`, a missing noise is a warning."""
    from xlift.tasks.noise import check_noise

    noisy: list[tuple[Noise, Data]] = []
    for n, noise in enumerate(target.noises()):
        place = (*where, "noise", n) if isinstance(target.noise, tuple) else (*where, "noise")
        try:
            check_noise(noise, task, clean.language)
        except UserError as error:
            if (target.languages or context.study.languages) != "all":
                raise UserError(error.what, where=error.where or context.file.locate(*place), fix=error.fix) from None
            context.warn(f"{task.name}: {error.what}: scored on clean texts alone.")
            continue
        noisy.append((noise, context.resolver.add_noise(clean, noise, place)))
    return noisy


def _official_options(task: Task, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a prediction at the task's own layer, else XTREME's."""
    others = {key: value for key, value in options.items() if key != "layer"}
    return others | ({"layer": task.options["layer"]} if "layer" in task.options else {})


def _add_prediction(
    context: PlanContext,
    state: ModelState,
    data: Data | None,
    settings: _PredictionSettings,
    layer_job: str = "",
    text_mode: TextMode | None = None,
) -> str:
    """The key of the prediction; '' without data."""
    if data is None:
        return ""
    spec = PredictSpec(
        model=state.ref, layer_job=layer_job, data=data, head=settings.head, options=settings.options, precision=settings.recipe.precision,
        text_mode=text_mode,
    )  # fmt: skip
    suffix = ("" if data.split == "test" else f" {data.split}") + (f" {noise_name(data.noise)}" if data.noise else "")
    label = f"predict {data.task}/{data.language}{suffix} ({state.label})"
    num_examples = context.resolver.count_examples(data)
    return context.plan.add(make_job(spec, label, num_examples))


def _dev_data(context: PlanContext, task: Task, data: Data, where: Keys) -> Data:
    """The data that the threshold is chosen on: the whole dev split of the same language."""
    if data.split == "dev":
        return data
    if data.language not in task.source.languages("dev"):
        raise context.error(
            f"{task.name} has no dev data in '{data.language}' to choose its threshold on", where,
            "score it as retrieval, or leave the language out.",
        )  # fmt: skip
    return context.resolver.make_data(task, data.language, "dev", None, 0, where)


def _add_layer_choice(
    context: PlanContext, state: ModelState, task: Task, options: Options, settings: _PredictionSettings,
    languages: tuple[str, ...], where: Keys,
) -> str:  # fmt: skip
    """The key of the job that scores layers on dev, for `layer: dev`; else ''."""
    if options.layer != "dev":
        return ""
    resolver, where = context.resolver, (*where, "options")
    dev_task = resolver.find_task(options.dev_task, (*where, "dev_task")) if options.dev_task else task
    if formats.get(dev_task.format).is_trainable:
        raise context.error(
            f"{dev_task.name} is {dev_task.format} and has no pairs of sentences", (*where, "dev_task"),
            "name a task of retrieval or mining.",
        )  # fmt: skip
    with_dev = dev_task.source.languages("dev")
    requested = options.dev_languages or tuple(language for language in languages if language in with_dev)
    place = (*where, "dev_languages" if options.dev_languages else "layer")
    dev_languages = resolver.find_languages(dev_task, requested, "dev", place)
    alone = next((language for language in languages if not set(dev_languages) - {language}), None)
    if alone is not None:
        raise context.error(
            f"there are no dev pairs to choose the layer of '{alone}' on: those of '{alone}' itself are not used", place,
            "name other languages under `dev_languages:`.",
        )  # fmt: skip
    data = tuple(resolver.make_data(dev_task, language, "dev", None, 0, where) for language in dev_languages)
    layer_options = {k: v for k, v in settings.options.items() if k in ("pooling", "center", "max_length")}
    spec = LayerSpec(model=state.ref, data=data, options=layer_options, precision=settings.recipe.precision)
    label = f"layers by {dev_task.name} dev ({state.label})"
    return context.plan.add(make_job(spec, label, sum(map(resolver.count_examples, data))))


def _add_training(
    context: PlanContext, state: ModelState, row: IntermediateRow, task: Task, target: Target, recipe: Recipe,
    rates: tuple[float, ...], index: int, seed: int,
) -> tuple[ModelState, tuple[Data, ...]]:  # fmt: skip
    """The trained model, and the last mixture it was trained on, whose task names the head that predicts."""
    *earlier, last = training_tasks(task, target)
    head = last if earlier and state.prompt_patches is None else ""
    kept, more_steps, mixture = (), state.more_steps, ()
    for number, mixture in enumerate(target_mixtures(context, task, target, index, seed)):
        stage = TrainingStage((), Sampling(), (), head, kept, where=("targets", index))
        more = more_steps if number == len(earlier) else 0
        add = partial(_add_stage, context, state, mixture, stage, seed, target.prompt, more, bool(rates))
        state = add_chosen_stage(context, (state.index, row.id, index), recipe, rates, add) if rates else add(recipe)
        kept = (head,) if head else ()
    return state, mixture


def _add_stage(
    context: PlanContext, state: ModelState, mixture: tuple[Data, ...], stage: TrainingStage, seed: int,
    prompt: PromptSettingsPatch, more_steps: int, chooses_lr: bool, recipe: Recipe, lr_choices: tuple[LearningRateChoice, ...] = (),
) -> ModelState:  # fmt: skip
    return add_stage(
        context, state, mixture, stage, recipe, seed, prompt, more_steps=more_steps, lr_choices=lr_choices, chooses_lr=chooses_lr
    )  # fmt: skip


def _check_target(context: PlanContext, task: Task, target: Target, where: Keys) -> None:
    format = formats.get(task.format)
    if format.is_plain_text:
        key, what = "task", f"{task.name} is plain text and has no score"
        fix = "choose a task with labels; text is for `intermediate:` and `pretrain:`."
    elif not format.is_trainable and target.train:
        key, what, fix = "train", f"{task.name} is {task.format}, which is scored without training", "remove `train:`."
    elif not format.is_trainable and target.prompt.model_fields_set:
        key, what, fix = "prompt", f"{task.name} is {task.format}, which is scored by hidden states", "remove it."
    elif format.is_trainable and target.options.for_prediction():
        key, what = "options", f"{task.name} is {task.format} and has no options"
        fix = "options are for retrieval and mining."
    elif isinstance(target.training.lr, tuple) and (target.train is False or not format.is_trainable):
        key, what = "training", f"{task.name} is scored without training, so there is no learning rate to choose"
        fix = "remove `lr`."
    elif target.options.margin and "margin" not in format.decode_options:
        key, what, fix = "options", f"{task.name} is {task.format}, which has no margin", "`margin` is for mining."
    else:
        return
    raise context.error(what, (*where, key), fix)
