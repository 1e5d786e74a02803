"""Whole text-mode studies, from YAML to scores: prompting, fine-tuning, LoRA, noise and merging."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.support import tiny
from tests.support.tiny_study import plan_of, run_inline

from xlift.analysis.pipeline_choice import find_pipeline_by_key
from xlift.analysis.scores import load_cells
from xlift.estimate.work import PlanWorkloads
from xlift.studies.job import MergeSpec, TrainSpec
from xlift.studies.record import make_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

TYPOS = {"kind": "typos", "level": 0.5}
NLI = {"task": "isle-nli", "languages": ["qtm"], "size": 6}
STUDY = {
    "training": {"lr": 0.001, "batch_size": 4, "max_steps": 2, "max_length": 160, "retries": 0},
    "intermediate": [
        "none",
        {"name": "qa", "task": "isle-qa", "size": 8, "noise": TYPOS, "training": {"lora": {"rank": 2}}},
        {"name": "topic", "task": "isle-commonsense", "size": 8, "training": {"optimizer": "adafactor"}},
        {"name": "both", "merge": ["qa", "topic"]},
    ],
    "targets": [
        {**NLI, "train": {"size": 8}, "noise": TYPOS},
        {**NLI, "name": "prompted", "train": False, "prompt": {"num_fewshot": 2}},
        {"task": "isle-retrieval", "languages": ["qtu"], "size": 6},
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "mt5"])
def test_a_text_mode_study_runs_from_start_to_end(tmp_path: Path, family: str) -> None:
    tiny.model_folder(tmp_path / "model", family)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"models": ["model"], **STUDY}), encoding="utf-8")
    plan, store = plan_of(path), Store(tmp_path / "store")
    assert sum(isinstance(job.spec, MergeSpec) for job in plan.jobs.values()) == 1
    before = PlanWorkloads(plan, None, 1)
    run_inline(plan, store)
    record = make_record(read_study(str(path)), plan)
    cells, missing = load_cells(record, store)
    assert not missing
    rows, columns = 4, 4  # clean, with typos, prompted, retrieval
    assert len(cells) == rows * columns
    assert {cell.noise for cell in cells} == {"", "typos 50%"}
    write_record(record, store)
    for cell in record.cells:  # the scores of a text-mode model are also found by the key of its training job
        for parent in store.open(cell.key).manifest["parents"][:1]:
            if cell.target == "isle-nli" and isinstance(plan.jobs[parent].spec, TrainSpec):
                assert find_pipeline_by_key(store, parent).cells
    for job in plan.jobs.values():
        tokens = store.open(job.key).manifest["numbers"].get("tokens")
        if tokens and not isinstance(job.spec, MergeSpec):
            work = before.workload(job)
            trained = work.trained_tokens + work.trained_decoder_tokens
            assert (trained if isinstance(job.spec, TrainSpec) else work.tokens) == pytest.approx(tokens, rel=0.5)
