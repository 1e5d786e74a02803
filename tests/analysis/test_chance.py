"""Scores of models that ignore the input, against scikit-learn's dummies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from tests.analysis.test_lift import cell
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.chance import guess_scores
from xlift.analysis.estimates import ALL, GuessScores
from xlift.analysis.lift import compute_lifts
from xlift.analysis.scores import load_cells
from xlift.studies.predictions import DecisionScores
from xlift.studies.record import read_record
from xlift.tasks import formats, metrics

GOLD = ["a"] * 6 + ["b"] * 3 + ["c"]
LABELS = DecisionScores("probability", ("a", "b", "c", "d"), [[0.25] * 4] * len(GOLD))


@pytest.mark.parametrize("name", ["accuracy", "macro-f1"])
def test_majority_equals_the_dummy_of_scikit_learn(name):
    found = guess_scores(metrics.get(name), formats.get("classification"), GOLD, LABELS, "sw")
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(GOLD), 1)), GOLD)
    answers = dummy.predict(np.zeros((len(GOLD), 1)))
    expected = np.mean(answers == GOLD) if name == "accuracy" else f1_score(GOLD, answers, average="macro")
    assert found
    assert found.majority == pytest.approx(expected)


def test_chance_of_accuracy_is_one_over_the_labels_of_the_task():
    form = formats.get("classification")
    assert guess_scores(metrics.get("accuracy"), form, GOLD, LABELS, "sw") == GuessScores(1 / 4, 0.6)
    assert guess_scores(metrics.get("accuracy"), form, GOLD, None, "sw") == GuessScores(pytest.approx(1 / 3), 0.6)
    assert guess_scores(metrics.get("accuracy"), form, [*GOLD, None], None, "sw") == GuessScores(
        pytest.approx(1 / 3), 0.6
    )


def test_chance_of_macro_f1_is_that_of_many_guesses():
    found = guess_scores(metrics.get("macro-f1"), formats.get("classification"), GOLD * 2000, None, "sw")
    guesses = np.random.default_rng(0).choice(["a", "b", "c"], 2000 * len(GOLD))
    assert found
    assert found.chance == pytest.approx(f1_score(GOLD * 2000, guesses, average="macro"), abs=0.01)


def test_chance_of_questions_with_different_numbers_of_choices_is_the_mean():
    form, scores = formats.get("multiple-choice"), DecisionScores("probability", (), [[0.5, 0.5], [0.2] * 5])
    assert guess_scores(metrics.get("accuracy"), form, [1, 4], scores, "sw") == GuessScores(pytest.approx(0.35), 0.5)
    assert guess_scores(metrics.get("accuracy"), form, [1, 4], None, "sw") == GuessScores(None, 0.5)


def test_answers_that_are_no_choice_have_no_chance():
    assert guess_scores(metrics.get("squad-f1"), formats.get("span-qa"), [["x"]], None, "sw") is None
    assert guess_scores(metrics.get("accuracy"), formats.get("retrieval"), ["1"], None, "sw") is None
    assert guess_scores(metrics.get("accuracy"), formats.get("classification"), [None], None, "sw") is None


def test_means_over_languages_are_the_means_of_both():
    first = replace(cell("10", language="sw"), guesses=GuessScores(0.25, 0.4))
    rows = compute_lifts([first, replace(cell("10", language="de"), guesses=GuessScores(0.25, 0.6))])
    (mean,) = (row for row in rows if row.language == ALL)
    assert (mean.chance, mean.majority) == (0.25, pytest.approx(0.5))
    rows = compute_lifts([first, cell("10", language="de")])
    assert [(row.chance, row.majority) for row in rows if row.language == ALL] == [(None, None)]


def test_cells_of_a_store_have_them(tmp_path: Path):
    _, store = finished_study(
        study_file(tmp_path, STUDY + "  - {task: isle-retrieval, size: 20, split: dev}\n"), tmp_path / "store"
    )
    cells, _ = load_cells(read_record(store, "study"), store)
    by_target = {each.target: each.guesses for each in cells}
    assert by_target["isle-nli"]
    assert by_target["isle-nli"].chance == pytest.approx(1 / 3)
    assert by_target["isle-nli"].majority >= 1 / 3
    assert all(each.guesses is None for each in cells if each.target == "isle-retrieval")
