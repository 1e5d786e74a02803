"""Plans of custom tasks: their files, keys and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import custom_task_study, plan_of, refused_plan, study_file

from xlift.errors import UserError
from xlift.studies.job import PredictSpec


def test_a_custom_task_needs_only_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = study_file(tmp_path, custom_task_study(tmp_path))
    monkeypatch.chdir("/")  # paths are relative to the study, not to where xlift is called
    plan = plan_of(path)
    assert [(cell.language, cell.train_language) for cell in plan.cells] == [("de", "en"), ("cv", "en")]
    assert [job.examples for job in plan.jobs.values()] == [18, 6, 6]


def test_files_of_a_custom_task_can_be_in_the_data_folder(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    path = study_file(tmp_path, custom_task_study(data))
    assert plan_of(path, data=data).jobs.keys() == plan_of(path, "data=data").jobs.keys()
    with pytest.raises(UserError, match="no such file"):
        plan_of(path)


def test_keys_cover_the_content_of_custom_files(tmp_path: Path):
    path = study_file(tmp_path, custom_task_study(tmp_path))
    before = plan_of(path).jobs.keys()
    (tmp_path / "test.cv.csv").write_text("text,label\nсалам,other\n", encoding="utf-8")
    after = plan_of(path).jobs.keys()
    assert len(before & after) == 2  # the training and the German test set are what they were


BROKEN = {
    "a corrupt row": ("train.en.csv", "text,label\na,other\nb\n", "train.en.csv:3: ", "text, label"),
    "an unknown label": ("test.de.csv", "text,label\na,other\nb,othr\n", "test.de.csv:3: ", "'other'?"),
    "an empty file": ("test.de.csv", "", "test.de.csv: the file is empty", ""),
    "no rows": ("test.de.csv", "text,label\n", "test.de.csv: no examples", ""),
    "a column missing": ("train.en.csv", "text,lable\na,other\n", "train.en.csv:2: ", "lable"),
    "not UTF-8": ("test.cv.csv", b"text,label\nmo\xffen,other\n", "test.cv.csv:2: ", "UTF-8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_errors_in_data_files_name_the_line(tmp_path: Path, case: str):
    name, content, begins, also = BROKEN[case]
    text = custom_task_study(tmp_path)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refused_plan(tmp_path, text)
    assert message.startswith(begins)
    assert also in message


@pytest.mark.parametrize(
    ("old", "new", "begins"),
    [
        (
            "train: {}",
            "train: {size: 9}",
            "study.yaml:3: targets.0.train.size: size 9 is larger than the data: tickets/en",
        ),
        ("train: {}", "train: {}, size: 7", "study.yaml:3: targets.0.size: size 7 is larger than the data: tickets/de"),
        ("format: classification", "format: clasification", "study.yaml:6: tasks.0.format: 'clasification' is none of"),
        ("languages: [de, cv]", "langs: [de, cv]", "study.yaml:8: tasks.0.langs: unknown key 'langs'"),
        ("name: tickets", "name: isle-nli", "study.yaml:5: tasks.0.name: a task 'isle-nli' exists already"),
        ("train.en.csv}", "gone.csv}", "gone.csv: no such file"),
        ("[de, cv]", "[de, Deutsch]", "study.yaml:8: tasks.0.languages: 'Deutsch' is not a language code"),
    ],
)
def test_errors_in_custom_tasks_name_their_place(tmp_path: Path, old: str, new: str, begins: str):
    text = custom_task_study(tmp_path)
    assert old in text
    assert refused_plan(tmp_path, text.replace(old, new)).startswith(begins)


def test_questions_from_files_have_the_revision_of_their_format_and_generated_ones_none(tmp_path: Path):
    (tmp_path / "en.csv").write_text("context,question,answer\nin Rome,where?,Rome\n", encoding="utf-8")
    text = "models: [model]\ntasks: [{name: own, format: span-qa, files: {train: {en: en.csv}, test: {de: en.csv}}}]\n"
    text += "targets:\n  - {task: own}\n  - {task: isle-qa, size: 4, train: {size: 4}}\n"
    specs = [job.spec for job in plan_of(study_file(tmp_path, text)).jobs.values()]
    revisions = {spec.data.task: spec.data.revision for spec in specs if isinstance(spec, PredictSpec)}
    assert revisions == {"own": 1, "isle-qa": 0}


def test_the_shipped_encoder_is_warned_of_where_languages_are_real(tmp_path: Path):
    text = custom_task_study(tmp_path)
    path = study_file(tmp_path, text.replace("models: [model]", "models: [isles, {name: tiny, model: isles}, model]"))
    warnings = [each for each in plan_of(path).warnings if "has seen no text" in each]
    assert [each.partition(":")[0] for each in warnings] == [
        f"{name} has seen no text of de, en, cv" for name in ("isles", "tiny")
    ]
    assert "Name a multilingual model: `xlift models --languages de,en,cv` lists some." in warnings[0]
    own = study_file(tmp_path, text, name="own.yaml")
    generated = study_file(tmp_path, "models: [isles]\ntargets: [{task: isle-nli, train: {size: 20}}]\n", "isles.yaml")
    assert not [each for other in (own, generated) for each in plan_of(other).warnings if "has seen no text" in each]
