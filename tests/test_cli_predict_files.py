"""`xlift predict` with columns, probabilities, thresholds and pipes: what goes in comes out, with the answer beside it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.command import Answer, Xlift
from tests.test_cli_predict import LABELS, model, table, translator

from xlift.execution.file_prediction import progress_bar

Feed = Callable[..., Answer]


@pytest.fixture
def feed(xlift: Xlift, tmp_path: Path) -> Feed:
    """Run a command whose standard input has these bytes."""

    def call(content: bytes, *words: object) -> Answer:
        reader, writer = os.pipe()  # a pipe holds 64 KiB
        os.write(writer, content)
        os.close(writer)
        before = os.dup(0)
        os.dup2(reader, 0)
        try:
            return xlift(*words)
        finally:
            os.dup2(before, 0)
            for number in (reader, before):
                os.close(number)

    return call


# --- columns ----------------------------------------------------------------------------------------------------------


def test_hostile_csv_comes_out_as_it_went_in(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    rows = [
        ["n", "body", "note"],
        ["=1+1", 'a "quoted", text', "@SUM(A1)"],
        ["-2", "two\nlines", "tab\there"],
        ["\u202e", "x" * 200_000, ""],
    ]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    answer = xlift("predict", "m", "in.csv", "--column", "text=body", "--out", "out.csv")
    assert answer.code == 0, answer.err
    with (tmp_path / "out.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert [row[:3] for row in found] == rows
    assert found[0][3:] == ["label", "score"]
    assert {row[3] for row in found[1:]} <= set(LABELS)
    lines = table(xlift("predict", "m", "in.csv", "--column", "text=body").out)  # .tsv has no place for breaks and tabs
    assert lines[2][:3] == ["-2", "two lines", "tab here"]


def test_columns_of_json_and_parquet_keep_their_types(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    records = [
        {"text": "the old man", "n": 3, "more": {"a": [1, None]}},
        {"text": "Paris", "n": None, "more": {"a": []}},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "in.parquet")
    for name in ("in.jsonl", "in.parquet"):
        found = [json.loads(line) for line in xlift("predict", "m", name, "--format", "jsonl").out.splitlines()]
        assert [{key: each[key] for key in ("text", "n", "more")} for each in found] == records
        assert list(found[0])[-2:] == ["label", "score"]
    header, first, second = table(xlift("predict", "m", "in.jsonl").out)
    assert header == ["text", "n", "more", "label", "score"]
    assert (first[1:3], second[1]) == (["3", '{"a": [1, null]}'], "")


def test_a_labelled_file_keeps_its_labels(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    (tmp_path / "in.csv").write_text("text,label\nthe old man,gold\n")
    answer = xlift("predict", "m", "in.csv")
    header, row = table(answer.out)
    assert header == ["text", "label", "predicted_label", "predicted_score"]
    assert (row[1], row[2] in LABELS) == ("gold", True)
    assert "predicted_label" in answer.err
    (tmp_path / "in.csv").write_text("text,label,predicted_label\nthe old man,gold,x\n")
    answer = xlift("predict", "m", "in.csv")
    assert (answer.code, "in.csv:2: the column 'predicted_label'" in answer.err) == (2, True)


def test_a_table_has_no_place_for_a_new_column(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    (tmp_path / "in.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b"}\n{"text": "c", "more": 2}\n')
    answer = xlift("predict", "m", "in.jsonl", "--out", "out.csv")
    assert (answer.code, "in.jsonl:3: the row has a column 'more' that the first row lacks" in answer.err) == (2, True)
    assert xlift("predict", "m", "in.jsonl", "--out", "out.jsonl").code == 0


def test_unpaired_surrogate_in_any_column(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    for record in ('{"text": "a", "n": "\\ud800"}', '{"text": "a", "n": ["\\ud800"]}', '{"text": "a", "\\ud800": 1}'):
        (tmp_path / "in.jsonl").write_text(record + "\n")
        answer = xlift("predict", "m", "in.jsonl", "--format", "jsonl")
        assert (answer.code, "in.jsonl:1: the text holds an unpaired surrogate" in answer.err) == (2, True)


# --- probabilities and thresholds -------------------------------------------------------------------------------------


def test_probabilities_of_all_labels(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m")
    (tmp_path / "in.txt").write_text("the old man\nParis\n")
    header, *rows = table(xlift("predict", "m", "in.txt", "--probabilities").out)
    assert header == ["id", "label", "score", *(f"probability_{label}" for label in LABELS)]
    for _, label, score, *shares in rows:
        assert sum(map(float, shares)) == pytest.approx(1, abs=1e-5)
        assert (LABELS[shares.index(max(shares))], max(shares)) == (label, score)
    record = json.loads(xlift("predict", "m", "in.txt", "--probabilities", "--format", "jsonl").out.splitlines()[0])
    assert list(record["probabilities"]) == list(LABELS)


@pytest.mark.parametrize("below", ["", "unsure"])
def test_labels_below_the_threshold(xlift: Xlift, tmp_path: Path, below: str):
    model(tmp_path / "m")
    (tmp_path / "in.txt").write_text("the old man\nParis in the north\na book\n")
    rows = table(xlift("predict", "m", "in.txt").out)[1:]
    middle = sorted(float(score) for _, _, score in rows)[1]
    words = ("--below", below) if below else ()
    found = table(xlift("predict", "m", "in.txt", "--threshold", middle - 1e-6, *words).out)[1:]
    assert [row[1] for row in found] == [label if float(score) >= middle else below for _, label, score in rows]
    assert [row[2] for row in found] == [row[2] for row in rows]


def test_threshold_of_words(xlift: Xlift, tmp_path: Path):
    model(tmp_path / "m", "token")
    (tmp_path / "in.txt").write_text("the old man\n")
    assert "every word needs a tag" in xlift("predict", "m", "in.txt", "--threshold", 0.5).err
    answer = xlift("predict", "m", "in.txt", "--threshold", 1, "--below", "O", "--format", "conll")
    assert [row[1] for row in table(answer.out)[:3]] == ["O", "O", "O"]


def test_threshold_of_each_label(xlift: Xlift, tmp_path: Path):
    # of multi-label classification it decides which labels apply, as in scikit-learn
    import torch
    from tests.support import tiny

    from xlift.models.export import ExportMetadata, write_model
    from xlift.models.outputs import HeadSpec

    made = tiny.encoder("bert")
    for parameter in made.add_head("task", HeadSpec("labels", LABELS), seed=1).parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    write_model(made, tiny.tokenizer_of("bert"), "task", tmp_path / "m", max_length=32)
    ExportMetadata("task", "multi-label", "labels", LABELS, 32).write(tmp_path / "m")
    (tmp_path / "in.txt").write_text("the old man\n")
    words = ("predict", "m", "in.txt", "--probabilities", "--format", "jsonl")
    shares = json.loads(xlift(*words).out)["probabilities"]
    for threshold in (0.0, 0.5, sorted(shares.values())[1] - 1e-5, 1.0):
        label = json.loads(xlift(*words, "--threshold", threshold).out)["label"]
        assert label == [name for name, share in shares.items() if share >= threshold]
    assert json.loads(xlift(*words, "--threshold", 1.0, "--below", "none").out)["label"] == ["none"]


def test_generated_answers_have_no_probability(xlift: Xlift, tmp_path: Path):
    translator(tmp_path / "m")
    (tmp_path / "in.txt").write_text("the old man\n")
    words = ("predict", "m", "in.txt", "--source-language", "sw", "--target-language", "en")
    assert "have no probability" in xlift(*words, "--threshold", 0.5).err
    assert "no probability for each label" in xlift(*words, "--probabilities").err


# --- pipes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "txt"])
def test_pipe(xlift: Xlift, feed: Feed, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("xlift.execution.file_prediction.predictor.CHUNK", 2)
    model(tmp_path / "m")
    lines = {"jsonl": ['{"text": "the old man"}', '{"text": "Paris"}', '{"text": "a book"}']}
    content = "\n".join(lines.get(format, ["text", "the old man", "Paris", "a book"])) + "\n"
    (tmp_path / f"in.{format}").write_text(content)
    expected = xlift("predict", "m", f"in.{format}", "--format", format)
    found = feed(content.encode(), "predict", "m", "-", "--format", format)
    assert (found.code, found.err) == (0, "")
    assert found.out == expected.out
    assert len(found.out.splitlines()) == len(content.splitlines()) + (format == "txt")


def test_pipe_ends_at_a_bad_row_with_its_number(feed: Feed, tmp_path: Path):
    model(tmp_path / "m")
    answer = feed(b"text\none\n \n", "predict", "m", "-")
    assert (answer.code, "<stdin>:3: the row has no text" in answer.err) == (2, True)
    answer = feed(b"text\none\ntw\0o\n", "predict", "m", "-")
    assert (answer.code, "<stdin>:3: a NUL byte at column 3" in answer.err) == (2, True)
    answer = feed(b"", "predict", "m", "-")
    assert (answer.code, "<stdin>: the file is empty" in answer.err) == (2, True)
    answer = feed(b"text\n", "predict", "m", "-")
    assert (answer.code, "<stdin>: the file has no rows" in answer.err) == (2, True)


def test_pipe_into_a_file(feed: Feed, tmp_path: Path):
    model(tmp_path / "m")
    answer = feed(b"text\none\ntwo\n", "predict", "m", "-", "--out", "out.csv")
    assert (answer.code, answer.out, "Wrote out.csv: 2 rows" in answer.err) == (0, "", True)
    assert (tmp_path / "out.csv").read_text().startswith("text,label,score\none,")


def test_reader_that_stops_early(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model(tmp_path / "m")
    (tmp_path / "in.txt").write_text("the old man\n")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        answer = xlift("predict", "m", "in.txt")
    assert (answer.code, answer.err) == (0, "")


def test_progress_fits_sixty_columns(monkeypatch: pytest.MonkeyPatch):
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60)
    monkeypatch.setattr(progress_bar, "Console", lambda stderr: console)
    with progress_bar.row_progress(1_000_000, True) as show:
        for done in range(0, 1_000_001, 250_000):
            show(done)
    assert "1,000,000 of 1,000,000 rows" in screen.getvalue()
    screen.truncate(0)
    with progress_bar.row_progress(None, True) as show:  # a pipe, whose length is not known
        show(2000)
    assert "2,000 rows" in screen.getvalue()
    screen.truncate(0)
    with progress_bar.row_progress(3, False) as show:
        show(3)
    assert not screen.getvalue()
