"""Scores and predictions in the schema of Every Eval Ever."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
from tests.support.command import Xlift
from tests.support.command import xlift as xlift
from tests.support.every_eval_ever import AGGREGATE, SAMPLE
from tests.support.fakes import finished_study, study_file

import xlift as package
from xlift.report.every_eval_ever import _references, _source

STUDY = """\
models: [model]
seeds: [1, 2]
intermediate: [none, {task: isle-qa, size: 100}]
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtm], size: 10, noise: [{kind: typos, level: 0.1}]}
  - {task: isle-retrieval, languages: [qtm], size: 10}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    finished_study(study_file(tmp_path, STUDY), tmp_path / "xlift-store")
    return tmp_path


def test_every_file_follows_the_schema_and_has_the_scores(folder: Path, xlift: Xlift):
    answer = xlift("scores", "study", "--every-eval-ever", "out", "--organization", "Some Lab")
    assert (answer.code, answer.err) == (0, "Wrote out: 4 models, 200 predictions\n")
    found = sorted((folder / "out").glob("data/study/Some-Lab/*/*.json"))
    assert len(found) == 4
    scores = package.load(folder / "xlift-store").scores("study")
    num_results = 0
    for path in found:
        log = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(log, AGGREGATE)
        detailed = log["detailed_evaluation_results"]
        samples = (folder / "out" / detailed["file_path"]).read_bytes()
        assert hashlib.sha256(samples).hexdigest() == detailed["checksum"]
        lines = [json.loads(line) for line in samples.splitlines()]
        assert len(lines) == detailed["total_rows"] == 50
        run = log["model_info"]["additional_details"]
        for line in lines:
            jsonschema.validate(line, SAMPLE)
            assert (line["evaluation_id"], line["model_id"]) == (log["evaluation_id"], log["model_info"]["id"])
        for result in log["evaluation_results"]:
            num_results += 1
            details = result["score_details"]["details"]
            (value,) = scores[
                (scores.intermediate == run["intermediate"])
                & (scores.seed == int(run["seed"]))
                & (scores.target + " " + scores.language == result["evaluation_name"])
                & (scores.noise == details.get("noise", ""))
            ].value
            assert result["score_details"]["score"] == value
            own = [line for line in lines if line["evaluation_result_id"] == result["evaluation_result_id"]]
            assert len(own) == 10
            assert sum(line["evaluation"]["score"] for line in own) / 10 == pytest.approx(value)
    assert num_results == len(scores)


def test_the_rules_of_the_tests_refuse_what_the_schema_refuses():
    for wrong in ({}, {"schema_version": "0.3.0", "more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SAMPLE)


def test_an_existing_folder_and_other_options_are_refused(folder: Path, xlift: Xlift):
    (folder / "out").mkdir()
    assert "'out' exists already" in xlift("scores", "study", "--every-eval-ever", "out").err
    for more in (["--sql", "select 1"], ["--predictions"], ["--means"], ["study"], ["--json"]):
        assert xlift("scores", "study", "--every-eval-ever", "new", *more).code == 2
    assert not (folder / "new").exists()


def test_several_gold_answers_are_several_references():
    assert _references(["red cat", "cat"], "dog") == ["red cat", "cat"]
    assert _references(["NOUN", "VERB"], ["NOUN", "NOUN"]) == ['["NOUN", "VERB"]']
    assert _references("neutral", "entailment") == ["neutral"]
    assert _references(2, 1) == ["2"]


def test_a_dataset_of_the_hub_is_named_with_its_revision():
    source = _source("xnli", ("facebook/xnli@0123abc",))
    assert (source["hf_repo"], source["additional_details"]) == ("facebook/xnli", {"revision": "0123abc"})
    assert _source("isle-nli", ("isles",)) == {"dataset_name": "isle-nli", "source_type": "other"}
