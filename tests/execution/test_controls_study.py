"""studies/controls.yaml: an encoder, an mT5-shaped and a decoder model, each by its own recipe, with all controls. A tiny version runs
here, and its bundle is reported without its store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.support.command import Xlift

from xlift.studies.job import TrainSpec
from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study

STUDY = Path(__file__).resolve().parents[2] / "studies/controls.yaml"
TINY = [
    "seeds=[1]",
    "intermediate.1.size=48",
    "targets.0.train.size=32",
    "targets.0.languages=[qta]",
    "targets.0.size=10",
    *(
        f"models.{n}.pretrain.{key}"
        for n in (1, 2)
        for key in ("text=[{task: isle-text, size: {qta: 120}}]", "tokenizer.documents=100", "tokenizer.vocabulary=600")
    ),
]
CONTROLS = ["steps", "text", "shuffled"]


def test_each_model_of_the_study_has_its_own_recipe():
    plan = make_plan(read_study(str(STUDY)), to_run=False)
    recipes = {
        plan.model_of[job.key]: (
            job.spec.recipe.optimizer,
            job.spec.recipe.lr_scheduler_type,
            bool(job.spec.recipe.lora),
        )
        for job in plan.jobs.values()
        if isinstance(job.spec, TrainSpec)
    }
    assert recipes == {
        "encoder": ("adamw", "linear", False),
        "encoder-decoder": ("adafactor", "constant", False),
        "decoder": ("adamw", "linear", True),
    }


@pytest.mark.slow
def test_a_tiny_version_runs_and_its_bundle_is_reported_without_the_store(xlift: Xlift, tmp_path: Path):
    options = [word for change in TINY for word in ("--set", change)]
    ran = xlift("run", STUDY, *options, "--workers", 0, "--store", "s", "--quiet")
    assert ran.code == 0, ran.err
    table = xlift("report", "controls", "--store", "s", "--json")
    rows = json.loads(table.out)
    for model in ("encoder", "encoder-decoder", "decoder"):
        found = [
            row["control"]
            for row in rows
            if (row["model"], row["language"], row["target"]) == (model, "qta", "isle-nli")
        ]
        assert [control or "" for control in found] == ["", "", *CONTROLS], model
    assert xlift("store", "export", "controls", "--results", "controls.zip", "--store", "s").code == 0
    shutil.rmtree(tmp_path / "s")
    assert xlift("report", "controls.zip", "--json").out == table.out
