"""The scores of constant answers and the losses of guesses, against which a stage counts as collapsed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from xlift.execution.work.evaluator import compute_score, constant_score, label_entropy
from xlift.tasks import catalog
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample

NLI, POS, NAMES = catalog.get("isle-nli"), catalog.get("isle-pos"), catalog.get("isle-names")
CHOICE, QA, QA2 = (catalog.get(f"isle-{name}") for name in ("commonsense", "qa", "qa-unanswerable"))


def pairs(labels: str) -> list[ClassificationExample]:
    names = {"e": "entailment", "n": "neutral", "c": "contradiction"}
    return [ClassificationExample(str(i), "a", "b", names[label]) for i, label in enumerate(labels)]


def choices(numbers: list[int]) -> list[ChoiceExample]:
    return [ChoiceExample(str(i), "c", "", tuple("abcdef"[:number]), 0) for i, number in enumerate(numbers)]


def test_constant_score_of_labels_is_the_most_frequent_one() -> None:
    assert constant_score(NLI, pairs("eennnnc"), "qta") == pytest.approx(4 / 7)


def test_constant_score_uses_the_metric_of_the_task() -> None:
    # QQP's mean of accuracy and F1 of 'duplicate': "no" to everything gets (0.6 + 0) / 2, "yes" (0.4 + 4/7) / 2
    task = replace(NLI, labels=("duplicate", "other"), metrics=("accuracy-f1",))
    examples = [ClassificationExample(str(i), "a", "b", "duplicate" if i < 4 else "other") for i in range(10)]
    assert constant_score(task, examples, "qta") == pytest.approx((0.4 + 4 / 7) / 2)


def test_constant_score_of_tags() -> None:
    sentences = [TaggingExample("1", ("a", "b", "c"), ("NOUN", "VERB", "NOUN")), TaggingExample("2", ("d",), ("ADJ",))]
    assert constant_score(POS, sentences, "qta") == pytest.approx(2 / 4)
    names = [TaggingExample("1", ("a", "b", "c"), ("O", "O", "B-PER"))]
    # "O" gets 0; "B-PER" on each of the three words finds one name and two false ones
    assert constant_score(NAMES, names, "qta") == pytest.approx(2 * 1 / (1 + 3))


def test_constant_score_of_choices_includes_two_standard_errors() -> None:
    assert constant_score(CHOICE, choices([4] * 300), "qta") == pytest.approx(0.25 + 2 * math.sqrt(0.25 * 0.75 / 300))
    assert constant_score(CHOICE, choices([2, 4] * 150), "qta") > 0.375


def test_constant_score_of_questions_is_no_answer() -> None:
    asked = [SpanExample("1", "the cat sat", "who?", ("the cat",), (0,)), SpanExample("2", "the cat sat", "where?")]
    assert constant_score(QA, asked[:1], "qta") == 0
    assert constant_score(QA2, asked, "qta") == 0.5  # a model that never answers has learned nothing either


def test_a_metric_without_examples_scores_zero() -> None:
    assert compute_score(NLI, [ClassificationExample("1", "a", "b")], ["entailment"], "qta") == 0.0


def test_label_entropy_of_labels_tags_and_choices() -> None:
    assert label_entropy(NLI, pairs("enc")) == pytest.approx(math.log(3))
    assert label_entropy(NLI, pairs("eeen")) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert label_entropy(POS, [TaggingExample("1", ("a", "b"), ("NOUN", "VERB"))]) == pytest.approx(math.log(2))
    assert label_entropy(CHOICE, choices([2, 4])) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert label_entropy(QA, []) is None
    assert label_entropy(QA, [], row_lengths=np.array([64, 256])) == pytest.approx(0.75 * math.log(128))
    assert label_entropy(catalog.get("isle-text"), []) is None


def test_span_qa_bound_allows_a_good_constant_answer() -> None:
    """A third of the questions have no answer, so a constant answer is right that often and beats a partly trained stage."""
    bound = label_entropy(QA2, [], row_lengths=np.array([60]))
    assert bound is not None
    assert 2.2 < 0.98 * bound < 3.5  # the final and the initial loss with 3,000 questions
