"""Hidden states of chosen layers, without computing the layers above."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel


def find_layer_list(model: PreTrainedModel) -> tuple[nn.Module, str, nn.ModuleList] | None:
    """The list of a model's layers: the module that holds it, its name there, and the list. None where there is no such list."""
    num_layers = int(model.config.num_hidden_layers)
    found: list[tuple[nn.Module, str, nn.ModuleList]] = []
    nested: set[nn.Module] = set()
    for module in model.modules():  # outer modules first
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == num_layers and module not in nested:
                found.append((module, name, child))
                nested.update(child.modules())  # a layer of mT5 holds a list too
    return found[0] if len(found) == 1 else None


@contextmanager
def capture_layer_states(model: PreTrainedModel, wanted: Collection[int]) -> Iterator[dict[int, Tensor]]:
    """Context in which a forward pass stops after the highest wanted layer. Yields a dict that the pass fills: layer -> hidden
    states. Layer 0 is the input of the first layer. The caller adds the last layer's states: a model may apply a norm there.

    Args:
        model: one whose layers `find_layer_list` finds.
    """
    found = find_layer_list(model)
    assert found is not None
    parent, name, layers = found
    states: dict[int, Tensor] = {}

    def keep_input(_: nn.Module, args: Any, kwargs: Any) -> None:
        states[0] = args[0] if args else kwargs["hidden_states"]

    def keep_output(layer: int) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            states[layer] = output[0] if isinstance(output, tuple) else output

        return keep

    with ExitStack() as stack:
        for layer in wanted:
            if layer == 0:
                handle = layers[0].register_forward_pre_hook(keep_input, with_kwargs=True)
            elif layer < len(layers):
                handle = layers[layer - 1].register_forward_hook(keep_output(layer))
            else:
                continue
            stack.callback(handle.remove)
        setattr(parent, name, layers[: max(1, *wanted)])
        stack.callback(setattr, parent, name, layers)
        yield states
