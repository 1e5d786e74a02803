"""Exported models load in transformers without xlift and give the same outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from tests.support import tiny
from transformers import AutoTokenizer, pipeline

from xlift.errors import UserError
from xlift.models.export import ExportMetadata, read_export_metadata, write_model
from xlift.models.export.stock import CLASSES
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec

LABELS = ("yes", "no", "maybe so")
TEXTS = ["the old man reads a book", "Paris", "in the north of France"]


def with_head(family: str, kind: str, **options: object) -> Model:
    model = tiny.encoder(family, **options)
    head = model.add_head("task", HeadSpec(kind, LABELS), seed=1)
    for parameter in head.parameters():  # zero biases would hide a missing bias
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def logits_of(output: object, kind: str) -> torch.Tensor:
    if kind == "span":
        return torch.stack([output.start_logits, output.end_logits], dim=-1)  # type: ignore[attr-defined]
    return output.logits.squeeze(-1) if kind == "number" else output.logits  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("xlm-roberta", {}),
        ("bert", {}),
        ("modernbert", {"classifier_pooling": "cls"}),
        ("modernbert", {"classifier_pooling": "mean"}),
        ("deberta-v2", {}),
        ("eurobert", {}),
    ],
)
def test_transformers_class_gives_the_logits_of_the_model(family: str, options: dict, kind: str, tmp_path: Path):
    model, tokenizer = with_head(family, kind, **options), tiny.tokenizer_of(family)
    if family == "eurobert" and kind in ("span", "choice"):
        with pytest.raises(UserError, match="transformers has no ModelFor"):
            write_model(model, tokenizer, "task", tmp_path, max_length=32)
        return
    write_model(model, tokenizer, "task", tmp_path, max_length=32)
    stock = CLASSES[kind].from_pretrained(tmp_path)
    inputs = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    given = {name: tensor.unsqueeze(0) for name, tensor in inputs.items()} if kind == "choice" else dict(inputs)
    with torch.no_grad():
        ours, theirs = model(dict(inputs), "task"), logits_of(stock(**given), kind)
    theirs = theirs.squeeze(0) if kind == "choice" else theirs
    if kind in ("token", "span"):
        real = inputs["attention_mask"].bool()
        ours, theirs = ours[real], theirs[real]
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["sequence", "choice"])
@pytest.mark.parametrize("family", tiny.DECODERS)
def test_decoder_uses_its_last_token(family: str, kind: str, tmp_path: Path):
    model, tokenizer = with_head(family, kind), tiny.tokenizer_of(family)
    write_model(model, tokenizer, "task", tmp_path, max_length=32)
    stock = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    reader = AutoTokenizer.from_pretrained(tmp_path)  # Llama's had no padding token
    inputs = dict(reader(TEXTS, padding=True, padding_side="right", return_tensors="pt"))
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        ours, theirs = model(inputs, "task"), stock(**inputs).logits
    torch.testing.assert_close(theirs.squeeze(-1) if kind == "choice" else theirs, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_text_classification_pipeline_returns_labels(family: str, tmp_path: Path):
    model = with_head(family, "sequence")
    write_model(model, tiny.tokenizer_of(family), "task", tmp_path, max_length=32)
    answers = pipeline("text-classification", model=str(tmp_path), top_k=None)(TEXTS)
    with torch.no_grad():
        inputs = tiny.tokenizer_of(family)(TEXTS, padding=True, return_tensors="pt")
        expected = model(dict(inputs), "task").softmax(dim=-1)
    for answer, row in zip(answers, expected, strict=True):
        found = {each["label"]: each["score"] for each in answer}
        assert found == pytest.approx(dict(zip(LABELS, row.tolist(), strict=True)), abs=1e-5)


def test_token_classification_pipeline_returns_tags(tmp_path: Path):
    write_model(with_head("xlm-roberta", "token"), tiny.tokenizer_of("xlm-roberta"), "task", tmp_path, max_length=32)
    answers = pipeline("token-classification", model=str(tmp_path))(TEXTS[0])
    assert answers
    assert {each["entity"] for each in answers} <= set(LABELS)


def test_config_names_the_classes(tmp_path: Path):
    write_model(with_head("bert", "sequence"), tiny.tokenizer_of("bert"), "task", tmp_path, max_length=32)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "yes", "1": "no", "2": "maybe so"}
    assert config["label2id"] == {"yes": 0, "no": 1, "maybe so": 2}
    assert config["problem_type"] == "single_label_classification"
    assert AutoTokenizer.from_pretrained(tmp_path).model_max_length == 32


def test_export_without_a_head(tmp_path: Path):
    model = tiny.encoder("modernbert")
    write_model(model, tiny.tokenizer_of("modernbert"), "", tmp_path, max_length=32)
    inputs = tiny.tokenizer_of("modernbert")(TEXTS, padding=True, return_tensors="pt")
    real = inputs["attention_mask"].bool()
    with torch.no_grad():
        theirs = transformers.AutoModel.from_pretrained(tmp_path)(**inputs).last_hidden_state
        ours = model.last_hidden_state(dict(inputs))
    torch.testing.assert_close(theirs[real], ours[real], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", [*tiny.DECODERS, *tiny.SEQ2SEQ])
def test_generative_model_keeps_its_output_layer(family: str, tmp_path: Path):
    model, tokenizer = tiny.encoder(family), tiny.tokenizer_of(family)
    write_model(model, tokenizer, "", tmp_path, max_length=32, max_new_tokens=7)
    auto = transformers.AutoModelForCausalLM if family in tiny.DECODERS else transformers.AutoModelForSeq2SeqLM
    stock = auto.from_pretrained(tmp_path)
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    if family in tiny.SEQ2SEQ:
        inputs["decoder_input_ids"] = torch.tensor([[2, 9]])
    with torch.no_grad():
        torch.testing.assert_close(stock(**inputs).logits, model.backbone(**inputs).logits, atol=1e-5, rtol=0)
    assert stock.generation_config.max_new_tokens == 7
    assert not stock.generation_config.do_sample


def test_class_missing_in_transformers_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="transformers has no ModelForTokenClassification of type 'gemma3_text'"):
        write_model(
            with_head("gemma3_text", "token"), tiny.tokenizer_of("gemma3_text"), "task", tmp_path, max_length=32
        )


# --- xlift.json -------------------------------------------------------------------------------------------------------


def test_metadata_round_trip(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    sheet = ExportMetadata(
        "tickets", "classification", "sequence", ("a", "b"), 64, {"text_b": True}, provenance={"job": "00"}
    )
    sheet.write(tmp_path)
    assert read_export_metadata(tmp_path) == sheet


def test_without_metadata_the_class_in_the_config_decides(tmp_path: Path):
    write_model(with_head("bert", "token"), tiny.tokenizer_of("bert"), "task", tmp_path, max_length=32)
    sheet = read_export_metadata(tmp_path)
    assert (sheet.format, sheet.kind, sheet.labels) == ("tagging", "token", LABELS)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no config.json"),
        ({"config.json": "{"}, "config.json cannot be read"),
        ({"config.json": "[]"}, "expected a JSON object"),
        ({"config.json": '{"architectures": ["BertModel"]}'}, "its class is BertModel"),
        ({"config.json": "{}", "xlift.json": "{}"}, "xlift.json is damaged"),
        ({"config.json": "{}", "xlift.json": '{"version": 2}'}, "another version"),
    ],
)
def test_folder_with_too_little_metadata_is_an_error(files: dict[str, str], said: str, tmp_path: Path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_export_metadata(tmp_path)
