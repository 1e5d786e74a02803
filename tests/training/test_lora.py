"""Stages with LoRA: the backbone is not trained, and is not in the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.support import tiny

from xlift.models import adapters
from xlift.models.model import Model
from xlift.recipes import Engine, Lora, Recipe, Sampling
from xlift.tasks import catalog
from xlift.training import loop, stage
from xlift.training.checkpoint import CHECKPOINT_FILE
from xlift.training.loop import create_optimizer
from xlift.training.progress import Interrupted, Progress

LORA = Lora(rank=2)


def run(
    family: str, folder: Path | None = None, *, engine: Engine | None = None, stop: int = 99, **options: Any
) -> Model:
    """Some steps of a stage on pairs and tags."""
    model, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    tasks = [catalog.get(name) for name in ("isle-nli", "isle-pos")]
    parts = []
    for task in tasks:
        examples = list(task.source.read(task, "qta", "train", None, size=12, seed=1))
        parts.append(
            stage.TrainDataset(task, stage.make_features(task, examples, tokenizer, max_length=24, train=True))
        )
    stage.add_heads(model, tasks, seed=1)
    adapters.add(model, LORA, seed=1)
    done: list[Any] = []
    stage.fine_tune(
        model, tokenizer.pad_token_id or 0, parts, Recipe(batch_size=4, max_steps=6, lora=LORA, **{"lr": 0.01, **options}), Sampling(),
        seed=5, folder=folder, engine=engine, progress=Progress(lambda *step: done.append(step), lambda: len(done) >= stop),
    )  # fmt: skip
    return model


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_only_adapters_and_heads_are_trained(family: str) -> None:
    model = run(family)
    start = tiny.encoder(family)
    stage.add_heads(start, [catalog.get(name) for name in ("isle-nli", "isle-pos")], seed=1)
    adapters.add(start, LORA, seed=1)
    before = start.state_dict()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    heads = {f"heads.{name}" for name, _ in start.heads.named_parameters()}
    assert heads < changed
    assert all(".lora_" in name for name in changed - heads)
    reached = {"layers", "block", "layer"} & {part for name in changed - heads for part in name.split(".")}
    assert reached
    assert len(changed - heads) >= 2 * len(adapters.find_target_layers(tiny.backbone(family), "linear")) * (
        0.3 if model.family == "seq2seq" else 1  # heads stand on the encoder half
    )


@pytest.mark.parametrize("family", ["xlm-roberta", "qwen3"])
def test_gradient_checkpointing_and_bf16_work_with_adapters(family: str) -> None:
    expected = run(family).state_dict()
    kept = run(family, engine=Engine(gradient_checkpointing=True)).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in kept.items())
    rounded = run(family, precision="bf16").state_dict()
    for name, tensor in rounded.items():
        if "lora_" not in name and "heads." not in name:
            assert torch.equal(tensor, expected[name].to(tensor.dtype))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in rounded.values())
    # the same steps to the rounding of products: what moved, moved the same way
    start = tiny.encoder(family)
    adapters.add(start, LORA, seed=1)
    names = [name for name in expected if "lora_B" in name]
    moved = torch.cat([expected[name].flatten() for name in names]), torch.cat([rounded[n].flatten() for n in names])
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.95


def test_a_checkpoint_has_no_frozen_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        run("qwen3", tmp_path, stop=3)
    with safe_open(tmp_path / CHECKPOINT_FILE, framework="pt") as file:
        names = set(file.keys())
        numbers = sum(file.get_tensor(n).numel() for n in names if not n.startswith("random"))
    weights = {name for name in names if name.startswith("model.")}
    assert weights
    assert all("lora_" in name or "heads." in name or "rotary" in name for name in weights)
    model = tiny.encoder("qwen3")
    stage.add_heads(model, [catalog.get(name) for name in ("isle-nli", "isle-pos")], seed=1)
    adapters.add(model, LORA, seed=1)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained <= numbers <= 3.1 * trained  # weights and both moments


def test_the_optimizer_has_only_trainable_parameters() -> None:
    model = tiny.encoder("mt5")
    adapters.add(model, LORA, seed=1)
    for name in ("adamw", "adafactor"):
        optimizer = create_optimizer(model, Recipe(optimizer=name))
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for n, p in model.named_parameters() if "lora_" in n}
