"""Training recipes and prompt settings of a study: every level may set any part of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Discriminator, Field, Tag, field_validator

from xlift.recipes import EarlyStopping, Lora, Optimizer, Precision, PromptSettings, Recipe, Settings, check_warmup

PER_DEVICE = "per_device_train_batch_size"
"""Hugging Face's name of `batch_size`; it means the same only with one device (study.py checks that)."""


def _lora_shape(given: Any) -> str | None:
    return "(mapping)" if isinstance(given, dict | Lora) else "(one)" if given is None or given is False else None


LoraOrNot = Annotated[
    Annotated[Lora, Tag("(mapping)")] | Annotated[Literal[False] | None, Tag("(one)")],
    Discriminator(
        _lora_shape, custom_error_type="shape",
        custom_error_message="expected false, or a mapping such as {rank: 8}",
    ),
]  # fmt: skip


class RecipePatch(Settings):
    """Any part of a recipe; missing parts come from the next wider level. Accepts Hugging Face's long names."""

    lr: float | None = Field(default=None, gt=0, validation_alias=AliasChoices("lr", "learning_rate"))
    batch_size: int | None = Field(default=None, ge=1, validation_alias=AliasChoices("batch_size", PER_DEVICE))
    epochs: float | None = Field(default=None, gt=0, validation_alias=AliasChoices("epochs", "num_train_epochs"))
    max_steps: int | None = Field(default=None, ge=1)
    warmup_steps: float | None = Field(default=None, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)
    adam_beta2: float | None = Field(default=None, gt=0, lt=1)
    adam_epsilon: float | None = Field(default=None, gt=0)
    max_grad_norm: float | None = Field(default=None, gt=0)
    max_length: int | None = Field(default=None, ge=8)
    early_stopping: EarlyStopping | None = None
    retries: int | None = Field(default=None, ge=0, le=5)
    lr_scheduler_type: Literal["linear", "constant"] | None = None
    optimizer: Optimizer | None = None
    lora: LoraOrNot | None = None
    """False: train all weights, although a wider level has LoRA."""
    precision: Precision | None = None

    _warmup = field_validator("warmup_steps")(check_warmup)


class Training(RecipePatch):
    """The recipe of all stages, and its changes for intermediate or target stages."""

    intermediate: RecipePatch = RecipePatch()
    target: RecipePatch = RecipePatch()


class PromptSettingsPatch(Settings):
    """Any part of the prompt settings; missing parts come from the next wider level."""

    template: str | None = None
    instructions: Literal["en", "own"] | None = None
    num_fewshot: int | None = Field(default=None, ge=0, le=32)
    normalize: bool | None = None
    num_beams: int | None = Field(default=None, ge=1, le=16)
    max_new_tokens: int | None = Field(default=None, ge=1)


def make_recipe(*patches: RecipePatch) -> Recipe:
    """Apply patches to the default recipe; later ones override earlier ones."""
    values: dict[str, Any] = {}
    for patch in patches:
        given = {
            key: value
            for key, value in patch.model_dump(include=set(RecipePatch.model_fields)).items()
            if value is not None
        }
        if "epochs" in given and "max_steps" not in given:
            values.pop("max_steps", None)  # `epochs` of a nearer level overrides `max_steps` of a wider one
        values.update(given)
    if values.get("lora") is False:
        del values["lora"]
    return Recipe(**values)


def make_prompt_settings(*patches: PromptSettingsPatch) -> PromptSettings:
    """Apply patches to the default prompt settings; later ones override earlier ones."""
    values: dict[str, Any] = {}
    for patch in patches:
        values |= patch.model_dump(exclude_none=True)
    return PromptSettings(**values)
