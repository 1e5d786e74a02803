"""Mixtures from the study to the store: given weights, masked text beside labels, one head for tasks and languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import digests, plan_of, run_inline, write_study

from xlift.execution.work.shared import Context, read_examples
from xlift.models import backbone
from xlift.studies.job import TrainSpec
from xlift.studies.store import Store

SAMPLES = Path(__file__).parents[1] / "tasks/samples"
TARGETS = [{"task": "isle-retrieval", "languages": ["qtu"], "size": 8}]
MLM = {"task": "isle-text", "size": {"qta": 12, "qtu": 6}, "share": 0.5}
ROWS: dict[str, dict[str, Any]] = {
    "weights": {
        "name": "weights",
        "mixture": [{"task": "isle-pos", "size": 16, "weight": 3}, {"task": "isle-nli", "size": 16, "weight": 1}],
        "sampling": {"rule": "weights"},
    },
    "mlm": {"task": "isle-pos", "size": 16, "text": MLM},
    "shared-head": {
        "name": "nli",
        "mixture": [
            {"task": "isle-nli", "language": ["qta", "qtu"], "size": 8},
            {"task": "isle-nli-balanced", "language": "qka", "size": 8},
        ],
        "head": "nli",
        "text": MLM,
    },
}
HEADS = {"weights": ["isle-nli", "isle-pos"], "mlm": ["MLM", "isle-pos"], "shared-head": ["MLM", "nli"]}
STEPS = {"weights": 4, "mlm": 8, "shared-head": 8}
"""The tiny study trains for 4 steps; with half of them text, the stage has as many again."""


def test_a_target_can_train_on_translated_files(tmp_path: Path) -> None:
    for name in ("xnli", "xnli-translate-train"):
        shutil.copytree(SAMPLES / name / "native", tmp_path / "data", dirs_exist_ok=True)
    train = {"task": "xnli-translate-train", "language": ["en", "de", "sw"], "size": 2}
    target = {"task": "xnli", "train": train, "languages": ["de"], "split": "dev"}
    study = write_study(tmp_path, intermediate=["none"], targets=[target], data="data")
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, store)
    ((key, spec),) = ((job.key, job.spec) for job in plan.jobs.values() if isinstance(job.spec, TrainSpec))
    assert list(backbone.load(store.open(key).folder / "model")[0].heads) == ["xnli-translate-train"]
    context = Context(plan.data, plan.tasks, plan.models)
    english, *others = (read_examples(context, data) for data in spec.mixture)
    assert all({e.id for e in examples} == {e.id for e in english} for examples in others)


@pytest.mark.parametrize(
    "name", [name if name == "shared-head" else pytest.param(name, marks=pytest.mark.slow) for name in ROWS]
)
def test_a_mixture_is_trained_reproducibly(name: str, tmp_path: Path) -> None:
    study = write_study(tmp_path, intermediate=[ROWS[name]], targets=TARGETS)
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, store)
    run_inline(plan, Store(tmp_path / "again"))
    assert digests(study, tmp_path / "store") == digests(study, tmp_path / "again")
    (job,) = (job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec))
    artifact = store.open(job.key)
    assert sorted(backbone.load(artifact.folder / "model")[0].heads) == HEADS[name]
    losses = json.loads(artifact.file("training.json").read_text(encoding="utf-8"))["losses"]
    assert artifact.manifest["numbers"]["steps"] == len(losses) == STEPS[name]
