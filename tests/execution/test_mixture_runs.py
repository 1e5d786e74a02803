"""Mixtures from the study to the store: given weights, masked text beside labels, one head for tasks and languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_study import digests, do_inline, plan_of, write_study

from xlift.models import backbone
from xlift.studies.job import TrainSpec
from xlift.studies.store import Store

TARGETS = [{"task": "isle-retrieval", "languages": ["qtu"], "size": 8}]
MLM = {"task": "isle-text", "size": {"qta": 12, "qtu": 6}, "share": 0.5}
ROWS: dict[str, dict[str, Any]] = {
    "weights": {
        "name": "weights",
        "mixture": [{"task": "isle-pos", "size": 16, "weight": 3}, {"task": "isle-nli", "size": 16, "weight": 1}],
        "sampling": {"rule": "weights"},
    },
    "mlm": {"task": "isle-pos", "size": 16, "mlm": MLM},
    "shared-head": {
        "name": "nli",
        "mixture": [
            {"task": "isle-nli", "language": ["qta", "qtu"], "size": 8},
            {"task": "isle-nli-balanced", "language": "qka", "size": 8},
        ],
        "head": "nli",
        "mlm": MLM,
    },
}
HEADS = {"weights": ["isle-nli", "isle-pos"], "mlm": ["MLM", "isle-pos"], "shared-head": ["MLM", "nli"]}
STEPS = {"weights": 4, "mlm": 8, "shared-head": 8}
"""The tiny study trains for 4 steps; with half of them text, the stage has as many again."""


@pytest.mark.parametrize("name", ROWS)
def test_a_mixture_is_trained_and_gives_the_same_bytes_again(name: str, tmp_path: Path) -> None:
    study = write_study(tmp_path, intermediate=[ROWS[name]], targets=TARGETS)
    plan, store = plan_of(study), Store(tmp_path / "store")
    do_inline(plan, store)
    do_inline(plan, Store(tmp_path / "again"))
    assert digests(study, tmp_path / "store") == digests(study, tmp_path / "again")
    (job,) = (job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec))
    product = store.open(job.key)
    assert sorted(backbone.load(product.folder / "model")[0].heads) == HEADS[name]
    losses = json.loads(product.file("training.json").read_text(encoding="utf-8"))["losses"]
    assert product.manifest["numbers"]["steps"] == len(losses) == STEPS[name]
