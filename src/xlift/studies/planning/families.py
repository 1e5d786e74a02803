"""Checks of what a family of models cannot do. Each error names its place in the study, before any job starts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from xlift.model_families import Family
from xlift.recipes import Recipe
from xlift.studies.placement import uses_gpu
from xlift.studies.planning.context import ModelState, PlanContext
from xlift.studies.rows import TrainingStage
from xlift.studies.schema.targets import Options
from xlift.tasks import formats
from xlift.tasks.task import Task
from xlift.yaml_document import Keys

FAMILY_NAMES: dict[Family, str] = {
    "encoder": "an encoder", "decoder": "a decoder", "seq2seq": "an encoder-decoder model",
}  # fmt: skip


def check_stage(context: PlanContext, state: ModelState, tasks: Sequence[Task], stage: TrainingStage) -> None:
    """Raises UserError if a model cannot be trained on one of the tasks as the stage requires."""
    text = next((task for task in tasks if formats.get(task.format).is_plain_text), None)
    if text is not None:
        _check_text_objective(context, state, stage)
    for task in tasks:
        if formats.get(task.format).is_plain_text:
            continue
        if formats.get(task.format).ranks_pool and state.engine.strategy == "fsdp":
            # its step needs the vectors of all rows at once, and its scale is a scalar, which cannot be sharded
            raise context.error(
                f"a dual encoder cannot be trained with fsdp: {task.name}", _engine_place(context, state, "strategy"),
                "use `strategy: ddp`, which divides its batches among the processes.",
            )  # fmt: skip
        if state.prompt_patches is None:
            check_head_mode(context, state, task, stage.where)
        elif formats.get(task.format).no_text_mode:
            raise context.error(
                f"{task.name} is {task.format}, which needs a head, and {state.model} is in text mode", stage.where,
                "give the model `mode: head`, in a separate study.",
            )  # fmt: skip
    if state.prompt_patches is None:
        return
    for key in ("head", "keep_heads"):
        if getattr(stage, key):
            raise context.error(
                f"`{key}` has no effect for {state.model}, which is in text mode and has no heads", (*stage.where, key),
                "remove it, or give the model `mode: head`.",
            )  # fmt: skip


def check_head_mode(context: PlanContext, state: ModelState, task: Task, where: Keys) -> None:
    """Raises UserError if a task needs text mode, and the model is in head mode."""
    format = formats.get(task.format)
    reads_bytes = state.facts is not None and state.facts.tokenizer is not None and state.facts.tokenizer.reads_bytes
    if state.prompt_patches is None and reads_bytes and format.output_kind in ("token", "span"):
        raise context.error(
            f"{task.name} is {task.format}, and the tokens of {state.model} are bytes: a head would label bytes, not words", where,
            "leave its `mode: head` out, so that it writes the answer as text, or take a model with larger tokens, such as mT5.",
        )  # fmt: skip
    if formats.get(task.format).has_head or state.prompt_patches is not None:
        return
    if state.family == "encoder":
        why, fix = f"{state.model} is an encoder", "take a decoder or an encoder-decoder model."
    else:
        why, fix = f"{state.model} is in head mode", "leave its `mode: head` out."
    raise context.error(f"{task.name} is {task.format}, which needs text mode, and {why}", where, fix)


def check_untrained(context: PlanContext, state: ModelState, task: Task, where: Keys) -> None:
    """Raises UserError if a task with labels is to be scored without training by a model in head mode."""
    if state.prompt_patches is not None:
        return
    check_head_mode(context, state, task, where)
    raise context.error(
        f"{task.name} cannot be scored without training: the head of {state.model} would be random", where,
        "use `train: false` for retrieval and mining, and for models in text mode.",
    )  # fmt: skip


def check_pooling(context: PlanContext, state: ModelState, options: Options, where: Keys) -> None:
    """Raises UserError if the model lacks the layer, or a token that represents a whole text."""
    if options.pooling == "cls" and state.family != "encoder":
        raise context.error(
            f"{state.model} is {FAMILY_NAMES[state.family]}, whose first token does not represent the whole text",
            (*where, "pooling"), "use `pooling: mean`.",
        )  # fmt: skip
    layers = state.layers
    if isinstance(options.layer, int) and layers is not None and options.layer > layers:
        part = "the encoder of " if state.family == "seq2seq" else ""
        raise context.error(
            f"there is no layer {options.layer}: {part}{state.model} has {layers}", (*where, "layer"),
            f"choose one from 0, the embeddings, to {layers}.",
        )  # fmt: skip


def _check_text_objective(context: PlanContext, state: ModelState, stage: TrainingStage) -> None:
    """Raises UserError if the model lacks what learning from text needs, or the stage has a setting that it does not use."""
    where = stage.where
    if state.family == "decoder" and stage.masking is not None:
        raise context.error(
            f"`masking` has no effect for {state.model}, a decoder, which learns to predict the next token",
            (*where, "masking"), "remove it.",
        )  # fmt: skip
    learned = [formats.get(share.learned_task.format).is_plain_text for share in stage.shares]
    if state.family != "encoder" and stage.head and any(learned):
        raise context.error(
            f"`head` has no effect: {state.model} learns text through its output layer", (*where, "head"), "remove it."
        )
    if state.family == "encoder":
        _check_masking(context, state, where)
    elif (
        state.family == "seq2seq" and state.facts and state.facts.tokenizer and not state.facts.tokenizer.has_sentinels
    ):
        raise context.error(
            f"{state.model} learns from text by writing the spans that are cut out, and its tokenizer has no sentinel tokens "
            "such as <extra_id_0> for them", where, "take a model that was pretrained with them, such as mT5, or leave the text out.",
        )  # fmt: skip


def _check_masking(context: PlanContext, state: ModelState, where: Keys) -> None:
    """Raises UserError if the model lacks what masked language modelling needs."""
    if state.facts is None:
        return
    config, tokenizer = state.facts.config, state.facts.tokenizer
    if tokenizer and not tokenizer.has("mask_token"):
        raise context.error(
            f"masked language modelling needs a mask token, and the tokenizer of {state.model} has none", where,
            "take a model whose tokenizer has one, or leave the text out.",
        )  # fmt: skip
    width = config.get("hidden_size")
    if not config.get("tie_word_embeddings", True) or config.get("embedding_size", width) != width:
        raise context.error(
            f"{state.model} does not predict tokens with its input embeddings, as masked language modelling needs", where,
            "take an encoder with a tied decoder, as XLM-R, mBERT and mmBERT have it, or leave the text out.",
        )  # fmt: skip


def check_max_length(context: PlanContext, state: ModelState, recipe: Recipe, where: Keys) -> None:
    """Raises UserError if rows may be longer than the model's positions."""
    limit = state.facts.max_length if state.facts else None
    if recipe.max_length and limit and recipe.max_length > limit:
        raise context.error(
            f"max_length {recipe.max_length} is more than the {limit} positions of {state.model}",
            training_place(context, state, where, "max_length"), f"set it to at most {limit}.",
        )  # fmt: skip


def check_recipe(context: PlanContext, state: ModelState, recipe: Recipe, where: Keys) -> None:
    """Raises UserError if the model, this machine or the engine cannot do what the recipe requires."""
    check_max_length(context, state, recipe, where)
    engine = state.engine
    if recipe.early_stopping and recipe.eval_steps:
        raise context.error(
            "`early_stopping` and `eval_steps` both say when to evaluate on dev", training_place(context, state, where, "eval_steps"),
            "remove `eval_steps`, or write `early_stopping: false` to train all steps and keep the last checkpoint.",
        )  # fmt: skip
    if not recipe.optimizer_traits.is_elementwise and engine.strategy == "fsdp":
        raise context.error(
            f"{recipe.optimizer_traits.name} does not work with `strategy: fsdp`: its moments are of whole rows and columns",
            _engine_place(context, state, "strategy"),
            "take `strategy: ddp`, or `optimizer: adamw`.",
        )  # fmt: skip
    if recipe.lora and recipe.lora.quantize and engine.strategy == "fsdp":
        raise context.error(
            "`quantize: true` does not work with `strategy: fsdp`: 4-bit matrices cannot be sharded",
            _engine_place(context, state, "strategy"),
            "take `strategy: ddp`, or leave `quantize` out.",
        )  # fmt: skip
    if recipe.lora and recipe.lora.quantize:
        missing = [] if uses_gpu(engine) else ["an NVIDIA GPU"]
        missing += [] if find_spec("bitsandbytes") else ["the package bitsandbytes"]
        if missing:
            context.refuse_to_run(
                f"`quantize: true` needs {' and '.join(missing)}", training_place(context, state, where, "lora"),
                "leave `quantize` out (LoRA works without it), or run it on a machine that has them.",
            )  # fmt: skip


def _engine_place(context: PlanContext, state: ModelState, key: str) -> Keys:
    """The place of a key of `engine:` that applies to a model."""
    place: Keys = ("models", state.index, "engine", key)
    return place if place in context.file.document.lines else ("engine", key)


def training_place(context: PlanContext, state: ModelState, where: Keys, key: str) -> Keys:
    """The place in the study that sets a key of a recipe at a place: the key itself or a published recipe, at the nearest level."""
    section = "target" if where[:1] == ("targets",) else "intermediate"
    levels: list[Keys] = [(*where[:n], "training") for n in range(len(where), 1, -1)]
    for at in (("models", state.index), ()):
        levels += [(*at, "training", section), (*at, "training")]
    for level in levels:
        value = _value_at(context.file.document.value, level)
        if isinstance(value, str):
            return level
        for name in (key, "recipe"):
            if isinstance(value, dict) and name in value:
                return (*level, name)
    return ("training", key)


def _value_at(value: Any, keys: Keys) -> Any:
    """The value at some keys of a study; None if it has none there."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        else:
            value = value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None
    return value
