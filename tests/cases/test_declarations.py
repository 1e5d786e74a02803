"""Declarations of tasks from public reports: refused in the plan, with the place and what to write instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.tiny_study import plan_of

from xlift.models.backbone import load, save
from xlift.studies.job import TrainSpec
from xlift.training.stage import add_heads

CASES = Path(__file__).parent
TASK_NAMES = sorted(path.stem for path in CASES.glob("task-names/*.yaml"))
MORE_NAMES = ("keys", "pop", "0", "a.b.c", "a", "encoder", "weight", "text", "mlm", "heads", "backbone", "parameters")
"""Names of attributes of torch's modules, names with dots, and one that is the beginning of another."""


@pytest.fixture
def case(tmp_path):
    """Copy the inputs of a case to the working folder of the commands."""
    return lambda name: shutil.copytree(CASES / name, tmp_path, dirs_exist_ok=True)


def refused(xlift: Xlift, *command: str) -> str:
    """The message of a plan that is refused, on one line."""
    answer = xlift("plan", *command)
    assert answer.code == 2, answer.out
    return " ".join(answer.err.split())


@pytest.mark.parametrize(
    ("study", "metric", "others"),
    [
        ("accuracy-on-tagging", "accuracy", "tag-accuracy"),
        ("bleu", "bleu", "accuracy"),
        ("bucc-f1", "bucc-f1", "accuracy"),
        ("chunk-f1-legacy", "chunk-f1-legacy", "accuracy"),
        ("entity-f1", "entity-f1", "accuracy"),
        ("map20", "map@20", "accuracy"),
        ("squad-f1", "squad-f1", "accuracy"),
    ],
)
def test_metrics_of_another_format_are_refused_with_those_of_the_format(xlift, case, study, metric, others):
    case("metric-of-another-format")
    message = refused(xlift, f"{study}.yaml")
    assert f"{study}.yaml:6: tasks.0.metric: '{metric}' cannot score" in message
    assert f": {others}" in message


def test_tags_without_prefixes_are_refused_for_entity_f1(xlift, case):
    case("entity-f1-without-prefixes")
    message = refused(xlift, "study.yaml")
    assert "study.yaml:6: tasks.0.metric: 'entity-f1' cannot read the labels" in message
    assert "'LOC'" in message
    assert "Metrics of tagging: tag-accuracy." in message
    assert xlift("plan", "study.yaml", "--set", "tasks.0.metric=tag-accuracy").code == 0


def test_fields_without_effect_are_refused(xlift, case):
    case("declarations-without-effect")
    message = refused(xlift, "study.yaml")
    assert "study.yaml:7: tasks.0.values.label: unknown field 'label'" in message
    assert "Fields of tagging are words, tags, id." in message
    assert xlift("plan", "study.yaml", "--set", 'tasks.0.values={tags: {"0": O, "1": B-PER, "3": B-LOC}}').code == 0


def test_values_and_labels_of_no_file_are_said(xlift, case):
    case("declarations-without-effect")
    values = 'tasks.0.values={tags: {"0": O, "1": B-PER, "3": B-LOC, "5": B-ORG}}'
    answer = xlift("plan", "study.yaml", "--set", values, "--set", "tasks.0.labels=[O, B-PER, B-LOC, B-ORG, I-PER]")
    assert answer.code == 0, answer.err
    notes = " ".join(answer.err.split())
    assert "the value '5' of `tags` is in no file." in notes
    assert "the label 'B-ORG' is in no file." in notes
    assert "the label 'I-PER' is in no file." in notes
    assert notes.count("is in no file") == 3


def test_columns_that_no_row_needs_are_said(xlift, case, tmp_path):
    row = '{"context": "in Rome", "question": "where?", "answer": "Rome", "all": {"text": ["Rome"], "at": [3]}}\n'
    (tmp_path / "x.jsonl").write_text(row, encoding="utf-8")
    task = {"name": "t", "format": "span-qa", "files": {"train": {"en": "x.jsonl"}, "test": {"de": "x.jsonl"}}}
    columns = {"answers": "all.text", "starts": "all.at", "question": "question"}
    study = {"models": ["isles"], "tasks": [task | {"columns": columns}], "targets": [{"task": "t"}]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    answer = xlift("plan", "study.yaml")
    assert answer.code == 0, answer.err
    notes = " ".join(answer.err.split())
    assert "tasks.0.columns.answers: `answers` has no effect, since no row needs that field." in notes
    assert "tasks.0.columns.starts: `starts` has no effect" in notes
    assert notes.count("has no effect") == 2


def test_what_yaml_made_of_yes_and_no_is_said(xlift, case):
    case("yes-no-labels")
    quotes = "YAML reads yes as true; write 'yes', in quotes."
    message = refused(xlift, "study.yaml")
    assert "study.yaml:6: tasks.0.labels: expected a list, found true" in message
    assert quotes in message
    text = Path("study.yaml").read_text(encoding="utf-8")
    Path("list.yaml").write_text(text.replace("labels: yes", "labels: [yes, no]"), encoding="utf-8")
    message = refused(xlift, "list.yaml")
    assert "list.yaml:6: tasks.0.labels.0: expected a text, found true" in message
    assert quotes in message
    Path("quoted.yaml").write_text(text.replace("labels: yes", "labels: ['yes', 'no']"), encoding="utf-8")
    assert xlift("plan", "quoted.yaml").code == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{train: {en:", "{train: {no:", "more.yaml:5: YAML does not read the key no as text YAML reads no as false; write 'no'"),
        ("test: {de: test.de.csv}}", "test: 'test.{lang}.csv'}\n    languages: [no, sv]", "more.yaml:6: tasks.0.languages.0: expected a text, found false YAML reads no as false; write 'no'"),
        ("labels: yes", "labels: [~, a]", "tasks.0.labels.0: expected a text, found nothing YAML reads ~ as nothing; write '~'"),
        ("labels: yes", "labels: [12:30, a]", "tasks.0.labels.0: expected a text, found 750 YAML reads 12:30 as the number 750; write '12:30'"),
        ("labels: yes", "values: {label: {a: off}}", "tasks.0.values.label.a: expected a text, found false YAML reads off as false; write 'off'"),
        ("labels: yes", "values: {label: {0: a}}", "YAML does not read the key 0 as text YAML reads 0 as a number; write '0'"),
        ("labels: yes", "where: {year: 2020}", "tasks.0.where.year: expected a text, found 2020 YAML reads 2020 as a number; write '2020'"),
        ("labels: yes", "columns: {label: on}", "tasks.0.columns.label: expected a text, found true YAML reads on as true; write 'on'"),
        ("name: nli", "name: 1e3", "tasks.0.name: expected a text, found 1000.0 YAML reads 1e3 as the number 1000.0; write '1e3'"),
    ],
)  # fmt: skip
def test_other_texts_that_yaml_reads_as_something_else(xlift, case, old, new, message):
    case("yes-no-labels")
    text = Path("study.yaml").read_text(encoding="utf-8")
    assert old in text
    Path("more.yaml").write_text(text.replace(old, new), encoding="utf-8")
    assert message in refused(xlift, "more.yaml")


def train_jobs(study: Path):
    plan = plan_of(study)
    for job in plan.jobs.values():
        if isinstance(job.spec, TrainSpec):
            yield [plan.tasks[data.task] for data in job.spec.mixture], job.spec


def check_heads(study: Path, folder: Path) -> list[str]:
    """Make, save and load the heads that the training jobs of a study need; their names."""
    model = tiny.encoder("xlm-roberta")
    for tasks, spec in train_jobs(study):
        add_heads(model, tasks, spec.seed, spec.head)
    names = list(model.heads)
    save(model, tiny.tokenizer_of("xlm-roberta"), folder)
    assert list(json.loads((folder / "heads.json").read_text(encoding="utf-8"))) == names
    again = load(folder)[0]
    before, after = model.state_dict(), again.state_dict()
    assert list(again.heads) == names
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    return names


@pytest.mark.parametrize("name", TASK_NAMES)
def test_tasks_of_any_name_have_heads(tmp_path, case, name):
    case("task-names")
    assert check_heads(tmp_path / f"{name}.yaml", tmp_path / "model") == [name]


@pytest.mark.parametrize(("study", "head"), [("head", "nli.all"), ("head2", "type")])
def test_heads_of_any_name(tmp_path, case, study, head):
    case("head-names")
    assert check_heads(tmp_path / f"{study}.yaml", tmp_path / "model") == [head, "isle-nli"]


def test_other_names_have_heads(tmp_path, case):
    case("task-names")
    study = yaml.safe_load((tmp_path / "half.yaml").read_text(encoding="utf-8"))
    study["tasks"] = [study["tasks"][0] | {"name": name} for name in MORE_NAMES]
    study["targets"] = [{"task": name} for name in MORE_NAMES]
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    assert check_heads(tmp_path / "more.yaml", tmp_path / "model") == list(MORE_NAMES)


def run_on_tiny_model(xlift: Xlift, study: str) -> None:
    """Run a study of a case with a tiny model, and report it."""
    save(tiny.encoder("xlm-roberta"), tiny.tokenizer_of("xlm-roberta"), Path("model"))
    text = Path(study).read_text(encoding="utf-8").replace("isles]", "model]").replace("epochs: 1", "max_steps: 2")
    Path(study).write_text(text, encoding="utf-8")
    run = xlift("run", study, "--workers", 0, "--quiet")
    assert run.code == 0, run.err
    report = xlift("report", study, "--json")
    assert report.code == 0, report.err
    rows = json.loads(report.out)
    assert rows
    assert all(0 <= row["value"] <= 1 for row in rows), rows[0]


@pytest.mark.parametrize("name", TASK_NAMES)
def test_tasks_of_any_name_train(xlift, case, name):
    case("task-names")
    run_on_tiny_model(xlift, f"{name}.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("study", ["head", "head2"])
def test_heads_of_any_name_train(xlift, case, study):
    case("head-names")
    run_on_tiny_model(xlift, f"{study}.yaml")
