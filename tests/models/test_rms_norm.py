"""The short norm has the values and gradients of the one in transformers."""

from __future__ import annotations

import pytest
import torch
from tests.support import tiny
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

from xlift.models.outputs import HeadSpec
from xlift.models.rms_norm import LeanRmsNorm, use_lean_rms_norms

SHAPES = [(3, 5, 64), (1, 4, 7, 32)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    theirs = Gemma3RMSNorm(shape[-1])
    torch.nn.init.normal_(theirs.weight, std=0.5)
    ours = LeanRmsNorm(torch.nn.Parameter(theirs.weight.detach().clone()), theirs.eps)
    x = 3 * torch.randn(shape, dtype=dtype)
    grad = torch.randn(shape, dtype=dtype)
    results = []
    for norm in (ours, theirs):
        input = x.clone().requires_grad_()
        output = norm(input)
        output.backward(grad)
        results.append((output.detach(), input.grad, norm.weight.grad))
    tolerance = {"atol": 2e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.02, "rtol": 0.01}
    for found, expected, tolerances in zip(*results, [tolerance, tolerance, {"atol": 1e-4, "rtol": 1e-4}], strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, **tolerances)


def test_zeros_have_no_gradient_that_is_not_a_number() -> None:
    x = torch.zeros(2, 8, requires_grad=True)
    LeanRmsNorm(torch.nn.Parameter(torch.ones(8)), 1e-6)(x).sum().backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


def test_frozen_weights_get_no_gradient() -> None:
    norm = LeanRmsNorm(torch.nn.Parameter(torch.ones(8), requires_grad=False), 1e-6)
    x = torch.randn(2, 8, requires_grad=True)
    norm(x).sum().backward()
    assert (norm.weight.grad, x.grad is None) == (None, False)


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3_text"])
def test_bf16_states_equal_those_of_transformers(family: str) -> None:
    """Only norms that linear layers alone read return bf16: any other one would round the states."""
    from tests.models.test_text_mode import model_of

    model = model_of(family)
    inputs = tiny.batch([range(10, 30), range(5, 11)])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = model.last_hidden_state(inputs)
        use_lean_rms_norms(model)
        found = model.last_hidden_state(inputs)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.01)
    assert float((found - expected).float().abs().mean()) < 2e-3


def test_model_has_the_same_gradients_and_keeps_less() -> None:
    gradients, kept = [], []
    for is_lean in (False, True):
        model = tiny.encoder("gemma3_text").train()
        model.add_head("task", HeadSpec("sequence", ("a", "b")), seed=1)
        names = list(model.state_dict())
        if is_lean:
            use_lean_rms_norms(model)
            assert not any(isinstance(module, Gemma3RMSNorm) for module in model.modules())
            assert list(model.state_dict()) == names
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(tiny.batch([range(10, 30), range(5, 11)]), "task").square().sum()
        loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        kept.append(sum(sizes.values()))
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-5, rtol=1e-4, msg=name)
    assert kept[1] < 0.9 * kept[0]  # weights are counted too
