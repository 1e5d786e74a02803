"""Stages of models with a large vocabulary: their artifacts are delta checkpoints, from which the whole model is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from tests.support.tiny_study import digests, plan_of, run_in_process, run_inline, write_study
from transformers import AutoModel
from typer.testing import CliRunner

from xlift.cli import app
from xlift.errors import UserError
from xlift.execution.work import run_job
from xlift.execution.work.model_loading import find_model_files, load_model
from xlift.execution.work.shared import Context
from xlift.models import backbone
from xlift.models.delta import VocabularyDelta, read_delta
from xlift.models.model import Model
from xlift.recipes import Engine
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.predictions import PREDICTIONS
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

NLI = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}
ROWS = 50_000
WIDTH = 16


def write_model(folder: Path, rows: int = ROWS) -> None:
    encoder = tiny.encoder(
        "xlm-roberta", vocab_size=rows, hidden_size=WIDTH, num_attention_heads=2,
        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
    )  # fmt: skip
    backbone.save(encoder, tiny.tokenizer(), folder)


def make_small_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two stages, and a prediction after the second."""
    monkeypatch.setattr("xlift.memory.MIN_SAVED_NUMBERS", 1000)
    write_model(folder / "model")
    training = {"lr": 0.001, "batch_size": 8, "max_steps": 4, "max_length": 64, "weight_decay": 0.1}
    intermediate = [{"task": "isle-pos", "size": 16}]
    return plan_of(write_study(folder, intermediate=intermediate, targets=[NLI], training=training))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the artifacts of the plan. Read only: `fill` copies from it."""
    folder = tmp_path_factory.mktemp("finished")
    store = Store(folder / "store")
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_inline(make_small_plan(folder, monkeypatch), store)
    return store


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    return make_small_plan(tmp_path, monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def context(plan: Plan, **engine: Any) -> Context:
    return Context(plan.data, plan.tasks, plan.models, Engine(**engine))


def jobs(plan: Plan) -> tuple[Job, Job, Job]:
    first, second = (job for job in plan.jobs.values() if job.kind == "train")
    (predict,) = (job for job in plan.jobs.values() if job.kind == "predict")
    return first, second, predict


def fill(store: Store, finished: Store, *done: Job) -> None:
    """Put the artifacts of some jobs into an empty store."""
    shutil.copytree(finished.root, store.root, dirs_exist_ok=True)
    for entry in store.ls():
        if entry.key not in {job.key for job in done}:
            shutil.rmtree(store.path(entry.key))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def load_last_model(plan: Plan, store: Store) -> Model:
    return load_model(jobs(plan)[-1], context(plan), store)[0]


def predictions(plan: Plan, store: Store) -> list[Any]:
    return pq.read_table(store.open(jobs(plan)[-1].key).file(PREDICTIONS)).to_pydict()["prediction"]


def test_a_compact_stage_equals_full_training_in_a_tenth_of_the_bytes(
    plan: Plan, store: Store, finished: Store, tmp_path: Path
) -> None:
    fill(store, finished, *jobs(plan))
    other = Store(tmp_path / "whole")
    for job in plan.jobs.values():
        run_job(job, context(plan, compact_vocabulary="off"), other, Progress())
    found, expected = load_last_model(plan, store).state_dict(), load_last_model(plan, other).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.linalg.vector_norm(found[name] - tensor) <= 1e-6 * torch.linalg.vector_norm(tensor), name
    assert predictions(plan, store) == predictions(plan, other)
    for job in jobs(plan)[:-1]:
        small, whole = store.open(job.key), other.open(job.key)
        assert size(small.folder / "model") < 0.1 * size(whole.folder / "model")
        assert small.file("weight_transfer.json").read_bytes() == whole.file("weight_transfer.json").read_bytes()
        assert 5 < small.manifest["numbers"]["trained_embeddings"] < 500


def test_unused_rows_are_decayed_copies_of_the_models_rows(plan: Plan, store: Store, finished: Store) -> None:
    first, _, _ = jobs(plan)
    fill(store, finished, first)
    folder = store.open(first.key).folder / "model"
    change, written = read_delta(folder), load_file(folder / "delta.safetensors")
    assert isinstance(change, VocabularyDelta)
    assert change.shape == (ROWS, WIDTH)
    before = load_file(next(iter(plan.models.values())) / "model.safetensors")[change.embeddings_name]
    after = find_model_files(first.key, store, plan.models.get).read_embeddings(change.embeddings_name)
    ids = written["trained.ids"]
    rest = torch.from_numpy(np.setdiff1d(np.arange(ROWS), ids.numpy()))
    assert torch.equal(after[ids], written[change.embeddings_name])
    assert 0.99 < change.decay < 1
    assert torch.equal(after[rest], before[rest] * torch.tensor(change.decay))
    assert not torch.equal(after[ids], before[ids] * torch.tensor(change.decay))


def test_single_rows_equal_those_of_the_whole_table(plan: Plan, store: Store, finished: Store) -> None:
    fill(store, finished, *jobs(plan)[:-1])
    stored = find_model_files(jobs(plan)[1].key, store, plan.models.get)
    assert stored.delta is not None
    ids = torch.tensor([0, 1, 7, 100, 300, 8191, 8192, ROWS - 1])
    assert torch.equal(
        stored.read_embedding_rows(stored.delta.embeddings_name, ids),
        stored.read_embeddings(stored.delta.embeddings_name)[ids],
    )


def test_repeated_and_killed_stages_give_equal_bytes(plan: Plan, store: Store, finished: Store, tmp_path: Path) -> None:
    again = Store(tmp_path / "again")
    fill(store, finished, *jobs(plan))
    for job in jobs(plan)[:-1]:
        done: list[int] = []
        with pytest.raises(Interrupted):
            run_job(job, context(plan), again, Progress(lambda *_, to=done: to.append(1), lambda to=done: len(to) == 2))
        (checkpoint,) = again.partial(job.key).glob("*.safetensors")
        assert not any(ROWS in tensor.shape for tensor in load_file(checkpoint).values())
        run_job(job, context(plan), again, Progress())
    run_inline(plan, again)
    assert [again.open(key).sha256 for key in plan.jobs] == [store.open(key).sha256 for key in plan.jobs]
    assert store.verify() == []


def test_a_full_stage_starts_from_a_delta_checkpoint(plan: Plan, store: Store, finished: Store) -> None:
    first, second, predict = jobs(plan)
    fill(store, finished, first)
    for job in (second, predict):
        run_job(job, context(plan, compact_vocabulary="off"), store, Progress())
    assert (store.open(second.key).folder / "model" / "model.safetensors").is_file()
    assert load_last_model(plan, store).embeddings.shape == (ROWS, WIDTH)


def test_masked_text_is_trained_with_the_whole_table(plan: Plan, store: Store, tmp_path: Path) -> None:
    text = {"task": "isle-text", "language": "qta", "size": 8}
    mixed = plan_of(write_study(tmp_path, "mixed", intermediate=[{"name": "both", "mixture": [text]}], targets=[NLI]))
    first, second, _ = jobs(mixed)
    run_inline(mixed, store, [first, second])
    assert (store.open(first.key).folder / "model" / "model.safetensors").is_file()
    assert (store.open(second.key).folder / "model" / "delta.safetensors").is_file()


class TestMissing:
    def test_parent_artifact(self, plan: Plan, store: Store, finished: Store) -> None:
        first, second, predict = jobs(plan)
        fill(store, finished, first, second)
        shutil.rmtree(store.path(first.key))
        with pytest.raises(UserError, match=rf"(?s)job {first.key}, which is not in the store.*`xlift run`"):
            run_job(predict, context(plan), store, Progress())

    def test_pretrained_model(self, plan: Plan, store: Store, finished: Store) -> None:
        fill(store, finished, *jobs(plan)[:-1])
        message = r"(?s)the pretrained model [\w+]{64,}, which was not found.*store export --model.*xlift export --base"
        with pytest.raises(UserError, match=message):
            run_job(jobs(plan)[-1], Context(plan.data, plan.tasks), store, Progress())

    def test_another_model_in_the_same_place(self, plan: Plan, store: Store, finished: Store) -> None:
        fill(store, finished, *jobs(plan)[:-1])
        path = next(iter(plan.models.values())) / "model.safetensors"
        weights = load_file(path)
        weights["embeddings.word_embeddings.weight"][ROWS - 1, 0] += 1
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(UserError, match="not the model that its stage started from"):
            run_job(jobs(plan)[-1], context(plan), store, Progress())

    @pytest.mark.parametrize("content", ["", "{}", '{"table": 1, "shape": [2]}', "[]"])
    def test_damaged_delta(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "delta.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"delta.json is damaged"):
            read_delta(tmp_path)


def test_gc_keeps_the_parents_of_a_kept_artifact(plan: Plan, store: Store, finished: Store) -> None:
    first, second, predict = jobs(plan)
    fill(store, finished, *jobs(plan))
    gone = {removal.key for removal in store.gc({second.key}, dry_run=True)}
    assert gone == {predict.key}
    store.gc({second.key})
    assert store.has(first.key)
    assert load_last_model(plan, store).embeddings.shape == (ROWS, WIDTH)
    assert {removal.key for removal in store.gc(set())} == {first.key, second.key}


def test_an_exported_model_is_complete(plan: Plan, store: Store, finished: Store, tmp_path: Path) -> None:
    _, second, _ = jobs(plan)
    fill(store, finished, *jobs(plan))
    out, model = tmp_path / "out", str(next(iter(plan.models.values())))
    command = ["store", "export", second.key[:12], str(out), "--store", str(store.root)]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, UserError)
    assert "--model" in str(refused.exception)
    done = CliRunner().invoke(app, [*command, "--model", model])
    assert done.exit_code == 0, done.output
    expected = load_last_model(plan, store).state_dict()
    stock = AutoModel.from_pretrained(out)
    assert torch.equal(stock.get_input_embeddings().weight, expected["backbone.embeddings.word_embeddings.weight"])
    found = backbone.load(out)[0].state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert plan_of(write_study(tmp_path, "next", models=["out"], targets=[NLI])).jobs


def test_a_folder_with_a_delta_is_no_model(plan: Plan, store: Store, finished: Store, tmp_path: Path) -> None:
    first, _, _ = jobs(plan)
    fill(store, finished, first)
    folder = store.open(first.key).folder / "model"
    with pytest.raises(UserError, match=r"(?s)holds a delta checkpoint.*`xlift store export KEY DIR`"):
        backbone.load(folder)
    with pytest.raises(UserError, match=r"(?s)holds a delta checkpoint.*`xlift store export KEY DIR`"):
        plan_of(write_study(tmp_path, "next", models=[str(folder)], targets=[NLI]))
    with pytest.raises(OSError, match="no file named"):
        AutoModel.from_pretrained(folder)


@pytest.mark.slow
def test_a_large_vocabulary_is_compacted_by_default(tmp_path: Path) -> None:
    write_model(tmp_path / "model", rows=300_000)
    study = write_study(tmp_path, intermediate=[{"task": "isle-pos", "size": 16}], targets=[NLI])
    stores = tmp_path / "store", tmp_path / "again"
    for store in stores:
        done = run_in_process(study, store, "--quiet")
        assert done.returncode == 0, done.stderr
    assert digests(study, stores[0]) == digests(study, stores[1])
    trained = [job.key for job in plan_of(study).jobs.values() if job.kind == "train"]
    assert all("model/delta.safetensors" in Store(stores[0]).open(key).manifest["files"] for key in trained)
    result = CliRunner().invoke(app, ["store", "gc", "--store", str(stores[0]), "--json"])
    assert json.loads(result.output) == []
    out = CliRunner().invoke(app, ["store", "export", trained[-1], str(tmp_path / "out"), "--model", str(tmp_path / "model"),
                                   "--store", str(stores[0])])  # fmt: skip
    assert out.exit_code == 0, out.output
