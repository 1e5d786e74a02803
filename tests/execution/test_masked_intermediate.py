"""Masked language modelling as an intermediate task, from the study to the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support import tiny
from tests.support.tiny_study import digests, do_inline, plan_of, run, write_study
from transformers import AutoModelForMaskedLM

from xlift.analysis.scores import load_cells
from xlift.errors import UserError
from xlift.models import backbone
from xlift.studies.job import Job, TrainSpec
from xlift.studies.plan import Plan
from xlift.studies.reading import read_study
from xlift.studies.record import make_record
from xlift.studies.store import Store

TEXT = {"task": "isle-text", "language": ["qta", "qtu"], "size": 16}
PARALLEL = {"task": "isle-parallel", "language": "qka", "size": 8}
ROWS = ["none", {"name": "pos+mlm", "mixture": [{"task": "isle-pos", "size": 16}, TEXT]}, {**TEXT, "language": "qta"}]


def trained(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs.values() if job.kind == "train"]


def specs(study: Path) -> list[TrainSpec]:
    return [job.spec for job in trained(plan_of(study)) if isinstance(job.spec, TrainSpec)]


def carried(store: Store, job: Job) -> dict[str, Any]:
    return json.loads(store.open(job.key).file("carried.json").read_text(encoding="utf-8"))


def write_checkpoint(folder: Path) -> Any:
    """A model with its masked-LM head, as the Hub has them."""
    torch.manual_seed(1)
    model: Any = AutoModelForMaskedLM.from_config(tiny.config("xlm-roberta", hidden_dropout_prob=0.1))
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return model


def test_text_lifts_as_a_row_of_its_own_and_beside_labels_in_the_same_bytes_again(tmp_path: Path) -> None:
    targets = [{"task": "isle-nli", "train": {"size": 16}, "languages": ["qta"], "size": 8}]
    study = write_study(tmp_path, intermediate=ROWS, targets=targets)
    done = run(study, tmp_path / "store", "--workers", "2", "--quiet")
    assert done.returncode == 0, done.stderr
    plan, store = plan_of(study), Store(tmp_path / "store")
    do_inline(plan, Store(tmp_path / "again"))
    assert digests(study, tmp_path / "store") == digests(study, tmp_path / "again")
    cells, missing = load_cells(make_record(read_study(str(study)), plan), store)
    assert not missing
    assert {(cell.intermediate, cell.intermediate_language) for cell in cells} == {
        ("none", ""), ("pos+mlm", "qta+qtu"), ("isle-text", "qta"),
    }  # fmt: skip
    heads = [list(backbone.load(store.open(job.key).folder / "model")[0].heads) for job in trained(plan)]
    assert [sorted(names) for names in heads if "MLM" in names] == [["MLM", "isle-pos"], ["MLM"]]


def test_the_checkpoints_head_goes_on_into_the_first_stage_and_no_further(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model")
    stages = [
        {"mixture": [TEXT]},
        {"mixture": [PARALLEL], "keep_heads": ["MLM"]},
        {"mixture": [TEXT]},
    ]
    study = write_study(tmp_path, intermediate=[{"name": "three", "stages": stages}])
    plan, store = plan_of(study), Store(tmp_path / "store")
    (warning,) = plan.warnings[:-1]  # the last is that there is no baseline
    assert "intermediate.0.stages.2: the head for masked words starts at random" in warning
    do_inline(plan, store, trained(plan))
    first, second, third, target = (carried(store, job) for job in trained(plan))
    assert (first["new"], first["checkpoint"], first["dropped"]) == (["MLM"], ["MLM"], [])
    assert (second["heads"], second["new"]) == (["MLM"], [])  # all text is one task, so another text goes on with it
    assert (third["new"], third["dropped"]) == (["MLM"], ["MLM"])
    assert target["dropped"] == ["MLM"]
    assert all("checkpoint" not in each for each in (second, third, target))


def test_a_head_starts_where_the_checkpoints_was(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "model")
    still = {"lr": 1e-30, "steps": 1, "batch_size": 4, "weight_decay": 0.0}
    study = write_study(tmp_path, training=still, intermediate=[TEXT | {"language": "qta"}])
    plan, store = plan_of(study), Store(tmp_path / "store")
    do_inline(plan, store, trained(plan)[:1])
    saved = load_file(store.open(trained(plan)[0].key).folder / "model" / "heads.safetensors")
    assert torch.equal(saved["MLM.dense.weight"], model.lm_head.dense.weight)


def test_the_share_of_masks_is_in_the_key_and_its_default_is_not(tmp_path: Path) -> None:
    row = {**TEXT, "language": "qta"}
    keys = [
        [job.key for job in trained(plan_of(write_study(tmp_path, intermediate=[row | more])))]
        for more in ({}, {"masking": {"share": 0.25}}, {"masking": {"share": 0.15}})
    ]
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])


@pytest.mark.parametrize("place", ["stage", "mixture"])
def test_every_way_of_saying_it_reaches_the_job(place: str, tmp_path: Path) -> None:
    inside: dict[str, Any] = {"mixture": [TEXT], "masking": {"share": 0.4}}
    row = {"name": "mlm", **inside} if place == "mixture" else {"name": "mlm", "stages": [inside]}
    assert specs(write_study(tmp_path, intermediate=[row]))[0].masking.share == 0.4


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"task": "isle-pos", "masking": {"share": 0.2}}, "`masking` does nothing without a part that is text"),
        ({"name": "x", "stages": [{"mixture": [TEXT]}], "masking": {}}, "`masking` does nothing beside `stages`"),
        ({**TEXT, "masking": {"share": 1.5}}, "less than 1"),
        ({**TEXT, "keep_heads": ["MLM"]}, "no head 'MLM' to keep"),
        ({"name": "x", "head": "one", "mixture": [{"task": "isle-pos"}, TEXT]}, "isle-text cannot stand in for isle-pos"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        plan_of(write_study(tmp_path, intermediate=[row]))
    assert said in str(raised.value)
    assert "study.yaml:" in str(raised.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"task": "isle-text"}, "isle-text is plain text and has no score"),
        (
            {"task": "isle-nli", "train": {"task": "isle-text"}},
            "isle-text is plain text, from which no target is learnt",
        ),
    ],
)
def test_text_is_no_target_and_teaches_none(target: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as raised:
        plan_of(write_study(tmp_path, targets=[target]))
    assert "intermediate" in str(raised.value.fix)


def test_text_of_ones_own_is_learnt_from_files(tmp_path: Path) -> None:
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
    do_inline(plan, store, [first])
    assert list(backbone.load(store.open(first.key).folder / "model")[0].heads) == ["MLM"]
    assert first.examples == 4 * 8
