"""What two ranks do for tests/training/test_devices.py, in one start of torchrun: `two_ranks FOLDER`.

Each case trains a tiny model on the same steps; the first rank writes what came of it, and the test compares it with a
single process. Not collected by pytest.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tests.support import tiny
from torch.distributed.tensor import DTensor

from xlift.recipes import Engine, Masking, Recipe
from xlift.tasks import catalog
from xlift.training import devices, loop, stage
from xlift.training.batches import Step, UnitIndex
from xlift.training.masking import Masker
from xlift.training.step import StageSteps

STEPS = 12
TASKS = ("isle-nli", "isle-pos", "isle-continuation", "isle-text")
"""Heads on rows, tokens and choices, and masked words."""


@dataclass
class Case:
    engine: Engine = Engine()
    tasks: tuple[str, ...] = TASKS
    dropout: float = 0.0
    losses: list[float] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    sharded: int = 0


def cases() -> dict[str, Case]:
    """By name; each has its like in a single process."""
    fsdp = {"devices": 2, "strategy": "fsdp", "token_budget": 200}
    return {
        "ddp": Case(Engine(devices=2, token_budget=200)),
        "fsdp": Case(Engine(**fsdp)),
        "fsdp-all": Case(Engine(**fsdp, gradient_checkpointing=True, offload=True)),
        "dual": Case(Engine(devices=2), ("isle-answer-pairs",)),
    }


def part(name: str) -> stage.Part:
    task = catalog.get(name)
    read = list(task.source.read(task, "qta", "train", None, size=20, seed=1))
    features = stage.make_features(task, read, tiny.tokenizer(), max_length=48, train=True)
    return stage.Part(task, features, masker=Masker(Masking(), tiny.tokenizer()) if task.format == "text" else None)


def train(case: Case) -> None:
    """Losses of every step, and the weights behind the last one."""
    drop = {"hidden_dropout_prob": case.dropout, "attention_probs_dropout_prob": case.dropout}
    encoder, parts = tiny.encoder("xlm-roberta", **drop), [part(name) for name in case.tasks]
    stage.add_heads(encoder, [each.task for each in parts], seed=1)
    units = [UnitIndex(each.features) for each in parts]
    rng = np.random.default_rng(1)
    # sizes from one unit, which leaves a rank without any, to eight
    steps = [
        Step(n % len(parts), rng.permutation(units[n % len(parts)].count)[: 1 if n == 4 else 8]) for n in range(STEPS)
    ]
    team = devices.team(case.engine)
    gradients = StageSteps(
        encoder, 1, parts, units, steps, seed=1, precision="fp32", budget=case.engine.token_budget or 4096,
        team=team, checkpointing=case.engine.gradient_checkpointing,
    )  # fmt: skip
    case.sharded = sum(isinstance(p, DTensor) and p.to_local().numel() < p.numel() for p in encoder.parameters())
    recipe = Recipe(lr=1e-3, batch_size=8, steps=STEPS)

    def heard(number: int) -> loop.StepDone:
        done = gradients(number)
        case.losses.append(done.loss)
        return done

    loop.run_steps(encoder, STEPS, heard, recipe, seed=1)
    devices.make_whole(encoder)
    case.weights = {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}


def main(folder: Path) -> None:
    devices.join(Engine(devices=2))
    torch.set_num_threads(1)
    for name, case in cases().items():
        train(case)
        if devices.team(case.engine).leads:
            save_file(case.weights, folder / f"{name}.safetensors")
            told: dict[str, Any] = {"losses": case.losses, "sharded": case.sharded, "of": len(list(case.weights))}
            (folder / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
