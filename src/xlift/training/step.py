"""One optimizer step of a stage: split its batch into micro-batches under a token budget, and accumulate their gradients.

The loss of a micro-batch is a sum divided by the count of the whole step. So the gradient equals that of the whole batch,
however it is split and distributed over ranks; without dropout, only rounding differs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from xlift.errors import UserError
from xlift.memory import MIN_TOKENS
from xlift.models.model import Model
from xlift.models.outputs import Loss
from xlift.models.packing import ATTENTION_NAME as PACKED
from xlift.models.packing import LENGTHS, move_inputs
from xlift.models.text_mode import text_loss, token_loss
from xlift.recipes import Precision
from xlift.tasks.formats.features import IGNORE_INDEX
from xlift.training.batches import OUTPUT, Step, UnitIndex, collate, collate_targets, split_into_micro_batches
from xlift.training.devices import ProcessGroup, assign_rows_to_ranks, random_state, set_random_state
from xlift.training.in_batch_negatives import embed_rows
from xlift.training.loop import StepOutput
from xlift.training.masking import Masker
from xlift.training.precision import autocast, no_autocast
from xlift.training.train_dataset import TrainDataset

log = logging.getLogger(__name__)


class TrainingStep:
    """Computes the training steps of a stage: `training_step(number)` leaves that step's gradients on the model.

    Args:
        train_datasets: the parts of the mixture.
        units: the unit index of each part.
        steps: the schedule of the stage.
        precision: 'bf16' or 'fp32'.
        budget: most tokens of a micro-batch.
        process_group: the ranks that share the rows of a step. The model is moved to its device here.
        checkpointing: recompute the activations inside a layer instead of keeping them.
    """

    def __init__(
        self,
        model: Model,
        pad_id: int,
        train_datasets: Sequence[TrainDataset],
        units: Sequence[UnitIndex],
        steps: Sequence[Step],
        *,
        seed: int,
        precision: Precision,
        budget: int,
        process_group: ProcessGroup | None = None,
        checkpointing: bool = False,
    ) -> None:
        self.model, self.pad_id, self.seed = model, pad_id, seed
        self.train_datasets, self.units, self.steps = train_datasets, units, steps
        self.precision: Precision = precision
        self.budget = budget
        self.process_group = process_group or ProcessGroup(device=model.device)
        self.loss_module = _LossModule(model)
        layers = [module for module in model.backbone.modules() if isinstance(module, GradientCheckpointingLayer)]
        if checkpointing:
            _enable_gradient_checkpointing(layers, model.backbone.config.model_type)
        self.process_group.place_model(self.loss_module, layers)

    def __call__(self, number: int) -> StepOutput:
        """Compute the gradients of a step. If GPU memory is full, halve the budget and repeat it with the same dropout.

        Raises:
            UserError: GPU memory is full and the budget cannot be halved.
        """
        step, process_group = self.steps[number], self.process_group
        dataset, rows = self.train_datasets[step.part], self.units[step.part].rows(step.units)
        while True:
            state_before = random_state(process_group.device)
            try:
                loss = self._accumulate_gradients(dataset, rows, number)
                break
            except torch.OutOfMemoryError as error:
                # handled after this block, since the exception keeps the activations in its frames alive
                message = str(error).partition("\n")[0]
            self._halve_budget(dataset, message)
            set_random_state(state_before, process_group.device)
        process_group.all_reduce_gradients(list(self.model.parameters()))
        num_tokens = int(dataset.features.lengths[rows].sum())
        return StepOutput(process_group.all_reduce_sum(loss).item(), num_tokens, step.part)

    def gathered_for_evaluation(self) -> AbstractContextManager[None]:
        """Predict with the model between two steps. All ranks must make the same predictions."""
        return self.process_group.gathered_for_evaluation(self.loss_module)

    def _accumulate_gradients(self, dataset: TrainDataset, rows: np.ndarray, number: int) -> Tensor:
        """Add this rank's gradients to the parameters. Returns this rank's share of the step's loss."""
        process_group, device = self.process_group, self.process_group.device
        total, losses = torch.zeros((), device=device), self._micro_batch_losses(dataset, rows, number)
        # With one forward pass nothing reads a cast twice. Then the backward pass frees each one after its last use.
        is_read_again = len(losses) > 1 or self.model.head(dataset.head_name).spec.output.compares_rows
        is_cached = is_read_again and not process_group.is_sharded
        with autocast(self.precision, device, cached=is_cached), _packed_attention(self.model):
            for compute_loss, divisor in losses:
                loss = self.loss_module(compute_loss) / divisor
                with no_autocast(device):
                    # FSDP2 averages the gradients over the ranks
                    (loss * process_group.world_size if process_group.is_sharded else loss).backward()
                total += loss.detach()
        return total

    def _micro_batch_losses(
        self, dataset: TrainDataset, rows: np.ndarray, number: int
    ) -> list[tuple[Callable[[], Loss], float]]:
        """For each micro-batch of this rank, a function that computes its loss, and the divisor of its sum: the count of the
        whole step."""
        process_group, features = self.process_group, dataset.features
        output = self.model.head(dataset.head_name).spec.output
        units, lengths = features.unit[rows], features.lengths[rows]
        rank_rows = assign_rows_to_ranks(units, lengths, process_group.world_size)
        if output.compares_rows:
            targets = collate_targets(features, rows, width=0)
            # every rank computes the loss of the whole step
            divisor = output.count(targets) * process_group.world_size
            return [(partial(self._loss_of_vectors, dataset, rows, rank_rows, targets), divisor)]
        inputs, targets = collate(features, rows, self.pad_id)
        if dataset.corruption is not None:
            inputs, targets = dataset.corruption.corrupt(inputs, seed=self.seed, step=number)
        rank_batches = [self._split(units, lengths, own) for own in rank_rows]
        batches = rank_batches[process_group.rank]
        count = float(max(1, output.count(targets)))
        divisors = [count] * len(batches)
        if process_group.is_sharded:
            # all ranks must gather the weights equally often: a rank with fewer micro-batches adds some of zero weight
            num_missing = max(map(len, rank_batches)) - len(batches)
            batches = batches + [np.flatnonzero(units == units[0])] * num_missing
            divisors = divisors + [math.inf] * num_missing
        selected = [_select_rows(inputs, targets, batch, output.per_token) for batch in batches]
        return [(partial(self._loss, dataset, *batch), each) for batch, each in zip(selected, divisors, strict=True)]

    def _split(self, units: np.ndarray, lengths: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
        """Split some rows of a step into micro-batches."""
        if len(rows) == 0:
            return []
        packed = self.model.supports_packing
        return [rows[at] for at in split_into_micro_batches(units[rows], lengths[rows], self.budget, packed)]

    def _loss(self, dataset: TrainDataset, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Loss:
        device, head = self.process_group.device, dataset.head_name
        inputs, targets = move_inputs(inputs, device), move_inputs(targets, device)
        if isinstance(dataset.corruption, Masker):
            logits = partial(self.model.vocabulary_logits, head=head)
            hidden_states = self.model.last_hidden_state(inputs)
            return token_loss(hidden_states, targets["label"], logits, len(dataset.corruption.ordinary_ids))
        if self.model.head(head).spec.output.is_generated:
            return text_loss(self.model, inputs, targets)
        return self.model.head(head).loss(self.model(inputs, head), targets)

    def _loss_of_vectors(
        self, dataset: TrainDataset, rows: np.ndarray, rank_rows: Sequence[np.ndarray], targets: dict[str, Tensor]
    ) -> Loss:
        process_group, head = self.process_group, dataset.head_name
        own_rows = rows[rank_rows[process_group.rank]]
        vectors = embed_rows(self.model, head, dataset.features, own_rows, self.pad_id, process_group.device)
        return self.model.head(head).loss(
            process_group.gather_rows(vectors, rank_rows), move_inputs(targets, vectors.device)
        )

    def _halve_budget(self, dataset: TrainDataset, message: str) -> None:
        """Halve the budget after GPU memory was full.

        Raises:
            UserError: the budget is too small to halve, or other ranks are computing the same micro-batch.
        """
        process_group, output = self.process_group, self.model.head(dataset.head_name).spec.output
        needs_all_ranks = process_group.world_size > 1 and (process_group.is_sharded or output.compares_rows)
        half = self.budget // 2
        if needs_all_ranks or half < MIN_TOKENS:
            raise UserError(
                f"GPU memory is full with micro-batches of {self.budget} tokens: {message}",
                fix="in the study's `engine:`, "
                + (f"set `token_budget: {half}`, or " if needs_all_ranks and half >= 64 else "")
                + "add `gradient_checkpointing: true`, `offload: true`, or several `devices` with `strategy: fsdp`.",
            )
        self.budget = half
        log.warning("GPU memory is full; continuing with micro-batches of at most %d tokens", self.budget)
        self.model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()


class _LossModule(nn.Module):
    """Computes losses inside a module's forward, before which FSDP2 gathers the weights of the model."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute_loss: Callable[[], Loss]) -> Tensor:
        return compute_loss().total


def _enable_gradient_checkpointing(layers: Sequence[Any], model_type: str) -> None:
    """Does the same as transformers' `gradient_checkpointing_enable`, whose arguments differ between versions."""
    if not layers:
        raise UserError(
            f"models of type '{model_type}' do not support gradient checkpointing",
            fix="remove `gradient_checkpointing` from `engine:`.",
        )
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


@contextmanager
def _packed_attention(model: Model) -> Iterator[None]:
    """Set the attention of packed rows for forward and backward, since a layer recomputed in backward must use the same."""
    config: Any = model.trunk.config
    original = config._attn_implementation
    if model.supports_packing:
        config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = original


def _select_rows(
    inputs: dict[str, Tensor], targets: dict[str, Tensor], positions: np.ndarray, per_token: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Select rows of a batch, and remove padding that none of them needs.

    Args:
        per_token: whether the columns of `targets` are tokens, and not labels of a row.
    """
    rows = torch.from_numpy(positions)
    width = int(inputs[LENGTHS][rows].max())
    widths = {}
    if OUTPUT in targets:
        widths[OUTPUT] = max(1, int((targets[OUTPUT][rows] != IGNORE_INDEX).sum(dim=1).max()))

    def select(name: str, tensor: Tensor) -> Tensor:
        has_padding = tensor.dim() == 2 and (per_token or name in inputs)
        return tensor[rows, : widths.get(name, width)] if has_padding else tensor[rows]

    return {n: select(n, t) for n, t in inputs.items()}, {n: select(n, t) for n, t in targets.items()}
