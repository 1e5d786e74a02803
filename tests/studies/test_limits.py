"""A plan warns of, or refuses, what the profile of a model says that it cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xlift.errors import UserError
from xlift.studies.plan import Plan, make_plan
from xlift.studies.study_file import read_study


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.chdir(tmp_path)


def plan_of(model: str | dict[str, Any], task: str, **training: Any) -> Plan:
    """A study of one model and one task of the archipelago, in JSON, which is YAML."""
    train = {} if task in ("isle-retrieval", "isle-mining") else {"train": {"size": 24}}
    target = {"task": task, "languages": ["qtu"], "size": 8} | train
    study = {"models": [model], "training": training, "targets": [target]}
    path = Path("study.yaml")
    path.write_text(json.dumps(study), encoding="utf-8")
    return make_plan(read_study(str(path)), to_run=False)


def limits(plan: Plan, name: str) -> list[str]:
    return [warning for warning in plan.warnings if warning.startswith(name)]


@pytest.mark.parametrize(
    ("model", "mode", "task", "words"),
    [
        ("EuroBERT/EuroBERT-210m", "", "isle-qa", "no class for question answering"),
        ("sentence-transformers/LaBSE", "", "isle-retrieval", "dense layer that lies outside"),
        ("google/gemma-3-270m", "head", "isle-pos", "no class for tags or spans"),
        ("facebook/nllb-200-distilled-600M", "", "isle-nli", "It translates"),
        ("swiss-ai/Apertus-8B-2509", "head", "isle-nli", "no class for sequences"),
        ("intfloat/multilingual-e5-large-instruct", "", "isle-qa", "become NaN in question answering"),
    ],
)
def test_a_limit_of_the_task_is_a_warning_with_its_source(model: str, mode: str, task: str, words: str):
    entry: Any = {"model": model, "mode": mode} if mode else model
    (warning,) = limits(plan_of(entry, task), f"{model}, {task}: ")
    assert words in warning
    assert "(https://" in warning


@pytest.mark.parametrize(
    ("model", "task", "training"),
    [
        ("EuroBERT/EuroBERT-210m", "isle-nli", {}),
        ("google/gemma-3-270m", "isle-pos", {}),  # text mode
        ("google/mt5-small", "isle-nli", {}),  # its limits have no condition
        ("FacebookAI/xlm-roberta-base", "isle-qa", {}),
        ("intfloat/multilingual-e5-large-instruct", "isle-qa", {"precision": "fp32"}),
    ],
)
def test_no_warning_without_need(model: str, task: str, training: dict[str, Any]):
    assert limits(plan_of(model, task, **training), model) == []


def test_what_would_fail_is_refused():
    with pytest.raises(UserError, match="google/byt5-small cannot do isle-pos") as info:
        plan_of({"model": "google/byt5-small", "mode": "head"}, "isle-pos")
    assert "Its tokens have no places in the text" in str(info.value)
    assert "take mT5" in str(info.value)
    assert plan_of("google/byt5-small", "isle-pos").jobs


@pytest.mark.parametrize("precision", ["fp16", "float16", "half"])
def test_float16_is_refused_with_the_reason(precision: str):
    with pytest.raises(UserError, match="there is no training in float16: mT5, mDeBERTa and Gemma 3") as info:
        plan_of("google/mt5-small", "isle-nli", precision=precision)
    assert "training.precision" in str(info.value)
