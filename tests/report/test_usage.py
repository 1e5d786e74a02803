"""The usage section of a card: its code gives the same predictions as `xlift predict`."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.support import tiny
from tests.support.command import Xlift
from tests.support.trained_studies import TRAIN, run_small_study
from tokenizers import normalizers

from xlift import backbones
from xlift.models.backbone import load
from xlift.models.export import ExportMetadata, write_model
from xlift.models.outputs import HeadSpec
from xlift.report.usage import snippet
from xlift.studies.store import Store

TAGS = ("NOUN", "PUNCT", "B-LOC", "O", "X")
ASKED = {"name": "nli.v1", "language": "qta", "source": "one: {text_a}\ntwo: {text_b}\nthird:"}
WORDS = ExportMetadata(
    "isle-nli", "classification", "text", ("yes", "no", "either"), optional_fields={"text_b": True},
    prompt={"settings": {"num_fewshot": 0, "normalize": True}, "templates": {"": {**ASKED, "label_words": {"yes": "vo", "no": "ne"}}}},
)  # fmt: skip


def tagger(folder: Path, family: str) -> Path:
    """A tagger with random weights, so that another sub-word would get another tag."""
    if family == "isles":
        model, tokenizer = load(backbones.find("isles").folder)
    else:
        model, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    head = model.add_head("task", HeadSpec("token", TAGS), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    write_model(model, tokenizer, "task", folder, max_length=64)
    ExportMetadata("task", "tagging", "token", TAGS, 64).write(folder)
    return folder


@pytest.mark.parametrize("family", [*tiny.ENCODERS, "isles"])
def test_tagging_code_gives_the_tags_of_predict(xlift: Xlift, tmp_path: Path, family: str):
    # The byte-level tokenizer of isles splits " ." into a blank and a sign; stock pipelines count two words.
    folder = tagger(tmp_path / "m", family)
    sentence = "fonu tekte , Vuboru's old-man reads ( Paris ) 3.5 . !"
    (tmp_path / "rows.txt").write_text(sentence + "\n")
    expected = xlift("predict", "m", "rows.txt").out.splitlines()[1].split("\t")[1].split()
    text = snippet(ExportMetadata("task", "tagging", "token", TAGS, 64), "AutoModelForTokenClassification")
    code = text.split("```python\n")[1].split("```")[0]
    assert '"Words separated by blanks ."' in code
    code = code.replace('"path/to/this/folder"', repr(str(folder)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code.replace('"Words separated by blanks ."', repr(sentence)), "card", "exec"), {})
    assert printed.getvalue().strip() == str(list(zip(sentence.split(), expected, strict=True)))
    assert len(set(expected)) > 1
    assert "64 tokens" in text  # predict splits longer sentences, the code does not


def test_label_texts_and_the_choice_rule_are_described():
    text = snippet(WORDS, "AutoModelForCausalLM")
    for row in ("| yes | vo |", "| no | ne |", "| either | either |"):
        assert row in text
    assert "most likely" in text
    assert "mean" in text
    settings = {**WORDS.prompt["settings"], "normalize": False}
    assert "mean" not in snippet(replace(WORDS, prompt={**WORDS.prompt, "settings": settings}), "AutoModelForCausalLM")


def test_label_texts_that_differ_by_language_have_separate_columns():
    templates = {
        "qta": {**ASKED, "label_words": {"yes": "vo"}}, "qtm": {**ASKED, "label_words": {"yes": "va"}},
        "qto": {**ASKED, "label_words": {"yes": "va"}},
    }  # fmt: skip
    text = snippet(replace(WORDS, prompt={**WORDS.prompt, "templates": templates}), "AutoModelForCausalLM")
    assert "| label | qta | qtm and qto |" in text
    assert "| yes | vo | va |" in text
    assert "--source-language" in text  # without it, predict uses the first prompt


def test_generated_answers_have_no_choice_rule():
    templates = {"": {"name": "t.v1", "language": "en", "source": "{context} {question}"}}
    sheet = ExportMetadata(
        "isle-qa", "span-qa", "text", prompt={"settings": {"num_fewshot": 0}, "templates": templates}
    )
    text = snippet(sheet, "AutoModelForCausalLM")
    assert "most likely" not in text
    assert "few-shot" not in text
    assert "questions.json " in text


@pytest.mark.parametrize("shots", [1, 4])
def test_fewshot_examples_are_counted_and_located(shots: int):
    # one more is kept, for a question that is itself one of them
    solved = [{"id": str(n), "text_a": "a", "text_b": "b", "label": "yes"} for n in range(shots + 1)]
    wording = {**WORDS.prompt, "settings": {"num_fewshot": shots, "normalize": True}, "fewshot_examples": solved}
    text = snippet(replace(WORDS, prompt=wording), "AutoModelForCausalLM")
    assert f"starts with {shots} few-shot example{'s' if shots > 1 else ''}," in text
    assert "`xlift.json`" in text


def predict_words(folder: Path) -> list[str]:
    """The command of a card, as a reader would paste it."""
    (command,) = [part for part in (folder / "README.md").read_text().split("`") if part.startswith("xlift predict ")]
    return shlex.split(command.replace("path/to/this/folder", str(folder)))[1:]


def translated(folder: Path, **changes: Any) -> None:
    tiny.model_folder(folder / "model", "mt5")
    run_small_study(folder, intermediate=["none"], seeds=[1], **changes)


@pytest.mark.parametrize(("task", "direction"), [("isle-to-pivot", "qtu qta"), ("isle-from-pivot", "qta qtu")])
def test_command_of_a_translation_model_runs(xlift: Xlift, tmp_path: Path, task: str, direction: str):
    train = {"train": {"size": 8, "language": "qtu"}, "languages": ["qtm"], "size": 4}
    translated(tmp_path, targets=[{"task": task, **train}])
    answer = xlift("export", "study", "m", "--store", "s")
    assert answer.code == 0, answer.err
    words = predict_words(tmp_path / "m")
    source, target = direction.split()
    assert words[words.index("--source-language") + 1] == source
    assert words[words.index("--target-language") + 1] == target
    (tmp_path / "texts.tsv").write_text("text\nfonu tekte bud.\n")
    answer = xlift(*words)
    assert answer.code == 0, answer.err
    assert (tmp_path / "answers.tsv").exists()


@pytest.mark.parametrize(("direction", "said"), [(["{lang}", "eng"], "mis en"), (["en", "{lang}"], "en mis")])
def test_command_of_a_custom_translation_task_runs(xlift: Xlift, tmp_path: Path, direction: list[str], said: str):
    # 'mis' is not in the language tables, but a language that the model was trained on is accepted
    for split in ("train", "test"):
        (tmp_path / f"{split}.tsv").write_text("source\ttranslation\n" + "mbwa analala\tthe dog rests\n" * 4)
    task = {
        "name": "pairs", "format": "translation", "direction": direction,
        "files": {split: {"mis": f"{split}.tsv"} for split in ("train", "test")},
    }  # fmt: skip
    translated(tmp_path, tasks=[yaml.safe_load(yaml.safe_dump(task))], targets=[{"task": "pairs", "train": {}}])
    answer = xlift("export", "study", "m", "--store", "s")
    assert answer.code == 0, answer.err
    words = predict_words(tmp_path / "m")
    assert f"{words[words.index('--source-language') + 1]} {words[words.index('--target-language') + 1]}" == said
    (tmp_path / "texts.tsv").write_text("text\nmama anarudi\n")
    (asked,) = [entry.key for entry in Store(tmp_path / "s").ls() if entry.kind == "predict"]
    for model in (words[1], asked):  # the folder, and a key of the store
        answer = xlift(words[0], model, *words[2:], "--store", "s")
        assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({}, "the average of 2 models: 0.5 × the model after stage 1 and 0.5 × the model after stage 2"),
        pytest.param({"weights": [1.0, 0.25]}, "task vectors of 2 models: 1 × that of the model after stage 1 and 0.25 × that of the model after", marks=pytest.mark.slow),
        pytest.param({"weights": [1.5, -0.5]}, "task vectors of 2 models: 1.5 × that of the model after stage 1 and -0.5 × that of", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_merge_is_described(xlift: Xlift, tmp_path: Path, weights: dict[str, Any], said: str):
    rows = [{"task": "isle-pos", "size": 8}, {"task": "isle-qa", "size": 8}]
    run_small_study(
        tmp_path, seeds=[1], intermediate=["none", *rows, {"name": "both", "merge": ["isle-pos", "isle-qa"], **weights}],
        targets=[{"task": "isle-nli", **TRAIN, "size": 6}],
    )  # fmt: skip
    assert xlift("export", "study", "m", "--store", "s", "--intermediate", "both").code == 0
    assert said in (tmp_path / "m/README.md").read_text()
    assert xlift("export", "study", "n", "--store", "s", "--intermediate", "isle-qa").code == 0
    text = (tmp_path / "n/README.md").read_text()
    assert "average" not in text
    assert "task vector" not in text


def test_span_code_gives_the_answers_of_predict(xlift: Xlift, tmp_path: Path):
    # The tokenizer composes letters, so offsets leave the accents of this text out.
    folder = tmp_path / "m"
    model, tokenizer = tiny.encoder("xlm-roberta"), copy.deepcopy(tiny.tokenizer_of("xlm-roberta"))  # others share it
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    head = model.add_head("task", HeadSpec("span", ()), seed=1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    write_model(model, tokenizer, "task", folder, max_length=64)
    metadata = ExportMetadata("task", "span-qa", "span", (), 64)
    metadata.write(folder)
    code = snippet(metadata, "AutoModelForQuestionAnswering").split("```python\n")[1].split("```")[0]
    code = code.replace('"path/to/this/folder"', repr(str(folder)))
    contexts = [
        f"{word} book Cafe\u0301 garden Be\u0301be\u0301 {word}e\u0301" for word in ("the", "old", "man", "reads")
    ]
    rows = [{"context": context, "question": "who?"} for context in contexts]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predicted = [line.split("\t")[-2] for line in xlift("predict", "m", "rows.jsonl").out.splitlines()[1:]]
    for context, answer in zip(contexts, predicted, strict=True):
        printed = io.StringIO()
        texts = f"{'who?'!r}, {context!r}"
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace('"Who?", "A text that holds the answer."', texts), "card", "exec"), {})
        assert printed.getvalue().strip() == answer
        assert answer
