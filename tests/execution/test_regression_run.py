"""A regression task from its files to a table, an exported model and predictions for a file; and in text mode."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tests.support import custom_run
from tests.support.command import Xlift
from transformers import AutoModelForSequenceClassification, AutoTokenizer

WORDS = ("the", "old", "man", "book", "river", "garden")


def draw(seed: int, n: int) -> list[tuple[str, str, str]]:
    """Pairs of texts whose score is higher with 'river' and lower with 'book'."""
    rng = random.Random(seed)
    texts = [[rng.choice(WORDS) for _ in range(4)] for _ in range(n)]
    scores = [words.count("river") - words.count("book") for words in texts]
    return [(" ".join(words[:2]), " ".join(words[2:]), f"{score:.2f}") for words, score in zip(texts, scores)]


def table(seed: int, n: int) -> str:
    return "sentence1\tsentence2\tscore\n" + "".join("\t".join(row) + "\n" for row in draw(seed, n))


FILES = {"train.en.tsv": table(0, 80), "test.de.tsv": table(1, 30), "test.sw.tsv": table(2, 30)}


@pytest.mark.slow
def test_head(xlift: Xlift, tmp_path: Path):
    custom_run.write_study(tmp_path, "regression", FILES)
    rows = custom_run.run(xlift)
    row = custom_run.find(rows, intermediate="none", language="de", metric="pearson")
    assert 0.5 < row["value"] < row["high"] <= 1
    row = custom_run.find(rows, intermediate="isle-nli", language="all", metric="spearman")
    assert row["lift_low"] < row["lift"] < row["lift_high"]
    gold, stored = custom_run.stored_predictions("de")
    assert gold == [float(score) for _, _, score in draw(1, 30)]

    assert custom_run.export(xlift, "regression")["problem_type"] == "regression"
    stock, tokenizer = (
        auto.from_pretrained("exported") for auto in (AutoModelForSequenceClassification, AutoTokenizer)
    )
    inputs = tokenizer([row[:2] for row in draw(1, 30)], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = stock(**inputs).logits
    assert logits.shape == (30, 1)
    assert logits[:, 0].numpy() == pytest.approx(np.array(stored), abs=1e-4)
    assert stats.pearsonr(gold, stored)[0] > 0.5

    given = ", ".join(map(repr, draw(1, 30)[0][:2]))
    assert float(custom_run.run_card_code(given)) == pytest.approx(stored[0], abs=1e-4)

    answer = xlift("predict", "exported", "test.de.tsv", "--out", "out.jsonl")
    assert answer.code == 0, answer.err
    predicted = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["predicted_label"] for row in predicted] == pytest.approx(stored, abs=1e-4)
    assert {row["predicted_score"] for row in predicted} == {None}
    assert xlift("predict", "exported", "test.de.tsv", "--out", "out.tsv").code == 0
    assert [float(line.split("\t")[-2]) for line in Path("out.tsv").read_text().splitlines()[1:]] == pytest.approx(
        stored, abs=1e-4
    )


@pytest.mark.slow
def test_text_mode(xlift: Xlift, tmp_path: Path):
    custom_run.write_study(tmp_path, "regression", FILES, family="mt5")
    rows = custom_run.run(xlift)
    assert {row["metric"] for row in rows if row["target"] == "own-regression"} == {"pearson", "spearman"}
    _, stored = custom_run.stored_predictions("de")
    assert len({*stored}) > 1
    custom_run.export(xlift, "regression")
    answer = xlift("predict", "exported", "test.de.tsv", "--out", "out.jsonl")
    assert answer.code == 0, answer.err
    assert [json.loads(line)["predicted_label"] for line in Path("out.jsonl").read_text().splitlines()] == stored
