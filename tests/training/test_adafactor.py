"""Adafactor as used for mT5, compared with that of transformers and with its paper."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from torch import nn
from transformers.optimization import Adafactor

from xlift.errors import UserError
from xlift.recipes import Recipe
from xlift.training.devices import ProcessGroup
from xlift.training.loop import StepOutput, create_optimizer, run_training_loop

RECIPE = Recipe(
    lr=1e-3, optimizer="adafactor", lr_scheduler_type="constant", warmup_steps=0, weight_decay=0, max_grad_norm=1e9
)


def layers(scale: float = 1.0) -> nn.ModuleDict:
    generator = torch.Generator().manual_seed(1)
    model = nn.ModuleDict({"table": nn.Embedding(20, 6), "dense": nn.Linear(6, 9), "norm": nn.LayerNorm(9)})
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return model


def set_gradients(model: nn.Module, step: int, size: float) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator) * size
    table = model.get_parameter("table.weight").grad
    assert table is not None
    table[3:] = 0  # tokens that are in no row


@settings(max_examples=scaled(25), deadline=None)
@given(scale=st.sampled_from([1e-4, 0.05, 3.0]), size=st.sampled_from([1e-6, 1e-3, 10.0]), steps=st.integers(1, 6))
def test_matches_transformers_adafactor_with_relative_steps(scale: float, size: float, steps: int) -> None:
    ours, theirs = layers(scale), layers(scale)
    optimizer = create_optimizer(ours, RECIPE)
    oracle = Adafactor(theirs.parameters(), lr=RECIPE.lr, scale_parameter=True, relative_step=False, warmup_init=False)
    for step in range(steps):
        for model, each in ((ours, optimizer), (theirs, oracle)):
            set_gradients(model, step, size)
            each.step()
    start = layers(scale)
    for (name, one), other, first in zip(ours.named_parameters(), theirs.parameters(), start.parameters(), strict=True):
        assert not torch.equal(one, first), name
        torch.testing.assert_close(one - first, other - first, rtol=2e-3, atol=3e-7 * scale)


def test_moments_are_factored() -> None:
    model = layers()
    optimizer = create_optimizer(model, RECIPE)
    set_gradients(model, 0, 1.0)
    optimizer.step()
    table, before = model.get_parameter("table.weight"), layers().get_parameter("table.weight")
    state: dict[Any, Any] = optimizer.state[table]
    assert {name: value.numel() for name, value in state.items()} == {"step": 1, "row_var": 20, "col_var": 6}
    assert torch.equal(table[3:], before[3:])  # no gradient, no step


def test_lora_steps_are_the_learning_rate() -> None:
    model = nn.ModuleDict({"lora_B": nn.Linear(4, 5, bias=False), "other": nn.Linear(4, 5, bias=False)})
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
        parameter.grad = torch.ones_like(parameter)
    create_optimizer(model, RECIPE).step()
    torch.testing.assert_close(model["lora_B"].weight, torch.full((5, 4), -1e-3))
    torch.testing.assert_close(model["other"].weight, torch.full((5, 4), -1e-6))


def test_total_weight_decay_matches_adafactor() -> None:
    used, idle = nn.Linear(2, 2), nn.Linear(2, 2)
    idle.double()

    def step(_: int) -> StepOutput:
        loss = (used.weight**2).sum() + (idle.weight * 0).sum()
        loss.backward()
        return StepOutput(loss.item(), 1)

    before = idle.weight.detach().clone()
    recipe = RECIPE.model_copy(update={"lr": 0.1, "weight_decay": 0.3, "warmup_steps": 0.25})
    output = run_training_loop(nn.ModuleList([used, idle]), 9, step, recipe, seed=0)
    assert 0.5 < output.total_weight_decay < 0.95
    assert idle.weight.detach().numpy() == pytest.approx((before * output.total_weight_decay).numpy(), rel=1e-12)


def test_offloaded_moments_give_the_same_weights() -> None:
    weights = []
    for offload in (False, True):
        model = layers()
        optimizer = create_optimizer(model, RECIPE, offload=offload)
        for step in range(3):
            set_gradients(model, step, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        weights.append(model.state_dict())
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_fsdp_is_rejected() -> None:
    with pytest.raises(UserError, match="does not work with `strategy: fsdp`"):
        run_training_loop(
            layers(),
            1,
            lambda _: StepOutput(0.0, 1),
            RECIPE,
            seed=0,
            process_group=ProcessGroup(world_size=2, strategy="fsdp"),
        )
