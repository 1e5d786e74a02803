"""Scores of single labels against scikit-learn, and the calibration error against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.class_scores import ClassRow, class_rows, expected_calibration_error
from xlift.analysis.estimates import PipelineKey
from xlift.analysis.lift import compute_lifts
from xlift.analysis.scores import load_cells
from xlift.errors import UserError
from xlift.studies.predictions import read_predictions, read_scores
from xlift.studies.record import Record, read_record
from xlift.studies.store import Store

SEEDS = STUDY + "seeds: [1, 2]\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Store]:
    folder = tmp_path_factory.mktemp("study")
    _, store = finished_study(study_file(folder, SEEDS), folder / "store")
    return read_record(store, "study"), store


def slow_error(confidence: list[float], correct: list[bool], bins: int = 15) -> float:
    """The definition, bin by bin."""
    error = 0.0
    for bin in range(bins):
        members = [n for n, p in enumerate(confidence) if bin / bins < p <= (bin + 1) / bins]
        if members:
            accuracy = sum(correct[n] for n in members) / len(members)
            error += len(members) / len(confidence) * abs(accuracy - sum(confidence[n] for n in members) / len(members))
    return error


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_is_as_defined(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.25, 1, 300)
    correct = rng.random(300) < confidence**2
    found = expected_calibration_error(confidence, correct)
    assert found == pytest.approx(slow_error(confidence.tolist(), correct.tolist()))
    assert found
    assert 0.05 < found < 0.35


def test_calibration_error_at_the_ends():
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([False, True])) == 1
    assert expected_calibration_error(np.array([]), np.array([])) is None


def test_labels_equal_scikit_learn_seed_by_seed(finished):
    record, store = finished
    rows = {row.label: row for row in class_rows(record, store) if row.language == "qka" and row.intermediate == "none"}
    cells = [each for each in record.cells if each.language == "qka" and each.intermediate == "none"]
    assert len(cells) == 2
    predictions = [read_predictions(store, each.key)[1:] for each in cells]
    labels = sorted(rows.keys() - {""})
    each = [precision_recall_fscore_support(*pair, labels=labels, zero_division=0)[:3] for pair in predictions]
    expected = np.mean(each, axis=0)
    found = np.array([[rows[label].precision, rows[label].recall, rows[label].f1] for label in labels]).T
    assert found == pytest.approx(expected)
    matrix = sum(confusion_matrix(*pair, labels=labels) for pair in predictions)
    assert [[(rows[a].predicted or {}).get(b, 0) for b in labels] for a in labels] == matrix.tolist()
    assert rows[""].accuracy == pytest.approx(np.mean([accuracy_score(*pair) for pair in predictions]))
    assert sum(rows[label].n for label in labels) == rows[""].n == 20
    scores = [read_scores(store, each.key) for each in cells]
    errors = [
        slow_error([max(row) for row in each.rows], [g == p for g, p in zip(*pair, strict=True)])
        for each, pair in zip(scores, predictions, strict=True)
        if each
    ]
    assert rows[""].calibration_error == pytest.approx(np.mean(errors))


def test_all_labels_together_equal_the_metrics_of_the_tables(finished):
    record, store = finished
    lifts = compute_lifts(load_cells(record, store, every_metric=True)[0])
    tables = {(row.intermediate, row.language, row.metric): row.value for row in lifts}
    rows = [row for row in class_rows(record, store) if not row.label]
    assert {row.language for row in rows} > {"all", "zero-shot", "qta"}
    for row in rows:
        assert row.accuracy == pytest.approx(tables[row.intermediate, row.language, "accuracy"], abs=1e-12)
        if (row.intermediate, row.language, "macro-f1") in tables:
            assert row.f1 == pytest.approx(tables[row.intermediate, row.language, "macro-f1"], abs=1e-12)


def test_only_some_pipelines_and_no_mean_without_every_language(finished, tmp_path: Path):
    record, store = finished
    rows = class_rows(record, store, {(PipelineKey("model", "none", "", ""), "isle-nli")})
    assert {row.intermediate for row in rows} == {"none"}
    _, other = finished_study(study_file(tmp_path, STUDY), tmp_path / "store", leave_out=1)
    rows = class_rows(read_record(other, "study"), other)
    assert {row.intermediate for row in rows if row.language == "all"} == {"none"}


def test_a_label_without_gold_has_no_scores_and_choices_have_no_labels(tmp_path: Path):
    text = STUDY + "  - {task: isle-commonsense, train: {size: 20}, size: 20}\n"
    _, store = finished_study(study_file(tmp_path, text), tmp_path / "store")
    rows = [row for row in class_rows(read_record(store, "study"), store) if row.target == "isle-commonsense"]
    assert rows
    assert all(isinstance(row, ClassRow) and row.label == "" and row.f1 is None for row in rows)
    assert all(row.accuracy is not None and row.calibration_error is not None for row in rows)


def test_predictions_of_another_form_are_an_error_of_the_user(finished, monkeypatch: pytest.MonkeyPatch):
    record, store = finished
    monkeypatch.setattr("xlift.analysis.class_scores.read_scores", lambda store, key: type("S", (), {"kind": "probability", "labels": (), "rows": [["x"]]}))  # fmt: skip
    with pytest.raises(UserError, match="not of the form"):
        class_rows(record, store)
