"""A plan names all errors of its custom tasks at once: those of the declarations, and those of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.fakes import custom_task_study, plan_of, study_file

from xlift.errors import UserError
from xlift.tasks.sources.checking import MAX_ERRORS


def errors_of(folder: Path, study: str | None = None, **files: str) -> list[str]:
    """The messages of the plan of the study, whose files are replaced by `files` (with _ for a dot)."""
    text = study or custom_task_study(folder)
    for name, content in files.items():
        (folder / f"{name.replace('_', '.')}.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        plan_of(study_file(folder, text))
    return [str(each).replace(f"{folder}/", "") for each in error.value.errors]


def test_errors_of_the_declaration_and_of_several_files_are_named_together(tmp_path: Path):
    study = custom_task_study(tmp_path) + "    metric: bleu\n    train_language: fr\n"
    found = errors_of(
        tmp_path,
        study,
        train_en="text,label\nhello,billing\nbye\nhello again,biling\n",
        test_de="text,label\nhallo,billing\nich, du,other\n",
    )
    assert [message.split(": ")[0] for message in found] == [
        "study.yaml:11", "study.yaml:10", "train.en.csv:3", "train.en.csv:4", "test.de.csv:3",
    ]  # fmt: skip
    assert "'bleu' cannot score classification" in found[1]
    assert "did you mean 'billing'?" in found[3]


def test_errors_of_several_tasks_are_named_together(tmp_path: Path):
    study = custom_task_study(tmp_path)
    second = study[study.index("  - name") :].replace("tickets", "mails").replace("billing, other", "billing")
    found = errors_of(tmp_path, study.replace("format: class", "format: clas") + second)
    assert len(found) == 4
    assert "did you mean 'classification'?" in found[0]
    assert all("unknown label 'other'" in message for message in found[1:])


def test_an_error_of_all_rows_is_named_once_with_their_number(tmp_path: Path):
    (message,) = errors_of(tmp_path, test_de="text,lable\n" + "hallo,billing\n" * 1000)
    assert message.startswith("test.de.csv:2: no column for 'label' (tried label, gold_label, category)")
    assert "(also in 999 more rows)" in message
    assert "Columns of the file: text, lable." in message


def test_the_list_of_a_file_ends_after_some_errors(tmp_path: Path):
    found = errors_of(tmp_path, test_de="text,label\n" + "".join(f"hallo,l{n}\n" for n in range(50)))
    assert len(found) == MAX_ERRORS + 1
    assert found[0].startswith("test.de.csv:2: unknown label 'l0'")
    assert found[-1] == f"test.de.csv: {50 - MAX_ERRORS} more rows have other errors"


def test_a_file_that_ends_in_the_middle_of_a_quote_also_names_the_errors_above(tmp_path: Path):
    found = errors_of(tmp_path, train_en='text,label\nhello,bilng\n"bye,other\n')
    assert [message.split(": ")[:2] for message in found] == [
        ["train.en.csv:2", "unknown label 'bilng' (expected one of"],
        ["train.en.csv:3", "invalid CSV"],
    ]


def test_labels_are_read_past_a_row_with_an_error(tmp_path: Path):
    study = custom_task_study(tmp_path).replace("    labels: [billing, other]\n", "")
    found = errors_of(tmp_path, study, train_en="text,label\nhello,billing\nbye\ngood morning,other\n")
    assert [message.split(": ")[0] for message in found] == ["train.en.csv:3"]


def test_a_single_error_is_as_it_was(tmp_path: Path):
    path = study_file(tmp_path, custom_task_study(tmp_path))
    (tmp_path / "test.de.csv").write_text("text,label\nhallo,bill\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        plan_of(path)
    assert type(error.value) is UserError


def test_a_missing_file_that_the_study_does_not_use_is_no_error(tmp_path: Path):
    study = custom_task_study(tmp_path).replace("train: {}}", "train: {}, languages: de}")
    (tmp_path / "test.cv.csv").unlink()
    assert plan_of(study_file(tmp_path, study)).jobs


def test_joined_files_with_errors_name_each_error_once(tmp_path: Path):
    study = custom_task_study(tmp_path) + "    joined: true\n"
    study = study.replace("languages: [de, cv]", "languages: [de, en]").replace(
        "train: {}}", "train: {}, languages: de}"
    )
    rows = "text,label\none,billing\ntwo,wrong\n"
    found = errors_of(tmp_path, study, test_de=rows.replace("wrong", "other"), test_en=rows)
    assert [message.split(": ")[0] for message in found] == ["test.en.csv:3"]
    found = errors_of(
        tmp_path, study, test_de=rows.replace("two,wrong", "zwei,billing"), test_en=rows.replace("wrong", "other")
    )
    assert [message.split(": ")[0] for message in found] == ["test.de.csv:3"]


def test_the_command_line_prints_every_error_and_exits_with_2(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path, custom_task_study(tmp_path) + "    metric: bleu\n")
    (tmp_path / "test.de.csv").write_text("text,label\nhallo,bill\n", encoding="utf-8")
    answer = xlift("plan", "study.yaml")
    assert answer.code == 2
    assert [line for line in answer.err.splitlines() if line.startswith("xlift: ")] == [
        "xlift: study.yaml:10: tasks.0.metric: 'bleu' cannot score classification",
        "xlift: test.de.csv:2: unknown label 'bill' (expected one of: billing, other)",
    ]


TAGGER = """\
models: [model]
targets:
  - {task: names}
tasks:
  - name: names
    format: tagging
    files: {train: {en: train.en.conll}, test: {de: test.de.conll}}
"""
CONLL = "Ada\tB-PER\nlives\tO\n\nin\tO\nRome\tB-LOC\n\n"


def test_every_sentence_with_an_error_is_named(tmp_path: Path):
    (tmp_path / "train.en.conll").write_text(CONLL + "Bo\tB-PER\nsleeps\nwell\n\nhere\n\n" + CONLL, encoding="utf-8")
    (tmp_path / "test.de.conll").write_text("Otto\tB-PRE\n\n" + CONLL, encoding="utf-8")
    found = errors_of(tmp_path, TAGGER)
    assert [message.partition("\n")[0] for message in found] == [
        "train.en.conll:8: 'sleeps' has no tag",
        "train.en.conll:11: 'here' has no tag",
        "test.de.conll:1: unknown label 'B-PRE' on word 1 (expected one of: B-LOC, B-PER, O)",
    ]


def test_every_question_with_an_error_is_named(tmp_path: Path):
    def question(name: str, **changes: object) -> dict[str, object]:
        return {"id": name, "question": "who?", "answers": [{"text": "Ada", "answer_start": 0}]} | changes

    questions = [question("a"), question("b", question=1), question("c", answers=[{"text": "Ida", "answer_start": 0}])]
    tree = {"data": [{"paragraphs": [{"context": "Ada sleeps", "qas": questions}]}]}
    (tmp_path / "train.en.json").write_text(json.dumps(tree), encoding="utf-8")
    study = TAGGER.replace("tagging", "span-qa").replace(
        "{train: {en: train.en.conll}, test: {de: test.de.conll}}", "{train: {en: train.en.json}}"
    )
    found = errors_of(tmp_path, study)
    assert [message.partition(": ")[0] for message in found] == [
        f"train.en.json:data[0].paragraphs[0].qas[{n}]" for n in (1, 2)
    ]
