"""Single jobs in this process: artifacts, weight transfer, checkpoints, errors and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tests.support import tiny
from tests.support.tiny_study import plan_of, run_inline, write_study
from transformers import AutoModel

from xlift import recipes
from xlift.errors import UserError
from xlift.execution.work import prediction, run_job
from xlift.execution.work.shared import Context, threads_for
from xlift.models import backbone
from xlift.recipes import Engine
from xlift.studies.job import Job, PredictSpec, TrainSpec
from xlift.studies.placement import threads_by_job
from xlift.studies.plan import Plan
from xlift.studies.planning import families
from xlift.studies.predictions import PREDICTIONS
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.training import checkpoint, loop
from xlift.training.checkpoint import CHECKPOINT_FILE
from xlift.training.progress import Interrupted, Progress

NLI = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}
PRETRAINED = {
    "text": [{"task": "isle-text", "language": ["qta", "qka"], "size": 100}],
    "architecture": {"layers": 1, "hidden_size": 16, "intermediate_size": 32, "heads": 2, "max_positions": 64},
    "tokenizer": {"vocabulary": 400, "documents": 100},
    "training": {"lr": 0.003, "batch_size": 8, "max_steps": 12, "max_length": 48},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def jobs(plan: Plan, kind: str, word: str = "") -> list[Job]:
    return [job for job in plan.jobs.values() if job.kind == kind and word in job.label]


def context(plan: Plan) -> Context:
    return Context(plan.data, plan.tasks, plan.models)


# -- training ----------------------------------------------------------------------------------------------------------


def test_transformers_loads_a_trained_model(tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    (train,) = jobs(plan, "train")
    run_job(train, context(plan), store, Progress())
    artifact = store.open(train.key)
    folder = artifact.folder / "model"
    assert AutoModel.from_pretrained(folder) is not None
    encoder, _ = backbone.load(folder)
    assert list(encoder.heads) == ["isle-nli"]
    losses = json.loads(artifact.file("training.json").read_text())["losses"]
    assert len(losses) == 4
    numbers = artifact.manifest["numbers"]
    assert numbers["steps"] == 4
    assert numbers["loss"] == losses[-1]
    assert numbers["tokens"] > 0
    assert numbers["peak_memory_bytes"] > 10**7


def test_heads_are_dropped_between_stages(tmp_path: Path, store: Store) -> None:
    # both heads have three classes: a head of the same size must not be transferred either
    study = write_study(tmp_path, intermediate=[{"task": "isle-nli", "size": 16}], targets=[NLI])
    plan = plan_of(study)
    run_inline(plan, store, jobs(plan, "train"))
    first, second = (store.open(job.key) for job in jobs(plan, "train"))
    transfer = json.loads(second.file("weight_transfer.json").read_text())
    assert transfer["heads"] == []
    assert transfer["dropped"] == transfer["new"] == ["isle-nli"]
    assert json.loads(first.file("weight_transfer.json").read_text())["dropped"] == []


def test_a_head_is_kept_on_request(tmp_path: Path, store: Store) -> None:
    stages = [
        {"mixture": [{"task": "isle-nli", "size": 16}]},
        {"mixture": [{"task": "isle-nli", "size": 16}, {"task": "isle-pos", "size": 8}], "keep_heads": ["isle-nli"]},
    ]
    study = write_study(tmp_path, intermediate=[{"name": "two", "stages": stages}], targets=[NLI])
    plan = plan_of(study)
    run_inline(plan, store, jobs(plan, "train"))
    _, second, _ = (store.open(job.key) for job in jobs(plan, "train"))
    transfer = json.loads(second.file("weight_transfer.json").read_text())
    assert (transfer["heads"], transfer["dropped"], transfer["new"]) == (["isle-nli"], [], ["isle-pos"])


def test_tasks_can_share_one_head_that_is_kept(tmp_path: Path, store: Store) -> None:
    # as SNLI, MNLI and ANLI do in ANLI+
    parts = [{"task": "isle-nli", "size": 16}, {"task": "isle-nli-balanced", "size": 8}]
    stages = [{"mixture": parts, "head": "nli"}, {"mixture": parts[1:], "head": "nli", "keep_heads": ["nli"]}]
    study = write_study(tmp_path, intermediate=[{"name": "both", "stages": stages}], targets=[NLI])
    plan = plan_of(study)
    run_inline(plan, store, jobs(plan, "train"))
    first, second, _ = (store.open(job.key) for job in jobs(plan, "train"))
    assert list(backbone.load(first.folder / "model")[0].heads) == ["nli"]
    assert json.loads(second.file("weight_transfer.json").read_text())["heads"] == ["nli"]


def test_weight_transfer_json_counts_every_backbone_tensor(tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    run_inline(plan, store, jobs(plan, "train"))
    artifact = store.open(jobs(plan, "train")[0].key)
    transfer = json.loads(artifact.file("weight_transfer.json").read_text())
    weights = load_file(artifact.folder / "model" / "model.safetensors")
    assert transfer["tensors"] == len(weights)
    assert transfer["parameters"] == sum(tensor.numel() for tensor in weights.values())


def test_a_stage_starts_from_the_weights_of_the_previous_one(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, intermediate=[{"task": "isle-pos", "size": 16}], targets=[NLI])
    plan = plan_of(study)
    first, second = jobs(plan, "train")
    run_job(first, context(plan), store, Progress())
    started: list[dict[str, torch.Tensor]] = []
    run_training_loop = loop.run_training_loop

    def watch(model: Any, *rest: Any, **more: Any) -> Any:
        started.append({name: tensor.clone() for name, tensor in model.backbone.state_dict().items()})
        return run_training_loop(model, *rest, **more)

    monkeypatch.setattr("xlift.training.stage.run_training_loop", watch)
    run_job(second, context(plan), store, Progress())
    before = load_file(store.open(first.key).folder / "model" / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in started[0].items())


def test_a_row_longer_than_the_models_positions_is_rejected(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"max_steps": 1, "max_length": 600}
    study = write_study(tmp_path, intermediate=["none"], targets=[NLI], training=training)
    with pytest.raises(UserError, match="max_length 600 is more than the 512 positions of"):
        plan_of(study)
    monkeypatch.setattr(families, "check_max_length", lambda *_: None)  # as for a model that the study pretrains
    with pytest.raises(UserError, match="max_length 600 is more than the model's 512 positions"):
        run_job(jobs(plan_of(study), "train")[0], context(plan_of(study)), store, Progress())


# -- checkpoints of jobs -----------------------------------------------------------------------------------------------


def interrupted(job: Job, plan: Plan, store: Store, after: int) -> Path:
    """Run a job until it has done this many steps. Returns the path of its checkpoint."""
    done: list[int] = []
    with pytest.raises(Interrupted):
        run_job(job, context(plan), store, Progress(lambda *_: done.append(1), lambda: len(done) >= after))
    return store.partial(job.key) / CHECKPOINT_FILE


@pytest.mark.parametrize("kind", ["train", "pretrain"])
def test_a_resumed_job_gives_the_same_artifact(kind: str, tmp_path: Path, store: Store) -> None:
    models = ["model"] if kind == "train" else [{"name": "made", "pretrain": PRETRAINED}]
    plan = plan_of(write_study(tmp_path, models=models, intermediate=["none"], targets=[NLI]))
    job = jobs(plan, kind)[0]
    undisturbed = Store(tmp_path / "other")
    run_job(job, context(plan), undisturbed, Progress())
    assert interrupted(job, plan, store, after=2).is_file()
    assert not store.has(job.key)
    steps: list[int] = []
    run_job(job, context(plan), store, Progress(lambda done, total: steps.append(done)))
    assert steps[0] == 3
    assert store.open(job.key).sha256 == undisturbed.open(job.key).sha256
    assert not (store.root / "partial" / job.key).exists()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint at all", None])
def test_a_damaged_checkpoint_is_ignored(damage: bytes | None, tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    job = jobs(plan, "train")[0]
    path = interrupted(job, plan, store, after=2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(100) if damage is None else damage)
    steps: list[int] = []
    run_job(job, context(plan), store, Progress(lambda done, total: steps.append(done)))
    assert steps[0] == 1
    undisturbed = Store(tmp_path / "other")
    run_job(job, context(plan), undisturbed, Progress())
    assert store.open(job.key).sha256 == undisturbed.open(job.key).sha256


# -- full disks --------------------------------------------------------------------------------------------------------

FULL = "Error while serializing: I/O error: No space left on device (os error 28)"
"""Message of safetensors on a full tmpfs of 1 MB. Its errors are not OSErrors."""


@pytest.mark.parametrize("place", ["checkpoint", "model"])
def test_a_full_disk_is_a_clear_error(
    place: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError(FULL)

    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    job = jobs(plan, "train")[0]
    monkeypatch.setattr(checkpoint if place == "checkpoint" else backbone, "save_file", full)
    progress = Progress(should_stop=lambda: place == "checkpoint")
    with pytest.raises(UserError, match="no space left for the store"):
        run_job(job, context(plan), store, progress)
    assert not store.has(job.key)
    assert not list((store.root / "tmp").iterdir())


def test_other_safetensors_errors_are_not_changed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise SafetensorError("InvalidHeader")

    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    monkeypatch.setattr(backbone, "save_file", broken)
    with pytest.raises(SafetensorError):
        run_job(jobs(plan, "train")[0], context(plan), store, Progress())


# -- pretraining -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [False, True])
def test_a_pretrained_model_runs_through_the_pipeline_without_output(
    half: bool, tmp_path: Path, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    pretrained = {"name": "made", "pretrain": {**PRETRAINED, "half_precision": half}}
    plan = plan_of(write_study(tmp_path, models=[pretrained], intermediate=["none"], targets=[NLI]))
    run_inline(plan, store)
    artifact = store.open(jobs(plan, "pretrain")[0].key)
    assert artifact.manifest["numbers"]["documents"] == 200
    stored = load_file(artifact.folder / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16 if half else torch.float32}
    assert capfd.readouterr() == ("", "")  # no progress bars or warnings of transformers


def test_pretraining_with_two_threads_is_reproducible(tmp_path: Path) -> None:
    pretrained = {
        "name": "made",
        "pretrain": {**PRETRAINED, "training": {"batch_size": 8, "max_steps": 3, "max_length": 48}},
    }
    plan = plan_of(write_study(tmp_path, models=[pretrained], intermediate=["none"], targets=[NLI]))
    (job,) = jobs(plan, "pretrain")
    stores = [Store(tmp_path / name) for name in ("first", "again")]
    for store in stores:
        run_job(job, context(plan), store, Progress())
    assert len({store.open(job.key).sha256 for store in stores}) == 1


# -- threads -----------------------------------------------------------------------------------------------------------


def threads_while(job: Job, pretrained: Context, store: Store) -> set[int]:
    """Numbers of torch threads during the steps of a job."""
    seen: set[int] = set()
    run_job(job, pretrained, store, Progress(lambda done, total: seen.add(torch.get_num_threads())))
    return seen


def test_threads_depend_on_the_width_of_the_model(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(
        write_study(tmp_path, models=[{"name": "made", "pretrain": PRETRAINED}], intermediate=["none"], targets=[NLI])
    )
    (pretrained,), (train,), (predict,) = (jobs(plan, kind) for kind in ("pretrain", "train", "predict"))
    assert threads_while(pretrained, context(plan), store) == {2}
    assert threads_while(train, context(plan), store) == {1}
    assert threads_for(predict, context(plan), store) == 1
    assert threads_for(predict, Context(models=plan.models, engine=Engine(threads=3)), store) == 3
    monkeypatch.setattr(recipes, "WIDE", 16)  # the pretrained model of the study is that wide
    assert {threads_for(job, context(plan), store) for job in plan.jobs.values()} == {2}
    assert set(threads_by_job(plan).values()) == {2}  # the plan agrees with the worker


def test_a_wide_model_with_two_threads_is_reproducible(tmp_path: Path) -> None:
    wide = tiny.encoder("xlm-roberta", hidden_size=recipes.WIDE, num_attention_heads=8)
    backbone.save(wide, tiny.tokenizer_of("xlm-roberta"), tmp_path / "model")
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    stores = [Store(tmp_path / name) for name in ("first", "again")]
    for store in stores:
        assert threads_while(jobs(plan, "train")[0], context(plan), store) == {2}
        run_inline(plan, store)
    assert len({tuple(store.open(key).sha256 for key in plan.jobs) for store in stores}) == 1


# -- predictions -------------------------------------------------------------------------------------------------------


def test_predictions_and_gold_keep_the_order_of_the_data(tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    run_inline(plan, store)
    (predict,) = jobs(plan, "predict")
    table = pq.read_table(store.open(predict.key).file(PREDICTIONS)).to_pydict()
    task = catalog.get("isle-nli")
    examples = list(task.source.read(task, "qta", "test", None, size=8, seed=0))
    assert table["id"] == [example.id for example in examples]
    assert [json.loads(gold) for gold in table["gold"]] == [formats.get(task.format).gold(e) for e in examples]
    assert {json.loads(prediction) for prediction in table["prediction"]} <= set(task.labels)


def test_test_sets_are_tokenized_once_for_all_models(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_FEATURES", {})
    plan = plan_of(write_study(tmp_path, seeds=[1, 2, 3], intermediate=["none"], targets=[NLI]))
    run_inline(plan, store)
    assert len(jobs(plan, "predict")) == 3
    assert len(prediction._FEATURES) == 1


def test_the_cache_of_test_sets_is_bounded(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_FEATURES", {})
    monkeypatch.setattr(prediction, "_FEATURES_TOKENS", 600)
    target = {**NLI, "languages": ["qta", "qtu", "qka"]}
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[target]))
    run_inline(plan, store)
    kept = [key[0].language for key in prediction._FEATURES]
    assert kept in (["qka"], ["qtu", "qka"])  # the last one is always kept, and the oldest are removed first


def test_a_stop_during_prediction_leaves_no_artifact(tmp_path: Path, store: Store) -> None:
    plan = plan_of(
        write_study(
            tmp_path, intermediate=["none"], targets=[{"task": "isle-retrieval", "languages": ["qtu"], "size": 8}]
        )
    )
    (predict,) = jobs(plan, "predict")
    with pytest.raises(Interrupted):
        run_job(predict, context(plan), store, Progress(should_stop=lambda: True))
    assert not store.has(predict.key)


def test_a_damaged_parent_is_a_named_error(tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    run_inline(plan, store, jobs(plan, "train"))
    (train,), (predict,) = jobs(plan, "train"), jobs(plan, "predict")
    assert isinstance(train.spec, TrainSpec)
    assert isinstance(predict.spec, PredictSpec)
    path = store.open(train.key, verify=False).folder / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"(?s)model.safetensors is damaged.*verify --repair"):
        run_job(predict, context(plan), Store(store.root), Progress())
