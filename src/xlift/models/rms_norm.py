"""Gemma's RMS norm with a short backward pass.

The norm of transformers is eight operations in float32. For their gradients they keep two float32 tensors of the input's size, and
the backward pass reads or writes such tensors about fourteen times. Gemma has six norms in a layer, so they take much of what
training keeps in memory, and of the time outside of matrix products. Here a norm keeps its input, in the input's type, and one
number per row. Norms whose result only products read return it in the type of the products (autocast), so that it is cast and
kept once, and not for each product. The result and the gradients differ by rounding only.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

_READ_BY_PRODUCTS = {
    GemmaRMSNorm: ("input_layernorm", "post_attention_layernorm"),
    Gemma2RMSNorm: ("input_layernorm", "pre_feedforward_layernorm"),
    Gemma3RMSNorm: ("input_layernorm", "pre_feedforward_layernorm"),
}
"""Class -> names of the norms in a layer that only linear layers read."""


class LeanRmsNorm(nn.Module):
    """The last dimension divided by its root mean square and multiplied by 1 + weight, in float32.

    Args:
        weight: (width,).
        eps: added to the mean square.
        is_read_by_products: under autocast, return its type instead of the input's.
    """

    def __init__(self, weight: nn.Parameter, eps: float, *, is_read_by_products: bool = False) -> None:
        super().__init__()
        self.weight, self.eps, self.is_read_by_products = weight, eps, is_read_by_products

    def forward(self, x: Tensor) -> Tensor:
        device = x.device.type
        is_cast = self.is_read_by_products and torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if is_cast else x.dtype
        return cast(Tensor, _RmsNorm.apply(x, self.weight, self.eps, dtype))


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        wide = x.float()
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return torch.mul(wide, scale).mul_(1.0 + weight.float()).to(dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, scale = ctx.saved_tensors
        grad = grads[0].float()
        normed = x.float() * scale
        product = grad * normed
        factor = 1.0 + weight.float()
        grad_weight = product.flatten(0, -2).sum(dim=0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, grad_weight, None, None
        share = (product @ factor).unsqueeze(-1).div_(x.shape[-1])
        grad_x = torch.mul(grad, factor, out=product).addcmul_(normed, share, value=-1).mul_(scale)
        return grad_x.to(x.dtype), grad_weight, None, None


def use_lean_rms_norms(model: nn.Module) -> None:
    """Replace every RMS norm of Gemma in a model, in place. Parameters and their names stay."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, tuple(_READ_BY_PRODUCTS)):
                is_read_by_products = name in _READ_BY_PRODUCTS[type(child)]
                source: Any = child
                norm = LeanRmsNorm(source.weight, source.eps, is_read_by_products=is_read_by_products)
                setattr(module, name, norm.train(child.training))
