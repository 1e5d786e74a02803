"""In-batch negatives: loss and gradient equal those of the whole step, however it is split, and resume is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny

from xlift.models.model import Model
from xlift.recipes import Recipe, Sampling
from xlift.tasks import catalog
from xlift.tasks.formats.dual_encoding import DualExample
from xlift.tasks.formats.features import Features
from xlift.training import in_batch_negatives, stage
from xlift.training.batches import collate, collate_targets
from xlift.training.progress import Interrupted, Progress

TASK = catalog.get("isle-answer-pairs")


def pairs(tokenizer: Any, count: int = 12) -> Features:
    """Pairs of different lengths, some with the same passage."""
    read = list(TASK.source.read(TASK, "qta", "train", None, size=count, seed=1))
    read[1] = DualExample("again", "who?", read[0].passage)
    read[2] = DualExample("long", read[2].query, " ".join(e.passage for e in read[:5]))
    return stage.make_features(TASK, read, tokenizer, max_length=100, train=True)


def make_model(family: str, **options: Any) -> Model:
    encoder = tiny.encoder(family, **options)
    stage.add_heads(encoder, [TASK], seed=1)
    with torch.no_grad():
        encoder.head(TASK.name).get_parameter("logit_scale").fill_(5.0)  # at 100 a random model's loss is nearly flat
    return encoder


def gradients(encoder: Model, features: Features) -> tuple[float, dict[str, torch.Tensor]]:
    encoder.zero_grad()
    torch.manual_seed(0)
    rows = np.arange(len(features))
    vectors = in_batch_negatives.embed_rows(encoder, TASK.name, features, rows, pad_id=1)
    loss = encoder.head(TASK.name).loss(vectors, collate_targets(features, rows, width=0))
    loss.total.backward()
    return loss.total.item(), {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", tiny.ENCODERS)
@pytest.mark.parametrize("tokens", [1, 150, 400])
def test_loss_and_gradient_equal_those_of_one_batch(family: str, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, encoder = pairs(tiny.tokenizer_of(family)), make_model(family).train()
    rows = np.arange(len(features))
    inputs, targets = collate(features, rows, pad_id=1)  # all rows in one ordinary forward pass
    whole = encoder.head(TASK.name).loss(encoder(inputs, TASK.name), targets)
    whole.total.backward()
    expected = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    monkeypatch.setattr(in_batch_negatives, "MICRO_BATCH_TOKENS", tokens)
    total, found = gradients(encoder, features)
    assert total == pytest.approx(whole.total.item(), rel=1e-5)
    assert found.keys() == expected.keys()
    largest = max(grad.abs().max().item() for grad in expected.values())
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-5 * largest, rtol=1e-4)


def test_dropout_is_the_same_when_a_micro_batch_is_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kept and recomputed activations must give the same bits. Another dropout mask in the second pass would change them.
    features = pairs(tiny.tokenizer())
    encoder = make_model("xlm-roberta", hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3).train()
    monkeypatch.setattr(in_batch_negatives, "MICRO_BATCH_TOKENS", 150)
    total, again = gradients(encoder, features)
    monkeypatch.setattr(in_batch_negatives, "checkpoint", lambda function, *inputs, **_: function(*inputs))
    kept_total, kept = gradients(encoder, features)
    assert total == kept_total
    assert all(torch.equal(again[name], grad) for name, grad in kept.items())


def test_no_micro_batch_is_above_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    features, encoder = pairs(tiny.tokenizer()), make_model("xlm-roberta")
    monkeypatch.setattr(in_batch_negatives, "MICRO_BATCH_TOKENS", 150)
    sizes: list[int] = []
    forward = Model.forward
    monkeypatch.setattr(
        Model,
        "forward",
        lambda self, inputs, head: sizes.append(int(inputs["attention_mask"].sum())) or forward(self, inputs, head),
    )
    gradients(encoder, features)
    assert max(sizes) <= 150
    assert len(sizes) > 4  # each twice: for its vectors and for its gradient


def test_a_step_that_fits_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    features, encoder = pairs(tiny.tokenizer()), make_model("xlm-roberta")
    rows: list[int] = []
    forward = Model.forward
    monkeypatch.setattr(
        Model,
        "forward",
        lambda self, inputs, head: rows.append(len(inputs["input_ids"])) or forward(self, inputs, head),
    )
    gradients(encoder, features)
    assert sum(rows) == len(features)


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_a_resumed_stage_ends_in_the_same_bytes(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_batch_negatives, "MICRO_BATCH_TOKENS", 150)
    part = stage.TrainDataset(TASK, pairs(tiny.tokenizer()))

    def train(folder: Path, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        encoder = make_model("xlm-roberta", hidden_dropout_prob=0.1)
        recipe = Recipe(lr=1e-3, batch_size=5, max_steps=10)
        stage.fine_tune(encoder, 1, [part], recipe, Sampling(), seed=3, folder=folder, progress=progress)
        return encoder.state_dict()

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train(tmp_path / "whole")
    done: list[int] = []
    with pytest.raises(Interrupted):
        train(tmp_path / "killed", Progress(lambda step, _: done.append(step), lambda: len(done) >= stop))
    resumed = train(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_a_mixture_may_combine_pairs_with_other_tasks() -> None:
    tokenizer, encoder = tiny.tokenizer(), tiny.encoder("xlm-roberta")
    nli = catalog.get("isle-nli")
    rows = stage.make_features(
        nli, list(nli.source.read(nli, "qta", "train", None, size=12, seed=1)), tokenizer, max_length=48, train=True
    )
    parts = [stage.TrainDataset(TASK, pairs(tokenizer)), stage.TrainDataset(nli, rows)]
    stage.add_heads(encoder, [TASK, nli], seed=1)
    output = stage.fine_tune(encoder, 1, parts, Recipe(batch_size=4, epochs=1), Sampling(), seed=1)
    assert output.global_step == 6
    assert list(encoder.heads) == [TASK.name, "isle-nli"]
