"""The folder written by XTREME's `scripts/download_data.sh`, recreated here as by `utils_preprocess.py` and read through the
catalogue: files with labels are read, files without them are refused, and the error gives the original."""

from __future__ import annotations

import csv
import json

import pytest

from xlift.errors import UserError
from xlift.tasks import catalog
from xlift.tasks.sources.fallback import keep_kind
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

QUOTED = 'He said "yes" twice.'


def rows(folder, name: str, *records: tuple[str, ...]) -> None:
    """Write rows as XTREME's scripts write XNLI and PAWS-X: csv.writer with tabs, which doubles and encloses quotes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(records)


def text(folder, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")


def questions(folder, name: str, *answers: tuple[str, int]) -> None:
    """Write each question in a separate paragraph."""
    data = [
        {"paragraphs": [{"context": "The Nile is long.", "qas": [
            {"id": str(i), "question": "What?", "answers": [{"text": answer, "answer_start": start}]}]}]}
        for i, (answer, start) in enumerate(answers)
    ]  # fmt: skip
    text(folder, name, json.dumps({"version": "1.1", "data": data}))


def read(name: str, language: str, split: str, folder):
    task = catalog.get(name)
    source = keep_kind(task.source, "xtreme")
    assert source.is_present(language, split, folder)
    return list(source.read(task, language, split, folder))


def refused(name: str, language: str, split: str, folder, *parts: str) -> None:
    with pytest.raises(UserError) as error:
        read(name, language, split, folder)
    for part in (f"{name} {language} {split}", "Use the original", *parts):
        assert part in str(error.value)


def test_doubled_quotes_are_restored(tmp_path):
    # XTREME itself does not undo this: its models see "He said ""yes"" twice.".
    rows(tmp_path, "xnli/dev-de.tsv", (QUOTED, "Ja.", "entailment"), ("a", "b", "neutral"))
    assert (tmp_path / "xnli/dev-de.tsv").read_text(encoding="utf-8").startswith('"He said ""yes"" twice."\tJa.')
    first, second = read("xnli", "de", "dev", tmp_path)
    assert (first.text_a, first.text_b, first.label) == (QUOTED, "Ja.", "entailment")
    assert (second.id, second.text_a) == ("1", "a")


def test_the_plain_reader_keeps_doubled_quotes(tmp_path):
    # For comparison with published runs: the plain reader keeps the doubled quotes.
    rows(tmp_path, "xnli/dev-de.tsv", (QUOTED, "Ja.", "entailment"))
    source = FileSource("tsv", {"dev": "xnli/dev-{lang}.tsv"}, {"dev": ("de",)}, header=("text_a", "text_b", "label"))
    task = Task("xnli", "XNLI", "classification", (), source, labels=("entailment", "neutral", "contradiction"))
    (example,) = source.read(task, "de", "dev", tmp_path)
    assert example.text_a == '"He said ""yes"" twice."'


@pytest.mark.parametrize("name", ["xnli", "pawsx"])
def test_a_test_file_without_the_column_of_labels_is_refused(name, tmp_path):
    rows(tmp_path, f"{name}/test-de.tsv", ("a", "b"), (QUOTED, "c"))
    refused(name, "de", "test", tmp_path, "there are 2 columns and no label", f"{name}/test-de.tsv")


@pytest.mark.parametrize(("name", "label"), [("xnli", "neutral"), ("pawsx", "0")])
def test_a_test_file_with_one_label_throughout_is_refused(name, label, tmp_path):
    # XTREME's readers use this label if there is none, and some copies of the folder contain it.
    rows(tmp_path, f"{name}/test-de.tsv", *[(f"a{i}", "b", label) for i in range(200)])
    refused(name, "de", "test", tmp_path, "every label of the 200 test rows is")


def test_a_test_file_with_labels_is_read(tmp_path):
    # Some copies of the folder have the labels.
    rows(tmp_path, "xnli/test-de.tsv", ("a", "b", "neutral"), ("a", "c", "entailment"))
    assert [e.label for e in read("xnli", "de", "test", tmp_path)] == ["neutral", "entailment"]


@pytest.mark.parametrize("name", ["udpos", "panx"])
def test_words_and_tags(name, tmp_path):
    tag = {"udpos": "NOUN", "panx": "B-LOC"}[name]
    text(tmp_path, f"{name}/dev-en.tsv", f"Rome\t{tag}\nRome\t{tag}\n\nRome\t{tag}\n")
    assert [(e.words, e.tags) for e in read(name, "en", "dev", tmp_path)] == [
        (("Rome", "Rome"), (tag, tag)),
        (("Rome",), (tag,)),
    ]
    text(tmp_path, f"{name}/test-de.tsv", "Rom\nist\n\nRom\n")
    refused(name, "de", "test", tmp_path, "there are words but no tags")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mlqa", "mlqa/MLQA_V1/test/test-context-de-question-de.json"),
        ("tydiqa", "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.en.dev.json"),
    ],
)
def test_empty_answers_at_0_are_refused(name, path, tmp_path):
    questions(tmp_path, path, ("", 0), ("", 0))
    language = "en" if name == "tydiqa" else "de"
    refused(name, language, "test", tmp_path, "the answers are empty, at character 0")
    questions(tmp_path, path, ("The Nile", 0), ("long", 12))
    assert [e.answers for e in read(name, language, "test", tmp_path)] == [("The Nile",), ("long",)]


def test_empty_answers_are_detected_in_a_path_of_both_layouts(tmp_path):
    questions(tmp_path, "xquad/xquad.de.json", ("", 0))
    task = catalog.get("xquad")
    with pytest.raises(UserError, match="the labels of xquad de test were removed"):
        list(task.source.read(task, "de", "test", tmp_path))


def test_tydiqa_training_ids_are_row_numbers(tmp_path):
    # XTREME shortens "english-123-0" to "0", so the first question of every article has the id "0".
    data = [
        {"paragraphs": [{"context": "a b", "qas": [
            {"id": "0", "question": "q", "answers": [{"text": "a", "answer_start": 0}]}]}]}
    ] * 3  # fmt: skip
    text(tmp_path, "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json", json.dumps({"data": data}))
    assert [e.id for e in read("tydiqa", "en", "train", tmp_path)] == ["0", "1", "2"]


def test_bucc_has_gold_on_dev_only(tmp_path):
    for split in ("dev", "test"):
        text(tmp_path, f"bucc2018/de-en.{split}.de", "de-1\teins\nde-2\tzwei\n")
        text(tmp_path, f"bucc2018/de-en.{split}.en", "en-1\tone\n")
    text(tmp_path, "bucc2018/de-en.dev.gold", "de-1\ten-1\n")
    assert [e.id for e in read("bucc2018", "de", "dev", tmp_path)] == ["de-1 en-1", "de-2"]
    refused("bucc2018", "de", "test", tmp_path, "there is no file of gold pairs", "training-gold")


def test_tatoeba_with_sorted_english_is_refused(tmp_path):
    text(tmp_path, "tatoeba/de-en.de", "Zug\nAffe\nMaus\n")
    text(tmp_path, "tatoeba/de-en.en", "Ape\nMouse\nTrain\n")
    source = FileSource(
        "pairs", {"test": ("tatoeba/{lang}-en.{lang}", "tatoeba/{lang}-en.en")}, {"test": ("de",)}, kind="xtreme",
        originals={"test": "tatoeba.deu-eng.* of LASER"},
    )  # fmt: skip
    task = Task("tatoeba", "Tatoeba", "retrieval", (), source)
    with pytest.raises(UserError, match="the English lines are sorted"):
        list(source.read(task, "de", "test", tmp_path))
    text(tmp_path, "tatoeba/de-en.en", "Train\nApe\nMouse\n")
    assert len(list(source.read(task, "de", "test", tmp_path))) == 3


def test_a_missing_file_names_the_original_too(tmp_path):
    task = catalog.get("panx")
    with pytest.raises(UserError) as error:
        keep_kind(task.source, "xtreme").read(task, "de", "test", tmp_path)
    assert "panx/test-de.tsv: no such file" in str(error.value)
    assert "The original: LANG-test of XTREME's panx_dataset" in str(error.value)


def test_a_users_own_test_set_may_have_one_label(tmp_path):
    text(tmp_path, "x.tsv", "text\tlabel\n" + "".join(f"t{i}\tspam\n" for i in range(200)))
    for kind, fits in (("custom", True), ("native", False)):
        source = FileSource("tsv", {"test": "x.tsv"}, {"test": ("en",)}, kind=kind)
        task = Task("toy", "Toy", "classification", (), source, labels=("spam", "ham"))
        if fits:
            assert len(list(source.read(task, "en", "test", tmp_path))) == 200
        else:
            with pytest.raises(UserError, match="every label of the 200 test rows is 'spam'"):
                list(source.read(task, "en", "test", tmp_path))


@pytest.mark.parametrize("hidden", ["-1", ""])
def test_hidden_labels_are_named_as_such(hidden, tmp_path):
    text(tmp_path, "x.tsv", f"text\tlabel\na\t{hidden}\n")
    source = FileSource("tsv", {"test": "x.tsv"}, {"test": ("en",)})
    task = Task("toy", "Toy", "classification", (), source, labels=("spam", "ham"))
    with pytest.raises(UserError, match="The labels of this file are hidden. Score another split"):
        list(source.read(task, "en", "test", tmp_path))
