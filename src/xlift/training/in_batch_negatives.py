"""In-batch negatives: compute a loss over the vectors of all rows of a step, in bounded memory.

The rows are embedded in micro-batches. If they do not all fit into memory together, each micro-batch is embedded twice with
the same dropout: once for its vectors and once for its gradient (activation checkpointing, equivalent to the gradient
caching of Gao et al. 2021). So loss and gradient equal those of the whole step in one batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from xlift.models.model import Model
from xlift.models.packing import move_inputs
from xlift.tasks.formats.features import Features
from xlift.training.batches import collate, split_into_micro_batches

MICRO_BATCH_TOKENS = 8192
"""Tokens whose activations are kept at a time, with padding where rows are not packed: 32 pairs of 256. The number is fixed,
since another split rounds differently."""


def embed_rows(
    model: Model,
    head: str,
    features: Features,
    rows: np.ndarray,
    pad_id: int,
    device: torch.device | None = None,
) -> Tensor:
    """Embed some rows by a dual head, with gradient.

    Args:
        device: where to compute; default: the model's device.

    Returns:
        (rows, dimension) vectors in the order of `rows`.
    """
    device = device or model.device
    if len(rows) == 0:  # a rank without rows still takes part in the backward pass
        return torch.zeros(0, model.backbone.config.hidden_size, device=device, requires_grad=torch.is_grad_enabled())
    lengths = features.input_ids.lengths[rows]
    batches = split_into_micro_batches(np.arange(len(rows)), lengths, MICRO_BATCH_TOKENS, model.supports_packing)
    packed = model.supports_packing
    batch_tokens = [int(lengths[batch].sum() if packed else len(batch) * lengths[batch].max()) for batch in batches]
    # checkpoint() restores the random state, so dropout is the same in both passes
    recompute = sum(batch_tokens) > MICRO_BATCH_TOKENS and torch.is_grad_enabled()
    vectors = []
    for batch in batches:
        inputs, _ = collate(features, rows[batch], pad_id)
        inputs = move_inputs(inputs, device)
        vectors.append(checkpoint(model, inputs, head, use_reentrant=False) if recompute else model(inputs, head))
    original_order = np.argsort(np.concatenate(batches), kind="stable")
    return torch.cat(vectors)[torch.from_numpy(original_order).to(device)]
