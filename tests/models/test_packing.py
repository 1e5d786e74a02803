"""Packed rows give the states and gradients of separate rows, in every family and for every mixture of lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.profile import scaled
from torch import Tensor

from xlift.model_families import MODEL_TYPES
from xlift.models.model import Model
from xlift.models.packing import LENGTHS as LENGTHS_INPUT
from xlift.models.packing import Packing, make_packing, move_inputs, run_packed, supports_packing

FAMILIES = [name for name, traits in MODEL_TYPES.items() if traits.supports_packing]
LENGTHS = [17, 3, 9, 16, 1, 2, 9, 30, 12]


def rows(lengths: list[int], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(5, 100, (length,), generator=generator).tolist() for length in lengths]
    return tiny.batch(ids)


def with_types(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The second half of every row is the second text."""
    half = inputs["attention_mask"].sum(dim=1, keepdim=True) // 2
    place = torch.arange(inputs["input_ids"].shape[1])
    return {**inputs, "token_type_ids": (place >= half).long() * inputs["attention_mask"]}


def trunk(family: str, **options: Any) -> Any:
    """The module that computes hidden states: mT5's encoder, a decoder without its output layer."""
    return Model(tiny.backbone(family, **options)).trunk


def models() -> list[Any]:
    local = {"local_attention": 6, "global_attn_every_n_layers": 2}
    return [
        *(pytest.param(family, {}, id=family) for family in FAMILIES),
        pytest.param("modernbert", local, id="modernbert-local"),
        pytest.param("xlm-roberta", {"pad_token_id": 1, "max_position_embeddings": 40}, id="short-positions"),
        pytest.param("qwen3", {"num_key_value_heads": 1}, id="qwen3-one-key-head"),
        pytest.param("qwen3", {"num_key_value_heads": 4}, id="qwen3-as-many-key-heads"),
        pytest.param("gemma3_text", {"use_bidirectional_attention": True}, id="embedding-gemma"),
        pytest.param("mt5", {"relative_attention_max_distance": 16}, id="mt5-near"),
    ]


@pytest.mark.parametrize(("family", "options"), models())
@pytest.mark.parametrize("training", [False, True])
def test_packed_states_and_gradients_equal_those_of_separate_rows(family: str, options: Any, training: bool) -> None:
    model = trunk(family, **options).train(training)
    inputs = rows(LENGTHS)
    if family == "bert":
        inputs = with_types(inputs)
    weights = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(1))

    packed = run_packed(model, inputs).last_hidden_state
    (packed * weights).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    total = torch.zeros(())
    for row, length in enumerate(LENGTHS):
        alone = {name: tensor[row : row + 1, :length] for name, tensor in inputs.items()}
        states = model(**alone).last_hidden_state
        torch.testing.assert_close(packed[row, :length], states[0], atol=2e-6, rtol=1e-5)
        assert not packed[row, length:].any()
        total = total + (states * weights).sum()
    total.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and parameter.grad.any():
            # embeddings before a norm have large gradients: their std is 0.02
            largest = max(1.0, parameter.grad.abs().max().item())
            torch.testing.assert_close(found[name], parameter.grad, atol=3e-5 * largest, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_all_layers_are_unpacked(family: str) -> None:
    model, inputs = Model(tiny.backbone(family)), rows(LENGTHS)
    if family == "bert":
        inputs = with_types(inputs)
    with torch.inference_mode():
        packed = model.hidden_states(inputs)
        padded = model.trunk(**inputs, output_hidden_states=True).hidden_states
    assert len(packed) == len(padded) == 3
    mask = inputs["attention_mask"].unsqueeze(-1)
    for layer, theirs in enumerate(padded):
        torch.testing.assert_close(packed[layer], theirs * mask, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("training", [False, True])
def test_lengths_from_the_cpu_give_the_same_bits(family: str, training: bool) -> None:
    model, inputs = Model(tiny.backbone(family)).train(training), rows(LENGTHS)
    gradients = []
    for each in (inputs, {**inputs, LENGTHS_INPUT: torch.tensor(LENGTHS)}):
        model.zero_grad()
        torch.manual_seed(1)
        states = model.last_hidden_state(each)
        states.square().sum().backward()
        gradients.append([states, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(gradients[0]) > 10
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_step_copies_nothing_from_the_device(family: str) -> None:
    # the meta device has no data: a copy to the CPU, tolist(), item() or nonzero() raises
    model = Model(tiny.backbone(family)).to("meta").train()
    inputs = move_inputs({**rows(LENGTHS), LENGTHS_INPUT: torch.tensor(LENGTHS)}, torch.device("meta"))
    states = model.last_hidden_state(inputs)
    assert states.shape == (len(LENGTHS), max(LENGTHS), 32)
    states.sum().backward()
    with pytest.raises(RuntimeError, match="meta"):
        model.last_hidden_state({name: tensor for name, tensor in inputs.items() if name != LENGTHS_INPUT})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_packed_step_does_not_wait_for_the_gpu() -> None:
    device = torch.device("cuda")
    model = Model(tiny.backbone("xlm-roberta")).to(device).train()
    torch.cuda.set_sync_debug_mode("error")
    try:
        inputs = move_inputs({**rows(LENGTHS), LENGTHS_INPUT: torch.tensor(LENGTHS)}, device)
        model.last_hidden_state(inputs).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_an_unpacked_model_ignores_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "supports_packing", False)
    model, inputs = Model(tiny.backbone("xlm-roberta")).eval(), rows(LENGTHS)
    again = {**inputs, LENGTHS_INPUT: torch.tensor(LENGTHS)}
    assert torch.equal(model.last_hidden_state(inputs), model.last_hidden_state(again))
    assert LENGTHS_INPUT in again  # the caller's inputs are unchanged


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_do_not_attend_to_each_other(family: str) -> None:
    model, inputs = trunk(family), rows(LENGTHS)
    changed = {**inputs, "input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][3] = (changed["input_ids"][3] + 7) % 100
    with torch.inference_mode():
        before, after = (run_packed(model, each).last_hidden_state for each in (inputs, changed))
    same = [torch.equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same == [row != 3 for row in range(len(LENGTHS))]


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_tokens_of_a_decoder_do_not_attend_to_later_ones(family: str) -> None:
    model, inputs = trunk(family), rows([9, 12])
    changed = {**inputs, "input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][1, 7] += 1
    with torch.inference_mode():
        before, after = (run_packed(model, each).last_hidden_state[1] for each in (inputs, changed))
    assert torch.equal(before[:7], after[:7])
    assert not torch.isclose(before[7:], after[7:]).all(dim=1).any()


def test_sliding_window_of_a_local_layer() -> None:
    # with one local layer, a token six places before is outside a window of six
    model, inputs = trunk("gemma3_text", num_hidden_layers=1), rows([12, 12])
    changed = {**inputs, "input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][:, 0] += 1
    with torch.inference_mode():
        before, after = (run_packed(model, each).last_hidden_state for each in (inputs, changed))
    differs = [not torch.equal(before[:, place], after[:, place]) for place in range(12)]
    assert differs == [place < 6 for place in range(12)]


def test_mt5_bias_is_as_wide_as_the_longest_row() -> None:
    model, shapes = trunk("mt5"), []
    first = model.block[0].layer[0].SelfAttention
    first.relative_attention_bias.register_forward_hook(lambda _, __, output: shapes.append(output.shape[:2]))
    run_packed(model, rows(LENGTHS))
    assert shapes == [(30, 30)]
    assert "compute_bias" not in vars(first)  # the class's method is used again


def test_attention_implementation_is_restored_after_an_error() -> None:
    model = tiny.backbone("xlm-roberta")
    own = model.config._attn_implementation
    run_packed(model, rows([3, 4]))
    assert model.config._attn_implementation == own
    with pytest.raises(IndexError):  # the tokenizer of another model
        run_packed(model, {name: tensor * 600 for name, tensor in rows([3, 4]).items()})
    assert model.config._attn_implementation == own


def test_only_tested_families_are_packed() -> None:
    from transformers import AutoModel, DebertaV2Config

    config = DebertaV2Config(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    )
    assert not supports_packing(AutoModel.from_config(config))
    assert all(supports_packing(trunk(family)) for family in FAMILIES)


@settings(max_examples=scaled(60))
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_packing_and_unpacking_round_trip(lengths: list[int]) -> None:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    packing = make_packing(torch.tensor(lengths), max(lengths), mask.device)
    padded = torch.arange(1, mask.numel() + 1).view_as(mask) * mask
    packed = packing.pack(padded)
    assert packed.shape == (1, sum(lengths))
    assert sorted(packed[0].tolist()) == padded[mask == 1].tolist()
    assert torch.equal(packing.unpack(packed, len(lengths)), padded)
    assert [group.start for group in packing.groups[1:]] == [group.end for group in packing.groups[:-1]]
    assert sum(group.num_rows for group in packing.groups) == len(lengths)
    check_positions(packing, padded)


def check_positions(packing: Packing, padded: Tensor) -> None:
    """A token's position is its column."""
    columns = torch.arange(padded.shape[1]).expand_as(padded).reshape(-1)
    assert torch.equal(packing.position_ids[0], columns[packing.tokens.index])


@settings(max_examples=scaled(40))
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_gradient_of_packing_is_exact(lengths: list[int]) -> None:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    packing = make_packing(torch.tensor(lengths), max(lengths), mask.device)
    padded = torch.randn(*mask.shape, 3, dtype=torch.float64, requires_grad=True)
    round_trip = lambda x: packing.unpack(packing.pack(x) ** 2, len(lengths))  # noqa: E731
    assert torch.autograd.gradcheck(round_trip, (padded,))
