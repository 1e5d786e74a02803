"""Several ranks give the losses and weights of one process, also after a stop. Two gloo processes under torchrun are started
once for all tests here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.support import tiny
from tests.training import two_ranks
from tests.training.two_ranks import CASES, FSDP, TASKS

from xlift.errors import UserError
from xlift.recipes import Engine
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study
from xlift.training import devices
from xlift.training.batches import Step, UnitIndex
from xlift.training.devices import ProcessGroup, assign_rows_to_ranks
from xlift.training.step import TrainingStep


@pytest.fixture(scope="module")
def output_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, root = tmp_path_factory.mktemp("ranks"), Path(__file__).parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    done = subprocess.run(
        [*command, "-m", "tests.training.two_ranks", str(folder)],
        env=environment, cwd=root, text=True, capture_output=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return folder


@cache
def alone(tasks: tuple[str, ...]) -> tuple[two_ranks.RankResult, dict[str, torch.Tensor]]:
    return two_ranks.train(Engine(token_budget=200 if tasks == TASKS else None), tasks)


def read_result(folder: Path, name: str) -> two_ranks.RankResult:
    return two_ranks.RankResult(**json.loads((folder / f"{name}.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_ranks_match_one_process(output_folder: Path, name: str) -> None:
    found, (expected, weights) = read_result(output_folder, name), alone(CASES[name][1])
    assert expected.losses[-len(CASES[name][1])] < 0.97 * expected.losses[0]  # the model learns something
    assert found.losses == pytest.approx(expected.losses, rel=1e-4)
    assert found.vectors == pytest.approx(expected.vectors, abs=1e-3)
    saved = load_file(output_folder / f"{name}.safetensors")
    assert saved.keys() == weights.keys()
    for key, tensor in weights.items():
        # AdamW makes a full step of a gradient that is only rounding
        torch.testing.assert_close(saved[key], tensor, atol=1e-3, rtol=1e-3)
    differences = torch.cat([(saved[key] - tensor).abs().flatten() for key, tensor in weights.items()])
    assert differences.mean() < 1e-6


@pytest.mark.slow
def test_fsdp_shards_every_weight(output_folder: Path) -> None:
    for name in CASES:
        found = read_result(output_folder, name)
        # FSDP2 shards rows; the choice classifier's weight and bias and XLM-R's token types have a single row
        assert found.sharded == (found.of - 3 if name.startswith("fsdp") else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_a_resumed_run_with_dropout_ends_in_the_same_bytes(output_folder: Path, name: str) -> None:
    whole, resumed = (load_file(output_folder / f"{name}-{which}.safetensors") for which in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in whole.items())


def one_step(name: str, **more: Any) -> dict[str, torch.Tensor]:
    one = two_ranks.make_dataset(name)
    encoder, units = two_ranks.make_model([one], dropout=0.1), UnitIndex(one.features)
    steps = TrainingStep(
        encoder.train(),
        1,
        [one],
        [units],
        [Step(0, np.arange(units.num_units))],
        seed=1,
        precision="fp32",
        budget=300,
        **more,
    )
    torch.manual_seed(1)
    steps(0)
    return {key: p.grad for key, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", [*TASKS, two_ranks.DUAL])
def test_gradient_checkpointing_gives_the_same_gradients(name: str) -> None:
    expected, found = one_step(name), one_step(name, checkpointing=True)
    assert expected.keys() == found.keys()
    assert all(torch.equal(grad, found[key]) for key, grad in expected.items())


def test_gradient_checkpointing_keeps_fewer_tensors() -> None:
    def kept(checkpointing: bool) -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            one_step("isle-nli", checkpointing=checkpointing)
        return len(sizes)

    assert kept(True) < 0.6 * kept(False)


def test_offloaded_moments_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = alone(TASKS)
    monkeypatch.setattr(devices, "current_process_group", lambda engine: ProcessGroup(offload=True))
    _, found = two_ranks.train(Engine(token_budget=200), TASKS)
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())


def test_out_of_memory_halves_the_budget_and_repeats_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    one = two_ranks.make_dataset("isle-nli")
    units, budgets = UnitIndex(one.features), []
    ordinary_ids = TrainingStep._loss

    def run(fails_over: int) -> tuple[float, dict[str, torch.Tensor], int]:
        def loss(self: TrainingStep, *given: Any) -> Any:
            budgets.append(self.budget)
            if self.budget > fails_over and len(budgets) % 2 == 0:  # in the second micro-batch
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.\nmore")
            return ordinary_ids(self, *given)

        monkeypatch.setattr(TrainingStep, "_loss", loss)
        encoder = two_ranks.make_model([one], dropout=0.1).train()
        steps = TrainingStep(
            encoder, 1, [one], [units], [Step(0, np.arange(units.num_units))], seed=1, precision="fp32", budget=start
        )
        torch.manual_seed(1)
        return steps(0).loss, {k: p.grad for k, p in encoder.named_parameters() if p.grad is not None}, steps.budget

    monkeypatch.setattr("xlift.training.step.MIN_TOKENS", 64)
    start = 256
    loss, gradients, budget = run(fails_over=128)
    assert budgets[:2] == [256, 256]
    assert budget == 128
    start = 128
    assert run(fails_over=128)[0] == loss
    assert all(torch.equal(grad, gradients[key]) for key, grad in run(fails_over=128)[1].items())
    with pytest.raises(UserError, match="memory is full with micro-batches of 64 tokens: CUDA out of memory") as error:
        run(fails_over=0)
    assert "gradient_checkpointing" in error.value.fix


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20), st.integers(1, 5), st.data())
def test_rows_are_assigned_once_in_whole_units_and_balanced(sizes: list[int], ranks: int, data: Any) -> None:
    units = np.repeat(np.arange(len(sizes)) + 3, sizes)
    lengths = np.array(data.draw(st.lists(st.integers(1, 90), min_size=len(units), max_size=len(units))))
    shares = assign_rows_to_ranks(units, lengths, ranks)
    assert len(shares) == ranks
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(units)))
    assert sum(len(set(units[share].tolist())) for share in shares) == len(sizes)
    tokens = [int(lengths[share].sum()) for share in shares]
    largest = max(int(lengths[units == unit].sum()) for unit in set(units.tolist()))
    assert max(tokens) - min(tokens) <= largest


def test_a_single_rank_gets_all_rows_in_order() -> None:
    assert assign_rows_to_ranks(np.array([0, 0, 1, 2]), np.array([5, 6, 30, 2]), 1)[0].tolist() == [0, 1, 2, 3]


def test_a_missing_gpu_is_a_user_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match="torch finds none"):
        devices.select_device("cuda")
    assert devices.select_device("auto") == torch.device("cpu")


def test_a_model_without_gradient_checkpointing_is_rejected() -> None:
    one = two_ranks.make_dataset("isle-nli")
    encoder = two_ranks.make_model([one])
    encoder.backbone.encoder.layer = torch.nn.ModuleList()
    with pytest.raises(UserError, match="do not support gradient checkpointing"):
        TrainingStep(encoder, 1, [one], [], [], seed=1, precision="fp32", budget=1, checkpointing=True)


def test_fsdp_needs_several_devices(tmp_path: Path) -> None:
    assert Engine(**FSDP).strategy == "fsdp"
    tiny.model_folder(tmp_path / "model")
    study = tmp_path / "study.yaml"
    study.write_text("models: [model]\nengine: {strategy: fsdp}\ntargets: [{task: isle-nli, train: {size: 8}}]\n")
    with pytest.raises(UserError, match="over several devices, and there is one") as error:
        read_study(str(study))
    assert "engine.strategy" in error.value.where
    assert "devices: 2" in error.value.fix


def test_fsdp_with_a_dual_encoder_is_rejected_in_the_plan(tmp_path: Path) -> None:
    tiny.model_folder(tmp_path / "model")
    study = tmp_path / "study.yaml"
    target = "targets: [{task: isle-answer-pairs, train: {size: 8}, languages: [qta]}]"
    study.write_text(f"models: [model]\nengine: {{strategy: fsdp, devices: 2}}\n{target}\n")
    with pytest.raises(UserError, match="dual encoder cannot be trained with fsdp: isle-answer-pairs") as error:
        make_plan(read_study(str(study)))
    assert "engine.strategy" in error.value.where
    study.write_text(f"models: [model]\nengine: {{devices: 2}}\n{target}\n")
    assert make_plan(read_study(str(study))).engine.devices == 2


def test_move_to_cpu_keeps_tied_weights_tied(tmp_path: Path) -> None:
    from torch import distributed, nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/ranks", rank=0, world_size=1)
    try:
        table = nn.Embedding(6, 4)
        before = table.weight.detach().clone()
        table.weight = nn.Parameter(distribute_tensor(table.weight.detach(), init_device_mesh("cpu", (1,)), [Shard(0)]))
        output = nn.Linear(4, 6, bias=False)
        output.weight = table.weight
        devices.move_to_cpu(nn.ModuleList([table, output]))
    finally:
        distributed.destroy_process_group()
    assert output.weight is table.weight
    assert type(table.weight) is nn.Parameter
    assert torch.equal(table.weight, before)
