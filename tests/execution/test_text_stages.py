"""Text as an intermediate of decoders and encoder-decoder models, from the study to the scores, with heads and prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support import tiny
from tests.support.tiny_study import plan_of, run_inline, write_study

from xlift.models import backbone
from xlift.studies.job import Job, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.plan import Plan
from xlift.studies.store import Store

TEXT = {"task": "isle-text", "language": ["qta", "qtu"], "size": 8}
ROWS: list[Any] = [
    "none",
    {"name": "alone", "stages": [{"mixture": [TEXT]}, {"mixture": [TEXT]}]},
    {"name": "beside", "task": "isle-nli", "size": 16, "text": {**TEXT, "share": 0.5}, "controls": ["text"]},
]
TARGETS = [
    {"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 4},
    {"task": "isle-pos", "train": {"size": 16}, "languages": ["qta"], "size": 4},
]
TRAINING = {"lr": 0.001, "batch_size": 8, "epochs": 1, "max_length": 96, "retries": 0}


def write(folder: Path, family: str, mode: str, **changes: Any) -> Path:
    backbone.save(tiny.encoder(family), tiny.tokenizer_of(family), folder / "model")
    models = [{"model": "model", "mode": mode}]
    changes = {"intermediate": ROWS, "targets": TARGETS, "training": TRAINING} | changes
    return write_study(folder, models=models, **changes)


def stages(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["head", "text"])
@pytest.mark.parametrize("family", ["qwen3", "mt5", "llama"])
def test_text_alone_and_beside_labels(family: str, mode: str, tmp_path: Path) -> None:
    plan, store = plan_of(write(tmp_path, family, mode)), Store(tmp_path / "store")
    assert not [warning for warning in plan.warnings if "MLM head" in warning]
    run_inline(plan, store)
    steps = {}
    for job in stages(plan):
        numbers = store.open(job.key).numbers
        assert isinstance(numbers, TrainNumbers)
        assert isinstance(job.spec, TrainSpec)
        steps["+".join(job.spec.part_names()), bool(job.spec.model.job)] = numbers.steps
    assert steps["isle-text/qta/8+isle-text/qtu/8", False] == 2
    assert steps["isle-nli/qta/16+50% isle-text", False] == 4
    assert steps["isle-nli/qta/16 as text+50% isle-text", False] == 4
    assert all(store.has(cell.key) for cell in plan.cells)


@pytest.mark.parametrize("family", ["qwen3", "mt5"])
def test_a_text_stage_changes_the_model_that_follows(family: str, tmp_path: Path) -> None:
    """A stage of text alone has no weights of a head, and the next stage starts from its model."""
    study = write(tmp_path, family, "head", intermediate=[{**TEXT, "language": "qta"}], targets=TARGETS[:1])
    plan, store = plan_of(study), Store(tmp_path / "store")
    first, target = stages(plan)
    assert isinstance(first.spec, TrainSpec)
    assert first.spec.text_mode is None
    run_inline(plan, store, [first, target])
    model, _ = backbone.load(store.open(first.key).folder / "model")
    start = tiny.encoder(family)
    changed = [name for name, p in start.backbone.named_parameters() if not p.equal(model.backbone.get_parameter(name))]
    decoder = [name for name in changed if name.startswith("decoder.")]
    assert bool(decoder) == (family == "mt5")
    assert [head for head in model.heads if list(model.head(head).parameters())] == []


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "mt5"])
def test_lora_learns_text(family: str, tmp_path: Path) -> None:
    study = write(
        tmp_path, family, "text", intermediate=[{**TEXT, "language": "qta"}], targets=TARGETS[:1],
        training=TRAINING | {"lora": {"rank": 2}},
    )  # fmt: skip
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, store)
    assert all(store.has(cell.key) for cell in plan.cells)


@pytest.mark.parametrize("family", ["qwen3", "mt5"])
def test_a_stage_of_text_is_one_job_for_all_prompts(family: str, tmp_path: Path) -> None:
    rows = [{**TEXT, "language": "qta"}]
    keys = [
        [job.key for job in stages(plan_of(write(tmp_path / name, family, "text", intermediate=rows, prompt=prompt)))]
        for name, prompt in (("a", {}), ("b", {"num_fewshot": 2}))
    ]
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]
