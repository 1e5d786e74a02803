"""The training loop of pretraining and of every fine-tuning stage, with exact resume.

The caller provides the training step, which makes a batch and its gradients. The loop stops if a loss or a gradient norm is
not finite, records loss spikes, and evaluates the model on dev data with a function of the caller.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlift.errors import UserError
from xlift.recipes import Recipe
from xlift.training.checkpoint import (
    checkpoint_bytes,
    copy_weights,
    estimate_write_seconds,
    load_checkpoint,
    restore_weights,
    save_checkpoint,
)
from xlift.training.devices import ProcessGroup, full_tensor
from xlift.training.history import TrainingHistory
from xlift.training.offload import OffloadedAdafactor, OffloadedAdamW
from xlift.training.progress import Interrupted, MetricLog, Progress

CHECKPOINT_SECONDS = 60.0
"""Seconds between checkpoints. A killed job loses about a minute, and a shorter job never writes a checkpoint."""
CHECKPOINT_SHARE = 0.02
"""Most of a run's time that checkpoints may take. The slower the disk, the fewer checkpoints of a large model."""
ADAFACTOR_EPSILON = 1e-15
"""Square root of Adafactor's epsilon1, which is a lower bound on the mean of squared gradients."""

Evaluate = Callable[[], Sequence[float]]
"""Returns the current model's score on each dev set, higher is better. It may depend on the weights only. It may raise
Interrupted; the resumed run then repeats the evaluation."""


class Diverged(UserError):
    """The loss or the gradient is not a number."""

    precision: str = "fp32"
    """Precision of the arithmetic of the stage: 'bf16' or 'fp32'."""


@dataclass(frozen=True)
class StepOutput:
    """Result of one training step, whose gradients are on the parameters."""

    loss: float
    """Mean over the units that the loss counts (examples, tokens, windows)."""
    num_tokens: int
    """Tokens without padding."""
    part: int = 0
    """Index of the part of the mixture."""


@dataclass
class TrainOutput:
    """Numbers of a finished run, for the manifest."""

    global_step: int
    """Steps done; fewer than planned after early stopping."""
    num_tokens: int
    """Tokens without padding."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of each twentieth of the run (of each step, if there are fewer steps)."""
    loss_steps: list[int] = field(default_factory=list)
    """Steps done at the end of each of these twentieths."""
    total_weight_decay: float = 1.0
    """Factor by which weight decay alone multiplied a weight without gradients, up to the returned weights."""
    grad_norms: list[float] = field(default_factory=list)
    """Mean gradient norm before clipping, in the same intervals as `losses`."""
    last_losses: dict[int, float] = field(default_factory=dict)
    """Part of the mixture -> mean of the last twentieth of its losses (of at most 100 losses)."""
    spikes: list[tuple[int, float]] = field(default_factory=list)
    """(step from 1, loss) of the first 50 losses far above the previous ones (training/history.py)."""
    num_spikes: int = 0
    dev_scores: list[tuple[int, list[float]]] = field(default_factory=list)
    """(steps done, score of each dev set)."""
    best_step: int = 0
    """Step of the returned weights: the best on dev with early stopping, otherwise `global_step`."""
    token_budget: int = 0
    """Most tokens of a micro-batch; 0 if steps were not split."""
    precision: str = "fp32"
    """What was used; never 'auto'."""


def run_training_loop(
    model: nn.Module,
    max_steps: int,
    training_step: Callable[[int], StepOutput],
    recipe: Recipe,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
    evaluate: Evaluate | None = None,
    resume_invariants: Mapping[str, str] | None = None,
    process_group: ProcessGroup | None = None,
) -> TrainOutput:
    """Train `model` in place. All ranks must call this with the same arguments. The main process decides when to stop, and
    writes the checkpoints.

    Args:
        training_step: computes the gradient of a step's mean loss and leaves it on the parameters. It gets the step number
            and may depend only on that, the model and torch's generator.
        folder: folder of the checkpoint to write and to resume from.
        evaluate: called after the last step, and every `recipe.eval_interval` steps if that is set. With early
            stopping the best weights are returned, and the run ends when the score stops rising.
        resume_invariants: settings that depend on the machine and change rounding, such as the token budget. They are saved
            in every checkpoint. A checkpoint with other values is not resumed, so a caller that resumes must first read
            them with `checkpoint.read_resume_invariants(folder)`.
        process_group: the ranks that train the model, which `process_group.place_model` has put on its device.

    Raises:
        Diverged: the loss or the gradient is not finite (the learning rate is too high, or the weights are broken).
        Interrupted: `progress.should_stop()` returned true.
        UserError: sharded weights, and an optimizer that is not elementwise.
    """
    progress = progress or Progress()
    process_group = process_group or ProcessGroup()
    if process_group.is_sharded and not recipe.optimizer_traits.is_elementwise:
        raise UserError(
            f"{recipe.optimizer_traits.name} does not work with `strategy: fsdp`: its moments are of whole rows and columns",
            fix="use `strategy: ddp` or `optimizer: adamw`.",
        )
    torch.manual_seed(process_group.rank_seed(seed))
    optimizer = create_optimizer(model, recipe, offload=process_group.offload and not process_group.is_sharded)
    model.train()
    resumed = load_checkpoint(folder, model, optimizer, resume_invariants, process_group) if folder else None
    history = TrainingHistory.from_dict(max_steps, resumed.history if resumed else {})
    best_weights = resumed.best_weights if resumed else {}
    parameters = [p for group in _parameter_groups(model, recipe) for p in group["params"]]

    def save() -> None:
        if folder:
            save_checkpoint(
                folder,
                model,
                optimizer,
                history.global_step,
                history.to_dict(),
                resume_invariants=resume_invariants,
                best_weights=best_weights,
                process_group=process_group,
            )

    def size() -> int:
        return checkpoint_bytes(model, optimizer, best_weights)

    timer, metric_log = _CheckpointTimer(folder), MetricLog(progress, max_steps)
    while True:
        if evaluate and _should_evaluate(history, recipe):
            try:
                with _evaluation_mode(model):
                    scores = [float(score) for score in evaluate()]
            except Interrupted:
                save()
                raise
            history.record_evaluation(scores)
            metric_log.add_evaluation(history.global_step, scores)
            if recipe.early_stopping and history.best_step == history.global_step < max_steps:
                best_weights = copy_weights(model)
            if recipe.early_stopping and history.evaluations_since_best >= recipe.early_stopping.patience:
                break
        if history.global_step == max_steps:
            break
        lr = learning_rate(history.global_step, max_steps, recipe)
        _set_learning_rate(optimizer, lr)
        output = training_step(history.global_step)
        grad_norm = clip_gradients(parameters, recipe.max_grad_norm)
        if not (math.isfinite(output.loss) and math.isfinite(grad_norm)):
            name = "gradient" if math.isfinite(output.loss) else "loss"
            raise Diverged(
                f"the {name} is not a number at step {history.global_step + 1} of {max_steps}",
                fix=f"the learning rate {recipe.lr} may be too high for this model; lower `lr` or raise `warmup_steps`.",
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        history.record_step(output.loss, grad_norm, output.num_tokens, output.part)
        progress.report(history.global_step, max_steps)
        metric_log.add_step(history.global_step, output.loss, grad_norm, lr)
        if history.global_step == max_steps:
            continue
        should_stop = process_group.broadcast_decision(progress.should_stop)
        if should_stop or process_group.broadcast_decision(lambda: timer.is_due(size)):
            with timer.measure_write():
                save()
        if should_stop:
            raise Interrupted
    best_step = history.best_step if recipe.early_stopping else history.global_step
    if best_step != history.global_step:
        restore_weights(model, best_weights)
    model.eval()
    return _make_output(history, best_step, recipe)


def create_optimizer(model: nn.Module, recipe: Recipe, *, offload: bool = False) -> torch.optim.Optimizer:
    """Create AdamW or Adafactor for the trainable parameters. Biases, norms and other vectors have no weight decay.

    Adafactor follows the training and fine-tuning of T5 and mT5 (`multiply_by_parameter_scale = True` in their
    operative_config.gin, decay 1 - t ** -0.8, updates clipped to a root mean square of 1): a step is the learning rate times
    the root mean square of a weight, which is at least 0.001. torch.optim.Adafactor has that rule; it squares its epsilon1,
    so 1e-15 is the paper's 1e-30. (In transformers' Adafactor with `scale_parameter=False` a step is the learning rate
    itself.) LoRA matrices start at zero and would stay near it, so their steps are the learning rate itself.
    """
    groups = _parameter_groups(model, recipe)
    if recipe.optimizer == "adamw":
        optimizer_class = OffloadedAdamW if offload else torch.optim.AdamW
        betas = (0.9, recipe.adam_beta2)
        return optimizer_class(groups, lr=recipe.lr, betas=betas, eps=recipe.adam_epsilon, fused=True)
    lora_ids = {id(p) for name, p in model.named_parameters() if "lora_" in name}
    matrices = groups[0]["params"]
    groups[0]["params"] = [p for p in matrices if id(p) not in lora_ids]
    groups.append({**groups[0], "params": [p for p in matrices if id(p) in lora_ids], "eps": (ADAFACTOR_EPSILON, 1.0)})
    optimizer_class = OffloadedAdafactor if offload else torch.optim.Adafactor
    return optimizer_class(groups, lr=recipe.lr, eps=(ADAFACTOR_EPSILON, 1e-3), foreach=False)


def _parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def clip_gradients(parameters: list[nn.Parameter], max_norm: float) -> float:
    """Scale the gradients down to a norm of at most `max_norm`. Returns the norm before that."""
    return full_tensor(torch.nn.utils.clip_grad_norm_(parameters, max_norm)).item()


def learning_rate(step: int, max_steps: int, recipe: Recipe) -> float:
    """Learning rate of a step: linear warm-up from zero, then constant or linear decay to zero."""
    warmup_steps = recipe.num_warmup_steps(max_steps)
    if step < warmup_steps:
        return recipe.lr * (step + 1) / (warmup_steps + 1)
    if recipe.lr_scheduler_type == "constant":
        return recipe.lr
    return recipe.lr * (max_steps - step) / max(1.0, max_steps - warmup_steps)


def total_weight_decay(step: int, max_steps: int, recipe: Recipe) -> float:
    """Product of (1 - learning rate * weight_decay) over the first `step` of `max_steps` steps, in float64. It depends on
    the recipe alone, so checkpoints do not contain it."""
    return math.prod(1.0 - learning_rate(each, max_steps, recipe) * recipe.weight_decay for each in range(step))


class _CheckpointTimer:
    """Decides when a checkpoint is due, so that checkpoints take less than CHECKPOINT_SHARE of the time.

    The time for the first one is estimated after CHECKPOINT_SECONDS by writing a small part of it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.start_time = time.monotonic()
        self.due = self.start_time + CHECKPOINT_SECONDS
        self.has_measured_disk = False

    def is_due(self, size: Callable[[], int]) -> bool:
        """Whether to write a checkpoint now; `size` returns its size in bytes."""
        if self.folder is None or time.monotonic() <= self.due:
            return False
        if not self.has_measured_disk:
            self.has_measured_disk = True
            self.due = self.start_time + self._interval(estimate_write_seconds(self.folder, size()))
        return time.monotonic() > self.due

    @contextmanager
    def measure_write(self) -> Iterator[None]:
        """Measure the time of writing in the block, and set the time of the next checkpoint."""
        started = time.monotonic()
        yield
        now = time.monotonic()
        self.due = now + self._interval(now - started)

    @staticmethod
    def _interval(write_seconds: float) -> float:
        """Seconds until the next checkpoint if one takes `write_seconds`."""
        return max(CHECKPOINT_SECONDS, write_seconds / CHECKPOINT_SHARE)


def _should_evaluate(history: TrainingHistory, recipe: Recipe) -> bool:
    step, interval = history.global_step, recipe.eval_interval
    is_at_interval = interval is not None and step > 0 and step % interval == 0
    return (is_at_interval or step == history.max_steps) and not history.is_evaluated


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation between two training steps; restores the random state and training mode."""
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(list(devices)):
        model.eval()
        try:
            yield
        finally:
            model.train()


def _set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def _make_output(history: TrainingHistory, best_step: int, recipe: Recipe) -> TrainOutput:
    return TrainOutput(
        global_step=history.global_step,
        num_tokens=history.num_tokens,
        losses=history.interval_means(history.loss_sums),
        loss_steps=history.interval_ends,
        total_weight_decay=total_weight_decay(best_step, history.max_steps, recipe),
        grad_norms=history.interval_means(history.grad_norm_sums),
        last_losses={int(part): losses.final_mean for part, losses in history.parts.items()},
        spikes=history.spikes,
        num_spikes=history.num_spikes,
        dev_scores=history.dev_scores,
        best_step=best_step,
    )
