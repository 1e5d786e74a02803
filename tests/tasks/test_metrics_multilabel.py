"""Micro and macro F1 of sets of labels, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from xlift.analysis.intervals import linearise
from xlift.tasks import metrics

LABELS = ("anger", "fear", "joy", "none of these", "sadness")


def draw(seed: int, n: int) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted labels that often agree; gold never has 'fear'."""
    rng = np.random.default_rng(seed)
    gold = rng.random((n, len(LABELS))) < np.array([0.5, 0.0, 0.3, 0.2, 0.1])
    predicted = np.where(rng.random(gold.shape) < 0.2, ~gold, gold)
    return tuple([[LABELS[i] for i in np.flatnonzero(row)] for row in rows] for rows in (gold, predicted))


@pytest.mark.parametrize("seed", range(4))
def test_they_equal_scikit_learn(seed: int):
    gold, predicted = draw(seed, 80)
    binarizer = MultiLabelBinarizer(classes=LABELS)
    truth, guess = binarizer.fit_transform(gold), binarizer.transform(predicted)
    occurring = np.flatnonzero(truth.any(axis=0))
    for name, average, labels in (("micro-f1", "micro", None), ("macro-f1", "macro", occurring)):
        metric = metrics.get(name)
        counts = metric.count_examples(gold, predicted, "sw")
        assert metric.score(counts) == pytest.approx(f1_score(truth, guess, average=average, labels=labels))
        score, influence = linearise(counts, metric.compute_score)
        assert score == pytest.approx(metric.score(counts))
        rng, n = np.random.default_rng(seed), len(counts)
        drawn = [metric.score(counts[rng.integers(0, n, n)]) for _ in range(1000)]
        assert np.square(influence).sum() == pytest.approx(np.var(drawn), rel=0.35)


def test_order_and_repetition_of_labels_do_not_matter():
    for name in ("micro-f1", "macro-f1"):
        metric = metrics.get(name)
        assert metric.score(metric.count_examples([["joy", "anger"]], [["anger", "joy", "joy"]], "sw")) == 1


def test_examples_without_labels_and_without_gold():
    for name in ("micro-f1", "macro-f1"):
        metric = metrics.get(name)
        assert metric.score(metric.count_examples([["joy"], [], None], [["joy"], [], ["anger"]], "sw")) == 1
        assert metric.score(metric.count_examples([[]], [[]], "sw")) == 0
        assert metric.score(metric.count_examples([["joy"], []], [["joy"], ["joy"]], "sw")) == pytest.approx(2 / 3)
