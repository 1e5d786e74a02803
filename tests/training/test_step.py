"""A step in micro-batches has the loss, gradient and count of the whole step, and the split follows its rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny

from xlift.models.model import Model
from xlift.models.text_mode import TEXT
from xlift.recipes import Engine, Masking, PromptSettings, Recipe, Sampling
from xlift.tasks import catalog, formats
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import make_prompts
from xlift.tasks.prompts.tokenization import adapt_template, text_features
from xlift.training import stage
from xlift.training.batches import Step, UnitIndex, split_into_micro_batches
from xlift.training.masking import Masker
from xlift.training.step import TrainingStep

TASKS = ("isle-nli", "isle-pos", "isle-qa", "isle-continuation", "isle-text", "isle-answer-pairs")
"""One of each kind of head."""


def part(name: str, tokenizer: Any, count: int) -> stage.TrainDataset:
    task = catalog.get(name)
    read = list(task.source.read(task, "qta", "train", None, size=count, seed=1))
    features = stage.make_features(task, read, tokenizer, max_length=64, train=True)
    return stage.TrainDataset(
        task, features, corruption=Masker(Masking(), tokenizer) if task.format == "text" else None
    )


def gradients(encoder: Model, one: stage.TrainDataset, budget: int) -> tuple[float, dict[str, torch.Tensor]]:
    units = UnitIndex(one.features)
    whole = Step(0, np.arange(units.num_units))
    encoder.zero_grad()
    steps = TrainingStep(encoder, 1, [one], [units], [whole], seed=1, precision="fp32", budget=budget)
    output = steps(0)
    assert output.num_tokens == one.features.lengths.sum()
    return output.loss, {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("packed", [True, False])
def test_micro_batches_give_the_gradients_of_the_whole_step(
    name: str, family: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "supports_packing", packed)
    one, encoder = part(name, tiny.tokenizer_of(family), 10), tiny.encoder(family)
    stage.add_heads(encoder, [one.task], seed=1)
    if name == "isle-answer-pairs":
        with torch.no_grad():
            encoder.head(name).get_parameter("logit_scale").fill_(5.0)  # at 100 a random model's loss is nearly flat
    expected_loss, expected = gradients(encoder, one, budget=10**6)
    # the gradients of a question's rows nearly cancel in a random model
    allowed = max(1e-5 * max(grad.abs().max().item() for grad in expected.values()), 1e-6)
    for budget in (1, 90, 200):
        loss, found = gradients(encoder, one, budget)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        assert found.keys() == expected.keys()
        for key, grad in expected.items():
            torch.testing.assert_close(found[key], grad, atol=allowed, rtol=1e-4)


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "mt5", "nllb"])
@pytest.mark.parametrize("packed", [True, False])
def test_micro_batches_in_text_mode_give_the_gradients_of_the_whole_step(
    family: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    if packed and not encoder.supports_packing:
        pytest.skip("this family does not support packing")
    monkeypatch.setattr(Model, "supports_packing", packed)
    task = catalog.get("isle-pos")
    read = list(task.source.read(task, "qta", "train", None, size=10, seed=1))
    template = adapt_template(find_template(task, PromptSettings(), "qta"), tokenizer)
    encoded_prompts = make_prompts(read, formats.get(task.format), task.labels, template)
    features = text_features(encoded_prompts, tokenizer, encoder.family, max_length=200, train=True)
    one = stage.TrainDataset(task, features, head=TEXT)
    stage.add_heads(encoder, [task], seed=1, head=TEXT)
    expected_loss, expected = gradients(encoder, one, budget=10**6)
    allowed = max(1e-5 * max(grad.abs().max().item() for grad in expected.values()), 1e-6)
    for budget in (1, 300):
        loss, found = gradients(encoder, one, budget)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        assert found.keys() == expected.keys()
        for key, grad in expected.items():
            torch.testing.assert_close(found[key], grad, atol=allowed, rtol=1e-3)


def test_the_loss_is_the_mean_over_what_the_step_counts() -> None:
    one, encoder = part("isle-pos", tiny.tokenizer(), 6), tiny.encoder("xlm-roberta")
    stage.add_heads(encoder, [one.task], seed=1)
    loss, _ = gradients(encoder, one, budget=50)
    sums, count = 0.0, 0
    for row in range(len(one.features)):  # one row at a time, without micro-batches
        ids = torch.tensor([one.features.input_ids[row].tolist()])
        labels = torch.tensor([one.features.targets["label"][row].tolist()])
        with torch.no_grad():
            logits = encoder({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, one.head_name)
        wanted = labels != -100
        sums += torch.nn.functional.cross_entropy(logits[wanted], labels[wanted], reduction="sum").item()
        count += int(wanted.sum())
    assert loss == pytest.approx(sums / count, rel=1e-5)


def test_bf16_is_near_fp32_and_casts_each_weight_once_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    one, encoder = part("isle-nli", tiny.tokenizer(), 12), tiny.encoder("xlm-roberta")
    stage.add_heads(encoder, [one.task], seed=1)
    exact, _ = gradients(encoder, one, budget=100)
    units = UnitIndex(one.features)
    steps = TrainingStep(encoder, 1, [one], [units], [Step(0, np.arange(12))], seed=1, precision="bf16", budget=100)
    from torch.profiler import ProfilerActivity, profile

    counts = []
    for budget in (10**6, 100):
        steps.budget = budget
        encoder.zero_grad()
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            loss = steps(0).loss
        assert loss == pytest.approx(exact, rel=2e-2)
        sizes = [e.input_shapes[0] for e in seen.events() if e.name == "aten::_to_copy" and e.input_shapes]
        counts.append(sum(size == [64, 32] for size in sizes))  # a weight of the feed-forward part, and its gradient
    layers = 2
    # one cast forward for any number of micro-batches, and one of the gradient for each of them
    assert counts[0] == 2 * layers
    micro = len(
        split_into_micro_batches(one.features.unit, np.array([len(r) for r in one.features.input_ids]), 100, True)
    )
    assert micro > 2
    assert counts[1] == (1 + micro) * layers


def test_weights_and_gradients_are_fp32_under_bf16() -> None:
    one, encoder = part("isle-nli", tiny.tokenizer(), 12), tiny.encoder("xlm-roberta")
    stage.add_heads(encoder, [one.task], seed=1)
    recipe = Recipe(lr=1e-3, batch_size=4, max_steps=3, precision="bf16")
    stage.fine_tune(encoder, 1, [one], recipe, Sampling(), seed=1, engine=Engine(token_budget=64))
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


@given(st.data(), st.booleans(), st.integers(1, 200))
def test_micro_batches_have_every_row_once_whole_units_and_stay_in_budget(data: Any, packed: bool, budget: int) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=20))
    units = np.repeat(np.arange(len(sizes)) + 7, sizes)
    lengths = np.array(data.draw(st.lists(st.integers(1, 90), min_size=len(units), max_size=len(units))))
    batches = split_into_micro_batches(units, lengths, budget, packed)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(units)))
    for batch in batches:
        assert np.all(np.diff(batch) > 0)  # rows keep their order
        whole = set(units[batch].tolist())
        assert all(unit not in whole for unit in np.delete(units, batch).tolist())
        cost = lengths[batch].sum() if packed else len(batch) * lengths[batch].max()
        assert cost <= budget or len(whole) == 1
        if not packed and len(whole) > 1:
            longest = [lengths[units == unit].max() for unit in whole]
            assert 2 * min(longest) >= max(longest)
