"""Describe the recipes of a study's stages for a paper's method section, including defaults. Equal recipes appear once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from xlift.recipes import WIDE, Recipe
from xlift.studies.job import TrainSpec

PRECISIONS = {
    "fp32": "float32",
    "bf16": "bfloat16 with float32 weights",
    "auto": f"bfloat16 with float32 weights if the machine supports it natively and the hidden size is at least {WIDE}, else float32",
}


def describe_recipes(manifests: Sequence[dict[str, Any]]) -> list[str]:
    """Return one sentence for each distinct recipe of the trained stages, with their tasks if there are several recipes.

    Args:
        manifests: of a study's artifacts; stages of another xlift version are skipped.
    """
    recipe_tasks: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        if manifest["kind"] != "train":
            continue
        try:
            spec = TrainSpec.model_validate(manifest["spec"])
        except ValidationError:
            continue
        length = spec.recipe.max_length or max(data.max_length for data in spec.parts)
        tasks = " + ".join(dict.fromkeys(data.task for data in spec.mixture))
        recipe_tasks.setdefault(describe_recipe(spec.recipe, length), {})[tasks] = None
    if len(recipe_tasks) == 1:
        return [f"Each stage was trained with {recipe}." for recipe in recipe_tasks]
    return [
        f"Stages on {_join_words(list(tasks))} were trained with {recipe}." for recipe, tasks in recipe_tasks.items()
    ]


def describe_recipe(recipe: Recipe, max_length: int) -> str:
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
        f"peak learning rate {recipe.lr:g}",
        ("linear decay to zero " if recipe.lr_scheduler_type == "linear" else "a constant rate ") + warm,
        f"batches of {recipe.batch_size}",
        f"{recipe.max_steps:,} steps"
        if recipe.max_steps
        else "1 epoch"
        if recipe.epochs == 1
        else f"{recipe.epochs:g} epochs",
        f"at most {max_length} tokens a sequence",
        PRECISIONS[recipe.precision],
    ]
    if recipe.lora:
        parts.insert(0, f"LoRA of rank {recipe.lora.rank} (alpha {recipe.lora.alpha:g})")
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _warmup_text(warmup_steps: float) -> str:
    if not warmup_steps:
        return "without warm-up"
    if warmup_steps < 1:
        return f"after warm-up over {100 * warmup_steps:g}% of the steps"
    return f"after {warmup_steps:g} warm-up {'step' if warmup_steps == 1 else 'steps'}"


def _join_words(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
