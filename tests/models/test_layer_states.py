"""Hidden states of chosen layers equal those of a full pass, and the layers above are not computed."""

from __future__ import annotations

import pytest
import torch
from tests.support import tiny

from xlift.models.layer_states import capture_layer_states, find_layer_list

INPUTS = tiny.batch([[0, 7, 9, 2], [0, 5, 2]])


def deep(family: str, layers: int) -> dict[str, int]:
    """The family's config option for the number of layers."""
    own = {"mt5": "num_layers", "nllb": "encoder_layers", "mbart": "encoder_layers"}
    return {own.get(family, "num_hidden_layers"): layers}


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_states_equal_those_of_transformers(family: str) -> None:
    model = tiny.encoder(family, **deep(family, 3))
    with torch.inference_mode():
        states = model.hidden_states(INPUTS)
        stock = model.trunk(**INPUTS, output_hidden_states=True)
    assert len(stock.hidden_states) == 4
    mask = INPUTS["attention_mask"].unsqueeze(-1)
    for layer, theirs in enumerate(stock.hidden_states):
        torch.testing.assert_close(states[layer] * mask, theirs * mask, atol=2e-6, rtol=1e-5)
    # the last ones include the final norm, like the input of heads
    torch.testing.assert_close(states[3] * mask, stock.last_hidden_state * mask, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_layer_list_is_found_in_every_family(family: str) -> None:
    found = find_layer_list(tiny.encoder(family).trunk)
    assert found is not None
    assert len(found[2]) == 2  # a layer of mT5 has as many parts, in a list too


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
@pytest.mark.parametrize("layers", [[0], [2], [4], [5], [1, 3], range(6)])
def test_chosen_states_equal_those_of_a_full_pass(family: str, layers: list[int]) -> None:
    encoder = tiny.encoder(family, **deep(family, 5))
    with torch.inference_mode():
        every, chosen = encoder.hidden_states(INPUTS), encoder.hidden_states(INPUTS, layers)
        again = encoder.last_hidden_state(INPUTS)
    assert list(every) == list(range(6))
    assert list(chosen) == list(layers)
    assert all(torch.equal(chosen[layer], every[layer]) for layer in layers)
    assert torch.equal(again, every[5])  # the model has all layers again


def test_partial_pass_does_not_affect_later_passes() -> None:
    encoder, other = tiny.encoder("bert", num_hidden_layers=3), tiny.encoder("bert", num_hidden_layers=3)
    with torch.inference_mode():
        encoder.hidden_states(INPUTS, [1])
        found, expected = encoder.hidden_states(INPUTS), other.hidden_states(INPUTS)
    assert all(torch.equal(found[layer], expected[layer]) for layer in range(4))
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in encoder.backbone.encoder.layer)


def test_layers_above_are_not_computed() -> None:
    encoder = tiny.encoder("xlm-roberta", num_hidden_layers=6)
    ran: list[int] = []
    for number, layer in enumerate(encoder.backbone.encoder.layer, start=1):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    encoder.hidden_states(INPUTS, [1, 3])
    assert ran == [1, 2, 3]


def test_model_without_one_layer_list_runs_in_full() -> None:
    encoder, plain = tiny.encoder("bert"), tiny.encoder("bert")
    encoder.backbone.more = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    assert find_layer_list(encoder.backbone) is None
    encoder.backbone.config.model_type = "other"  # a type without packing
    mask = INPUTS["attention_mask"].unsqueeze(-1)
    with torch.inference_mode():
        found, expected = encoder.hidden_states(INPUTS, [1, 2]), plain.hidden_states(INPUTS, [1, 2])
    assert list(found) == [1, 2]
    for layer in (1, 2):
        torch.testing.assert_close(found[layer] * mask, expected[layer] * mask)


def test_model_keeps_all_layers_after_an_error() -> None:
    model = tiny.backbone("bert")
    with pytest.raises(RuntimeError), capture_layer_states(model, [1]):
        raise RuntimeError
    assert len(model.encoder.layer) == 2
