"""Masked language modelling: what pretraining and the stages of a road have in common.

What is hidden at a step is a function of (seed, step), so that each pass over a text hides other words and a run that goes
on after a stop hides those that it would have hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from xlift.errors import UserError
from xlift.models.kinds import Loss
from xlift.recipes import Masking

SCORES = 2**28
"""Scores over the vocabulary that are held at a time, 1 GB: of 1,073 positions of XLM-R. Fixed, since another cut rounds
differently."""


class Masker:
    """Which tokens are to be predicted, and what stands in their place (Devlin et al. 2019: 80% `<mask>`, 10% a random
    token, 10% left as they are). Special tokens are neither chosen nor put in."""

    def __init__(self, masking: Masking, tokenizer: Any) -> None:
        """Raises UserError where the tokenizer has no mask token."""
        if tokenizer.mask_token_id is None:
            raise UserError("the model's tokenizer has no mask token", fix="masked language modelling needs one.")
        self.share = masking.share
        self.mask_id: int = tokenizer.mask_token_id
        self.special = np.unique(tokenizer.all_special_ids)
        self.ordinary = np.setdiff1d(np.arange(len(tokenizer)), self.special)

    def __call__(self, input_ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Masked copy of (rows, tokens) ids, and where a prediction is wanted."""
        wanted = ~np.isin(input_ids, self.special) & (rng.random(input_ids.shape) < self.share)
        draw = rng.random(input_ids.shape)
        masked = input_ids.copy()
        masked[wanted & (draw < 0.8)] = self.mask_id
        replaced = wanted & (draw >= 0.9)
        masked[replaced] = self.ordinary[rng.integers(len(self.ordinary), size=input_ids.shape)][replaced]
        return masked, wanted


def masked_loss(
    inputs: dict[str, Tensor],
    masker: Masker,
    hidden_states: Callable[[dict[str, Tensor]], Tensor],
    logits: Callable[[Tensor], Tensor],
    *,
    seed: int,
    step: int,
) -> Loss:
    """Cross entropy of the hidden tokens of a batch; counts them.

    Args:
        inputs: the whole text, as `collate` gives it.
        hidden_states: inputs -> (rows, tokens, hidden), the last ones.
        logits: (positions, hidden) -> (positions, vocabulary). Asked only where something is hidden, and in several parts
            where the scores would take more than a gigabyte: each part is then scored again for its gradient.
    """
    original = inputs["input_ids"]
    masked, wanted = masker(original.numpy(), np.random.default_rng([seed, 4, step]))
    where = torch.from_numpy(wanted)
    hidden, labels = hidden_states({**inputs, "input_ids": torch.from_numpy(masked)})[where], original[where]

    def total(hidden: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits(hidden).float(), labels, reduction="sum")

    room = SCORES // len(masker.ordinary)
    if len(labels) <= room:
        return Loss(total(hidden, labels), where.sum())
    parts = zip(hidden.split(room), labels.split(room), strict=True)
    sums = [checkpoint(total, *part, use_reentrant=False) for part in parts]
    return Loss(torch.stack(sums).sum(), where.sum())
