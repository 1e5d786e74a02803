"""Work of two ranks for tests/training/test_devices.py, in one torchrun: `python -m tests.training.two_ranks FOLDER`.

Every case trains a tiny model on the same steps. The main process writes the results, and the test compares them with those
of a single process. Not collected by pytest.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tests.support import tiny
from torch.distributed.tensor import DTensor

from xlift.models.model import Model
from xlift.recipes import Engine, Masking, Recipe, Sampling
from xlift.tasks import catalog
from xlift.training import devices, loop, stage
from xlift.training.batches import Step, UnitIndex
from xlift.training.masking import Masker
from xlift.training.progress import Interrupted, Progress
from xlift.training.step import TrainingStep

STEPS = 24
STOP = 7
TASKS = ("isle-nli", "isle-pos", "isle-continuation", "isle-text")
"""Heads for rows, tokens and choices, and masked text."""
DUAL = "isle-answer-pairs"
FSDP = {"devices": 2, "strategy": "fsdp", "token_budget": 200}
CASES: dict[str, tuple[Engine, tuple[str, ...]]] = {
    "ddp": (Engine(devices=2, token_budget=200), TASKS),
    "ddp-dual": (Engine(devices=2, offload=True), (DUAL,)),
    "fsdp": (Engine(**FSDP), TASKS),
    "fsdp-checkpointing-offload": (Engine(**FSDP, gradient_checkpointing=True, offload=True), TASKS),
}


@dataclass
class RankResult:
    losses: list[float] = field(default_factory=list)
    """Loss of every step."""
    vectors: list[float] = field(default_factory=list)
    """Vectors of two rows by the trained model, before its weights are gathered."""
    sharded: int = 0
    """Number of parameters of which this rank holds a shard."""
    of: int = 0


def make_dataset(name: str) -> stage.TrainDataset:
    task = catalog.get(name)
    read = list(task.source.read(task, "qta", "train", None, size=20, seed=1))
    features = stage.make_features(task, read, tiny.tokenizer(), max_length=48, train=True)
    return stage.TrainDataset(
        task, features, corruption=Masker(Masking(), tiny.tokenizer()) if task.format == "text" else None
    )


def make_model(parts: list[stage.TrainDataset], dropout: float = 0.0) -> Model:
    encoder = tiny.encoder("xlm-roberta", hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    stage.add_heads(encoder, [each.task for each in parts], seed=1)
    if DUAL in encoder.heads:
        with torch.no_grad():
            encoder.head(DUAL).get_parameter("logit_scale").fill_(5.0)  # at 100 a random model's loss is nearly flat
    return encoder


def train(engine: Engine, tasks: tuple[str, ...]) -> tuple[RankResult, dict[str, torch.Tensor]]:
    """Train steps of eight units, the parts in turn. One step has a single unit, so the second rank gets no rows."""
    parts = [make_dataset(name) for name in tasks]
    units, encoder, process_group = (
        [UnitIndex(each.features) for each in parts],
        make_model(parts),
        devices.current_process_group(engine),
    )
    rng = np.random.default_rng(1)
    steps = [
        Step(number % len(parts), rng.permutation(units[number % len(parts)].num_units)[: 1 if number == 4 else 8])
        for number in range(STEPS)
    ]
    training_step = TrainingStep(
        encoder, 1, parts, units, steps, seed=1, precision="fp32", budget=engine.token_budget or 4096,
        process_group=process_group, checkpointing=engine.gradient_checkpointing,
    )  # fmt: skip
    result = RankResult(of=len(list(encoder.parameters())))
    result.sharded = sum(isinstance(p, DTensor) and p.to_local().numel() < p.numel() for p in encoder.parameters())

    def step_and_record(number: int) -> loop.StepOutput:
        output = training_step(number)
        result.losses.append(output.loss)
        return output

    loop.run_training_loop(
        encoder,
        STEPS,
        step_and_record,
        Recipe(lr=1e-3, batch_size=8, max_steps=STEPS),
        seed=1,
        process_group=process_group,
    )
    inputs = tiny.batch([[0, 5, 6, 7, 2], [0, 9, 2]])
    with training_step.gathered_for_evaluation(), torch.inference_mode():
        result.vectors = encoder.last_hidden_state(inputs)[:, 0].flatten().tolist()
    devices.move_to_cpu(encoder)
    return result, {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}


def train_with_stop(engine: Engine, folder: Path, stop: int | None) -> dict[str, torch.Tensor]:
    """Train with dropout, resuming from the folder. Returns the final weights, or {} if it was stopped before."""
    parts = [make_dataset(name) for name in TASKS[:2]]
    encoder = make_model(parts, dropout=0.1)
    output = [0]
    progress = Progress(lambda step, of: output.__setitem__(0, step), lambda: stop is not None and output[0] >= stop)
    recipe = Recipe(lr=1e-3, batch_size=8, max_steps=2 * STOP)
    try:
        stage.fine_tune(encoder, 1, parts, recipe, Sampling(), seed=1, folder=folder, engine=engine, progress=progress)
    except Interrupted:
        return {}
    return {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}


def main(folder: Path) -> None:
    devices.init_process_group(Engine(devices=2))
    torch.set_num_threads(1)
    for name, (engine, tasks) in CASES.items():
        result, weights = train(engine, tasks)
        if devices.current_process_group(engine).is_main_process:
            save_file(weights, folder / f"{name}.safetensors")
            (folder / f"{name}.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
    for name in ("ddp", "fsdp"):
        engine = CASES[name][0]
        process_group = devices.current_process_group(engine)
        checkpoints = folder / f"{name}-checkpoints"
        checkpoints.mkdir(exist_ok=True)
        whole = train_with_stop(engine, folder, None)
        first, *others = process_group.gather_random_states()
        assert all(not torch.equal(first, other) for other in others), "ranks have the same dropout"
        assert train_with_stop(engine, checkpoints, STOP) == {}
        torch.manual_seed(123)
        resumed = train_with_stop(engine, checkpoints, None)
        if process_group.is_main_process:
            save_file(whole, folder / f"{name}-whole.safetensors")
            save_file(resumed, folder / f"{name}-resumed.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
