"""What the files of a custom task hold: counts by split and language, and each kind of oddity with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xlift.tasks.sources.custom import build_custom_task
from xlift.tasks.sources.data_summary import TaskSummary, summarize
from xlift.tasks.sources.files import FileSource

TEST_DE = "text,label\nguten Tag,billing\nauf Wiedersehen,delivery\n"
TRAIN_EN = "text,label\nhello,billing\nbye,delivery\ngood morning,billing\ngood night,delivery\n"


def summary_of(folder: Path, files: dict[str, str], format: str = "classification", **declared: Any) -> TaskSummary:
    """Of a task whose `files` are named by split and language: {"train.en.csv": content}."""
    by_split: dict[str, dict[str, str]] = {}
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
        split, language, _ = name.split(".")
        by_split.setdefault(split, {})[language] = name
    task = build_custom_task({"name": "own", "format": format, "files": by_split, **declared}, folder)
    assert isinstance(task.source, FileSource)
    splits = [
        task.source.survey(task, language, split, None).summary
        for split in task.source.splits()
        for language in task.source.languages(split)
    ]
    return summarize(task, splits, task.source.column_names(format), declared_labels=declared.get("labels", ()))


def odd_in(folder: Path, files: dict[str, str], **declared: Any) -> list[str]:
    return [str(odd).replace(f"{folder}/", "") for odd in summary_of(folder, files, **declared).odd]


def pair(train: str = TRAIN_EN, test: str = TEST_DE) -> dict[str, str]:
    return {"train.en.csv": train, "test.de.csv": test}


def jsonl(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


# --- counts -----------------------------------------------------------------------------------------------------------


def test_labels_are_counted_by_split_and_language(tmp_path: Path):
    summary = summary_of(tmp_path, pair())
    assert [(each.name, each.num_examples, each.counts) for each in summary.splits] == [
        ("train en", 4, {"billing": 2, "delivery": 2}),
        ("test de", 2, {"billing": 1, "delivery": 1}),
    ]
    assert not summary.odd


@pytest.mark.parametrize(
    ("format", "declared", "records", "counts"),
    [
        (
            "tagging", {"labels": ["O", "B-X"]}, [{"words": ["a", "b"], "tags": ["O", "B-X"]}, {"words": ["c"], "tags": ["O"]}],
            {"O": 2, "B-X": 1},
        ),
        (
            "multi-label", {"labels": ["x", "y"]}, [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": ["x"]}, {"text": "c", "labels": []}],
            {"x": 2, "y": 1, "(none)": 1},
        ),
        (
            "multiple-choice", {},
            [{"context": "a", "choices": ["b", "c"], "label": 1}, {"context": "d", "choices": ["e", "f"], "label": 1}],
            {"1": 2},
        ),
        (
            "span-qa", {"labels": ["no-answer"]},
            [{"context": "in Rome", "question": "where?", "answer": "Rome"}, {"context": "in it", "question": "who?", "answer": ""}],
            {"with answer": 1, "without answer": 1},
        ),
        ("text", {}, [{"text": "a"}, {"text": "b"}], {}),
        ("retrieval", {}, [{"text": "a", "translation": "b"}, {"text": "", "translation": "c"}], {}),
    ],
)  # fmt: skip
def test_what_is_counted_depends_on_the_format(tmp_path: Path, format, declared, records, counts):
    summary = summary_of(tmp_path, {"test.en.jsonl": jsonl(*records)}, format, **declared)
    (split,) = summary.splits
    assert split.counts == counts
    assert split.num_examples == len(records)
    assert not summary.odd


def test_numbers_have_a_smallest_mean_and_largest(tmp_path: Path):
    summary = summary_of(tmp_path, {"train.en.csv": "text,score\na,1\nb,2.5\nc,-5\n"}, "regression")
    assert summary.splits[0].numbers == (-5, -0.5, 2.5)
    assert summary.splits[0].counts == {}


# --- oddities ---------------------------------------------------------------------------------------------------------


def test_a_misspelt_label(tmp_path: Path):
    train = TRAIN_EN + "one,billing\ntwo,billling\n"
    assert odd_in(tmp_path, pair(train)) == [
        "train.en.csv:7: the label 'billling' occurs once. Did you mean 'billing' (4 times)?"
    ]


def test_a_label_that_is_the_name_of_a_column(tmp_path: Path):
    assert odd_in(tmp_path, pair(TRAIN_EN + "one,label\n")) == [
        "train.en.csv:6: the label 'label' is the name of a column. A header in the middle of the file?"
    ]


def test_one_class_only(tmp_path: Path):
    test = "text,label\nguten Tag,billing\nauf Wiedersehen,billing\n"
    assert odd_in(tmp_path, pair(test=test)) == [
        "train.en.csv:3: the label 'delivery' is in train only",
        "test.de.csv:2: 'billing' is the only label of test de",
    ]


def test_labels_of_one_split_only(tmp_path: Path):
    labels = [f"label {chr(97 + n)}" for n in range(8)]
    train = "text,label\n" + "".join(f"text {n},{label}\n" for n, label in enumerate(labels))
    test = "text,label\nhallo,label a\nmoin,rare\n"
    odd = odd_in(tmp_path, pair(train, test), labels=[*labels, "rare"])
    assert odd == [
        "train.en.csv:3: the labels 'label b', 'label c', 'label d', 'label e', 'label f' and 2 more are in train only",
        "test.de.csv:3: the label 'rare' is in test only",
    ]


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u00a0"])
def test_an_empty_text(tmp_path: Path, text: str):
    assert odd_in(tmp_path, pair(TRAIN_EN + f"{text},billing\n")) == ["train.en.csv:6: a text is empty"]


def test_empty_texts_repeat_nothing(tmp_path: Path):
    odd = odd_in(tmp_path, pair(TRAIN_EN + ",billing\n,billing\n", TEST_DE + ",billing\n"))
    assert odd == [f"{place}: a text is empty" for place in ("train.en.csv:6", "train.en.csv:7", "test.de.csv:4")]


def test_the_first_rows_of_the_first_files_are_named_and_the_others_counted(tmp_path: Path):
    test = "text,label\nguten Tag,billing\nmoin,delivery\n" + ",billing\n" * 5
    files = {
        f"test.{code}.csv": test.replace("moin", code) for code in ("de", "fr", "it", "es", "nl", "pt", "sv", "da")
    }
    odd = odd_in(tmp_path, {"train.en.csv": TRAIN_EN, **files})
    empty = [line for line in odd if "empty" in line]
    assert empty[:4] == [
        "test.de.csv:4: a text is empty",
        "test.de.csv:5: a text is empty",
        "test.de.csv:6: a text is empty, and so in 2 more rows",
        "test.fr.csv:4: a text is empty",
    ]
    assert empty[-1] == "test.sv.csv:4: a text is empty; 10 such rows in 2 more files"
    assert len(empty) == 6 * 3 + 1


def test_repeated_rows(tmp_path: Path):
    assert odd_in(tmp_path, pair(TRAIN_EN + "bye,delivery\n")) == ["train.en.csv:6: the row repeats train.en.csv:3"]
    assert odd_in(tmp_path, pair(TRAIN_EN + "hi,billing\nbye,delivery\nbye,delivery\nhello,billing\n")) == [
        "train.en.csv:7: the row repeats train.en.csv:3",
        "train.en.csv:8: the row repeats train.en.csv:3",
        "train.en.csv:9: the row repeats train.en.csv:2",
    ]


def test_a_text_with_two_labels(tmp_path: Path):
    assert odd_in(tmp_path, pair(TRAIN_EN + "bye,billing\nbye,billing\n")) == [
        "train.en.csv:7: the row repeats train.en.csv:6",
        "train.en.csv:6: the text has another label in train.en.csv:3",
    ]


def test_the_second_text_of_a_pair_counts(tmp_path: Path):
    train = "premise,hypothesis,label\na,b,yes\na,c,yes\na,d,no\n"
    assert not odd_in(tmp_path, {"train.en.csv": train})


def test_texts_of_training_data_in_other_splits(tmp_path: Path):
    files = {"train.en.csv": TRAIN_EN, "dev.en.csv": "text,label\nhello,billing\nhey,delivery\n"}
    test = "text,label\nbye,billing\nhey,delivery\ngood night,delivery\n"
    assert odd_in(tmp_path, {**files, "test.de.csv": test}) == [
        "test.de.csv:2: the text is also in train: train.en.csv:3",
        "test.de.csv:4: the text is also in train: train.en.csv:5",
        "dev.en.csv:2: the text is also in train: train.en.csv:2",
        "test.de.csv:3: the text is also in dev: dev.en.csv:3",
    ]


def test_the_same_file_as_two_splits_is_summarized_with_both_places(tmp_path: Path):
    content = TRAIN_EN + ",billing\n"
    odd = odd_in(tmp_path, {"train.en.csv": content, "test.de.csv": content})
    assert "train.en.csv:6: a text is empty" in odd
    assert "test.de.csv:6: a text is empty" in odd


def test_the_same_questions_with_other_answers_are_odd_and_the_same_context_is_not(tmp_path: Path):
    records = [
        {"context": "Ada in Rome", "question": "who?", "answer": "Ada"},
        {"context": "Ada in Rome", "question": "where?", "answer": "Rome"},
        {"context": "Ada in Rome", "question": "where?", "answer": "in Rome"},
    ]
    assert odd_in(tmp_path, {"test.en.jsonl": jsonl(*records)}, format="span-qa") == [
        "test.en.jsonl:3: the text has another answer in test.en.jsonl:2"
    ]


def test_places_of_a_parquet_file_and_of_several_files(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, texts in (("a", ["x", "y"]), ("b", ["z", "x"])):
        pq.write_table(pa.table({"text": texts, "label": ["p", "q"]}), tmp_path / f"{name}.parquet")
    task = build_custom_task(
        {"name": "own", "format": "classification", "files": {"train": {"en": ["a.parquet", "b.parquet"]}}}, tmp_path
    )
    assert isinstance(task.source, FileSource)
    split = task.source.survey(task, "en", "train", None).summary
    (odd,) = summarize(task, [split], ()).odd
    assert str(odd).replace(f"{tmp_path}/", "") == "b.parquet:row 2: the text has another label in a.parquet:row 1"


def test_rows_with_an_error_are_not_summarized(tmp_path: Path):
    content = TRAIN_EN + "text,label\nno label\n"
    (tmp_path / "train.en.csv").write_text(content, encoding="utf-8")
    task = build_custom_task(
        {"name": "own", "format": "classification", "files": {"train": {"en": "train.en.csv"}}}, tmp_path
    )
    assert isinstance(task.source, FileSource)
    survey = task.source.survey(task, "en", "train", None)
    assert survey.summary.counts == {"billing": 2, "delivery": 2}
    assert [str(error).splitlines()[0].replace(f"{tmp_path}/", "") for error in survey.all_errors] == [
        "train.en.csv:6: the row is a header",
        "train.en.csv:7: 1 fields, the header has 2",
    ]


def test_a_header_among_the_rows_gives_no_label(tmp_path: Path):
    (tmp_path / "train.en.csv").write_text(TRAIN_EN + "text,label\n", encoding="utf-8")
    task = build_custom_task(
        {"name": "own", "format": "classification", "files": {"train": {"en": "train.en.csv"}}}, tmp_path
    )
    assert task.labels == ("billing", "delivery")
