"""Masked language modelling, for pretraining and for stages with text.

The masked tokens of a step depend only on (seed, step). Each pass over a text masks other tokens, and a resumed run masks
the same tokens as an uninterrupted one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlift.errors import UserError
from xlift.recipes import Masking
from xlift.tasks.formats.features import IGNORE_INDEX

Tensors = dict[str, Tensor]


class Masker:
    """Chooses the tokens to predict and masks them: 80% become `<mask>`, 10% a random token, 10% stay (Devlin et al. 2019).
    Special tokens are neither masked nor used as random tokens."""

    def __init__(self, masking: Masking, tokenizer: Any) -> None:
        """Raises UserError if the tokenizer has no mask token."""
        if tokenizer.mask_token_id is None:
            raise UserError("the model's tokenizer has no mask token", fix="use a model whose tokenizer has one.")
        self.share = masking.share
        self.mask_id: int = tokenizer.mask_token_id
        self.special_ids = np.unique(tokenizer.all_special_ids)
        self.ordinary_ids = np.setdiff1d(np.arange(len(tokenizer)), self.special_ids)

    def __call__(self, input_ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mask (rows, tokens) ids. Returns the masked copy and where a prediction is expected, of the same shape."""
        is_target = ~np.isin(input_ids, self.special_ids) & (rng.random(input_ids.shape) < self.share)
        draw = rng.random(input_ids.shape)
        masked = input_ids.copy()
        masked[is_target & (draw < 0.8)] = self.mask_id
        is_random = is_target & (draw >= 0.9)
        masked[is_random] = self.ordinary_ids[rng.integers(len(self.ordinary_ids), size=input_ids.shape)][is_random]
        return masked, is_target

    def corrupt(self, inputs: Tensors, *, seed: int, step: int) -> tuple[Tensors, Tensors]:
        """Mask the batch of a step. Returns the model's inputs, and `label`, the token to predict at each position."""
        masked, labels = mask_tokens(inputs["input_ids"], self, seed=seed, step=step)
        return {**inputs, "input_ids": masked}, {"label": labels}


def mask_tokens(input_ids: Tensor, masker: Masker, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Mask the batch of a step.

    Args:
        input_ids: (rows, tokens), the whole batch of the step, on the CPU.

    Returns:
        Masked ids and labels, each (rows, tokens). A label is the original token where it was masked, else IGNORE_INDEX.
    """
    masked, is_target = masker(input_ids.numpy(), np.random.default_rng([seed, 4, step]))
    return torch.from_numpy(masked), input_ids.masked_fill(~torch.from_numpy(is_target), IGNORE_INDEX)
