"""Small trained studies, for tests that export their models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.studies.plan import Plan
from xlift.studies.record import make_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

TRAIN = {"train": {"size": 24}, "languages": ["qta", "qtu"], "size": 12}
OPTIONS: dict[str, Any] = {
    "seeds": [1, 2],
    "training": {"lr": 0.001, "batch_size": 8, "max_steps": 4, "max_length": 64, "retries": 0},
    "intermediate": ["none", {"task": "isle-pos", "size": 24}],
    "targets": [{"task": "isle-nli", **TRAIN}, {"task": "isle-retrieval", "languages": ["qtu"], "size": 12}],
}
TRANSFORMERS_CLASSES = {
    "isle-nli": "AutoModelForSequenceClassification",
    "isle-pos": "AutoModelForTokenClassification",
    "isle-qa-unanswerable": "AutoModelForQuestionAnswering",
    "isle-reading": "AutoModelForMultipleChoice",
}


def run_small_study(folder: Path, **changes: Any) -> tuple[Plan, Store]:
    """Run a small study in `folder/s`."""
    study = write_study(folder, **{**OPTIONS, **changes})
    plan, store = plan_of(study), Store(folder / "s")
    write_record(make_record(read_study(str(study)), plan), store)
    run_inline(plan, store)
    return plan, store


def run_study_of_all_heads(folder: Path) -> tuple[Path, Plan, Store]:
    """Run a study with one target for each kind of head."""
    targets = [{"task": task, **TRAIN, "size": 6} for task in TRANSFORMERS_CLASSES]
    return folder, *run_small_study(folder, intermediate=["none"], seeds=[1], targets=targets)
