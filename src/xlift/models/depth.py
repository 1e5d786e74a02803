"""The lower part of a model alone: what is pooled below the top needs no layers above."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel


@contextmanager
def first_layers(model: PreTrainedModel, count: int) -> Iterator[None]:
    """Inside of the block only the first `count` layers are computed, where the model keeps its layers in one list."""
    depth = int(model.config.num_hidden_layers)
    found = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == depth
    ]
    if count >= depth or len(found) != 1:
        yield
        return
    ((module, name),) = found
    layers = module.get_submodule(name)
    assert isinstance(layers, nn.ModuleList)
    setattr(module, name, layers[:count])
    try:
        yield
    finally:
        setattr(module, name, layers)
