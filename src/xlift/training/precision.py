"""Which precision a stage computes in, and how.

Weights, gradients and moments are float32 always; 'bf16' means that products are computed in bfloat16 (autocast). Each
weight is cast once in a step, however many micro-batches the step is cut into.
"""

from __future__ import annotations

import torch

from xlift.recipes import WIDE, Precision


def resolve(asked: Precision, hidden_size: int, device: torch.device) -> Precision:
    """'bf16' or 'fp32': 'auto' is bf16 where the device multiplies it natively and the model is wide enough."""
    if asked != "auto":
        return asked
    return "bf16" if hidden_size >= WIDE and has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Whether products in bf16 are native: CUDA from compute capability 8.0, x86 with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(precision: Precision, device: torch.device, *, cached: bool = True) -> torch.autocast:
    """Around all forward passes of a step: casts of weights live until it ends.

    Args:
        cached: False where the weights are sharded, so that no rank holds casts of them all.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=cached)


def no_autocast(device: torch.device) -> torch.autocast:
    """Inside of `autocast`, for backward: the casts stay alive."""
    return torch.autocast(device.type, enabled=False)
