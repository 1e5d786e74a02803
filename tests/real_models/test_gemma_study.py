"""Studies with Gemma 3 270M: plan, run, report, export; an interrupted training; prompts without training."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.support.command import Xlift
from tests.support.real_models import GEMMA, needs
from tests.support.tiny_study import plan_of
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from xlift.execution.work import run_job
from xlift.execution.work.shared import Context
from xlift.studies.store import Store
from xlift.tasks import catalog
from xlift.training.progress import Interrupted, Progress

pytestmark = needs(GEMMA)
TRAINING = "{lr: 0.0001, batch_size: 4, max_steps: 4, max_length: 48, retries: 0, precision: fp32}"
HEADS = f"""\
models: [{{name: gemma, model: "{GEMMA}", mode: head}}]
training: {TRAINING}
intermediate: [none]
targets:
  - {{task: isle-nli, train: {{size: 16}}, languages: [qta, qtu], size: 8}}
"""
PROMPTED = f"""\
models: [{{name: gemma, model: "{GEMMA}"}}]
training: {TRAINING}
prompt: {{instructions: own}}
intermediate: [none, {{task: isle-pos, size: 8, training: {{max_steps: 1, lora: {{rank: 2}}}}}}]
targets:
  - {{task: isle-nli, name: prompted, train: false, languages: [qtu], size: 4}}
"""


@pytest.fixture(autouse=True)
def few_dev_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xlift.studies.dev_data.MAX_DEV_EXAMPLES", 4)  # they would take most of the time


def test_study_runs_and_its_export_predicts_the_same(xlift: Xlift, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(HEADS, encoding="utf-8")
    planned = xlift("plan", study, "--store", "store")
    assert planned.code == 0, planned.err
    done = xlift("run", study, "--store", "store", "--workers", 0)
    assert done.code == 0, done.err
    report = xlift("report", study, "--store", "store")
    assert report.code == 0, report.err
    assert "isle-nli" in report.out
    exported = xlift("export", study, "model", "--store", "store", "--target", "isle-nli")
    assert exported.code == 0, exported.err

    plan, store = plan_of(study), Store(tmp_path / "store")
    (train,) = (job for job in plan.jobs.values() if job.kind == "train")
    assert len(json.loads((store.path(train.key) / "training.json").read_text())["losses"]) == 4
    (cell,) = (cell for cell in plan.cells if cell.language == "qtu")
    predictions = [
        json.loads(each) for each in pq.read_table(store.open(cell.key).file("predictions.parquet"))["prediction"].to_pylist()
    ]  # fmt: skip
    task = catalog.get("isle-nli")
    examples = list(task.source.read(task, "qtu", "test", None))[:8]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.config.num_labels == 3
    for example, prediction in zip(examples, predictions, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(example.text_a, example.text_b, return_tensors="pt")).logits[0]
        assert model.config.id2label[int(logits.argmax())] == prediction

    # the same stage, stopped after two of its four steps and resumed, gives the same bytes
    steps = []
    other = Store(tmp_path / "other")
    context = Context(plan.data, plan.tasks, plan.models)
    stopping = Progress(report=lambda done, _: steps.append(done), should_stop=lambda: bool(steps) and steps[-1] == 2)
    with pytest.raises(Interrupted):
        run_job(train, context, other, stopping)
    resumed: list[int] = []
    run_job(train, context, other, Progress(report=lambda done, _: resumed.append(done)))
    assert (steps, [step for step in resumed if step <= 4]) == ([1, 2], [3, 4])
    assert other.open(train.key).sha256 == store.open(train.key).sha256


def test_prompts_and_lora(xlift: Xlift, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(PROMPTED, encoding="utf-8")
    done = xlift("run", study, "--store", "store", "--workers", 0)
    assert done.code == 0, done.err
    report = xlift("report", study, "--store", "store")
    assert report.code == 0, report.err
    assert "prompted" in report.out
