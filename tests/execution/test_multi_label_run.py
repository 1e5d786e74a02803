"""A multi-label task from its files to a table, an exported model and predictions for a file; and in text mode."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer
from tests.support import custom_run
from tests.support.command import Xlift
from transformers import AutoModelForSequenceClassification, AutoTokenizer

WORDS = ("the", "old", "man", "book", "river", "garden")
LABELS = ("book", "garden", "river")


def draw(seed: int, n: int) -> list[tuple[str, list[str]]]:
    """Texts whose labels are words of the text."""
    rng = random.Random(seed)
    texts = [[rng.choice(WORDS) for _ in range(3)] for _ in range(n)]
    return [(" ".join(words), [label for label in LABELS if label in words]) for words in texts]


def table(seed: int, n: int) -> str:
    return "text,labels\n" + "".join(f"{text},{'|'.join(labels)}\n" for text, labels in draw(seed, n))


FILES = {"train.en.csv": table(0, 100), "test.de.csv": table(1, 30), "test.sw.csv": table(2, 30)}


def official(gold: list[list[str]], predicted: list[list[str]], average: str) -> float:
    binarizer = MultiLabelBinarizer(classes=LABELS).fit([LABELS])
    return float(f1_score(binarizer.transform(gold), binarizer.transform(predicted), average=average))


@pytest.mark.slow
def test_head(xlift: Xlift, tmp_path: Path):
    custom_run.write_study(tmp_path, "multi-label", FILES)
    rows = custom_run.run(xlift)
    row = custom_run.find(rows, intermediate="none", language="de", metric="micro-f1")
    assert 0.6 < row["value"] < row["high"] <= 1
    row = custom_run.find(rows, intermediate="isle-nli", language="all", metric="macro-f1")
    assert row["lift_low"] < row["lift"] < row["lift_high"]
    gold, stored = custom_run.stored_predictions("de")
    assert gold == [labels for _, labels in draw(1, 30)]
    assert official(gold, stored, "micro") > 0.6

    config = custom_run.export(xlift, "multi-label")
    assert config["problem_type"] == "multi_label_classification"
    assert list(config["id2label"].values()) == list(LABELS)
    stock, tokenizer = (
        auto.from_pretrained("exported") for auto in (AutoModelForSequenceClassification, AutoTokenizer)
    )
    inputs = tokenizer([text for text, _ in draw(1, 30)], padding=True, return_tensors="pt")
    with torch.no_grad():
        probabilities = stock(**inputs).logits.sigmoid().numpy()
    assert [[LABELS[i] for i in np.flatnonzero(row > 0.5)] for row in probabilities] == stored

    assert custom_run.run_card_code(repr(draw(1, 30)[0][0])) == str(stored[0])

    answer = xlift("predict", "exported", "test.de.csv", "--out", "out.jsonl")
    assert answer.code == 0, answer.err
    predicted = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in predicted] == stored
    confidence = np.where(probabilities > 0.5, probabilities, 1 - probabilities).prod(axis=1)
    assert [row["score"] for row in predicted] == pytest.approx(confidence, abs=1e-4)
    assert xlift("predict", "exported", "test.de.csv", "--out", "out.tsv").code == 0
    cells = [line.split("\t")[-2] for line in Path("out.tsv").read_text().splitlines()[1:]]
    assert cells == ["|".join(labels) for labels in stored]


@pytest.mark.slow
def test_text_mode(xlift: Xlift, tmp_path: Path):
    custom_run.write_study(tmp_path, "multi-label", FILES, family="mt5", labels=list(LABELS))
    rows = custom_run.run(xlift)
    assert custom_run.find(rows, intermediate="none", language="de", metric="micro-f1")["value"] > 0.3
    _, stored = custom_run.stored_predictions("de")
    custom_run.export(xlift, "multi-label")
    answer = xlift("predict", "exported", "test.de.csv", "--out", "out.jsonl")
    assert answer.code == 0, answer.err
    assert [json.loads(line)["label"] for line in Path("out.jsonl").read_text().splitlines()] == stored
