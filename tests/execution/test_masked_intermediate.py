"""Masked language modelling as an intermediate task, from the study to the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support import tiny
from tests.support.tiny_study import digests, plan_of, run_in_process, run_inline, write_study
from transformers import AutoModelForMaskedLM

from xlift.analysis.scores import load_cells
from xlift.errors import UserError
from xlift.models import backbone
from xlift.studies.job import Job, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.record import make_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

TEXT = {"task": "isle-text", "language": ["qta", "qtu"], "size": 16}
PARALLEL = {"task": "isle-parallel", "language": "qka", "size": 8}
ROWS = ["none", {"name": "pos+mlm", "mixture": [{"task": "isle-pos", "size": 16}, TEXT]}, {**TEXT, "language": "qta"}]


def trained(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs.values() if job.kind == "train"]


def specs(study: Path) -> list[TrainSpec]:
    return [job.spec for job in trained(plan_of(study)) if isinstance(job.spec, TrainSpec)]


def read_weight_transfer(store: Store, job: Job) -> dict[str, Any]:
    return json.loads(store.open(job.key).file("weight_transfer.json").read_text(encoding="utf-8"))


def write_checkpoint(folder: Path) -> Any:
    """A model with its masked-LM head, as on the Hub."""
    torch.manual_seed(1)
    model: Any = AutoModelForMaskedLM.from_config(tiny.config("xlm-roberta", hidden_dropout_prob=0.1))
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return model


@pytest.mark.slow
def test_masked_text_runs_alone_and_in_a_mixture_reproducibly(tmp_path: Path) -> None:
    targets = [{"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}]
    study = write_study(tmp_path, intermediate=ROWS, targets=targets)
    done = run_in_process(study, tmp_path / "store", "--quiet")
    assert done.returncode == 0, done.stderr
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, Store(tmp_path / "again"))
    assert digests(study, tmp_path / "store") == digests(study, tmp_path / "again")
    cells, missing = load_cells(make_record(read_study(str(study)), plan), store)
    assert not missing
    assert {(cell.intermediate, cell.intermediate_language) for cell in cells} == {
        ("none", ""), ("pos+mlm", "qta+qtu"), ("isle-text", "qta"),
    }  # fmt: skip
    heads = [list(backbone.load(store.open(job.key).folder / "model")[0].heads) for job in trained(plan)]
    assert [sorted(names) for names in heads if "MLM" in names] == [["MLM", "isle-pos"], ["MLM"]]


def test_the_lm_head_is_kept_for_the_first_stage_only(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model")
    stages = [
        {"mixture": [TEXT]},
        {"mixture": [PARALLEL], "keep_heads": ["MLM"]},
        {"mixture": [TEXT]},
    ]
    study = write_study(tmp_path, intermediate=[{"name": "three", "stages": stages}])
    plan, store = plan_of(study), Store(tmp_path / "store")
    (warning,) = plan.warnings[:-1]  # the last warning is about the missing baseline
    assert "intermediate.0.stages.2: the MLM head starts at random" in warning
    run_inline(plan, store, trained(plan))
    first, second, third, target = (read_weight_transfer(store, job) for job in trained(plan))
    assert (first["new"], first["checkpoint"], first["dropped"]) == (["MLM"], ["MLM"], [])
    assert (second["heads"], second["new"]) == (
        ["MLM"],
        [],
    )  # all text is one task, so another text continues with its head
    assert (third["new"], third["dropped"]) == (["MLM"], ["MLM"])
    assert target["dropped"] == ["MLM"]
    assert all("checkpoint" not in each for each in (second, third, target))


def test_the_lm_head_starts_from_the_pretrained_one(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "model")
    still = {"lr": 1e-30, "max_steps": 1, "batch_size": 4, "weight_decay": 0.0}
    study = write_study(tmp_path, training=still, intermediate=[TEXT | {"language": "qta"}])
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, store, trained(plan)[:1])
    saved = load_file(store.open(trained(plan)[0].key).folder / "model" / "heads.safetensors")
    assert torch.equal(saved["MLM.dense.weight"], model.lm_head.dense.weight)


def test_only_a_changed_masking_share_is_in_the_key(tmp_path: Path) -> None:
    row = {**TEXT, "language": "qta"}
    keys = [
        [job.key for job in trained(plan_of(write_study(tmp_path, intermediate=[row | more])))]
        for more in ({}, {"masking": {"share": 0.25}}, {"masking": {"share": 0.15}})
    ]
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])


@pytest.mark.parametrize("place", ["stage", "mixture"])
def test_every_spelling_of_masking_reaches_the_job(place: str, tmp_path: Path) -> None:
    inside: dict[str, Any] = {"mixture": [TEXT], "masking": {"share": 0.4}}
    row = {"name": "mlm", **inside} if place == "mixture" else {"name": "mlm", "stages": [inside]}
    assert specs(write_study(tmp_path, intermediate=[row]))[0].masking.share == 0.4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task": "isle-pos", "masking": {"share": 0.2}}, "`masking` has no effect without a text part"),
        ({"name": "x", "stages": [{"mixture": [TEXT]}], "masking": {}}, "`masking` has no effect beside `stages`"),
        ({**TEXT, "masking": {"share": 1.5}}, "less than 1"),
        ({**TEXT, "keep_heads": ["MLM"]}, "cannot keep the head 'MLM'"),
        ({"name": "x", "head": "one", "mixture": [{"task": "isle-pos"}, TEXT]}, "isle-text cannot replace isle-pos"),
    ],
)  # fmt: skip
def test_impossible_settings_are_rejected(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        plan_of(write_study(tmp_path, intermediate=[row]))
    assert message in str(raised.value)
    assert "study.yaml:" in str(raised.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"task": "isle-text"}, "isle-text is plain text and has no score"),
        (
            {"task": "isle-nli", "train": {"task": "isle-text"}},
            "isle-text is plain text, which a target cannot be trained on",
        ),
    ],
)
def test_text_is_rejected_as_target_and_as_training_data_of_a_target(
    target: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        plan_of(write_study(tmp_path, targets=[target]))
    assert "intermediate" in str(raised.value.fix)


def test_custom_text_is_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "data" / "text").mkdir(parents=True)
    (tmp_path / "data" / "text" / "sw.txt").write_text("mtu anasoma\nkitabu kirefu\nbustanini\n", encoding="utf-8")
    pairs = [{"text": f"the man {n}", "translation": f"der Mann {n}"} for n in range(5)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    study = write_study(
        tmp_path,
        data="data",
        tasks=[{"name": "pairs", "format": "text", "files": {"train": {"de": "pairs.jsonl"}}}],
        intermediate=[{"name": "mine", "mixture": [{"task": "plain-text", "language": "sw"}, {"task": "pairs"}]}],
    )
    plan, store = plan_of(study), Store(tmp_path / "store")
    assert [data.name() for data in specs(study)[0].mixture] == ["plain-text/sw", "pairs/de"]
    first = trained(plan)[0]
    run_inline(plan, store, [first])
    assert list(backbone.load(store.open(first.key).folder / "model")[0].heads) == ["MLM"]
    assert first.examples == 4 * 8
