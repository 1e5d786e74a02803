"""Precision of a stage's arithmetic.

Weights, gradients and moments are always float32. With 'bf16', products are computed in bfloat16 (autocast). Each weight is
cast once in a step, whatever the number of micro-batches.
"""

from __future__ import annotations

import torch

from xlift.processor import has_fast_bf16
from xlift.recipes import WIDE, Precision


def resolve_precision(requested: Precision, hidden_size: int, device: torch.device) -> Precision:
    """'bf16' or 'fp32'. 'auto' is bf16 if it is faster on the device and the model is wide enough."""
    if requested != "auto":
        return requested
    return "bf16" if hidden_size >= WIDE and has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 on the device: CUDA from compute capability 8.0, processors of `has_fast_bf16`."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and has_fast_bf16()


def autocast(precision: Precision, device: torch.device, *, cached: bool = True) -> torch.autocast:
    """Context for all forward passes of a step. Casts of weights are kept until it ends.

    Args:
        cached: False for a single forward pass, and for sharded weights, so that no rank keeps casts of all of them.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=cached)


def no_autocast(device: torch.device) -> torch.autocast:
    """Context for backward passes inside `autocast`; it keeps the casts."""
    return torch.autocast(device.type, enabled=False)
