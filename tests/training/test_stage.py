"""Stages: heads, mixtures, and every kind of task with every model family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.support import tiny

from xlift.models.model import Model
from xlift.recipes import Recipe, Sampling
from xlift.tasks import catalog
from xlift.tasks.formats.span_qa import SpanExample
from xlift.training import loop
from xlift.training.batches import UnitIndex, collate
from xlift.training.stage import TrainDataset, add_heads, fine_tune, make_features


def part(name: str, tokenizer: Any, count: int = 16, max_length: int = 48) -> TrainDataset:
    task = catalog.get(name)
    examples = list(task.source.read(task, "qta", "train", None, size=count, seed=1))
    return TrainDataset(task, make_features(task, examples, tokenizer, max_length=max_length, train=True))


def weights(encoder: Model, head: str) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.heads[head].state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("name", ["isle-nli", "isle-pos", "isle-qa", "isle-commonsense"])
def test_every_family_learns_every_kind_of_task(family: str, name: str) -> None:
    encoder, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    parts = [part(name, tokenizer, count=8)]
    add_heads(encoder, [parts[0].task], seed=1)
    recipe = Recipe(lr=3e-3, batch_size=8, max_steps=25, warmup_steps=0.0)
    output = fine_tune(encoder, tokenizer.pad_token_id, parts, recipe, Sampling(), seed=1)
    assert output.losses[-1] < 0.9 * output.losses[0]  # eight examples can be memorized


def test_initial_head_weights_depend_only_on_task_and_seed() -> None:
    nli, pos = catalog.get("isle-nli"), catalog.get("isle-pos")
    alone, together, other_seed = (tiny.encoder("xlm-roberta", seed=n) for n in range(3))
    add_heads(alone, [nli], seed=1)
    torch.manual_seed(123)
    add_heads(together, [pos, nli], seed=1)
    add_heads(other_seed, [nli], seed=2)
    assert same(weights(alone, "isle-nli"), weights(together, "isle-nli"))
    assert not same(weights(alone, "isle-nli"), weights(other_seed, "isle-nli"))


def test_tasks_of_one_format_start_from_different_heads() -> None:
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [catalog.get("isle-continuation"), catalog.get("isle-reading")], seed=1)
    assert not same(weights(encoder, "isle-continuation"), weights(encoder, "isle-reading"))


def test_parts_of_one_task_share_its_head() -> None:
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [catalog.get("isle-nli"), catalog.get("isle-nli")], seed=1)
    assert list(encoder.heads) == ["isle-nli"]


def test_every_batch_has_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny.tokenizer()
    parts = [part("isle-nli", tokenizer, 16), part("isle-pos", tokenizer, 8)]
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [each.task for each in parts], seed=1)
    calls: list[tuple[str, int]] = []
    forward = Model.forward

    def watch(self: Model, inputs: dict[str, torch.Tensor], head: str) -> torch.Tensor:
        calls.append((head, len(inputs["input_ids"])))
        return forward(self, inputs, head)

    monkeypatch.setattr(Model, "forward", watch)
    fine_tune(encoder, tokenizer.pad_token_id, parts, Recipe(batch_size=4, epochs=1), Sampling(), seed=1)
    assert sorted(calls) == [("isle-nli", 4)] * 4 + [("isle-pos", 4)] * 2


def test_a_batch_has_all_choices_of_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny.tokenizer()
    choices = part("isle-continuation", tokenizer, 10)
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [choices.task], seed=1)
    seen: list[int] = []
    monkeypatch.setattr(
        "xlift.training.step.collate", lambda features, rows, pad: seen.extend(rows) or collate(features, rows, pad)
    )
    fine_tune(encoder, tokenizer.pad_token_id, [choices], Recipe(batch_size=3, epochs=1), Sampling(), seed=1)
    count = UnitIndex(choices.features).num_units
    assert count == 10
    assert sorted(seen) == list(range(len(choices.features)))  # each row once
    units = choices.features.unit[seen]
    assert (units[1:] != units[:-1]).sum() == count - 1  # and the rows of a question are adjacent


def test_a_long_context_is_split_into_windows() -> None:
    task, tokenizer = catalog.get("isle-qa"), tiny.tokenizer()
    context = "the old man reads a long book in the garden " * 6 + "and Paris lies in France"
    example = SpanExample("1", context, "where lies Paris", ("France",), (context.index("France"),))
    features = make_features(task, [example], tokenizer, max_length=32, train=True)
    assert len(features) > 3
    assert set(features.example_index) == {0}
    assert any(start > 0 for start in features.targets["start"])  # a window with the answer
    assert any(start == 0 for start in features.targets["start"])  # and one without
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [task], seed=1)
    recipe = Recipe(lr=3e-3, batch_size=2, epochs=10)
    output = fine_tune(encoder, tokenizer.pad_token_id, [TrainDataset(task, features)], recipe, Sampling(), seed=1)
    assert output.global_step == -(-10 * len(features) // 2)  # windows count, not questions
    assert output.losses[-1] < output.losses[0]


def test_a_stage_depends_on_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)  # without a folder there is nothing to write to
    tokenizer = tiny.tokenizer()

    def train(seed: int) -> dict[str, torch.Tensor]:
        encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=0.1)
        add_heads(encoder, [catalog.get("isle-nli")], seed=seed)
        parts = [part("isle-nli", tokenizer)]
        fine_tune(encoder, tokenizer.pad_token_id, parts, Recipe(lr=1e-3, max_steps=5), Sampling(), seed=seed)
        return weights(encoder, "isle-nli")

    assert same(train(1), train(1))
    assert not same(train(1), train(2))
