"""Text-mode stages and predictions, from a tiny pretrained model to answers in a table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tests.support import text_mode_jobs
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.execution.work import run_job, run_jobs
from xlift.execution.work.evaluator import compute_score, label_entropy
from xlift.models import backbone
from xlift.recipes import Lora
from xlift.studies.job import Job, MergeSpec, make_job
from xlift.studies.predictions import PREDICTIONS
from xlift.studies.store import Store
from xlift.tasks import catalog, formats
from xlift.training.progress import Progress

FAMILIES = ["qwen3", "mt5"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def answers(store: Store, job: Job) -> list[tuple[Any, Any]]:
    """(gold, prediction) of every example."""
    rows = pq.read_table(store.open(job.key).file(PREDICTIONS)).to_pylist()
    return [(json.loads(row["gold"]), json.loads(row["prediction"])) for row in rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_intermediate_and_a_target_in_text_mode(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    first = text_mode_jobs.train(text_mode_jobs.data("isle-nli"), text_mode_jobs.data("isle-qa"))
    target = text_mode_jobs.train(text_mode_jobs.data("isle-pos"), parent=first, keep_heads=("TEXT",))
    for job in (first, target):
        run_job(job, context, store, Progress())
        model, _ = backbone.load_stored_model(_stored(store, job, context))
        assert list(model.heads) == ["TEXT"]
        numbers = store.open(job.key).manifest["numbers"]
        assert numbers["steps"] == 6
        assert numbers["tokens"] > 0
    assert json.loads(store.open(target.key).file("weight_transfer.json").read_text())["heads"] == ["TEXT"]
    for task in ("isle-nli", "isle-qa", "isle-pos"):
        asked = text_mode_jobs.predictions(task, ["qtm", "qta"], target, max_new_tokens=12)
        assert [job for job, _ in run_jobs(asked, context, store, Progress())] == asked
        format, declared = formats.get(catalog.get(task).format), catalog.get(task)
        for job in asked:
            found = answers(store, job)
            assert len(found) == 6
            if task == "isle-nli":
                assert {predicted for _, predicted in found} <= set(declared.labels)
            if task == "isle-pos":
                assert all(len(predicted) == len(gold) for gold, predicted in found)
        assert format.name == declared.format


def _stored(store: Store, job: Job, context: Any) -> Any:
    from xlift.execution.work.model_loading import find_model_files

    return find_model_files(job.key, store, context.models.get)


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_answers_equal_those_of_single_jobs(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    alone = Store(shutil.copytree(store.root, tmp_path / "alone") if store.root.is_dir() else tmp_path / "alone")
    for task in ("isle-nli", "isle-qa"):
        asked = text_mode_jobs.predictions(task, ["qtm", "qta", "qka"], max_new_tokens=8)
        list(run_jobs(asked, context, store, Progress()))
        for job in asked:
            run_job(job, context, alone, Progress())
            assert answers(store, job) == answers(alone, job)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_can_be_prompted_without_training(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    tokens = []
    for shots in (0, 3):
        (job,) = text_mode_jobs.predictions("isle-nli", ["qta"], num_fewshot=shots)
        run_job(job, context, store, Progress())
        assert len(answers(store, job)) == 6
        tokens.append(store.open(job.key).manifest["numbers"]["tokens"])
    assert tokens[1] > 3 * tokens[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_small_model_learns_to_write_labels(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    recipe = text_mode_jobs.RECIPE.model_copy(update={"max_steps": 60, "lr": 0.01, "batch_size": 8})
    job = text_mode_jobs.train(text_mode_jobs.data("isle-nli", size=8), recipe=recipe)
    run_job(job, context, store, Progress())
    losses = json.loads(store.open(job.key).file("training.json").read_text())["losses"]
    assert losses[-1] < 0.3 * losses[0]


# -- evaluation -----------------------------------------------------------------------------------------------------------


def test_a_text_mode_stage_is_evaluated_by_its_answers(tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", "qwen3")
    recipe = text_mode_jobs.RECIPE.model_copy(update={"lr": 1e-9, "retries": 1})
    dev = text_mode_jobs.data("isle-nli", split="dev")
    job = text_mode_jobs.train(text_mode_jobs.data("isle-nli"), recipe=recipe, dev=[dev])
    run_job(job, context, store, Progress())
    artifact = store.open(job.key)
    told = json.loads(artifact.file("training.json").read_text())["attempts"]
    assert [attempt["outcome"] for attempt in told] == ["collapsed", "collapsed"]
    (part,) = told[0]["dev"]
    # three equally frequent labels of some tokens and an end token each: the bound of a loss per token
    assert 0 < part["entropies"][0] < 1.0986 / 2
    # the stored model gets the same score again
    (asked,) = text_mode_jobs.predictions("isle-nli", ["qtm"], job)
    spec = asked.spec.model_copy(update={"data": dev, "options": {"max_length": 160}})
    again = make_job(spec, "predict", 1)
    run_job(again, context, store, Progress())
    examples = context.tasks["isle-nli"].source.read(
        context.tasks["isle-nli"], "qtm", "dev", None, size=dev.size, seed=dev.seed
    )
    predicted = [answer for _, answer in answers(store, again)]
    assert compute_score(context.tasks["isle-nli"], list(examples), predicted, "qtm") == part["score"]


def test_label_entropy_in_text_mode_is_per_token() -> None:
    task = catalog.get("isle-nli")
    examples = list(task.source.read(task, "qtm", "train", None, size=30))
    whole = label_entropy(task, examples)
    assert whole is not None
    assert label_entropy(task, examples, 90) == pytest.approx(whole / 3)
    assert label_entropy(catalog.get("isle-pos"), [], 90) is None
    assert label_entropy(catalog.get("isle-commonsense"), [], 90) is None


# -- adapters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_text_mode_stages_train_adapters_in_sequence(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    recipe = text_mode_jobs.RECIPE.model_copy(update={"lora": Lora(rank=2), "lr": 0.01})
    first = text_mode_jobs.train(text_mode_jobs.data("isle-nli"), recipe=recipe)
    second = text_mode_jobs.train(text_mode_jobs.data("isle-qa"), parent=first, recipe=recipe)
    for job in (first, second):
        run_job(job, context, store, Progress())
        assert (store.open(job.key).folder / "model" / "adapter_model.safetensors").is_file()
    (asked,) = text_mode_jobs.predictions("isle-nli", ["qta"], second)
    run_job(asked, context, store, Progress())
    assert len(answers(store, asked)) == 6


# -- merging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
def test_merged_stages_can_be_trained_further(lora: Lora | None, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", "qwen3")
    recipe = text_mode_jobs.RECIPE.model_copy(update={"lora": lora})
    stages = [text_mode_jobs.train(text_mode_jobs.data(task), recipe=recipe) for task in ("isle-nli", "isle-qa")]
    keys = tuple(job.key for job in stages)
    merged = make_job(MergeSpec(model=text_mode_jobs.start(), merged=keys, weights=(0.25, 0.75)), "merge", 1)
    target = text_mode_jobs.train(text_mode_jobs.data("isle-pos"), parent=merged, recipe=recipe)
    for job in (*stages, merged, target, *text_mode_jobs.predictions("isle-nli", ["qta"], merged)):
        run_job(job, context, store, Progress())
    one, other, both = (backbone.load_stored_model(_stored(store, job, context))[0] for job in (*stages, merged))
    weights = [dict(model.backbone.named_parameters()) for model in (one, other, both)]
    for name, tensor in weights[2].items():
        torch.testing.assert_close(tensor, 0.25 * weights[0][name] + 0.75 * weights[1][name])
    assert store.open(merged.key).manifest["numbers"]["merged_models"] == 2


def test_a_merge_may_start_from_a_stage(tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", "mt5")
    first = text_mode_jobs.train(text_mode_jobs.data("isle-nli"))
    more = [text_mode_jobs.train(text_mode_jobs.data(task), parent=first) for task in ("isle-qa", "isle-pos")]
    keys = tuple(job.key for job in more)
    spec = MergeSpec(model=text_mode_jobs.start(first), merged=keys, weights=(1.0, 1.0), keep_heads=("TEXT",))
    merged = make_job(spec, "merge", 1)
    for job in (first, *more, merged):
        run_job(job, context, store, Progress())
    start, one, other, both = (
        backbone.load_stored_model(_stored(store, job, context))[0] for job in (first, *more, merged)
    )
    assert list(both.heads) == ["TEXT"]
    weights = [dict(model.backbone.named_parameters()) for model in (start, one, other, both)]
    for name, tensor in weights[3].items():
        torch.testing.assert_close(tensor, weights[1][name] + weights[2][name] - weights[0][name])


# -- a whole study -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", pytest.param("mt5", marks=pytest.mark.slow)])
def test_a_text_mode_study(family: str, tmp_path: Path, store: Store) -> None:
    text_mode_jobs.context(tmp_path / "model", family)
    study = write_study(
        tmp_path,
        prompt={"max_new_tokens": 6},
        training={"lr": 0.003, "batch_size": 4, "max_steps": 2, "max_length": 96, "retries": 0},
        intermediate=[
            "none",
            {"name": "nli", "task": "isle-nli", "size": 8, "noise": {"kind": "typos", "level": 0.3}},
            {"name": "qa", "task": "isle-qa", "size": 8},
            {"name": "both", "merge": ["nli", "qa"], "weights": [0.5, 0.5]},
        ],
        targets=[
            {"task": "isle-pos", "train": {"size": 4}, "languages": ["qtm"], "size": 3},
            {"task": "isle-nli", "name": "prompted", "train": False, "prompt": {"num_fewshot": 2}, "languages": ["qta"],
             "size": 3, "noise": [{"kind": "case", "level": 1.0}]},
        ],
    )  # fmt: skip
    plan = plan_of(study)
    run_inline(plan, store)
    assert {"train", "merge", "predict"} == {job.kind for job in plan.jobs.values()}
    for job in plan.jobs.values():
        if job.kind == "predict":
            assert len(answers(store, job)) == 3
