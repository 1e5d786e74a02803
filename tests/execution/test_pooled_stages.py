"""`classifier_pooling: mean` in a study: keys, stages, and predictions that equal a computation with plain transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support import tiny
from tests.support.tiny_study import plan_of, run_inline, write_study
from transformers import AutoModelForCausalLM, AutoTokenizer

from xlift.models.backbone import save
from xlift.studies.job import PredictSpec, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.predictions import read_scores
from xlift.studies.store import Store
from xlift.tasks import catalog

TARGETS = [
    {"task": "isle-nli", "train": {"size": 24}, "languages": ["qta", "qtu"], "size": 12},
    {"task": "isle-pos", "train": {"size": 24}, "languages": ["qta"], "size": 12},
]
NLI_TWICE = {"name": "twice", "stages": [{"mixture": [{"task": "isle-nli", "size": 16}]},
                                         {"mixture": [{"task": "isle-nli", "size": 16}], "keep_heads": ["isle-nli"]}]}  # fmt: skip


def a_plan(folder: Path, **entry: str) -> Plan:
    if not (folder / "decoder").is_dir():
        save(tiny.encoder("gemma3_text"), tiny.tokenizer_of("gemma3_text"), folder / "decoder")
    models = [{"model": "decoder", "mode": "head", **entry}]
    return plan_of(write_study(folder, models=models, intermediate=["none", NLI_TWICE], targets=TARGETS))


def test_only_stages_whose_heads_pool_have_other_keys(tmp_path: Path):
    default, last, mean = (a_plan(tmp_path, **entry) for entry in ({}, {"classifier_pooling": "last"}, {"classifier_pooling": "mean"}))  # fmt: skip
    assert list(default.jobs) == list(last.jobs)
    shared = [default.jobs[key] for key in default.jobs.keys() & mean.jobs.keys()]
    (tagging,) = [job for job in shared if isinstance(job.spec, TrainSpec)]
    assert isinstance(tagging.spec, TrainSpec)
    assert [data.task for data in tagging.spec.mixture] == ["isle-pos"]
    assert not tagging.parents  # after a stage with a pooled head it is another job
    assert {spec.classifier_pooling for spec in specs(mean)} == {"mean", "last"}
    assert "classifier_pooling" not in tagging.spec.model_dump_json(exclude_defaults=True)


def specs(plan: Plan) -> list[TrainSpec]:
    return [job.spec for job in plan.jobs.values() if isinstance(job.spec, TrainSpec)]


def test_probabilities_of_a_study_are_those_of_plain_transformers(tmp_path: Path):
    plan, store = a_plan(tmp_path, classifier_pooling="mean"), Store(tmp_path / "store")
    run_inline(plan, store)
    task, compared, differing = catalog.get("isle-nli"), 0, 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "decoder")
    for job in plan.jobs.values():
        if not isinstance(job.spec, PredictSpec) or job.spec.head != "isle-nli":
            continue
        folder = store.path(job.spec.model.job) / "model"
        trunk = AutoModelForCausalLM.from_pretrained(folder).base_model
        weight = load_file(folder / "heads.safetensors")["isle-nli.score.weight"]
        scores = read_scores(store, job.key)
        assert scores is not None
        examples = task.source.read(task, job.spec.data.language, "test", None, size=12)
        for example, found in zip(examples, scores.rows, strict=True):
            ids = tokenizer(example.text_a, example.text_b, truncation=True, max_length=64, return_tensors="pt")[
                "input_ids"
            ]
            with torch.no_grad():
                states = trunk(input_ids=ids).last_hidden_state[0]
            mean, last = ((state @ weight.T).softmax(dim=-1).numpy() for state in (states.mean(dim=0), states[-1]))
            assert found == pytest.approx(mean, abs=1e-3)  # kept in float16
            differing += abs(found - last).max() > 1e-2
            compared += 1
    assert compared == 2 * 2 * 12  # rows, languages, examples
    assert differing > compared / 2
