"""Hidden states of chosen layers: those of a whole run, with the layers above left out."""

from __future__ import annotations

import pytest
import torch
from tests.support import tiny

from xlift.models.depth import first_layers

INPUTS = tiny.batch([[0, 7, 9, 2], [0, 5, 2]])


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("layers", [[0], [2], [4], [5], [1, 3], range(6)])
def test_chosen_states_are_those_of_all_layers(family: str, layers: list[int]) -> None:
    encoder = tiny.encoder(family, num_hidden_layers=5)
    with torch.inference_mode():
        every, chosen = encoder.hidden_states(INPUTS), encoder.hidden_states(INPUTS, layers)
        again = encoder.last_hidden_state(INPUTS)
    assert list(every) == list(range(6))
    assert list(chosen) == list(layers)
    assert all(torch.equal(chosen[layer], every[layer]) for layer in layers)
    assert torch.equal(again, every[5])  # the model is whole again


def test_layers_far_above_are_not_computed() -> None:
    encoder = tiny.encoder("xlm-roberta", num_hidden_layers=6)
    ran: list[int] = []
    for number, layer in enumerate(encoder.backbone.encoder.layer):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    encoder.hidden_states(INPUTS, [1, 3])
    assert ran == [0, 1, 2, 3]


def test_a_model_whose_layers_are_not_in_one_list_is_run_as_a_whole() -> None:
    model = tiny.backbone("bert", num_hidden_layers=2)
    model.more = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    with first_layers(model, 1):
        assert len(model.encoder.layer) == 2


def test_an_error_leaves_the_model_whole() -> None:
    model = tiny.backbone("bert", num_hidden_layers=2)
    with pytest.raises(RuntimeError), first_layers(model, 1):
        raise RuntimeError
    assert len(model.encoder.layer) == 2
