"""The xlift engine without one of its parts, for `benchmarks.training --parts`.

Each change patches a function that the engine calls, in the measured process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from xlift.recipes import Engine


@dataclass(frozen=True)
class Change:
    precision: str = ""
    engine: Engine = Engine()


def replace(module: Any, name: str, value: Any) -> None:
    getattr(module, name)  # raises if the engine no longer has this name
    setattr(module, name, value)


def padded() -> Change:
    """Pad rows in micro-batches of similar length instead of packing them."""
    from xlift.models import model

    replace(model, "supports_packing", lambda backbone: False)
    return Change()


def torch_dropout() -> Change:
    from xlift.models import packing
    from xlift.training import stage

    replace(stage, "use_bit_dropout", lambda model: None)
    replace(packing, "bit_dropout", lambda x, rate: functional.dropout(x, rate, training=True))
    return Change()


def torch_attention() -> Change:
    """Use torch's scaled_dot_product_attention."""
    from xlift.models import packing

    def attend(
        q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, scaling: float, dropout: float
    ) -> Tensor:
        if bias is not None:  # torch adds a float mask to the scores
            mask = bias if mask is None else bias.masked_fill(~mask, -float("inf"))
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling)

    replace(packing, "_attend", attend)
    return Change()


def slow_adamw() -> Change:
    """Use unfused AdamW."""
    import torch

    from xlift.training import loop

    def optimizer(model: nn.Module, recipe: Any, *, offload: bool) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, betas=(0.9, recipe.adam_beta2), eps=recipe.adam_epsilon, fused=False
        )

    replace(loop, "make_optimizer", optimizer)
    return Change()


CHANGES: dict[str, Callable[[], Change]] = {
    "": Change,
    "whole vocabulary": partial(Change, engine=Engine(compact_vocabulary="off")),
    "padded instead of packed": padded,
    "torch's dropout": torch_dropout,
    "torch's attention": torch_attention,
    "unfused AdamW": slow_adamw,
    "fp32": partial(Change, precision="fp32"),
    "micro-batches of 512 tokens": partial(Change, engine=Engine(token_budget=512)),
}
