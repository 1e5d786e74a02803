"""AdamW and Adafactor with their moments in CPU memory, for a model whose weights and gradients just fit on a GPU.

A step copies weights and gradients to the CPU, updates there, and copies the weights back. The arithmetic is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class _OffloadedOptimizer(torch.optim.Optimizer):
    """Updates copies of the parameters on the CPU. `param_groups` and `state` are those of the copies.

    Args:
        groups: parameter groups as for the optimizer itself, on any device.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        self.model_parameters: list[nn.Parameter] = [parameter for group in groups for parameter in group["params"]]
        cpu_groups = [{**group, "params": [_empty_cpu_copy(p) for p in group["params"]]} for group in groups]
        super().__init__(cpu_groups, **options)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        cpu_parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        pairs = [(p, copy) for p, copy in zip(self.model_parameters, cpu_parameters, strict=True) if p.grad is not None]
        for parameter, copy in pairs:
            copy.copy_(parameter)  # the model may have been loaded from a checkpoint since the last step
            copy.grad = parameter.grad.to("cpu") if parameter.grad is not None else None
        super().step()
        super().zero_grad(set_to_none=True)
        for parameter, copy in pairs:
            parameter.copy_(copy)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.model_parameters:
            parameter.grad = None


class OffloadedAdamW(_OffloadedOptimizer, torch.optim.AdamW):
    pass


class OffloadedAdafactor(_OffloadedOptimizer, torch.optim.Adafactor):
    pass


def _empty_cpu_copy(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(torch.empty_like(parameter, device="cpu"))
