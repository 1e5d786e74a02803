"""Recipes that published scripts and papers train with, under the keys of a study's `training:`.

A recipe has common settings, and settings for the tasks that its source trains: the task's own (`Task.official`, made by the
functions here). Where a source gives no number, the recipe has none, and xlift's default holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Settings = dict[str, Any]
BySource = dict[str, Settings]
"""Name of a recipe -> its settings for one task."""

ALL_EVALUATIONS = 10_000
"""Patience of scripts that never stop early: they train all steps and keep the best checkpoint."""

RecipeName = Literal["xtreme", "xtreme-large", "jiant", "mt5"]


@dataclass(frozen=True)
class PublishedRecipe:
    title: str
    source: str
    """Where the values are from."""
    common: Mapping[str, Any]
    """Settings that hold for every task; a task's own settings override them."""


_ADAMW = {
    "optimizer": "adamw", "lr_scheduler_type": "linear", "batch_size": 32, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
}  # fmt: skip
_XTREME = {**_ADAMW, "lr": 2e-5, "epochs": 3, "warmup_steps": 0.0, "weight_decay": 0.0}
_XTREME_SCRIPTS = "github.com/google-research/xtreme, scripts/train_*.sh (commit 838c13b)"

RECIPES: dict[RecipeName, PublishedRecipe] = {
    "xtreme": PublishedRecipe("XTREME (Hu et al. 2020), models of base size", _XTREME_SCRIPTS, _XTREME),
    "xtreme-large": PublishedRecipe("XTREME (Hu et al. 2020), XLM-R large", _XTREME_SCRIPTS, _XTREME),
    "jiant": PublishedRecipe(
        "jiant's guide to X-STILTs (Phang et al. 2020)",
        "github.com/nyu-mll/jiant, jiant/proj/simple/runscript.py for intermediate tasks and jiant/scripts/benchmarks/xtreme "
        "for targets (commit daa5a258)",
        {**_ADAMW, "lr": 1e-5, "epochs": 3, "warmup_steps": 0.1, "weight_decay": 0.01, "max_length": 256},
    ),
    "mt5": PublishedRecipe(
        "mT5 (Xue et al. 2021)",
        "Xue et al. 2021, 4.1; github.com/google-research/multilingual-t5, multilingual_t5/finetune_mt5_tasks.sh "
        "(commit 209f40a)",
        {
            "optimizer": "adafactor", "lr": 1e-3, "lr_scheduler_type": "constant", "warmup_steps": 0.0, "weight_decay": 0.0,
            "batch_size": 128, "max_length": 1024,
            "early_stopping": {"eval_steps": 200, "patience": ALL_EVALUATIONS},
        },
    ),
}  # fmt: skip
"""Clipping of mT5 is not here: T5's Adafactor clips each weight's update at 1, and has no norm of all gradients. xlift clips at
its default norm, 1."""


def xtreme(
    lr: float, large: float, epochs: int, max_length: int = 128, *, warmup_steps: float = 0.0, weight_decay: float = 0.0,
    batch_size: int = 32, eval_steps: int | None = None,
) -> BySource:  # fmt: skip
    """What XTREME's scripts set for a task, for models of base size and for XLM-R large.

    Its warm-up on questions is 500 steps, which is longer than one of its runs on TyDi QA.

    Args:
        eval_steps: the script keeps the checkpoint that is best on English dev data, evaluated every so many steps.
    """
    settings: Settings = {
        "batch_size": batch_size, "epochs": epochs, "max_length": max_length, "warmup_steps": warmup_steps,
        "weight_decay": weight_decay,
    }  # fmt: skip
    if eval_steps:
        settings["early_stopping"] = {"eval_steps": eval_steps, "patience": ALL_EVALUATIONS}
    return {"xtreme": {"lr": lr, **settings}, "xtreme-large": {"lr": large, **settings}}


def jiant(epochs: int, max_length: int = 256, batch_size: int = 32) -> BySource:
    """What jiant's scripts for XTREME set for a task, for every model: they stop after 30 evaluations without a gain on English
    dev data."""
    settings = {
        "batch_size": batch_size, "epochs": epochs, "max_length": max_length, "warmup_steps": 0.1, "weight_decay": 0.01,
        "early_stopping": {"eval_steps": 1000, "patience": 30},
    }  # fmt: skip
    return {"jiant": {"lr": 1e-5, **settings}}


INTERMEDIATE: BySource = {
    "jiant": {key: value for key, value in RECIPES["jiant"].common.items() if key not in _ADAMW or key == "batch_size"}
}
"""What jiant's simple interface sets, which its guide to X-STILTs uses: the same for every intermediate task, without
evaluation."""


def mt5(max_steps: int, batch_tokens: int = 2**17) -> BySource:
    """What mT5's script sets for a task.

    Its batches are counted in tokens, over rows of 1,024 that several short examples share; here each example has a row of its
    own, so a step has fewer examples. Dropout is that of the model's config.
    """
    common = RECIPES["mt5"].common
    return {"mt5": {**common, "batch_size": batch_tokens // common["max_length"], "max_steps": max_steps}}


def settings_for(name: RecipeName, tasks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Settings, str]:
    """The settings of a recipe for a stage on some tasks, and a note where they are the common ones only ('' otherwise).

    Args:
        tasks: name of a task -> its settings by recipe (`Task.official`).
    """
    recipe = RECIPES[name]
    own = [official.get(name) for official in tasks.values()]
    if own[0] is not None and all(each == own[0] for each in own):
        return {**recipe.common, **own[0]}, ""
    why = "differs between" if any(each is not None for each in own) else "has no settings of its own for"
    return dict(recipe.common), f"the recipe {name} {why} {' and '.join(tasks)}, so its common settings hold there."
