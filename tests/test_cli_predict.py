"""`xlift predict`: predictions for a user's file. A bad row is reported with its line before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support import tiny
from tests.support.command import Xlift
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, pipeline

from xlift.models.export import ExportMetadata, write_model
from xlift.models.outputs import HeadSpec

LABELS = ("billing", "delivery", "other")


def model(folder: Path, kind: str = "sequence", family: str = "bert", **sheet: Any) -> Path:
    made = tiny.encoder(family)
    head = made.add_head("task", HeadSpec(kind, LABELS), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    write_model(made, tiny.tokenizer_of(family), "task", folder, max_length=32)
    formats = {"sequence": "classification", "token": "tagging", "span": "span-qa", "choice": "multiple-choice"}
    labels = LABELS if kind in ("sequence", "token") else ()
    ExportMetadata("task", formats[kind], kind, labels, 32, **sheet).write(folder)
    return folder


def translator(folder: Path) -> Path:
    made = tiny.encoder("qwen3")
    write_model(made, tiny.tokenizer_of("qwen3"), "", folder, max_length=64, max_new_tokens=8)
    template = {"name": "t.v1", "language": "en", "source": "{source_language}: {source}\n{target_language}:"}
    wording = {"settings": {"max_new_tokens": 4}, "templates": {"": template}}
    ExportMetadata("pairs", "translation", "text", (), 64, prompt=wording).write(folder)
    return folder


def table(answer_or_text: str) -> list[list[str]]:
    return [line.split("\t") for line in answer_or_text.splitlines()]


def test_text_lines(xlift: Xlift, tmp_path: Path):
    folder = model(tmp_path / "m")
    (tmp_path / "rows.txt").write_text("the old man\n\nParis in the north of France\n")
    answer = xlift("predict", "m", "rows.txt")
    assert answer.code == 0
    header, *rows = table(answer.out)
    assert header == ["id", "label", "score"]
    assert [row[0] for row in rows] == ["1", "3"]  # line numbers
    said = pipeline("text-classification", model=str(folder))(["the old man", "Paris in the north of France"])
    assert [row[1] for row in rows] == [each["label"] for each in said]
    assert [float(row[2]) for row in rows] == pytest.approx([each["score"] for each in said], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", 'id,message\na,"the old man, reads"\nb,Paris\n'),
        ("rows.tsv", "id\tmessage\na\tthe old man, reads\nb\tParis\n"),
        ("rows.jsonl", '{"id": "a", "message": "the old man, reads"}\n{"id": "b", "message": "Paris"}\n'),
    ],
)
def test_tables_with_other_column_names(xlift: Xlift, tmp_path: Path, name: str, text: str):
    model(tmp_path / "m")
    (tmp_path / name).write_text(text)
    answer = xlift("predict", "m", name, "--column", "text_a=message", "--out", "out.tsv")
    assert answer.code == 0, answer.err
    rows = table((tmp_path / "out.tsv").read_text())
    assert rows[0] == ["id", "message", "label", "score"]
    assert [row[:2] for row in rows[1:]] == [["a", "the old man, reads"], ["b", "Paris"]]
    assert {row[2] for row in rows[1:]} <= set(LABELS)


def test_rows_of_several_chunks_are_in_order(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("xlift.execution.file_prediction.predictor.CHUNK", 7)
    folder = model(tmp_path / "m", family="xlm-roberta")
    texts = [" ".join(["the old man"] * (1 + n % 5)) + f" {n}" for n in range(30)]
    (tmp_path / "rows.txt").write_text("\n".join(texts) + "\n")
    rows = table(xlift("predict", "m", "rows.txt").out)[1:]
    stock, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), tiny.tokenizer_of("xlm-roberta")
    with torch.no_grad():
        alone = [stock(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0] for text in texts]
    assert [row[0] for row in rows] == [str(n + 1) for n in range(30)]
    assert [row[1] for row in rows] == [LABELS[int(each.argmax())] for each in alone]
    assert [float(row[2]) for row in rows] == pytest.approx([float(each.max()) for each in alone], abs=1e-5)


def test_tags_of_words(xlift: Xlift, tmp_path: Path):
    folder = model(tmp_path / "m", "token", "xlm-roberta")
    words = [["the", "old", "man"], ["Paris"]]
    (tmp_path / "a.conll").write_text("the DET\nold ADJ\nman NOUN\n\nParis\n")
    (tmp_path / "b.txt").write_text("the old man\nParis\n")
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"tokens": each}) + "\n" for each in words))
    for name in ("a.conll", "b.txt", "c.jsonl"):
        answer = xlift("predict", "m", name, "--out", f"{name}.out.conll")
        assert answer.code == 0, answer.err
    said = (tmp_path / "a.conll.out.conll").read_text()
    assert (tmp_path / "b.txt.out.conll").read_text() == (tmp_path / "c.jsonl.out.conll").read_text() == said
    sentences = [table(each) for each in said.strip().split("\n\n")]
    assert [[row[0] for row in each] for each in sentences] == words
    stock, tokenizer = AutoModelForTokenClassification.from_pretrained(folder), tiny.tokenizer_of("xlm-roberta")
    for own, rows in zip(words, sentences, strict=True):
        inputs = tokenizer([own[0], *(f" {word}" for word in own[1:])], is_split_into_words=True, return_tensors="pt")
        places = [inputs.word_ids().index(n) for n in range(len(own))]
        with torch.no_grad():
            chances = stock(**inputs).logits[0, places].softmax(-1)
        assert [row[1] for row in rows] == [LABELS[int(each.argmax())] for each in chances]
        assert [float(row[2]) for row in rows] == pytest.approx(chances.max(-1).values.tolist(), abs=1e-5)


def test_long_sentence_has_a_tag_for_every_word(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m", "token")
    (tmp_path / "rows.txt").write_text("the old man reads a book " * 20 + "\n")  # 120 words in rows of 32 tokens
    answer = xlift("predict", "m", "rows.txt", "--out", "out.jsonl")
    assert answer.code == 0, answer.err
    record = json.loads((tmp_path / "out.jsonl").read_text())
    assert len(record["label"]) == len(record["words"]) == len(record["scores"]) == 120


def test_questions_in_squad_layout(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m", "span")
    paragraph = {
        "context": "the old man reads a book " * 8,
        "qas": [{"id": "q1", "question": "who?"}, {"id": "q2", "question": "what?"}],
    }
    (tmp_path / "q.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    rows = table(xlift("predict", "m", "q.json").out)[1:]
    assert [row[0] for row in rows] == ["q1", "q2"]
    assert all(row[1] in " ".join(paragraph["context"].split()) for row in rows)
    assert all(0 < float(row[2]) <= 1 for row in rows)


def test_choices(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m", "choice")
    (tmp_path / "c.csv").write_text("premise,question,choice1,choice2\nthe old man,what?,reads,Paris\n")
    ((*given, label, score),) = table(xlift("predict", "m", "c.csv").out)[1:]
    assert given == ["the old man", "what?", "reads", "Paris"]
    assert label in ("0", "1")
    assert 0.5 <= float(score) <= 1


def test_model_without_xlift_json(xlift: Xlift, tmp_path: Path):
    (model(tmp_path / "m") / "xlift.json").unlink()
    (tmp_path / "rows.txt").write_text("the old man\n")
    assert table(xlift("predict", "m", "rows.txt").out)[1][1] in LABELS


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.txt", b"one\n\xff\xfe\n", "r.txt:2: byte 0xff at column 1 is not UTF-8"),
        ("r.txt", b"", "r.txt: the file is empty"),
        ("r.txt", b"\n\n", "r.txt: the file has no rows"),
        ("r.tsv", b"text\tlabel\none\tx\ntwo\n", "r.tsv:3: 1 fields, the header has 2"),
        ("r.tsv", b"text\none\n \n", "r.tsv:3: the row has no text"),
        ("r.csv", b'text\n"one\n', "invalid CSV"),
        ("r.csv", b"message\none\n", "r.csv:2: no column for 'text_a'"),
        ("r.jsonl", b'{"text": "one"}\n{"text": }\n', "r.jsonl:2: invalid JSON"),
        ("r.jsonl", b'{"text": "one"}\n{"text": null}\n', "r.jsonl:2: 'text' is null, expected a text"),
        ("r.jsonl", b'{"text": "\\ud800"}\n', "unpaired surrogate"),
        ("r.conll", b"a B\n", "a model of the format 'classification' cannot read '.conll' files"),
        ("r.xlsx", b"PK", "Expected .csv, .tsv, .jsonl, .parquet, .json, .txt."),
    ],
)
def test_damaged_file(xlift: Xlift, tmp_path: Path, name: str, text: bytes, said: str):
    model(tmp_path / "m")
    (tmp_path / name).write_bytes(text)
    answer = xlift("predict", "m", name, "--out", "out.tsv")
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("m", "gone.txt"), "gone.txt: no such file"),
        (("gone", "r.txt"), "gone: no such folder"),
        (("m", "r.txt", "--column", "text_a"), "'text_a' names no column"),
        (("m", "r.txt", "--column", "texts=x"), "unknown field 'texts'"),
        (("m", "r.txt", "--column", "text=x", "--column", "text_a=y"), "two columns for 'text_a'"),
        (("m", "r.txt", "--column", "text_a=x"), "'.txt' files have no columns"),
        (("m", "r.txt", "--out", "out.xlsx"), "cannot write classification predictions as '.xlsx'"),
        (("m", "r.txt", "--format", "conll"), "--format: cannot write classification predictions as '.conll'"),
        (("m", "r.txt", "--format", "xml"), "--format: cannot use 'xml' for standard output"),
        (("m", "-", "--format", "parquet"), "cannot use 'parquet' for standard input"),
        (("m", "r.txt", "--below", "other"), "--below needs a threshold"),
        (("m", "r.txt", "--out", "out.conll"), "cannot write classification predictions as '.conll'"),
        (("m", "r.txt", "--device", "tpu"), "unknown device 'tpu'"),
        (("m", "r.txt", "--device", "cuda"), "--device: torch finds no GPU"),
        (("m", "r.txt", "--out", "./r.txt"), "the output would overwrite the input file"),
        (("0123456789abcdef", "r.txt", "--store", "s"), "no store at 's'"),
    ],
)
def test_wrong_arguments(
    xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model(tmp_path / "m")
    (tmp_path / "r.txt").write_text("one\n")
    answer = xlift("predict", *words)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert (tmp_path / "r.txt").read_text() == "one\n"


def test_pair_model_needs_two_texts(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m", optional_fields={"text_b": True})
    (tmp_path / "r.txt").write_text("one\n")
    (tmp_path / "r.tsv").write_text("text\none\n")
    assert "the model needs pairs of texts" in xlift("predict", "m", "r.txt").err
    assert "no column for 'text_b'" in xlift("predict", "m", "r.tsv").err


def test_missing_weights(xlift: Xlift, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = model(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "r.txt").write_text("one\n")
    assert "weights are missing: classifier.weight" in xlift("predict", "m", "r.txt").err
    (folder / "model.safetensors").write_bytes(b"\0" * 50)
    answer = xlift("predict", "m", "r.txt")
    assert (answer.code, "m/model.safetensors: it begins with zeros only" in answer.err) == (2, True)
    (folder / "model.safetensors").unlink()
    assert "no safetensors weights" in xlift("predict", "m", "r.txt").err


def test_missing_column_names_the_option(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    (tmp_path / "rows.tsv").write_text("message\nthe old man\n")
    answer = xlift("predict", "m", "rows.tsv")
    assert answer.code == 2
    assert "Columns of the file: message. `--column FIELD=NAME` maps a field to its column" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source-language", "xx", "--target-language", "en"), "--source-language: unknown language 'xx'"),
        (("--source-language", "sw", "--target-language", "qzz"), "--target-language: unknown language 'qzz'"),
    ],
)
def test_unknown_language(xlift: Xlift, tmp_path: Path, words: tuple[str, ...], said: str):
    translator(tmp_path / "m")
    (tmp_path / "r.txt").write_text("one\n")
    answer = xlift("predict", "m", "r.txt", *words)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not answer.out


def test_language_codes_are_normalized(xlift: Xlift, tmp_path: Path):
    translator(tmp_path / "m")
    (tmp_path / "r.txt").write_text("the old man\n")
    words = ("predict", "m", "r.txt", "--source-language")
    answers = [
        xlift(*words, code, "--target-language", "en") for code in ("sw", "swh", " sw")
    ]  # the prompt has its name
    assert [answer.code for answer in answers] == [0, 0, 0], answers[1].err
    assert "'sw'" in xlift(*words, "swh", "--target-language", "swa").err  # both codes mean the same language


@pytest.mark.parametrize(
    "front", ["[" * 5000, "a: &a [*a]", "!!python/name:os.system", "language: !!binary x", "\x00", "no mapping"]
)
def test_a_strange_model_card_names_no_languages(tmp_path: Path, front: str):
    from xlift.cli.predict import _card_languages

    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n")
    assert _card_languages(tmp_path) == []
    (tmp_path / "README.md").write_text("---\nlanguage: [en, de]\n---\n")
    assert _card_languages(tmp_path) == ["en", "de"]
