"""Numbers of a manifest: threads, noise counts, and truncated rows in text mode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import text_mode_jobs
from tests.support.tiny_study import plan_of, write_study

from xlift.execution.work import prediction, run_job
from xlift.execution.work.prompt_features import PromptEncoder
from xlift.execution.work.shared import Context, read_examples
from xlift.models import backbone
from xlift.recipes import Noise, Recipe
from xlift.studies.job import Data, Job, PredictSpec, TrainSpec, make_job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.tasks import formats
from xlift.tasks.formats.features import Features
from xlift.training.progress import Progress

NLI = {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}
CASE = {"kind": "case", "level": 0.5}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def done(plan: Plan, store: Store) -> list[tuple[Job, dict[str, Any]]]:
    """Run every job of a plan. Returns each with the numbers of its manifest."""
    context = Context(plan.data, plan.tasks, plan.models, plan.engine)
    for job in plan.jobs.values():
        run_job(job, context, store, Progress())
    return [(job, store.open(job.key).manifest["numbers"]) for job in plan.jobs.values()]


# -- threads -----------------------------------------------------------------------------------------------------------


def test_threads_are_in_the_manifest_but_not_in_the_key(tmp_path: Path, store: Store) -> None:
    study = {
        "intermediate": ["none"],
        "targets": [{"task": "isle-nli", "train": {"size": 4}, "languages": ["qta"], "size": 4}],
        "training": {"lr": 0.001, "batch_size": 4, "max_steps": 1, "max_length": 64, "retries": 0},
    }
    plan = plan_of(write_study(tmp_path, **study, engine={"threads": 2}))
    found = done(plan, store)
    assert {job.kind: numbers["threads"] for job, numbers in found} == {"train": 2, "predict": 2}
    assert plan.jobs.keys() == plan_of(write_study(tmp_path, "by itself", **study)).jobs.keys()


# -- noise -------------------------------------------------------------------------------------------------------------


def changed_words(context: Context, data: Sequence[Data]) -> dict[str, int]:
    """Noise counts derived from the examples: words and other tokens of the archipelago are separated by spaces."""
    texts = words = changed = 0
    for each in data:
        if each.noise is None:
            continue
        format = formats.get(context.tasks[each.task].format)
        clean = read_examples(context, each.model_copy(update={"noise": None}))
        for before, after in zip(clean, read_examples(context, each), strict=True):
            for old, new in zip(format.texts(before), format.texts(after), strict=True):
                texts += 1
                words += sum(any(map(str.isalpha, word)) for word in old.split())
                changed += sum(a != b for a, b in zip(old.split(), new.split(), strict=True))
    return {"noise_texts": texts, "noise_words": words, "noise_changed": changed}


def test_noise_counts_are_in_the_manifest(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_FEATURES", {})
    parts = [{"task": "isle-nli", "size": 16, "noise": CASE}, {"task": "isle-nli-balanced", "size": 16}]
    parts.append({"task": "isle-pos", "size": 8, "noise": {"kind": "case", "level": 0.2}})
    rows = ["none", {"name": "mixed", "mixture": parts}]
    # two pipelines: the test sets of the second are cached from the first
    plan = plan_of(write_study(tmp_path, intermediate=rows, targets=[{**NLI, "noise": CASE}]))
    context = Context(plan.data, plan.tasks, plan.models)
    kinds = []
    for job, numbers in done(plan, store):
        assert isinstance(job.spec, TrainSpec | PredictSpec)
        expected = changed_words(context, job.spec.parts if isinstance(job.spec, TrainSpec) else [job.spec.data])
        noise = {name: value for name, value in numbers.items() if name.startswith("noise_")}
        if not expected["noise_texts"]:
            assert noise == {}
            continue
        kinds.append(job.kind)
        assert numbers["threads"] == 1
        assert expected["noise_changed"] > 0
        assert expected.items() <= noise.items()
        assert noise["noise_changed"] <= noise["noise_changeable"] <= noise["noise_words"]
    assert sorted(kinds) == ["predict", "predict", "train"]


def test_noise_counts_in_text_mode_are_in_the_manifest(tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", "qwen3")
    noise = Noise(kind="typos", level=0.5)
    noisy = text_mode_jobs.data("isle-nli", noise=noise)
    stage = text_mode_jobs.train(noisy, text_mode_jobs.data("isle-qa"))
    (clean,) = text_mode_jobs.predictions("isle-nli", ["qta"])
    for job, data in ((stage, [noisy]), (clean, [])):
        run_job(job, context, store, Progress())
        numbers = store.open(job.key).manifest["numbers"]
        assert numbers.get("noise_changed", 0) == changed_words(context, data)["noise_changed"]
        assert ("noise_changed" in numbers) == bool(data)


# -- rows that were too long -------------------------------------------------------------------------------------------

SHORT = 75
"""A length in tokens between those of short and long prompts of isle-nli."""


def too_long(context: Context, data: Data, model: Path, **wording: Any) -> int:
    """Number of rows that are longer than SHORT without truncation."""
    model_without_heads, tokenizer = backbone.load(model)
    encoder = PromptEncoder(text_mode_jobs.text_mode(**wording), context, tokenizer, model_without_heads.family)
    examples = read_examples(context, data)
    whole: Features = encoder.features(context.tasks[data.task], examples, data.language, max_length=500, train=False)
    assert not np.any(whole.extra["shortened"])
    return int(np.count_nonzero(whole.input_ids.lengths > SHORT))


@pytest.mark.parametrize("family", ["qwen3", pytest.param("mt5", marks=pytest.mark.slow)])
def test_truncated_rows_in_text_mode_are_counted(family: str, tmp_path: Path, store: Store) -> None:
    context = text_mode_jobs.context(tmp_path / "model", family)
    asked = text_mode_jobs.data("isle-nli", "qta", "test", 20)
    (long,) = text_mode_jobs.predictions("isle-nli", ["qta"], size=20)
    assert isinstance(long.spec, PredictSpec)
    short = make_job(long.spec.model_copy(update={"options": {"max_length": SHORT}}), "short", 20)
    recipe = Recipe(**{**text_mode_jobs.RECIPE.model_dump(), "max_length": SHORT, "max_steps": 1})
    trained = text_mode_jobs.data("isle-nli", size=20), text_mode_jobs.data("isle-pos", size=4)
    stage = text_mode_jobs.train(*trained, recipe=recipe)
    cut = too_long(context, asked, tmp_path / "model")
    assert 0 < cut < 20
    cut_of_stage = sum(too_long(context, data, tmp_path / "model") for data in trained)
    for job, counts in ((long, (20, 0)), (short, (20, cut)), (stage, (24, cut_of_stage))):
        run_job(job, context, store, Progress())
        numbers = store.open(job.key).manifest["numbers"]
        assert (numbers["rows"], numbers["truncated_rows"]) == counts


def test_head_mode_has_no_truncation_numbers(tmp_path: Path, store: Store) -> None:
    plan = plan_of(write_study(tmp_path, intermediate=["none"], targets=[NLI]))
    assert not any("truncated_rows" in numbers for _, numbers in done(plan, store))
