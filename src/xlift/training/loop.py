"""The one training loop: step after step over a schedule, with exact resume.

What a batch is and how its gradient is made, the caller says; pretraining and every kind of fine-tuning go through here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from xlift.errors import UserError
from xlift.recipes import Recipe
from xlift.training.checkpoint import load_checkpoint, save_checkpoint
from xlift.training.progress import Interrupted, Progress

CHECKPOINT_SECONDS = 60.0
"""Time between checkpoints: a killed job loses about a minute, a short one never writes a checkpoint."""
CHECKPOINT_SHARE = 0.05
"""Of a large model's time, what checkpoints may take: the slower the disk, the rarer they are."""
PARTS = 20
"""Stretches of a run whose mean losses are kept."""


@dataclass(frozen=True)
class StepDone:
    """What a step that left its gradients on the parameters tells of itself."""

    loss: float
    """Mean over what the step counts (examples, tokens, windows)."""
    tokens: int
    """Real tokens, padding not counted."""


@dataclass
class Trained:
    """The numbers of a finished run, for the manifest."""

    steps: int
    tokens: int
    """Real tokens, padding not counted."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of each twentieth of the run (of each step, where the steps are fewer)."""
    decay: float = 1.0
    """What weight decay alone has made of a weight of 1 that no gradient reached, by the weights that are returned."""


def run_steps(
    model: nn.Module,
    steps: int,
    gradients: Callable[[int], StepDone],
    recipe: Recipe,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train `model` in place.

    Args:
        gradients: step number -> what was done; leaves the gradient of the step's mean loss on the parameters. Must depend
            on the step number, the model and torch's generator only.
        folder: where checkpoints go and where a killed run left its last one.

    Raises:
        UserError: the loss is not a number (the rate is too high, or the weights are broken).
        Interrupted: `progress.stopping()` came true.
    """
    progress = progress or Progress()
    torch.manual_seed(seed)
    optimizer = make_optimizer(model, recipe)
    model.train()
    first, numbers = load_checkpoint(folder, model, optimizer) if folder else (0, {})
    tokens = int(numbers.get("tokens", 0))
    sums = [numbers.get(f"loss{part}", 0.0) for part in range(PARTS)]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    due = time.monotonic() + CHECKPOINT_SECONDS
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, recipe)
        done = gradients(step)
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not math.isfinite(done.loss):
            raise UserError(
                f"the loss is not a number at step {step + 1} of {steps}",
                fix=f"the learning rate {recipe.lr} may be too high for this model; lower `lr` or raise `warmup`.",
            )
        tokens += done.tokens
        sums[step * PARTS // steps] += done.loss
        progress.report(step + 1, steps)
        if step + 1 == steps:
            break
        stopping = progress.stopping()
        if folder and (stopping or time.monotonic() > due):
            started = time.monotonic()
            numbers = {"tokens": tokens, **{f"loss{part}": total for part, total in enumerate(sums)}}
            save_checkpoint(folder, model, optimizer, step + 1, numbers)
            now = time.monotonic()
            due = now + max(CHECKPOINT_SECONDS, (now - started) / CHECKPOINT_SHARE)
        if stopping:
            raise Interrupted
    model.eval()
    return Trained(steps, tokens, _means(sums, steps), decay_after(steps, steps, recipe))


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; no decay on biases, norms and other vectors."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.lr, betas=(0.9, recipe.beta2), fused=True,
    )  # fmt: skip


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Linear warm-up from zero, then linear decay to zero."""
    warmup = recipe.warmup * steps
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    return recipe.lr * (steps - step) / max(1.0, steps - warmup)


def decay_after(done: int, steps: int, recipe: Recipe) -> float:
    """Product of (1 - rate * weight_decay) over the first `done` of `steps` steps, in float64. A function of the recipe
    alone, so no checkpoint needs to keep it."""
    return math.prod(1.0 - learning_rate(step, steps, recipe) * recipe.weight_decay for step in range(done))


def _means(sums: list[float], steps: int) -> list[float]:
    counts = [0] * PARTS
    for step in range(steps):
        counts[step * PARTS // steps] += 1
    return [round(total / count, 5) for total, count in zip(sums, counts, strict=True) if count]
