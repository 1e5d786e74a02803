"""Predictions of several languages or layers in one pass of a model: artifacts, times and errors."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.errors import UserError
from xlift.evaluation import predict
from xlift.execution.work import prediction, run_job, run_jobs
from xlift.execution.work.shared import Context
from xlift.models import backbone
from xlift.studies.job import Job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.training.progress import Interrupted, Progress

LANGUAGES = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta", "qtu", "qka"], "size": 8}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def jobs(plan: Plan, kind: str) -> list[Job]:
    return [job for job in plan.jobs.values() if job.kind == kind]


def context(plan: Plan) -> Context:
    return Context(plan.data, plan.tasks, plan.models)


def trained(tmp_path: Path, store: Store, *targets: dict[str, Any]) -> Plan:
    """A study's plan, with all jobs done except the predictions."""
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=list(targets)))
    run_inline(plan, store, [job for job in plan.jobs.values() if job.kind != "predict"])
    return plan


def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of rows of every following forward pass."""
    seen: list[int] = []
    run = backbone.Model._run
    monkeypatch.setattr(
        backbone.Model,
        "_run",
        lambda self, inputs, **kwargs: seen.append(len(inputs["input_ids"])) or run(self, inputs, **kwargs),
    )
    return seen


def test_artifacts_of_one_pass_equal_those_of_single_jobs(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = trained(tmp_path, store, LANGUAGES)
    together, alone = jobs(plan, "predict"), Store(shutil.copytree(store.root, tmp_path / "alone"))
    seen = passes(monkeypatch)
    done = list(run_jobs(together, context(plan), store, Progress()))
    assert seen == [24]
    assert [job for job, _ in done] == together
    for job, seconds in done:
        run_job(job, context(plan), alone, Progress())
        artifact = store.open(job.key)
        assert artifact.sha256 == alone.open(job.key).sha256
        assert artifact.manifest["numbers"]["tokens"] == alone.open(job.key).manifest["numbers"]["tokens"]
        assert artifact.manifest["seconds"] == pytest.approx(seconds, abs=0.2)


def test_the_time_of_a_pass_is_divided_by_tokens(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = trained(tmp_path, store, LANGUAGES)
    run = predict.compute_row_outputs
    monkeypatch.setattr(
        predict, "compute_row_outputs", lambda *args, **kwargs: (time.sleep(1.5), run(*args, **kwargs))[1]
    )
    together = jobs(plan, "predict")
    started = time.perf_counter()
    list(run_jobs(together, context(plan), store, Progress()))
    whole = time.perf_counter() - started
    manifests = [store.open(job.key).manifest for job in together]
    tokens = [manifest["numbers"]["tokens"] for manifest in manifests]
    for own, manifest in zip(tokens, manifests, strict=True):
        assert manifest["seconds"] >= 1.5 * own / sum(tokens)
    assert sum(manifest["seconds"] for manifest in manifests) <= whole


def test_an_error_in_one_language_does_not_stop_the_others(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = trained(tmp_path, store, LANGUAGES)
    read = prediction.read_clean_examples

    def damaged(context: Context, data: Any, *kwargs: Any) -> Any:
        if data.language == "qtu":
            raise UserError("a row is wrong", where="qtu.tsv:7")
        return read(context, data, *kwargs)

    monkeypatch.setattr(prediction, "read_clean_examples", damaged)
    monkeypatch.setattr(prediction, "_FEATURES", {})
    outcomes = {
        job.label: outcome for job, outcome in run_jobs(jobs(plan, "predict"), context(plan), store, Progress())
    }
    (wrong,) = (label for label, outcome in outcomes.items() if isinstance(outcome, UserError))
    assert "isle-nli/qtu" in wrong
    assert [store.has(job.key) for job in jobs(plan, "predict")] == [True, False, True]


def test_a_stop_during_a_pass_leaves_no_artifacts(tmp_path: Path, store: Store) -> None:
    plan = trained(tmp_path, store, LANGUAGES)
    requests: list[bool] = []
    stops = Progress(
        should_stop=lambda: len(requests) > 2 or bool(requests.append(True))
    )  # three languages are read, then forward passes start
    with pytest.raises(Interrupted):
        list(run_jobs(jobs(plan, "predict"), context(plan), store, stops))
    assert not any(store.has(job.key) for job in jobs(plan, "predict"))


@pytest.mark.slow
def test_the_chosen_and_the_official_layer_run_in_one_pass(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"task": "isle-retrieval", "languages": ["qka", "qtu"], "size": 12, "options": {"layer": "dev"}}
    plan = trained(tmp_path, store, target)
    together, alone = jobs(plan, "predict"), Store(shutil.copytree(store.root, tmp_path / "alone"))
    seen = passes(monkeypatch)
    outcomes = [outcome for _, outcome in run_jobs(together, context(plan), store, Progress())]
    assert seen == [2 * 2 * 12]  # both sides of both languages once, and not again for the other layer
    assert len(outcomes) == 4
    for job in together:
        run_job(job, context(plan), alone, Progress())
        numbers = store.open(job.key).manifest["numbers"]
        assert store.open(job.key).sha256 == alone.open(job.key).sha256
        assert numbers.get("layer") == alone.open(job.key).manifest["numbers"].get("layer")
    assert sum("layer" in store.open(job.key).manifest["numbers"] for job in together) == 2
