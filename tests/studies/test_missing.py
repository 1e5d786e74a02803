"""Plans of studies whose data or models are not on this machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xlift.cli import app
from xlift.errors import UserError
from xlift.studies.job import PROVISIONAL, data_of
from xlift.studies.missing import MissingData, MissingModel
from xlift.studies.plan import Plan, make_plan
from xlift.studies.study_file import read_study
from xlift.tasks import catalog, formats
from xlift.tasks.catalog.sizes import lengths_source, published_count, typical_example

STUDIES = Path(__file__).parent.parent.parent / "studies" / "full"
STUDY = """\
models: [FacebookAI/xlm-roberta-large]
intermediate: [none, {task: mnli}, {task: isle-qa, size: 100}]
targets: [{task: xnli, languages: [de, sw]}, {task: tatoeba, languages: [de]}]
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No connection can be made, and the user's cache is empty."""
    from huggingface_hub import constants

    def refuse(*_: Any) -> None:
        raise AssertionError("a plan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.chdir(tmp_path)


def plan_text(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return make_plan(read_study(str(path)), to_run=False)


def test_everything_missing_is_listed_at_once(tmp_path: Path):
    plan = plan_text(tmp_path, STUDY)
    data = {
        (each.task.name, each.language, each.split): each.count.examples
        for each in plan.missing
        if isinstance(each, MissingData)
    }
    assert data == {
        ("mnli", "en", "train"): 392_702, ("mnli", "en", "dev"): 9_815, ("xnli", "de", "test"): 5_010,
        ("xnli", "sw", "test"): 5_010, ("tatoeba", "de", "test"): 1_000,
    }  # fmt: skip
    assert [each.name for each in plan.missing if isinstance(each, MissingModel)] == ["FacebookAI/xlm-roberta-large"]


def test_keys_are_provisional_where_they_depend_on_what_is_missing(tmp_path: Path):
    plan = plan_text(tmp_path, STUDY.replace("FacebookAI/xlm-roberta-large", "isles"))
    by_label = {plan.jobs[key].label for key in plan.jobs.keys() - plan.provisional_keys()}
    assert by_label == {"train isle-qa/qta/100 (from isles, seed 1)"}  # neither its data nor its model is missing
    assert plan.provisional_keys() == {key for key in plan.jobs if "isle-qa" not in plan.jobs[key].label.split("(")[0]}


def test_keys_of_data_that_is_here_do_not_change(tmp_path: Path):
    text = "models: [isles]\ntargets: [{task: isle-nli, train: {size: 100}}]\n"
    plan = plan_text(tmp_path, text)
    assert (plan.missing, plan.provisional_keys()) == ([], set())
    assert plan.jobs.keys() == make_plan(read_study(str(tmp_path / "study.yaml"))).jobs.keys()


def test_a_study_with_missing_data_is_not_run(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("FacebookAI/xlm-roberta-large", "isles"), encoding="utf-8")
    answer = CliRunner().invoke(app, ["run", "study.yaml", "--store", "store"], env={"HF_HUB_OFFLINE": "1"})
    assert answer.exit_code == 2 or isinstance(answer.exception, UserError | SystemExit)
    assert not (tmp_path / "store").exists()
    with pytest.raises(UserError) as error:
        make_plan(read_study("study.yaml"))
    assert "Missing in all: mnli train, mnli dev, xnli test, tatoeba test. " in error.value.fix
    assert "`xlift fetch study.yaml`" in error.value.fix


def test_plan_prints_what_is_missing_and_how_to_bring_it(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    answer = CliRunner().invoke(app, ["plan", "study.yaml", "--estimate-for", "h200"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    for line in (
        "FacebookAI/xlm-roberta-large  about 2.2 GB",
        "mnli     402,517 examples  train en, dev en",
        "`xlift fetch study.yaml --data DIR` brings what the Hub has.",
    ):
        assert line in answer.output
    content = json.loads(CliRunner().invoke(app, ["plan", "study.yaml", "--json"]).stdout)
    assert {job["provisional"] for job in content["jobs"]} == {True}
    assert content["missing"]["models"][0]["model"] == "FacebookAI/xlm-roberta-large"
    mnli = next(each for each in content["missing"]["data"] if each["task"] == "mnli" and each["split"] == "train")
    assert (mnli["examples"], mnli["examples_from"], mnli["repository"]) == (392_702, "published", "nyu-mll/glue")


def test_a_missing_model_is_not_measured(tmp_path: Path):
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    answer = CliRunner().invoke(app, ["plan", "study.yaml", "--calibrate"])
    assert answer.exit_code == 0, answer.exception
    assert "FacebookAI/xlm-roberta-large is not on this machine, so it is not measured." in answer.stderr


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_planned_without_data_weights_and_network(path: Path):
    plan = make_plan(read_study(str(path), ("seeds=[1]",)), to_run=False)
    assert plan.jobs.keys() == plan.provisional_keys()
    assert {type(each) for each in plan.missing} == {MissingData, MissingModel}
    assert all(shape.num_parameters > 10**8 for shape in plan.shapes.values())
    missing = {(each.task.name, each.language, each.split) for each in plan.missing if isinstance(each, MissingData)}
    read = [
        data for job in plan.jobs.values() for data in data_of(job.spec) if data.fingerprint.startswith(PROVISIONAL)
    ]
    assert missing == {(data.task, data.language, data.split) for data in read}


def test_the_papers_study_is_whole():
    plan = make_plan(read_study(str(STUDIES / "english-intermediate.yaml"), ("seeds=[1]",)), to_run=False)
    rows = {(cell.intermediate) for cell in plan.cells}
    nine = {"anli-plus", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"}
    assert rows == {"none", *nine, "multi-task", *(f"{name} + MLM" for name in (*nine, "multi-task")), "mnli translated", "squad translated"}  # fmt: skip
    scored = {
        target: {cell.language for cell in plan.cells if cell.target == target}
        for target in (cell.target for cell in plan.cells)
    }
    assert scored == {task.name: set(task.suites["xtreme"]) for task in catalog.FILES if "xtreme" in task.suites}


@pytest.mark.parametrize("task", catalog.FILES, ids=lambda task: task.name)
def test_every_task_has_a_typical_example_and_sizes_with_a_source(task: Any):
    example = typical_example(task)
    if task.labels or not formats.get(task.format).has_classes:
        assert formats.get(task.format).check(example, task.labels) is None
    assert lengths_source(task)
    for split in task.source.splits():
        for language in task.source.languages(split):
            count = published_count(task, language, split)
            assert count.examples > 0
            assert count.source


def test_the_name_of_a_missing_model_is_not_broken_in_80_columns(tmp_path: Path):
    name = "facebook/nllb-200-distilled-600M"
    study = f"models: [{name}]\ntargets: [{{task: isle-nli, size: 9, languages: [qta]}}]\n"
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    answer = CliRunner().invoke(app, ["plan", "study.yaml"], env={"COLUMNS": "80"})
    assert f"\n{name}  about 2.5 GB  " in answer.output
