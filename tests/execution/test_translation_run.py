"""A translation task from training to a score, by models with language tokens and without."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import text_mode_jobs

from xlift.analysis.scores import read_predictions
from xlift.execution.work import run_job, run_jobs
from xlift.studies.job import Noise
from xlift.studies.store import Store
from xlift.tasks import metrics
from xlift.tasks.sources.custom import build_custom_task
from xlift.training.progress import Progress

# Only letters that the test tokenizers have.
SENTENCES = [("mbwa analala", "the dog rests"), ("mama anarudi", "the man is back"), ("mbwa anarudi", "the dog is back"),
             ("mama analala", "the man rests")]  # fmt: skip


def task_of(folder: Path, direction, name="pairs"):
    rows = SENTENCES if direction[0] == "{lang}" else [pair[::-1] for pair in SENTENCES]
    lines = "".join(f"{source}\t{translation}\n" for source, translation in rows)
    for split in ("train", "test"):
        (folder / f"{split}.tsv").write_text(f"source\ttranslation\n{lines}", encoding="utf-8")
    files = {split: {"sw": f"{split}.tsv"} for split in ("train", "test")}
    return build_custom_task({"name": name, "format": "translation", "files": files, "direction": direction}, folder)


@pytest.mark.parametrize(("family", "direction"), [("nllb", ["{lang}", "en"]),
                                                   pytest.param("nllb", ["en", "{lang}"], marks=pytest.mark.slow),
                                                   pytest.param("mt5", ["{lang}", "en"], marks=pytest.mark.slow),
                                                   pytest.param("qwen3", ["en", "{lang}"], marks=pytest.mark.slow)])  # fmt: skip
def test_model_learns_translations_and_scores_equal_those_of_sacrebleu(family, direction, tmp_path):
    context, store = text_mode_jobs.context(tmp_path / "model", family), Store(tmp_path / "store")
    name = f"pairs-{family}-{direction.index('en')}"  # a process caches examples by task name
    context.tasks[name] = task_of(tmp_path, direction, name)
    recipe = text_mode_jobs.RECIPE.model_copy(update={"max_steps": 120, "lr": 0.01})
    stage = text_mode_jobs.train(text_mode_jobs.data(name, "sw", size=4), recipe=recipe)
    run_job(stage, context, store, Progress())
    (asked,) = text_mode_jobs.predictions(name, ["sw"], stage, size=4, max_new_tokens=24)
    (done,) = run_jobs([asked], context, store, Progress())
    assert done[0] == asked
    _, gold, said = read_predictions(store, asked.key)
    into = "en" if direction[1] == "en" else "sw"
    assert {one["language"] for one in gold} == {into}
    assert said == [one["text"] for one in gold]  # the model memorizes four sentences

    said[0] = "the dog is"
    for name, content in (("hyp", said), ("ref", [one["text"] for one in gold])):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        "ref",
        "-i",
        "hyp",
        "-m",
        "bleu",
        "chrf",
        "--chrf-word-order",
        "2",
        "-w",
        "9",
    ]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    theirs = {entry["name"]: entry["score"] for entry in json.loads(printed)}
    for ours, name in (("bleu", "BLEU"), ("chrf++", "chrF2++")):
        metric = metrics.get(ours)
        total = np.sum([metric.count_example(g, p, "sw") for g, p in zip(gold, said)], axis=0)
        assert 100 * float(metric.compute_score(total)) == pytest.approx(theirs[name], abs=1e-8)


def test_noise_changes_the_source_only(tmp_path):
    from xlift.execution.work.shared import read_examples

    context = text_mode_jobs.context(tmp_path / "model", "mt5")
    context.tasks["pairs"] = task_of(tmp_path, ["{lang}", "en"])
    clean = text_mode_jobs.data("pairs", "sw", "test", 4)
    noisy = replace_noise(clean, Noise(kind="typos", level=0.5))
    pairs = list(zip(read_examples(context, clean), read_examples(context, noisy), strict=True))
    assert any(a.source != b.source for a, b in pairs)
    assert all(replace(a, source="") == replace(b, source="") for a, b in pairs)


def replace_noise(data, noise):
    return data.model_copy(update={"noise": noise})
