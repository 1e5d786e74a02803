"""Files of public reports that were misread: the folders beside this file, and the values that a person reads from them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.support import tiny
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.execution.file_prediction import InputRows
from xlift.models.export import ExportMetadata, write_model
from xlift.models.outputs import HeadSpec
from xlift.tasks.sources.custom import build_custom_task

CASES = Path(__file__).parent


def task_of(folder: str, study: str = "study.yaml") -> Any:
    declared = yaml.safe_load((CASES / folder / study).read_text(encoding="utf-8"))
    return build_custom_task(declared["tasks"][0], CASES / folder)


def examples_of(folder: str, language: str, split: str) -> list[Any]:
    task = task_of(folder)
    return list(task.source.read(task, language, split, None))


def sentences(folder: str, language: str, split: str) -> list[list[tuple[str, str]]]:
    return [list(zip(e.words, e.tags, strict=True)) for e in examples_of(folder, language, split)]


@pytest.fixture
def plan(xlift: Xlift, tmp_path: Path):
    """Plan the study of a case in a copy of its folder."""

    def call(folder: str, study: str = "study.yaml"):
        shutil.copytree(CASES / folder, tmp_path / folder)
        return xlift("plan", f"{folder}/{study}", "--store", "store")

    return call


# --- CoNLL ----------------------------------------------------------------------------------------------------------


def test_comment_lines_are_passed_over_and_hash_tokens_stay():
    # mead-baseline#408, conllu#54
    assert sentences("conll-comment-lines", "en", "train") == [
        [("Ada", "B-PER"), ("met", "O"), ("#", "O"), ("Oslo", "B-LOC")],
        [("Bo", "B-PER"), ("sings", "O")],
    ]
    assert sentences("conll-comment-lines", "de", "test") == [
        [("Mia", "B-PER"), ("#", "O"), ("Rome", "B-LOC")],
        [("Zed", "B-PER")],
    ]
    assert task_of("conll-comment-lines").labels == ("B-LOC", "B-PER", "O")


def test_words_keep_their_blanks_where_tabs_separate():
    # nltk#1919, allennlp#2105
    assert sentences("conll-words-with-blanks", "en", "train") == [
        [("New York", "B-LOC"), ("is", "O"), ("10 000", "B-NUM"), ("km", "O")],
        [("La Paz", "B-LOC")],
    ]
    assert sentences("conll-words-with-blanks", "de", "test") == [[("San Marino", "B-LOC"), ("rocks", "O")]]


WORDS = [["Mia", "#", "Rome"], ["Zed\u00a0X", "\u00a0", "ends"], ["New York", "here", "\u3000", "last"]]


def test_predict_gives_an_answer_for_each_word_of_a_conll_file(xlift: Xlift, tmp_path: Path):
    tags = ("B-LOC", "B-PER", "O")
    model = tiny.encoder("xlm-roberta")
    head = model.add_head("task", HeadSpec("token", tags), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    write_model(model, tiny.tokenizer_of("xlm-roberta"), "task", tmp_path / "m", max_length=32)
    ExportMetadata("names", "tagging", "token", tags, 32).write(tmp_path / "m")
    answer = xlift("predict", "m", CASES / "predict-conll/rows.conll", "--out", "out.conll")
    assert answer.code == 0, answer.err
    blocks = (tmp_path / "out.conll").read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert [[line.split("\t")[0] for line in block.split("\n")] for block in blocks] == WORDS


# --- tables ---------------------------------------------------------------------------------------------------------


def test_numbered_choices_are_in_the_order_of_their_numbers():
    # SAUCE#120: as texts, choice10 comes before choice2
    for language, split in (("en", "train"), ("de", "test")):
        examples = examples_of("choices-in-natural-order", language, split)
        assert all(example.context == f"the tree is {example.choices[example.label]}" for example in examples)
    rows = InputRows(CASES / "choices-in-natural-order/test.de.csv", "multiple-choice")
    assert [row.example.choices for row in rows] == [example.choices for example in examples]


@pytest.mark.parametrize("study", ["study.yaml", "columns.yaml"])
def test_a_misspelt_column_of_a_second_text_is_refused(plan, study: str):
    # robust-nli#3
    answer = plan("pairs-then-single-texts", study)
    assert answer.code == 2
    assert "'hypothesis'" in answer.err


def test_the_message_names_file_row_and_column(plan):
    answer = plan("pairs-then-single-texts")
    assert "test.de.csv:2: the row has no 'text_b' (no column)" in answer.err
    assert "train.en.csv:2 has a column for it" in answer.err
    assert "is 'hypothese' meant to be 'hypothesis'?" in answer.err


def test_rows_with_and_without_a_second_text_are_refused(plan):
    answer = plan("pairs-then-single-texts/mixed")
    assert answer.code == 2
    assert "train.en.jsonl:2: the row has no 'text_b' (no column)" in answer.err


def test_an_empty_second_text_counts_as_missing(tmp_path: Path):
    shutil.copytree(CASES / "pairs-then-single-texts/mixed", tmp_path, dirs_exist_ok=True)
    for name in ("train.en.jsonl", "test.de.jsonl"):
        lines = (tmp_path / name).read_text().splitlines()
        (tmp_path / name).write_text("\n".join((lines[0], lines[2])))
    declared = yaml.safe_load((tmp_path / "study.yaml").read_text())["tasks"][0]
    task = build_custom_task({**declared, "labels": ["yes", "no"]}, tmp_path)
    with pytest.raises(UserError, match=r"test.de.jsonl:2: the row has no 'text_b' \(the cell is empty\)"):
        task.source.size(task, "de", "test", None)


def test_a_model_of_pairs_refuses_single_texts():
    rows = InputRows(CASES / "pairs-then-single-texts/single.csv", "classification", optional_fields={"text_b": True})
    with pytest.raises(UserError, match=r"single.csv:2: no column for 'text_b', but the model was trained with it"):
        rows.check()
    pairs = InputRows(
        CASES / "pairs-then-single-texts/train.en.csv", "classification", optional_fields={"text_b": False}
    )
    with pytest.raises(UserError, match=r"train.en.csv:2: the row has 'text_b' \(column 'hypothesis'\)"):
        pairs.check()


@pytest.mark.parametrize("folder", ["", "minus", "float"])
def test_an_empty_answer_needs_no_start(folder: str):
    # google-research/bert#453; pandas writes whole numbers beside empty cells as floats
    for language, split in (("en", "train"), ("de", "test")):
        examples = examples_of(f"unanswerable-rows-in-csv/{folder}", language, split)
        assert [(e.answers, e.starts) for e in examples] == [(("Oslo",), (14,)), ((), ()), (("dawn",), (22,))]
