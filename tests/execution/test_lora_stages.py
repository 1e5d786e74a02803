"""Stages with LoRA: their artifacts hold adapters and heads, from which the whole model is loaded, trained further, exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.support import tiny
from tests.support.tiny_study import plan_of, run_inline, write_study
from typer.testing import CliRunner

from xlift.cli import app
from xlift.execution.work import run_job
from xlift.execution.work.model_loading import find_model_files
from xlift.execution.work.shared import Context
from xlift.models import backbone
from xlift.models.adapters import WEIGHTS
from xlift.models.delta import StoredAdapter
from xlift.recipes import Engine
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

NLI = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}
TRAINING = {"lr": 0.01, "batch_size": 8, "max_steps": 4, "max_length": 64, "lora": {"rank": 2, "dropout": 0.1}}
POS = {"task": "isle-pos", "size": 16}


def a_plan(folder: Path, **changed: Any) -> Plan:
    """Two stages with adapters, and a prediction after the second."""
    model = tiny.encoder(
        "xlm-roberta", vocab_size=3000, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1
    )  # fmt: skip
    backbone.save(model, tiny.tokenizer(), folder / "model")
    return plan_of(write_study(folder, **{"intermediate": [POS], "targets": [NLI], "training": TRAINING, **changed}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def stages(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs.values() if job.kind == "train"]


def context(plan: Plan) -> Context:
    return Context(plan.data, plan.tasks, plan.models, Engine())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """The plan of `a_plan`, and a store with all its artifacts. Read only."""
    folder = tmp_path_factory.mktemp("trained")
    plan, store = a_plan(folder), Store(folder / "store")
    run_inline(plan, store)
    return plan, store


def test_artifacts_hold_adapters_and_heads(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    whole = next(iter(plan.models.values())) / "model.safetensors"
    for job in stages(plan):
        artifact = store.open(job.key)
        names = {name for name in artifact.manifest["files"] if name.endswith(".safetensors")}
        assert names == {f"model/{WEIGHTS}", "model/heads.safetensors"}
        assert sum(artifact.file(name).stat().st_size for name in names) < 0.1 * whole.stat().st_size
        heads = load_file(artifact.file("model/heads.safetensors"))
        assert {name.partition(".")[0] for name in heads} == {job.spec.mixture[0].task}  # pyright: ignore
        assert json.loads(artifact.file("weight_transfer.json").read_text())["new"]


def test_the_second_stage_starts_from_the_merged_weights_of_the_first(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    first, second = (find_model_files(job.key, store, plan.models.get) for job in stages(plan))
    assert isinstance(second, StoredAdapter)
    start, end = (backbone.load_stored_model(stored)[0].backbone_state_dict() for stored in (first, second))
    before = load_file(next(iter(plan.models.values())) / "model.safetensors")
    for name, tensor in end.items():
        if name in second.lora_weights:
            change = second.lora_weights[name].scale * second.lora_weights[name].b @ second.lora_weights[name].a
            torch.testing.assert_close(tensor, start[name] + change)
            assert not torch.equal(start[name], before[name])
            assert not torch.equal(tensor, start[name])
        else:
            assert torch.equal(tensor, before[name])


@pytest.mark.slow
def test_repeated_and_killed_stages_give_equal_bytes(trained: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, store = trained
    again = Store(tmp_path / "again")
    for job in stages(plan):
        done: list[int] = []
        with pytest.raises(Interrupted):
            run_job(job, context(plan), again, Progress(lambda *_, to=done: to.append(1), lambda to=done: len(to) == 2))
        (checkpoint,) = again.partial(job.key).glob("*.safetensors")
        with safe_open(checkpoint, framework="pt") as file:
            weights = [name for name in file.keys() if name.startswith("model.")]  # noqa: SIM118 (no dict)
        assert all("lora_" in name or "heads." in name or "position_ids" in name for name in weights)
        run_job(job, context(plan), again, Progress())
    run_inline(plan, again)
    assert [again.open(key).sha256 for key in plan.jobs] == [store.open(key).sha256 for key in plan.jobs]
    assert store.verify() == []


def test_gc_keeps_the_base_of_an_adapter(trained: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, store = trained[0], Store(shutil.copytree(trained[1].root, tmp_path / "store"))
    first, second = stages(plan)
    store.gc({second.key})
    assert store.has(first.key)
    assert {removal.key for removal in store.gc(set())} == {first.key, second.key}


def test_an_exported_model_has_merged_weights(trained: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, store = trained
    _, second = stages(plan)
    model = str(next(iter(plan.models.values())))
    command = ["store", "export", second.key[:12], str(tmp_path / "out"), "--store", str(store.root), "--model", model]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    expected = backbone.load_stored_model(find_model_files(second.key, store, plan.models.get))[0].state_dict()
    found = backbone.load(tmp_path / "out")[0].state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_stages_with_and_without_adapters_can_follow_each_other(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xlift.memory.MIN_SAVED_NUMBERS", 1000)
    whole = {name: value for name, value in TRAINING.items() if name != "lora"}
    adapted = {**NLI, "training": {"lora": TRAINING["lora"]}}
    plan = a_plan(tmp_path, training=whole, targets=[adapted])
    first, second = stages(plan)
    run_inline(plan, store)
    assert "model/delta.safetensors" in store.open(first.key).manifest["files"]  # a compact vocabulary
    assert f"model/{WEIGHTS}" in store.open(second.key).manifest["files"]
    stored = find_model_files(second.key, store, plan.models.get)
    assert backbone.load_stored_model(stored)[0].embeddings.shape == (3000, 32)


def test_adafactor_trains_the_whole_table(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # its steps depend on the norm of all rows, so training only some would be different
    monkeypatch.setattr("xlift.memory.MIN_SAVED_NUMBERS", 1000)
    whole = {name: value for name, value in TRAINING.items() if name != "lora"}
    adafactor = {**whole, "optimizer": "adafactor", "lr_scheduler_type": "constant"}
    plan = a_plan(tmp_path, intermediate=["none"], training=adafactor)
    run_inline(plan, store)
    assert "model/model.safetensors" in store.open(stages(plan)[0].key).manifest["files"]
