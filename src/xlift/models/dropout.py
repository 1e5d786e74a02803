"""Dropout with cheap masks on a CPU.

On a CPU torch draws one double per element, one after the other, which takes a tenth of an XLM-R step. Here one draw of 64
random bits decides four elements. The rate is exact to 1 / 65,536. The generator is the same, so resuming stays exact. Other
devices use torch's dropout. (`benchmarks/training.py --parts` measures both.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


class BitDropout(nn.Dropout):
    """`nn.Dropout` with masks from random bits."""

    def forward(self, input: Tensor) -> Tensor:
        return bit_dropout(input, self.p) if self.training else input


def bit_dropout(x: Tensor, rate: float) -> Tensor:
    """`x` with each element set to zero with probability `rate`, and the rest scaled by 1 / (1 - rate)."""
    if rate <= 0:
        return x
    dropped = round(rate * _LEVELS)
    if x.device.type != "cpu" or dropped == _LEVELS:
        return functional.dropout(x, rate, training=True)
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    keep = bits[: x.numel()].view(x.shape) >= dropped - _LEVELS // 2
    return x * keep.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


def use_bit_dropout(model: nn.Module) -> None:
    """Replace every `nn.Dropout` in a model, in place."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, BitDropout(child.p).train(child.training))
