"""Merge several models that were trained from the same start: task arithmetic and averages.

    start + sum of weight * (parent - start)            (Ilharco et al. 2023)

With weights that add up to 1 the start cancels out, and the result is the parents' average (Wortsman et al. 2022, 'model soups').
Adapters are merged as full updates, b @ a, not as factors: the mean of the factors does not give the mean of the products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xlift.errors import UserError
from xlift.models.backbone import load_head_weights, load_without_heads, read_head_specs, restore_embeddings
from xlift.models.delta import StoredModel
from xlift.models.model import Model

BLOCK = 1 << 22
"""Numbers to combine at a time: 32 MB each as float64."""
IGNORED_CONFIG_KEYS = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
"""Config entries in which mergeable models may differ."""


@torch.no_grad()
def merge(
    start: StoredModel, parents: Sequence[StoredModel], weights: Sequence[float], keep_heads: Sequence[str] = ()
) -> tuple[Model, Any]:
    """The merged model and its tokenizer, in the memory of one model: the files of the others are memory-mapped and read tensor
    by tensor. Delta checkpoints are rebuilt first.

    Args:
        weights: one for each parent.
        keep_heads: heads to take over, each from the first parent that has it. Heads are not averaged: two of the same
            name may have learnt different things.

    Raises:
        UserError: a parent differs from the start in architecture, size or tokenizer; no parent has a head of `keep_heads`;
            or a file is missing or damaged.
    """
    assert len(parents) == len(weights)
    model, tokenizer = _load_full(start)
    tensors: list[dict[str, Tensor]] = []
    for stored in parents:
        parent, parent_tokenizer = _load_full(stored)
        _check_compatible(model, tokenizer, parent, parent_tokenizer, stored.folder)
        tensors.append(parent.backbone_state_dict())
    for name, tensor in model.backbone_state_dict().items():
        tensor.copy_(combine_tensors(tensor, [each[name] for each in tensors], weights))
    model.language_head = {}  # a pretrained language head starts the first stage only
    for name in keep_heads:
        heads = [read_head_specs(parent.folder) for parent in parents]
        first = next((i for i, specs in enumerate(heads) if name in specs), None)
        if first is None:
            available = sorted({head for specs in heads for head in specs})
            raise UserError(f"no head '{name}' to keep", fix=f"the merged models have: {', '.join(available) or '-'}")
        model.add_head(name, heads[first][name], seed=0)
        load_head_weights(model, parents[first].folder, (name,))
    return model.eval(), tokenizer


def combine_tensors(start: Tensor, parents: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """start + sum of weight * (parent - start), float32.

    Computed as (1 - sum of the weights) * start + sum of weight * parent in float64, and rounded once. So equal parents whose
    weights add up to 1 give their exact bits, and so does one parent with weight 1.
    """
    start_weight = 1.0 - math.fsum(weights)
    all_weights = [0.0 if abs(start_weight) < 1e-9 else start_weight, *weights]
    result = torch.empty(start.shape, dtype=torch.float32)
    sources = [tensor.detach().flatten() for tensor in (start, *parents)]
    flat = result.view(-1)
    for begin in range(0, flat.numel(), BLOCK):
        total = torch.zeros(min(BLOCK, flat.numel() - begin), dtype=torch.float64)
        for weight, source in zip(all_weights, sources, strict=True):
            if weight:
                total += source[begin : begin + BLOCK].double() * weight
        flat[begin : begin + BLOCK] = total
    return result


def _load_full(stored: StoredModel) -> tuple[Model, Any]:
    model, tokenizer = load_without_heads(stored)
    restore_embeddings(model, stored)
    return model, tokenizer


def _check_compatible(model: Model, tokenizer: Any, parent: Model, parent_tokenizer: Any, folder: Path) -> None:
    """Raises UserError at the first difference."""

    def error(what: str) -> UserError:
        fix = "merge models that stages trained from the same start."
        return UserError(f"models that differ cannot be merged: {what}", where=str(folder), fix=fix)

    ours, theirs = model.backbone.config.to_dict(), parent.backbone.config.to_dict()
    for name in sorted((ours.keys() | theirs.keys()) - IGNORED_CONFIG_KEYS):
        if ours.get(name) != theirs.get(name):
            raise error(f"{name} is {ours.get(name)} in the start and {theirs.get(name)} here")
    if tokenizer.get_vocab() != parent_tokenizer.get_vocab():
        raise error("the tokenizer differs from that of the start")
    tensors, parent_tensors = model.backbone_state_dict(), parent.backbone_state_dict()
    for name in sorted(tensors.keys() | parent_tensors.keys()):
        if name not in tensors or name not in parent_tensors or tensors[name].shape != parent_tensors[name].shape:
            raise error(f"tensor {name} is missing or has another shape")
