"""One optimizer step of a stage: its batch cut into micro-batches under a token budget, and their gradients summed.

A micro-batch's loss is a sum divided by what the whole step counts, so the gradient is that of the whole batch at once,
however it is cut; without dropout the cut changes nothing but rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from xlift.models.backbone import Encoder
from xlift.models.kinds import Loss, counted
from xlift.recipes import Precision
from xlift.training.batches import Step, UnitIndex, collate, cut, row_targets
from xlift.training.in_batch import embed
from xlift.training.loop import StepDone
from xlift.training.masking import hide, word_loss
from xlift.training.part import Part
from xlift.training.precision import autocast, no_autocast


class StageSteps:
    """What a stage's step does, by number: `stage_steps(number)` leaves the gradients of that step on the encoder.

    Args:
        steps: the schedule of the stage.
        precision: 'bf16' or 'fp32'.
        budget: tokens of a micro-batch, at most.
    """

    def __init__(
        self,
        encoder: Encoder,
        pad_id: int,
        parts: Sequence[Part],
        units: Sequence[UnitIndex],
        steps: Sequence[Step],
        *,
        seed: int,
        precision: Precision,
        budget: int,
    ) -> None:
        self.encoder, self.pad_id, self.seed = encoder, pad_id, seed
        self.parts, self.units, self.steps = parts, units, steps
        self.precision: Precision = precision
        self.budget = budget

    def __call__(self, number: int) -> StepDone:
        step = self.steps[number]
        part = self.parts[step.part]
        rows = self.units[step.part].rows(step.units)
        tokens = sum(len(part.features.input_ids[row]) for row in rows)
        losses, count = self._losses(part, rows, number)
        device = self.encoder.device
        total = torch.zeros((), device=device)
        with autocast(self.precision, device):
            for loss in losses:
                value = loss().total / count
                with no_autocast(device):
                    value.backward()
                total += value.detach()
        return StepDone(total.item(), tokens)

    def _losses(self, part: Part, rows: np.ndarray, number: int) -> tuple[list[Callable[[], Loss]], int]:
        """The loss of every micro-batch, to be computed one after the other, and what all of them count."""
        head = self.encoder.head(part.head_name)
        if head.spec.kind == "dual":
            targets = row_targets(part.features, rows, width=0)
            return [partial(self._dual_loss, part, rows, targets)], counted("dual", targets)
        inputs, targets = collate(part.features, rows, self.pad_id)
        if part.masker is not None:
            inputs["input_ids"], labels = hide(inputs["input_ids"], part.masker, seed=self.seed, step=number)
            targets = {"label": labels}
        cuts = cut(
            part.features.unit[rows], inputs["attention_mask"].sum(dim=1).numpy(), self.budget, self.encoder.packs
        )
        losses = [partial(self._loss, part, *_taken(inputs, targets, chosen)) for chosen in cuts]
        return losses, max(1, counted(head.spec.kind, targets))

    def _loss(self, part: Part, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Loss:
        device = self.encoder.device
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}
        targets = {name: tensor.to(device, non_blocking=True) for name, tensor in targets.items()}
        if part.masker is not None:
            words = partial(self.encoder.word_logits, head=part.head_name)
            return word_loss(self.encoder.last_hidden_state(inputs), targets["label"], words, len(part.masker.ordinary))
        return self.encoder.head(part.head_name).loss(self.encoder(inputs, part.head_name), targets)

    def _dual_loss(self, part: Part, rows: np.ndarray, targets: dict[str, Tensor]) -> Loss:
        vectors = embed(self.encoder, part.head_name, part.features, rows, self.pad_id)
        return self.encoder.head(part.head_name).loss(vectors, {n: t.to(vectors.device) for n, t in targets.items()})


def _taken(
    inputs: dict[str, Tensor], targets: dict[str, Tensor], chosen: np.ndarray
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Some rows of a batch, without the padding that only the others need."""
    rows = torch.from_numpy(chosen)
    width = int(inputs["attention_mask"][rows].sum(dim=1).max())

    def take(tensor: Tensor) -> Tensor:
        return tensor[rows, :width] if tensor.dim() == 2 else tensor[rows]

    return {n: take(t) for n, t in inputs.items()}, {n: take(t) for n, t in targets.items()}
