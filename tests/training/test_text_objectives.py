"""Text in a stage: masked words for an encoder, the next word for a decoder, spans for an encoder-decoder model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.errors import UserError
from xlift.models.text_mode import TEXT
from xlift.recipes import Engine, Lora, Masking, Recipe, Sampling, TextShare
from xlift.tasks import catalog
from xlift.training.batches import collate
from xlift.training.objectives import corrupt_spans, make_objective
from xlift.training.progress import Interrupted, Progress
from xlift.training.stage import add_heads, fine_tune, make_features
from xlift.training.step import TrainingStep
from xlift.training.train_dataset import TrainDataset, make_text_dataset

FAMILIES = ["xlm-roberta", "qwen3", "mt5"]
RECIPE = Recipe(lr=3e-3, batch_size=8, max_steps=30, retries=0)


def read(name: str, count: int, language: str = "qta") -> list[Any]:
    task = catalog.get(name)
    return list(task.source.read(task, language, "train", None, size=count, seed=1))


def text(family: str, count: int = 16, max_length: int = 160) -> TrainDataset:
    task, tokenizer, model = catalog.get("isle-text"), tiny.tokenizer_of(family), tiny.encoder(family)
    features = make_features(task, read("isle-text", count), tokenizer, max_length=max_length, train=True)
    return make_text_dataset(task, features, tokenizer, model.family, Masking(), max_length=max_length)


def labelled(family: str, count: int = 16) -> TrainDataset:
    task, tokenizer = catalog.get("isle-nli"), tiny.tokenizer_of(family)
    return TrainDataset(task, make_features(task, read("isle-nli", count), tokenizer, max_length=64, train=True))


def train(family: str, *parts: TrainDataset, recipe: Recipe = RECIPE, **more: Any) -> tuple[Any, Any]:
    model = tiny.encoder(family)
    for part in (*parts, *more.get("text_datasets", ())):
        add_heads(model, [part.task], 1, part.head_name)
    output = fine_tune(model, tiny.tokenizer_of(family).pad_token_id, parts, recipe, Sampling(), seed=1, **more)
    return model, output


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls(family: str) -> None:
    _, output = train(family, text(family))
    assert np.mean(output.losses[-3:]) < 0.8 * np.mean(output.losses[:3])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_has_the_loss_of_pretraining(family: str) -> None:
    """However it is split into micro-batches: the same words are hidden in the same step of the same seed."""
    dataset, model, tokenizer = text(family), tiny.encoder(family), tiny.tokenizer_of(family)
    add_heads(model, [dataset.task], 1, dataset.head_name)
    if family == "xlm-roberta":
        masked = dataset.corruption.corrupt(collate(dataset.features, np.arange(6), 0)[0], seed=1, step=4)  # pyright: ignore[reportOptionalMemberAccess]
        states = model.last_hidden_state(masked[0])
        logits = model.vocabulary_logits(states.flatten(0, 1), "MLM")
        expected = torch.nn.functional.cross_entropy(logits, masked[1]["label"].flatten()).item()
    else:
        rows = [np.array(dataset.features.input_ids[row]) for row in range(6)]
        if family == "qwen3":
            rows = [row[:-1] for row in rows]  # the objective adds the end token itself
        objective = make_objective(model.backbone, tokenizer, Masking(), seed=1, device=torch.device("cpu"))
        loss, _ = objective(rows, 4)
        expected = (loss.total / loss.count).item()
    from xlift.training.batches import Step, UnitIndex

    steps = [Step(0, np.arange(6))] * 5
    for budget in (10**6, 80):
        step = TrainingStep(
            model, tokenizer.pad_token_id, [dataset], [UnitIndex(dataset.features)], steps, seed=1, precision="fp32",
            budget=budget,
        )  # fmt: skip
        assert step(4).loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_share_of_the_steps_beside_labels(family: str) -> None:
    share = TextShare(share=0.5)
    model, output = train(
        family, labelled(family), recipe=Recipe(lr=1e-3, batch_size=8, epochs=2, retries=0), text_datasets=[text(family)], text_share=share
    )  # fmt: skip
    assert output.global_step == 4 + 4
    assert list(model.heads) == ["isle-nli", "MLM" if family == "xlm-roberta" else TEXT]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_stage_ends_in_the_same_bytes(family: str, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"max_steps": 6})
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
    whole, _ = train(family, text(family), recipe=recipe, folder=folders[0])
    done: list[int] = []
    stop = Progress(lambda step, _: done.append(step), lambda: len(done) >= 3)
    with pytest.raises(Interrupted):
        train(family, text(family), recipe=recipe, folder=folders[1], progress=stop)
    resumed, output = train(family, text(family), recipe=recipe, folder=folders[1])
    assert len(output.losses) == 6
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_beside_frozen_weights(family: str) -> None:
    from xlift.models import adapters

    dataset, model = text(family), tiny.encoder(family)
    add_heads(model, [dataset.task], 1, dataset.head_name)
    adapters.add(model, Lora(rank=4), 1)
    before = {name: p.clone() for name, p in model.named_parameters()}
    recipe = RECIPE.model_copy(update={"lora": Lora(rank=4)})
    output = fine_tune(
        model, tiny.tokenizer_of(family).pad_token_id, [dataset], recipe, Sampling(), seed=1, engine=Engine()
    )
    assert np.mean(output.losses[-3:]) < np.mean(output.losses[:3])
    trained = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert trained
    assert all("lora" in name or name.startswith("heads.") for name in trained)


def test_a_document_that_is_not_cut_off_ends_with_the_end_token() -> None:
    end = tiny.tokenizer_of("qwen3").eos_token_id
    whole, cut = (text("qwen3", 4, length) for length in (160, 8))
    assert all(row[-1] == end for row in whole.features.input_ids)
    assert {len(row) for row in cut.features.input_ids} == {8}
    assert all(row[-1] != end for row in cut.features.input_ids)
    assert whole.features.targets["label"] == whole.features.input_ids


def test_each_step_hides_other_spans() -> None:
    dataset, tokenizer = text("mt5"), tiny.tokenizer_of("mt5")
    inputs, _ = collate(dataset.features, np.arange(4), tokenizer.pad_token_id)
    assert dataset.corruption is not None
    first, again, second = (dataset.corruption.corrupt(inputs, seed=1, step=step) for step in (1, 1, 2))
    assert torch.equal(first[0]["input_ids"], again[0]["input_ids"])
    assert not torch.equal(first[0]["input_ids"], second[0]["input_ids"])
    row = np.array(dataset.features.input_ids[0])
    sentinels = np.array([tokenizer.convert_tokens_to_ids(f"<extra_id_{n}>") for n in range(tiny.SENTINELS)])
    source, target = corrupt_spans(row, tokenizer.eos_token_id, sentinels, 0.25, np.random.default_rng([1, 6, 1]))
    assert first[0]["input_ids"][0, : len(source)].tolist() == source.tolist()
    assert first[1]["output"][0, : len(target)].tolist() == target.tolist()


def test_a_tokenizer_without_sentinels_is_refused() -> None:
    dataset, model = text("xlm-roberta"), tiny.encoder("mt5")
    with pytest.raises(UserError, match="has no sentinel tokens"):
        make_text_dataset(dataset.task, dataset.features, tiny.tokenizer(), model.family, Masking(), max_length=64)
