"""Micro and macro F1, precision and recall of labels, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score
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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "score"), [("macro-f1", f1_score), ("macro-precision", precision_score), ("macro-recall", recall_score)]
)
def test_those_of_one_label_per_example_equal_scikit_learn(name, score, seed):
    rng = np.random.default_rng(seed)
    gold = rng.choice(LABELS[1:], 120, p=[0.6, 0.25, 0.1, 0.05]).tolist()
    predicted = [rng.choice(LABELS) if rng.random() < 0.3 else label for label in gold]  # at times a label without gold
    metric = metrics.get(name)
    counts = metric.count_examples(gold, predicted, "sw")
    expected = score(gold, predicted, average="macro", labels=np.unique(gold), zero_division=0)
    assert metric.score(counts) == pytest.approx(expected)
    without_first = score(gold[1:], predicted[1:], average="macro", labels=np.unique(gold[1:]), zero_division=0)
    assert metric.compute_score(counts.sum(axis=0) - counts[0]) == pytest.approx(without_first)


def test_a_label_is_not_found_inside_of_another():
    metric = metrics.get("macro-f1")
    assert metric.score(metric.count_examples(["b", "ab"], ["ab", "ab"], "sw")) == pytest.approx((0 + 2 / 3) / 2)
    assert metric.score(metric.count_examples(["b", None], ["b", "ab"], "sw")) == 1
