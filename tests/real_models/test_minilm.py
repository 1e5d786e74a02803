"""all-MiniLM-L6-v2: hidden states, heads and sentence vectors equal those of plain transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.support.real_models import MINILM, TEXTS, needs
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification

from xlift.evaluation.embeddings import Pooling, compute_pooled_vectors
from xlift.evaluation.text_vectors import TextEncoder
from xlift.evidence.search.ranking import rank
from xlift.models.backbone import load
from xlift.models.export import write_model
from xlift.models.model import Model
from xlift.models.outputs import HeadSpec
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.training.progress import Progress

pytestmark = needs(MINILM)
PAIRS = [
    ("A man is playing a guitar.", "Someone plays an instrument."),
    ("The stock market fell sharply today.", "A cat sleeps on the windowsill."),
]


@pytest.fixture(scope="module")
def ours() -> tuple[Model, Any]:
    model, tokenizer = load(MINILM)
    return model.eval(), tokenizer


def padded(tokenizer: Any, *texts: list[str]) -> dict[str, torch.Tensor]:
    return dict(tokenizer(*texts, padding=True, return_tensors="pt"))


@torch.inference_mode()
def test_hidden_states(ours: tuple[Model, Any]) -> None:
    model, tokenizer = ours
    plain, plain_tokenizer = AutoModel.from_pretrained(MINILM).eval(), AutoTokenizer.from_pretrained(MINILM)
    found = model.last_hidden_state(padded(tokenizer, TEXTS))
    for row, text in enumerate(TEXTS):
        expected = plain(**plain_tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(found[row, : len(expected)], expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_vectors_are_those_of_the_published_recipe(ours: tuple[Model, Any]) -> None:
    """The model's README: the mean of the last states over the attention mask, then length 1. `python -m benchmarks.parity`
    compares with the package sentence-transformers."""
    model, tokenizer = ours
    texts = [text for pair in PAIRS for text in pair] + TEXTS
    inputs = Ragged.from_rows([np.array(tokenizer(text)["input_ids"]) for text in texts])
    index = np.arange(len(texts))
    pooling = Pooling(6, "mean")
    ((vectors,),) = (
        part.values()
        for part in compute_pooled_vectors(
            model, [Features(inputs, index, index)], [[pooling]], tokenizer.pad_token_id, 4096, Progress()
        )
    )
    plain, plain_tokenizer = AutoModel.from_pretrained(MINILM).eval(), AutoTokenizer.from_pretrained(MINILM)
    batch = plain_tokenizer(texts, padding=True, return_tensors="pt")
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = (plain(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
    assert vectors == pytest.approx(expected.numpy(), abs=1e-5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.5 > 0.2 > unit[2] @ unit[3]  # it is the real model: a paraphrase, and not


def test_search_by_its_vectors_finds_other_words() -> None:
    query = "Auxiliary supervision improves transfer between languages."
    texts = ["Intermediate tasks help multilingual models.", "A cat sleeps on the windowsill.", "Stocks fell today."]
    assert (rank(query, texts) == rank(query, texts)[0]).all()  # BM25 finds no common word
    assert rank(query, texts, TextEncoder(MINILM)).argmax() == 0


@torch.inference_mode()
def test_sequence_head_equals_the_class_of_transformers(ours: tuple[Model, Any]) -> None:
    model, tokenizer = ours
    head = model.add_head("nli", HeadSpec("sequence", ("a", "b", "c")), seed=1)
    for parameter in head.parameters():  # zero biases would hide a missing bias
        torch.nn.init.normal_(parameter, std=0.1)
    theirs = BertForSequenceClassification(BertConfig.from_pretrained(MINILM, num_labels=3)).eval()
    theirs.load_state_dict(model.stock_state_dict("nli"), strict=True)
    model.eval()  # the new head has dropout
    inputs = padded(tokenizer, *map(list, zip(*PAIRS, strict=True)))
    assert inputs["token_type_ids"].any()
    torch.testing.assert_close(model(inputs, "nli"), theirs(**inputs).logits, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_exported_model_gives_the_same_logits_in_transformers(ours: tuple[Model, Any], tmp_path: Any) -> None:
    model, tokenizer = ours
    model.add_head("nli", HeadSpec("sequence", ("a", "b", "c")), seed=1).eval()
    write_model(model, tokenizer, "nli", tmp_path, max_length=64)
    theirs = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    inputs = padded(AutoTokenizer.from_pretrained(tmp_path), TEXTS)
    torch.testing.assert_close(theirs(**inputs).logits, model(inputs, "nli"), atol=1e-5, rtol=0)
