"""Training recipes and prompt settings of a study: every level may set any part of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Discriminator, Field, GetJsonSchemaHandler, Tag, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from xlift.published_recipes import RECIPES, RecipeName, settings_for
from xlift.recipes import (
    EarlyStopping,
    Lora,
    Optimizer,
    Precision,
    PromptSettings,
    Recipe,
    Settings,
    check_warmup,
    setting_error,
)
from xlift.studies.fields import check_distinct, list_or_one
from xlift.tasks import formats
from xlift.tasks.task import Task

_Rate = Annotated[float, Field(gt=0)]
Rates = Annotated[
    Annotated[_Rate | None, Tag("(one)")] | Annotated[tuple[_Rate, ...], Tag("(list)")], Discriminator(list_or_one)
]
PER_DEVICE = "per_device_train_batch_size"
"""Hugging Face's name of `batch_size`; it means the same only with one device (study.py checks that)."""


def _section_or_not(given: Any) -> str | None:
    return "(mapping)" if isinstance(given, dict | Settings) else "(one)" if given is None or given is False else None


LoraOrNot = Annotated[
    Annotated[Lora, Tag("(mapping)")] | Annotated[Literal[False] | None, Tag("(one)")],
    Discriminator(
        _section_or_not, custom_error_type="shape",
        custom_error_message="expected false, or a mapping such as {rank: 8}",
    ),
]  # fmt: skip
EarlyStoppingOrNot = Annotated[
    Annotated[EarlyStopping, Tag("(mapping)")] | Annotated[Literal[False] | None, Tag("(one)")],
    Discriminator(
        _section_or_not, custom_error_type="shape",
        custom_error_message="expected false, or a mapping such as {eval_steps: 200}",
    ),
]  # fmt: skip


class RecipePatch(Settings):
    """Any part of a recipe; missing parts come from the next wider level. Accepts Hugging Face's long names."""

    recipe: RecipeName | None = None
    """A published recipe: all of its settings for the stage's task, which the other keys beside it override."""
    lr: Rates = Field(default=None, validation_alias=AliasChoices("lr", "learning_rate"))
    """Of a target, several: the best on dev is chosen with the first seed (planning/rates.py)."""
    batch_size: int | None = Field(default=None, ge=1, validation_alias=AliasChoices("batch_size", PER_DEVICE))
    epochs: float | None = Field(default=None, gt=0, validation_alias=AliasChoices("epochs", "num_train_epochs"))
    max_steps: int | None = Field(default=None, ge=1)
    warmup_steps: float | None = Field(default=None, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    adam_beta2: float | None = Field(default=None, gt=0, lt=1)
    adam_epsilon: float | None = Field(default=None, gt=0)
    max_grad_norm: float | None = Field(default=None, gt=0)
    initializer_range: float | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=8)
    early_stopping: EarlyStoppingOrNot | None = None
    """False: train all steps and keep the last checkpoint, although a wider level or a published recipe stops early."""
    eval_steps: int | None = Field(default=None, ge=1)
    retries: int | None = Field(default=None, ge=0, le=5)
    lr_scheduler_type: Literal["linear", "constant"] | None = None
    optimizer: Optimizer | None = None
    lora: LoraOrNot | None = None
    """False: train all weights, although a wider level has LoRA."""
    precision: Precision | None = None

    takes_rates: ClassVar[bool] = False
    """Whether `lr` may list several learning rates."""

    @field_validator("lr")
    @classmethod
    def _check_rates(cls, given: float | tuple[float, ...] | None) -> float | tuple[float, ...] | None:
        if not isinstance(given, tuple):
            return given
        if not cls.takes_rates:
            raise setting_error(
                "several learning rates are for targets alone: one is chosen for each pipeline by its dev score on the target",
                "write one, or list them in `training: {target: {lr: [...]}}` or in the `training:` of a target.",
            )
        if len(given) < 2:
            raise setting_error(
                "there is nothing to choose from", "list two learning rates or more, or write one without brackets."
            )
        return check_distinct(given)

    _warmup = field_validator("warmup_steps")(check_warmup)

    @field_validator("precision", mode="before")
    @classmethod
    def _refuse_float16(cls, given: Any) -> Any:
        if given in ("fp16", "float16", "half"):
            raise setting_error(
                "there is no training in float16: mT5, mDeBERTa and Gemma 3 among others overflow in it",
                "write bf16 or fp32, or leave `precision` out.",
            )
        return given


def _by_name(given: Any) -> Any:
    return {"recipe": given} if isinstance(given, str) else given


class _NameInSchema:
    """Allows the name of a recipe in the JSON schema, so that a wrong key is still found where it is."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"if": {"type": "string"}, "then": {"enum": list(RECIPES)}, "else": handler(schema)}


NamedOrPatch = Annotated[RecipePatch, BeforeValidator(_by_name), _NameInSchema()]
"""The name of a published recipe, or settings."""


class TargetPatch(RecipePatch):
    """Any part of the recipe of a target."""

    takes_rates = True


NamedOrTargetPatch = Annotated[TargetPatch, BeforeValidator(_by_name), _NameInSchema()]


class Training(RecipePatch):
    """The recipe of all stages, and its changes for intermediate or target stages."""

    intermediate: NamedOrPatch = RecipePatch()
    target: NamedOrTargetPatch = TargetPatch()


NamedOrTraining = Annotated[Training, BeforeValidator(_by_name), _NameInSchema()]


class PromptSettingsPatch(Settings):
    """Any part of the prompt settings; missing parts come from the next wider level."""

    template: str | None = None
    instructions: Literal["en", "own"] | None = None
    num_fewshot: int | None = Field(default=None, ge=0, le=32)
    normalize: bool | None = None
    num_beams: int | None = Field(default=None, ge=1, le=16)
    max_new_tokens: int | None = Field(default=None, ge=1)


def make_recipe(
    *patches: RecipePatch, tasks: Mapping[str, Task] | None = None, note: Callable[[str], None] = lambda text: None
) -> Recipe:
    """Apply patches to the default recipe, key by key; later ones override earlier ones.

    Args:
        tasks: the tasks of the stage, whose settings a published recipe takes; without tasks, published recipes are left out.
        note: receives a note for each published recipe that has no settings for these tasks.
    """
    return make_recipe_and_rates(*patches, tasks=tasks, note=note)[0]


def make_recipe_and_rates(
    *patches: RecipePatch, tasks: Mapping[str, Task] | None = None, note: Callable[[str], None] = lambda text: None
) -> tuple[Recipe, tuple[float, ...]]:
    """The recipe of a target, as `make_recipe`, and the learning rates to choose from, the lowest first; () if there is one. The
    recipe has the lowest."""
    values: dict[str, Any] = {}
    for patch in patches:
        if patch.recipe and tasks:
            _apply(values, _published_settings(patch.recipe, tasks, note))
        _apply(values, patch.model_dump(include=set(RecipePatch.model_fields) - {"recipe"}, exclude_unset=True))
    rates: tuple[float, ...] = ()
    if isinstance(values.get("lr"), tuple):
        rates = tuple(sorted(values["lr"]))
        values["lr"] = rates[0]
    return Recipe(**{key: value for key, value in values.items() if value is not False}), rates


def _published_settings(name: RecipeName, tasks: Mapping[str, Task], note: Callable[[str], None]) -> dict[str, Any]:
    settings, text = settings_for(name, {task: tasks[task].official for task in tasks})
    if text:
        note(text)
    without_dev = [task.name for task in tasks.values() if not _can_stop_early(task)]
    if "early_stopping" in settings and without_dev:
        del settings["early_stopping"]
        what = f"{' and '.join(without_dev)} cannot be scored on dev data"
        note(f"the recipe {name} keeps the best checkpoint, and {what}, so the last one is kept there.")
    return settings


def _can_stop_early(task: Task) -> bool:
    format = formats.get(task.format)
    return "dev" in task.source.splits() and not (format.is_plain_text or format.ranks_pool)


def _apply(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Override values in place; those of `lora` and `early_stopping` key by key."""
    given = {key: value for key, value in given.items() if value is not None}
    if "epochs" in given and "max_steps" not in given:
        values.pop("max_steps", None)  # `epochs` of a nearer level overrides `max_steps` of a wider one
    for key, value in given.items():
        before = values.get(key)
        values[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value


TEMPLATE_DEFAULTS: dict[str, dict[str, Any]] = {"lm-eval": {"instructions": "own", "normalize": False}}
"""Version of the templates -> defaults of other prompt settings. lm-evaluation-harness writes each language's own words, and its
`acc` compares likelihoods of whole answers (lm_eval 0.4.13, `process_results` in lm_eval/api/task.py)."""


def make_prompt_settings(*patches: PromptSettingsPatch) -> PromptSettings:
    """Apply patches to the default prompt settings; later ones override earlier ones."""
    values: dict[str, Any] = {}
    for patch in patches:
        values |= patch.model_dump(exclude_none=True)
    return PromptSettings(**TEMPLATE_DEFAULTS.get(values.get("template", ""), {}) | values)
