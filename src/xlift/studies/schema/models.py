"""Models of a study: pretrained ones, and those that the study pretrains."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from xlift.recipes import (
    Architecture,
    ClassifierPooling,
    Masking,
    Settings,
    TokenizerRecipe,
    Written,
    setting_error,
)
from xlift.studies.fields import Seed
from xlift.studies.schema.engine import EnginePatch
from xlift.studies.schema.text import PretrainText
from xlift.studies.schema.training import NamedOrTraining, PromptSettingsPatch, RecipePatch, Training

AnswerMode = Literal["head", "text"]
"""A task head predicts, or the model generates text from a prompt."""


class Pretrain(Settings):
    """Pretraining from random weights."""

    text: tuple[PretrainText, ...] = Field(min_length=1)
    architecture: Architecture = Architecture()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    tokenizer_text: tuple[PretrainText, ...] = ()
    """More text for the tokenizer alone: scripts of languages that the model is not trained on."""
    masking: Masking = Masking()
    writes: Written = "spans"
    """For an encoder-decoder model."""
    cut: float = Field(default=0.0, ge=0, le=1)
    """Share of the documents that are split at the end of a sentence into a pair of sequences."""
    training: RecipePatch = RecipePatch()
    half_precision: bool = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_training(self) -> Pretrain:
        if self.training.recipe is not None:
            what = f"the recipe {self.training.recipe} is for training on labels, and this is pretraining"
            raise setting_error(
                what, "write its settings, such as `{lr: 0.003, batch_size: 64}`.", "training", "recipe"
            )
        if self.training.early_stopping:
            what = "pretraining has no dev data for early stopping"
            raise setting_error(what, "remove it.", "training", "early_stopping")
        if self.training.eval_steps:
            raise setting_error("pretraining has no dev data", "remove it.", "training", "eval_steps")
        if self.training.lora:
            what = "LoRA needs pretrained weights, and pretraining starts from random ones"
            raise setting_error(what, "remove `lora` from `pretrain:`.", "training", "lora")
        return self


class PretrainedModel(Settings):
    """A model that the study pretrains."""

    name: str = Field(min_length=1)
    pretrain: Pretrain
    mode: AnswerMode | None = None
    classifier_pooling: ClassifierPooling | None = None
    """Of a decoder in head mode; default: last."""
    training: NamedOrTraining = Training()
    """Of its stages on labels; the pretraining has its own."""
    prompt: PromptSettingsPatch = PromptSettingsPatch()
    engine: EnginePatch = EnginePatch()


class NamedModel(Settings):
    """An existing model."""

    name: str = ""
    """Default: the name of its folder or on the Hub."""
    model: str = Field(min_length=1)
    """The name of a shipped model, a folder, or a model id of the Hub."""
    mode: AnswerMode | None = None
    """Default: head for encoders, text for decoders and encoder-decoder models."""
    classifier_pooling: ClassifierPooling | None = None
    """Of a decoder in head mode; default: last."""
    training: NamedOrTraining = Training()
    """Overrides the study's `training`; that of a row or a target overrides it."""
    prompt: PromptSettingsPatch = PromptSettingsPatch()
    engine: EnginePatch = EnginePatch()


def _shape(given: Any) -> str | None:
    if isinstance(given, dict):
        return "(named)" if "model" in given else "(pretrained)"
    return {str: "(one)", PretrainedModel: "(pretrained)", NamedModel: "(named)"}.get(type(given))


Model = Annotated[
    Annotated[str, Tag("(one)")]
    | Annotated[PretrainedModel, Tag("(pretrained)")]
    | Annotated[NamedModel, Tag("(named)")],
    Discriminator(
        _shape, custom_error_type="shape",
        custom_error_message="expected the name of a model, or a mapping with `name` and `pretrain`, or with `model`",
        custom_error_context={"takes_text": True},
    ),
]  # fmt: skip
