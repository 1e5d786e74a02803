"""Describe the recipes of a study's stages for a paper's method section, including defaults. Equal recipes appear once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from xlift.recipes import WIDE, Recipe
from xlift.studies.job import LearningRateChoice, TrainSpec
from xlift.studies.plan import Cell
from xlift.units import count_noun

PRECISIONS = {
    "fp32": "float32",
    "bf16": "bfloat16 with float32 weights",
    "auto": f"bfloat16 with float32 weights if the machine supports it natively and the hidden size is at least {WIDE}, else float32",
}


@dataclass(frozen=True)
class TrainedStage:
    model: str
    """Name of the model in the study."""
    spec: TrainSpec


def describe_recipes(stages: Iterable[TrainedStage]) -> list[str]:
    """Return one sentence for each distinct recipe, with its tasks if there are several recipes, and its models if others
    have other recipes."""
    groups = _group(
        stages, lambda stage: describe_recipe(stage.spec.recipe, _max_length(stage.spec), stage.spec.lr_choices)
    )
    if len(groups) == 1:
        return [f"Each stage was trained with {recipe}." for recipe in groups]
    return [f"Stages {which} were trained with {recipe}." for recipe, which in groups.items()]


def list_recipes(stages: Iterable[TrainedStage]) -> list[str]:
    """Return one line for each distinct recipe, as settings under their keys: 'Training of b on isle-nli: lr 0.001, ...'.
    Settings at their default are left out, except the main ones."""
    groups = _group(stages, lambda stage: _settings(stage.spec, _max_length(stage.spec)))
    return [f"Training {which}: {settings}." for settings, which in groups.items()]


def _group(stages: Iterable[TrainedStage], describe: Callable[[TrainedStage], str]) -> dict[str, str]:
    """Text of a recipe -> the stages that have it: 'of b on isle-nli and isle-qa', or without models if all have it."""
    models, alike = dict[str, None](), dict[str, list[TrainedStage]]()
    for stage in stages:
        alike.setdefault(describe(stage), []).append(stage)
        models[stage.model] = None
    names: dict[str, str] = {}
    for text, group in alike.items():
        tasks = dict.fromkeys(" + ".join(dict.fromkeys(data.task for data in each.spec.mixture)) for each in group)
        those = dict.fromkeys(each.model for each in group)
        names[text] = (
            f"of {_join_words(list(those))} " if len(those) < len(models) else ""
        ) + f"on {_join_words(list(tasks))}"
    return names


def _max_length(spec: TrainSpec) -> int:
    return spec.recipe.max_length or max(data.max_length for data in spec.parts)


def _settings(spec: TrainSpec, max_length: int) -> str:
    """'lr 0.0005, batch_size 32, epochs 3, max_length 128', and what differs from the defaults."""
    recipe = spec.recipe
    length = "epochs" if recipe.max_steps is None else "max_steps"
    lr = " or ".join(f"{each.lr:g}" for each in spec.lr_choices) + " (chosen on dev)" if spec.lr_choices else recipe.lr
    main = {"lr": lr, "batch_size": recipe.batch_size, length: getattr(recipe, length), "max_length": max_length}
    changed = recipe.model_dump(exclude_defaults=True, exclude={*main, "epochs", "max_steps"})
    others = {key: value for key, value in recipe.model_dump().items() if key in changed}
    return ", ".join(f"{key} {_show(value)}" for key, value in {**main, **others}.items())


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_show(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()  # as in YAML
    return f"{value:g}" if isinstance(value, float) else str(value)


def trained_stages(cells: Iterable[Cell], manifests: Sequence[dict[str, Any]]) -> list[TrainedStage]:
    """The trained stages among some artifacts; stages of another xlift version are skipped.

    Args:
        cells: of the study; they name the model of each prediction, and so of its parents.
    """
    parents = {manifest["key"]: manifest["parents"] for manifest in manifests}
    tried = tried_keys(manifests)
    models: dict[str, str] = {}
    for cell in cells:
        waiting = [cell.key]
        while waiting:
            key = waiting.pop()
            if key not in models:
                models[key] = cell.model
                waiting += parents.get(key, ())
    stages = []
    for manifest in manifests:
        try:
            if manifest["kind"] == "train" and manifest["key"] not in tried:
                spec = TrainSpec.model_validate(manifest["spec"])
                stages.append(TrainedStage(models.get(manifest["key"], ""), spec))
        except ValidationError:
            continue
    return stages


def tried_keys(manifests: Iterable[Mapping[str, Any]]) -> set[str]:
    """Keys of the jobs that only tried a learning rate: no score depends on their models."""
    return {choice["job"] for manifest in manifests for choice in manifest["spec"].get("lr_choices", ())}


def describe_recipe(recipe: Recipe, max_length: int, lr_choices: Sequence[LearningRateChoice] = ()) -> str:
    """'AdamW (...), peak learning rate 2e-05, warm-up over 10% of the steps, then linear decay to zero, batches of 32, ...'."""
    details = f"beta2 {recipe.adam_beta2:g}"
    details += f", epsilon {recipe.adam_epsilon:g}" if recipe.adam_epsilon != Recipe().adam_epsilon else ""
    if recipe.optimizer_traits.has_relative_steps:
        details = "rates relative to each weight's size"
    optimizer = f"{recipe.optimizer_traits.name} ({details}, weight decay {recipe.weight_decay:g})"
    warm = _warmup_text(recipe.warmup_steps)
    parts = [
        optimizer,
        f"gradients clipped at norm {recipe.max_grad_norm:g}",
        f"a peak learning rate out of {', '.join(f'{each.lr:g}' for each in lr_choices)} (the best in each pipeline on dev data of the "
        "languages that the stage trains on, with the first seed)"
        if lr_choices
        else f"peak learning rate {recipe.lr:g}",
        ("linear decay to zero " if recipe.lr_scheduler_type == "linear" else "a constant rate ") + warm,
        f"batches of {recipe.batch_size}",
        count_noun(recipe.max_steps, "step")
        if recipe.max_steps
        else "1 epoch"
        if recipe.epochs == 1
        else f"{recipe.epochs:g} epochs",
        f"at most {max_length} tokens a sequence",
        PRECISIONS[recipe.precision],
    ]
    if recipe.early_stopping:
        parts.insert(-2, f"the best checkpoint on dev of one every {recipe.early_stopping.eval_steps} steps")
    if recipe.lora:
        parts.insert(0, f"LoRA of rank {recipe.lora.rank} (alpha {recipe.lora.alpha:g})")
    if recipe.initializer_range is not None:
        start = (
            f"with a standard deviation of {recipe.initializer_range:g}" if recipe.initializer_range else "from zeros"
        )
        parts.insert(-1, f"new heads that start {start}")
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _warmup_text(warmup_steps: float) -> str:
    if not warmup_steps:
        return "without warm-up"
    if warmup_steps < 1:
        return f"after warm-up over {100 * warmup_steps:g}% of the steps"
    return f"after {warmup_steps:g} warm-up {'step' if warmup_steps == 1 else 'steps'}"


def _join_words(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
