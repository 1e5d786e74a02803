"""BitDropout: the rate, the scale, the gradient, and masks that depend only on torch's generator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny
from torch import nn

from xlift.models.dropout import BitDropout, bit_dropout, use_bit_dropout


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropped_share_equals_the_rate(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    out = bit_dropout(torch.ones(1_000_000, dtype=dtype), rate)
    dropped = (out == 0).double().mean().item()
    assert dropped == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 1e6) ** 0.5)
    assert out[out != 0].float().unique().tolist() == pytest.approx([1 / (1 - rate)], rel=4e-3)


def test_neighbouring_masks_are_independent() -> None:
    torch.manual_seed(2)
    kept = (bit_dropout(torch.ones(1_000_000), 0.5) != 0).double() - 0.5
    for distance in (1, 2, 3, 4, 8, 16):  # four elements share a draw
        assert abs((kept[distance:] * kept[:-distance]).mean().item()) < 0.25 * 5e-3


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.floats(0, 1))
def test_any_shape_and_any_rate(shape: list[int], rate: float) -> None:
    x = torch.randn(shape)
    out = bit_dropout(x, rate)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    if rate == 0:
        assert out is x


def test_gradient_is_masked_like_the_value() -> None:
    x = torch.randn(1000, requires_grad=True)
    out = bit_dropout(x, 0.3)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), out.detach())


def test_masks_depend_on_the_random_state() -> None:
    state = torch.get_rng_state()
    one, two = (bit_dropout(torch.ones(100), 0.5) for _ in range(2))
    torch.set_rng_state(state)
    assert torch.equal(bit_dropout(torch.ones(100), 0.5), one)
    assert not torch.equal(one, two)


def test_model_keeps_its_rates_and_tensor_names() -> None:
    model = tiny.backbone("bert", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2)
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    names = list(model.state_dict())
    use_bit_dropout(model.train())
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert all(isinstance(module, BitDropout) and module.training for module in found)
    assert [module.p for module in found] == rates
    assert list(model.state_dict()) == names
    x = torch.randn(50)
    assert found[0].eval()(x) is x
