"""In float32 and without dropout, a stage has the same loss at every step as HF Trainer on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.support import tiny
from torch.optim.lr_scheduler import LambdaLR
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, XLMRobertaForSequenceClassification

from xlift.models.compact_vocabulary import CompactVocabulary, find_used_tokens
from xlift.models.model import Model
from xlift.recipes import Engine, Recipe, Sampling
from xlift.tasks import catalog
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.batches import UnitIndex, make_schedule
from xlift.training.loop import StepOutput, learning_rate
from xlift.training.stage import TrainDataset, add_heads, fine_tune
from xlift.training.step import TrainingStep

pytest.importorskip("accelerate", reason="HF Trainer needs it")

STEPS, EXAMPLES, SEED = 200, 400, 1
TOLERANCE = 1e-4
RECIPE = Recipe(lr=1e-3, batch_size=8, max_steps=STEPS, weight_decay=0.1, precision="fp32")


def features() -> Features:
    """Rows of 4 to 40 tokens whose label can be learned: which of three words is in them."""
    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, 3, EXAMPLES).tolist()
    rows = [[0, 5 + label, *rng.integers(10, 300, rng.integers(1, 38)).tolist(), 2] for label in labels]
    number = np.arange(EXAMPLES)
    return Features(Ragged.from_rows(rows), number, number, targets={"label": np.array(labels)})


def start() -> Model:
    encoder = tiny.encoder("xlm-roberta")
    add_heads(encoder, [catalog.get("isle-nli")], seed=SEED)
    return encoder


def ours(monkeypatch: pytest.MonkeyPatch, engine: Engine, compact: bool) -> list[float]:
    """The loss of every step."""
    losses: list[float] = []
    step = TrainingStep.__call__

    def watch(self: TrainingStep, number: int) -> StepOutput:
        done = step(self, number)
        losses.append(done.loss)
        return done

    monkeypatch.setattr(TrainingStep, "__call__", watch)
    encoder = start()
    if compact:
        ids = find_used_tokens(encoder.backbone, [features()], tiny.tokenizer().all_special_ids, min_saved=0)
        assert ids is not None
        CompactVocabulary(encoder.backbone, ids)
    parts = [TrainDataset(catalog.get("isle-nli"), features())]
    fine_tune(encoder, 1, parts, RECIPE, Sampling(), seed=SEED, engine=engine)
    return losses


class Peer(Trainer):
    """Trainer with our learning rate (its own is 0 in the first step), which also keeps the exact losses."""

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        assert isinstance(self.optimizer, torch.optim.Optimizer)
        self.lr_scheduler = LambdaLR(self.optimizer, lambda step: learning_rate(step, STEPS, RECIPE) / RECIPE.lr)
        return self.lr_scheduler

    losses: list[float]

    def compute_loss(self, *arguments: Any, **more: Any) -> Any:
        loss = super().compute_loss(*arguments, **more)
        assert isinstance(loss, torch.Tensor)
        self.losses.append(loss.item())
        return loss


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The loss of every step of Trainer on the batches of our schedule."""
    model = XLMRobertaForSequenceClassification(tiny.config("xlm-roberta", num_labels=3))
    model.load_state_dict(start().stock_state_dict("isle-nli"))
    rows, units = features(), UnitIndex(features())
    batches = [units.rows(step.units) for step in make_schedule([EXAMPLES], RECIPE, Sampling(), SEED)]
    assert {len(batch) for batch in batches} == {RECIPE.batch_size}
    trainer = Peer(
        model,
        TrainingArguments(
            str(tmp_path_factory.mktemp("trainer")),
            use_cpu=True,
            max_steps=STEPS,
            per_device_train_batch_size=RECIPE.batch_size,
            train_sampling_strategy="sequential",
            learning_rate=RECIPE.lr,
            weight_decay=RECIPE.weight_decay,
            adam_beta2=RECIPE.adam_beta2,
            max_grad_norm=RECIPE.max_grad_norm,
            save_strategy="no",
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=[  # pyright: ignore[reportArgumentType]: any sequence is a dataset
            {"input_ids": rows.input_ids[row].tolist(), "label": int(rows.targets["label"][row])}
            for batch in batches
            for row in batch
        ],
        data_collator=DataCollatorWithPadding(tiny.tokenizer()),
    )
    trainer.losses = []
    trainer.train()
    return trainer.losses


@pytest.mark.parametrize(
    ("engine", "compact"),
    [
        pytest.param(Engine(), False, id="whole steps-whole vocabulary", marks=pytest.mark.slow),
        pytest.param(Engine(), True, id="whole steps-compact vocabulary"),
        pytest.param(Engine(token_budget=64), False, id="cut steps-whole vocabulary", marks=pytest.mark.slow),
        pytest.param(Engine(token_budget=64), True, id="cut steps-compact vocabulary", marks=pytest.mark.slow),
    ],
)
def test_200_losses_match_trainer(
    engine: Engine, compact: bool, theirs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = ours(monkeypatch, engine, compact)
    assert len(losses) == len(theirs) == STEPS
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])  # the model learns, so the comparison is meaningful
    np.testing.assert_allclose(losses, theirs, rtol=TOLERANCE)
