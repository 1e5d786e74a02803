"""Custom tasks: accepted declarations, and clear errors for wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xlift.errors import UserError
from xlift.tasks.sources.custom import build_custom_task


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "en.csv").write_text("text,label\nhello,billing\nbye,other\n", encoding="utf-8")
    (tmp_path / "de.csv").write_text('text,label\n"hallo, du",billing\n', encoding="utf-8")
    (tmp_path / "sw.csv").write_text("text,label\nhabari,other\n", encoding="utf-8")
    return tmp_path


def declaration(**changes):
    return {
        "name": "tickets",
        "format": "classification",
        "files": {"train": {"en": "en.csv"}, "test": {"de": "de.csv"}},
    } | changes


def refuses(match, folder, **changes):
    with pytest.raises(UserError) as error:
        task = build_custom_task(declaration(**changes), folder)
        for split in task.source.splits():
            for language in task.source.languages(split):
                list(task.source.read(task, language, split, None))
    assert match in str(error.value)
    return str(error.value)


def test_classification_from_csv(folder):
    task = build_custom_task(declaration(), folder)
    (example,) = task.source.read(task, "de", "test", None)
    assert (example.id, example.text_a, example.text_b, example.label) == ("0", "hallo, du", None, "billing")
    assert (task.labels, task.metrics, task.train_language) == (("billing", "other"), ("accuracy", "macro-f1"), "en")
    assert (task.source.kind, task.source.splits()) == ("custom", ("train", "test"))


def test_paths_with_lang(folder):
    files = {"train": {"en": "en.csv"}, "test": "{lang}.csv"}
    task = build_custom_task(declaration(files=files, languages=["de", "sw"]), folder)
    assert task.source.languages("test") == ("de", "sw")
    assert next(task.source.read(task, "sw", "test", None)).text_a == "habari"


def test_codes_become_canonical_and_unlisted_languages_are_accepted(folder):
    # 'lb' (Luxembourgish) is not in our table but is accepted; file names keep the user's codes.
    (folder / "swh.csv").write_text("text,label\nhabari,other\n", encoding="utf-8")
    files = {"train": {"en": "en.csv"}, "test": {"swh": "swh.csv", "lb": "de.csv"}}
    assert build_custom_task(declaration(files=files), folder).source.languages("test") == ("sw", "lb")


def test_declared_labels_keep_their_order(folder):
    assert build_custom_task(declaration(labels=["other", "billing"]), folder).labels == ("other", "billing")


def test_columns_by_name(folder):
    (folder / "en.csv").write_text("message,queue\nhello,other\n", encoding="utf-8")
    files = {"train": {"en": "en.csv"}}
    task = build_custom_task(declaration(files=files, columns={"text_a": "message", "label": "queue"}), folder)
    assert next(task.source.read(task, "en", "train", None)).text_a == "hello"


@pytest.mark.parametrize(
    ("format", "name", "text", "labels"),
    [
        ("tagging", "x.conll", "Rom B-LOC\nist O\n", ("B-LOC", "O")),
        ("tagging", "x.tsv", "Rom\tB-LOC\nist\tO\n", ("B-LOC", "O")),
        ("tagging", "x.txt", "Rom B-LOC\nist O\n", ("B-LOC", "O")),
        ("tagging", "x.jsonl", '{"words": ["Rom", "ist"], "tags": ["B-LOC", "O"]}\n', ("B-LOC", "O")),
        ("multiple-choice", "x.csv", "context,question,choice1,choice2,label\nc,q,a,b,1\n", ()),
        ("span-qa", "x.csv", "context,question,answer\nin Rom,wo?,Rom\n", ()),
        ("retrieval", "x.tsv", "text\ttranslation\neins\tone\n", ()),
        ("text", "x.txt", "ein Satz\nnoch einer\n", ()),
        (
            "span-qa",
            "x.json",
            json.dumps(
                {"data": [{"paragraphs": [{"context": "in Rom", "qas": [
                    {"id": "1", "question": "wo?", "answers": [{"text": "Rom", "answer_start": 3}]}]}]}]}
            ),
            (),
        ),
    ],
)  # fmt: skip
def test_every_format_has_a_reader(tmp_path, format, name, text, labels):
    (tmp_path / name).write_text(text, encoding="utf-8")
    task = build_custom_task(declaration(format=format, files={"train": {"de": name}}), tmp_path)
    assert task.labels == labels
    assert list(task.source.read(task, "de", "train", None))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("", ("accuracy", "macro-f1")),
        ("macro-f1", ("macro-f1",)),
        (["macro-f1", "accuracy"], ("macro-f1", "accuracy")),
    ],
)
def test_a_task_has_the_metrics_that_it_names_in_this_order(folder, metric, expected):
    assert build_custom_task(declaration(metric=metric), folder).metrics == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": {}}, "did you mean 'columns'?"),
        ({"files": 3}, "task 'tickets': files: not a path for each language"),
        ({"files": {"test": {"de": 3}}}, "task 'tickets': files.test: not a path for each language"),
        ({"files": {"test": {False: "no.csv"}}}, "YAML reads no as false"),
        ({"max_length": 0}, "task 'tickets': max_length: Input should be greater than 0"),
        ({"format": "clasification"}, "did you mean 'classification'?"),
        ({"files": {"trian": {"en": "en.csv"}}}, "did you mean 'train'?"),
        ({"files": {"train": "en.csv"}}, "no language given for 'en.csv'"),
        ({"files": {"train": "{lang}.csv"}}, "add `languages: [en, de]`"),
        ({"files": {"train": {"English": "en.csv"}}}, "'English' is not a language code"),
        ({"files": {"train": {"en": "en.xlsx"}}}, "no reader for '.xlsx' files"),
        (
            {"files": {"train": {"en": "en.csv"}, "test": {"de": "de.tsv"}}},
            "the files have different extensions: .csv, .tsv",
        ),
        ({"files": {"test": {"sw": "sw.csv", "swh": "sw.csv"}}}, "duplicate language 'sw'"),
        ({"files": {"test": {"de": "de.csv"}}}, "no labels"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'?"),
        ({"metric": "entity-f1"}, "'entity-f1' cannot score classification"),
        ({"train_language": "sw"}, "no training file in 'sw'"),
        ({"name": "My Task"}, "name"),
        ({"files": {"train": {"en": "nowhere.csv"}}}, "nowhere.csv: no such file"),
        ({"labels": ["billing", "otter"]}, "en.csv:3: unknown label 'other'"),
        ({"labels": ["billing", "otter"]}, "did you mean 'otter'?"),
        ({"labels": ["billing", "other", "billing"]}, "labels: 'billing' is listed twice"),
        ({"labels": ["billing", "other", " "]}, "labels: an empty text in the list"),
        (
            {"labels": True},
            "labels: expected a list, found true\n  Write a list in brackets: [a, b]. YAML reads yes as true",
        ),
        (
            {"labels": ["billing", False]},
            "labels.1: expected a text, found false\n  YAML reads no as false; write 'no', in quotes.",
        ),
        ({"labels": ["billing", None]}, "labels.1: expected a text, found nothing"),
        (
            {"labels": ["billing", 3]},
            "labels.1: expected a text, found 3\n  YAML reads 3 as a number; write '3', in quotes.",
        ),
        ({"values": {"label": {"1": True}}}, "values.label.1: expected a text, found true"),
        ({"columns": {"label": 3}}, "columns.label: expected a text, found 3"),
        ({"columns": {"id": ["page", 3]}}, "columns.id.1: expected a text, found 3"),
        ({"where": {"country": False}}, "where.country: expected a text, found false"),
        ({"name": 1.0}, "custom task: name: expected a text, found 1.0"),
        ({"max_length": True}, "max_length: expected a whole number, found true"),
        ({"columns": {"labl": "label"}}, "columns.labl: unknown field 'labl'\n  did you mean 'label'?"),
        (
            {"columns": {"hypothesis": "hypothese"}},
            "columns.hypothesis: unknown field 'hypothesis'\n  did you mean 'text_b'?",
        ),
        ({"columns": {"question": "text"}}, "Fields of classification are text_a, text_b, label, id."),
        ({"values": {"labels": {"0": "a"}}}, "values.labels: unknown field 'labels'\n  did you mean 'label'?"),
        ({"columns": {"text_a": ["text"]}}, "columns.text_a: `text_a` is read from one column"),
        ({"columns": {"id": []}}, "columns.id: the list is empty"),
        ({"columns": {"id": ["text", "text"]}}, "columns.id: 'text' is listed twice"),
        ({"languages": ["de"]}, "languages: `languages` has no effect"),
        (
            {"files": {"train": {"en": "en.csv"}, "test": "{lang}.csv"}, "languages": ["de", "de"]},
            "languages: 'de' is listed twice",
        ),
        ({"files": {"train": {"en": ["en.csv", "en.csv"]}}}, "files.train.en: 'en.csv' is listed twice"),
        (
            {"files": {"test": {"de": "de.csv"}}, "labels": ["billing"], "train_language": "de"},
            "train_language: `train_language` has no effect",
        ),
        ({"files": {"test": {"de": []}}, "labels": ["billing"]}, "files.test.de: no file is named"),
        ({"files": {}}, "files: no file is named"),
        ({"header": ["text", "text"]}, "header: 'text' is listed twice"),
        ({"metric": "accuracy-f1"}, "metric: 'accuracy-f1' cannot read the labels: it needs two labels"),
        ({"metric": "acuracy"}, "task 'tickets': metric: unknown metric 'acuracy'"),
        ({"metric": ["accuracy", "macro_f1"]}, "task 'tickets': metric.1: unknown metric 'macro_f1'"),
        ({"metric": ["accuracy", "macro_f1"]}, "did you mean 'macro-f1'?"),
        ({"metric": ["macro-f1", "macro-f1"]}, "metric: 'macro-f1' is listed twice"),
        ({"metric": []}, "metric: the list is empty"),
        ({"metric": ["accuracy", 3]}, "metric.1: expected a text, found 3"),
    ],
)
def test_wrong_declarations(folder, changes, message):
    refuses(message, folder, **changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "de.csv: the file is empty"),
        (b"text,lable\na,other\n", "de.csv:2: no column for 'label'"),
        (b"text,lable\na,other\n", "Columns of the file: text, lable"),
        (b"text,label\na,other\nb\n", "de.csv:3: 1 fields, the header has 2"),
        (b"text,label\nb,othr\n", "de.csv:2: unknown label 'othr'"),
        (b"text,label\n\xff,other\n", "de.csv:2: byte 0xff at column 1 is not UTF-8"),
    ],
)
def test_invalid_files(folder, content, message):
    (folder / "de.csv").write_bytes(content)
    refuses(message, folder)


def test_missing_keys():
    with pytest.raises(UserError, match="custom task: missing key 'name'"):
        build_custom_task({"format": "text"}, Path())


def test_size_beyond_the_data(folder):
    task = build_custom_task(declaration(), folder)
    with pytest.raises(UserError, match="has 2 examples, fewer than the 3 requested"):
        task.source.read(task, "en", "train", None, size=3)


def test_custom_files_do_not_depend_on_the_data_folder(folder, tmp_path_factory):
    task = build_custom_task(declaration(), folder)
    elsewhere = tmp_path_factory.mktemp("data")
    assert task.source.is_present("en", "train", elsewhere)
    assert task.source.size(task, "en", "train", elsewhere) == 2


def parquet(folder, name, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), folder / name)


def test_parquet_with_nested_columns(tmp_path):
    row = {"title": "t", "passage": "in Rom", "query": "wo?", "answers": {"text": ["Rom"], "answer_start": [3]}}
    parquet(tmp_path, "x.parquet", [row])
    columns = {"context": "passage", "question": "query", "answers": "answers.text", "starts": "answers.answer_start"}
    task = build_custom_task(
        declaration(format="span-qa", files={"train": {"de": "x.parquet"}}, columns=columns), tmp_path
    )
    (example,) = task.source.read(task, "de", "train", None)
    assert (example.answers, example.starts) == (("Rom",), (3,))


def test_parquet_with_numbered_classes(tmp_path):
    parquet(tmp_path, "x.parquet", [{"text": "a", "label": 1}, {"text": "b", "label": 0}])
    values = {"label": {"0": "billing", "1": "other"}}
    task = build_custom_task(declaration(files={"train": {"de": "x.parquet"}}, values=values), tmp_path)
    assert task.labels == ("billing", "other")
    assert [e.label for e in task.source.read(task, "de", "train", None)] == ["other", "billing"]


def test_one_file_of_several_languages(tmp_path):
    (tmp_path / "all.csv").write_text("lang,text,label\nswh,habari,other\nde,hallo,other\n", encoding="utf-8")
    files = {"test": "all.csv"}
    own = declaration(files=files, languages=["de", "swh"], where={"lang": "{lang}"}, labels=["other"])
    task = build_custom_task(own, tmp_path)
    assert task.source.languages("test") == ("de", "sw")
    assert next(task.source.read(task, "sw", "test", None)).text_a == "habari"  # with the user's code in the file


def test_labels_are_read_from_the_selected_rows(tmp_path):
    (tmp_path / "all.csv").write_text("set,text,label\na,x,billing\nb,y,junk\n", encoding="utf-8")
    task = build_custom_task(declaration(files={"train": {"en": "all.csv"}}, where={"set": "a"}), tmp_path)
    assert task.labels == ("billing",)


@pytest.mark.parametrize(
    ("format", "row", "fields"),
    [
        ("multiple-choice", {"context": "a", "choices": ["b", "c"], "label": 1}, {"choices": ("b", "c")}),
        ("span-qa", {"context": "in Rom", "question": "wo?", "answers": ["Rom"], "starts": [3]}, {"starts": (3,)}),
    ],
)
def test_lists_need_no_columns_if_they_have_the_names_of_the_fields(tmp_path, format, row, fields):
    (tmp_path / "en.jsonl").write_text(json.dumps({"id": "1", **row}), encoding="utf-8")
    task = build_custom_task(declaration(format=format, files={"train": {"en": "en.jsonl"}}), tmp_path)
    (example,) = task.source.read(task, "en", "train", None)
    assert {name: getattr(example, name) for name in fields} == fields


def test_tables_without_a_header_line(tmp_path):
    (tmp_path / "en.tsv").write_text("hello\tbilling\n", encoding="utf-8")
    task = build_custom_task(declaration(files={"train": {"en": "en.tsv"}}, header=["text", "label"]), tmp_path)
    assert next(task.source.read(task, "en", "train", None)).text_a == "hello"


def test_dual_encoding_from_pairs(tmp_path):
    (tmp_path / "en.csv").write_text("query,passage\nwo?,in Rom\n", encoding="utf-8")
    task = build_custom_task(declaration(format="dual-encoding", files={"train": {"en": "en.csv"}}), tmp_path)
    (example,) = task.source.read(task, "en", "train", None)
    assert (example.query, example.passage, task.metrics) == ("wo?", "in Rom", ("map@20",))


@pytest.mark.parametrize(
    ("format", "file", "changes", "message"),
    [
        ("tagging", "x.conll", {"where": {"lang": "en"}}, "task 'tickets': where: '.conll' files have no columns"),
        (
            "classification",
            "x.jsonl",
            {"header": ["text"]},
            "task 'tickets': header: '.jsonl' files have no header line",
        ),
        ("classification", "x.xml", {}, "no reader for '.xml' files"),
        ("text", "x.parquet", {"labels": []}, "x.parquet: no such file"),
        ("tagging", "x.conll", {"columns": {"words": "token"}}, "columns: `columns` has no effect"),
        ("tagging", "x.conllu", {"values": {"tags": {"NOUN": "N"}}}, "values: `values` has no effect"),
        ("span-qa", "x.json", {"columns": {"question": "frage"}}, "columns: `columns` has no effect"),
        ("tagging", "x.jsonl", {"columns": {"text": "sentence"}}, "columns.text: unknown field 'text'"),
        ("multiple-choice", "x.jsonl", {"labels": ["0", "1"]}, "labels: the answers of multiple-choice are no labels"),
        ("span-qa", "x.jsonl", {"labels": ["yes"]}, "labels: the answers of span-qa are no labels"),
    ],
)
def test_options_that_do_not_match_the_files(tmp_path, format, file, changes, message):
    (tmp_path / "x.jsonl").write_text("{}", encoding="utf-8")
    refuses(message, tmp_path, format=format, files={"train": {"en": file}}, **changes)
