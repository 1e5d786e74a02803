"""The token budget and its bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlift.memory import MEMORY_SHARE, token_bytes
from xlift.model_shape import ModelShape
from xlift.training import budget
from xlift.training.budget import MachineLimits, token_budget

CPU = torch.device("cpu")


def on(monkeypatch: pytest.MonkeyPatch, memory: float, workers: int = 1, most: int = 4096) -> None:
    monkeypatch.setattr(budget, "machine_limits", lambda device: MachineLimits(int(memory), workers, most))


def test_the_budget_is_the_largest_power_of_two_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    static, per_token = 1.6e9, token_bytes(ModelShape("xlm-roberta", 2, 768, 3072, 12, 100), 128, half=False)
    for wanted in (512, 1024, 2048):
        needed = wanted * per_token + static
        on(monkeypatch, 1.0001 * needed / MEMORY_SHARE)
        assert token_budget(static, per_token, CPU) == wanted
        on(monkeypatch, 3 * 1.0001 * needed / MEMORY_SHARE, workers=3)
        assert token_budget(static, per_token, CPU) == wanted


@given(st.floats(1e6, 1e13), st.integers(1, 64), st.sampled_from([4096, 65_536]))
def test_the_budget_is_a_power_of_two_within_bounds(memory: float, workers: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        on(patch, memory, workers, most)
        found = token_budget(1.8e9, 20_000, CPU)
    assert 512 <= found <= most
    assert found & (found - 1) == 0


def test_machine_limits_are_constant() -> None:
    machine = budget.machine_limits(CPU)
    assert machine == budget.machine_limits(CPU)
    assert machine.memory > 1e8
    assert machine.num_processes >= 1
