"""The prompt settings of a job in text mode, as its key covers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from xlift.errors import UserError
from xlift.recipes import PromptSettings
from xlift.studies.job import Data, TextMode
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.planning.language_notes import direction_of
from xlift.studies.schema.training import TEMPLATE_DEFAULTS, PromptSettingsPatch, make_prompt_settings
from xlift.tasks import formats
from xlift.tasks.task import Task
from xlift.yaml_document import Keys

DECODING_DEFAULTS = {"normalize": True, "num_beams": 1, "max_new_tokens": None}
"""Training stages evaluate on dev with these settings or the template's own, which affect predictions only: so two targets that
differ in them share their training."""

MIN_POOL_SIZE, POOL_FACTOR = 64, 8
"""Few-shot examples are drawn from a pool of POOL_FACTOR times their number, at least MIN_POOL_SIZE: enough for equally many of
each label."""


def make_text_mode(
    context: PlanContext,
    state: ModelState,
    parts: Sequence[Data],
    prompt: PromptSettingsPatch,
    seed: int,
    where: Keys,
    *,
    train: bool,
    fewshot_data: Data | None = None,
) -> TextMode | None:
    """The text mode of a job; None for a model in head mode.

    Args:
        parts: the data to make prompts of.
        prompt: changes to the prompt settings of the study and the model.
        seed: few-shot examples are drawn under it.
        fewshot_data: training data to draw them from; default: that of each task, in its training language.

    Raises:
        UserError: a task has no such template, or none in a language.
    """
    if state.prompt_patches is None:
        return None
    from xlift.tasks.prompts import find_template

    settings = make_prompt_settings(context.study.prompt, *state.prompt_patches, prompt)
    if train:
        own = TEMPLATE_DEFAULTS.get(settings.template, {})
        settings = settings.model_copy(update={key: own.get(key, value) for key, value in DECODING_DEFAULTS.items()})
    tasks: dict[str, Task] = {}
    prompted = [data for data in parts if not formats.get(data.find_task(context.resolver.tasks).format).is_plain_text]
    if not prompted:
        return TextMode()  # no prompt, so no setting of prompts changes the job
    for data in prompted:
        task = tasks.setdefault(data.task, context.resolver.tasks[data.task])
        _check_language_tokens(context, state, task, data.language, where)
        with _template_errors_at(context, where):
            find_template(task, settings, data.language)
    with _template_errors_at(context, where):
        templates = tuple((name, _digest(context, tasks[name], settings)) for name in sorted(tasks))
    if not settings.num_fewshot:
        return TextMode(prompt=settings, templates=templates)
    drawn = tuple(
        _make_fewshot_data(context, tasks[name], fewshot_data, settings.num_fewshot, seed, where)
        for name in sorted(tasks)
    )
    if any(data.labels == "shuffled" for data in prompted):  # the solved examples must not show what labels mean
        drawn = tuple(data.model_copy(update={"labels": "shuffled"}) for data in drawn)
    return TextMode(prompt=settings, templates=templates, fewshot_data=drawn)


def _check_language_tokens(context: PlanContext, state: ModelState, task: Task, language: str, where: Keys) -> None:
    """Raises UserError if a translation model has tokens of languages, and none of a language of the task."""
    from xlift.tasks.prompts.language_tokens import TARGET_TAG, find_language_token

    tokenizer = state.facts.tokenizer if state.facts else None
    known = tokenizer.languages if tokenizer and state.family == "seq2seq" else ()
    if not known or not formats.get(task.format).has_direction:
        return
    needs_target_only = known[0].startswith(TARGET_TAG[:2])
    for code in direction_of(task, language)[needs_target_only:]:
        if find_language_token(code, known) is None:
            raise context.error(
                f"{task.name} needs the language '{code}', and the tokenizer of {state.model} has no token for it", where,
                f"take another language or model; it has {len(known)}, for instance {', '.join(sorted(known)[:5])}.",
            )  # fmt: skip


def _digest(context: PlanContext, task: Task, settings: PromptSettings) -> str:
    """The digest of a task's template, computed once in a plan: thousands of jobs have the same."""
    from xlift.tasks.prompts import template_digest

    key = (task.name, settings)
    if key not in context.template_digests:
        context.template_digests[key] = template_digest(task, settings)
    return context.template_digests[key]


@contextmanager
def _template_errors_at(context: PlanContext, where: Keys) -> Iterator[None]:
    """Add the place in the study to errors of templates."""
    try:
        yield
    except UserError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise context.error(what, _prompt_place(context, where), error.fix) from None


def _prompt_place(context: PlanContext, where: Keys) -> Keys:
    """The nearest `prompt` key that applies at a place, else the place."""
    if where[:1] == ("targets",) and context.study.targets[int(where[1])].prompt.model_fields_set:
        return (*where[:2], "prompt")
    return ("prompt",) if context.study.prompt.model_fields_set else where


def _make_fewshot_data(
    context: PlanContext, task: Task, given: Data | None, num_fewshot: int, seed: int, where: Keys
) -> Data:
    resolver, place = context.resolver, _prompt_place(context, where)
    if given is None:
        source = task
        if "train" not in task.source.splits() and task.train_task:
            source = resolver.find_task(task.train_task[-1], place)
        language = resolver.find_languages(source, "", "train", place)[0]
        split = "train"
    else:
        source, language, split = resolver.tasks[given.task], given.language, given.split
    whole = resolver.make_data(source, language, split, None, 0, place)
    pool_size = max(MIN_POOL_SIZE, POOL_FACTOR * num_fewshot)
    if resolver.count_examples(whole) > pool_size:
        whole = resolver.make_data(source, language, split, pool_size, seed, place)
    return whole.model_copy(update={"seed": seed})
