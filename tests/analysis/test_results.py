"""`xlift.load`: frames and SQL have the numbers of `xlift report`, to the last digit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.support.fakes import finished_study, study_file

import xlift
from xlift.analysis import example_predictions, prediction_tables
from xlift.analysis.example_predictions import _is_correct, _metric_of_answers, _score
from xlift.analysis.lift import LiftRow, exported_fields
from xlift.analysis.results import Results
from xlift.errors import UserError
from xlift.report.study import make_report
from xlift.studies.bundle import export_results
from xlift.studies.predictions import DecisionScores, PredictedRows
from xlift.studies.record import read_record
from xlift.studies.store import Store
from xlift.tasks import metrics

STUDY = """\
models: [model]
seeds: [1, 2, 3]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtm, qka], size: 20, noise: [{kind: typos, level: 0.1}]}
  - {task: isle-retrieval, languages: [qtm, qka], size: 10}
  - {task: isle-commonsense, train: {size: 50}, languages: [qta], size: 10}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("results")
    return finished_study(study_file(folder, STUDY), folder / "store")[1]


@pytest.fixture(scope="module")
def results(store: Store) -> Results:
    return xlift.load(store.root)


def identity(row: Any) -> tuple[Any, ...]:
    names = ("model", "intermediate", "intermediate_language", "size", "target", "train_language", "language", "metric")
    return tuple(row[name] for name in names)


def test_importing_xlift_imports_nothing_slow():
    code = "import sys, xlift; print([name for name in ('numpy', 'pandas', 'pyarrow', 'duckdb', 'torch', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


def test_lifts_are_the_rows_of_the_report(store: Store, results: Results):
    report = make_report(read_record(store, "study"), store, every_metric=True).rows
    frame = results.lifts(every_metric=True)
    assert list(frame.columns) == exported_fields(LiftRow)
    assert len(frame) == len(report)
    for row, found in zip(report, frame.to_dict("records"), strict=True):
        for name, value in row.to_dict().items():
            assert found[name] == value or (value is None and found[name] != found[name]), name


def test_the_mean_over_seeds_is_the_value_of_the_report(store: Store, results: Results):
    report = make_report(read_record(store, "study"), store)
    seeds: dict[Any, list[float]] = {}
    noisy: dict[Any, list[float]] = {}
    frame = results.scores("study", means=True)
    for row in frame.to_dict("records"):
        (noisy if row["noise"] else seeds).setdefault(identity(row), []).append(row["value"])
    assert seeds.keys() == {identity(asdict(row)) for row in report.rows}
    for row in report.rows:
        values = seeds[identity(asdict(row))]
        assert len(values) == row.seeds == 3
        assert frame.__class__({"value": values}).value.to_numpy().mean() == row.value
    for row in report.noise_rows:
        key = (
            row.model,
            row.intermediate,
            row.intermediate_language,
            row.size,
            row.target,
            "qta",
            row.language,
            row.metric,
        )
        assert sum(noisy[key]) / 3 == pytest.approx(row.noisy, abs=1e-15)
    assert len(noisy) == len(report.noise_rows) == 2 * 4


def test_scores_without_means_are_those_of_languages(results: Results):
    frame = results.scores()
    assert len(frame) == 2 * 3 * (3 * 2 + 2 + 1)
    assert set(frame.language) == {"qta", "qtm", "qka"}
    assert set(frame.noise) == {"", "typos 10%"}


def test_predictions_give_the_scores_of_their_cells(results: Results):
    scores = results.scores("study").query("noise == ''")
    for row in scores.itertuples():
        found = results.predictions(
            "study", target=row.target, language=row.language, intermediate=row.intermediate, seed=row.seed
        ).query("noise == ''")
        assert len(found) == row.n
        assert found.score.mean() == pytest.approx(row.value, abs=1e-12)
        if row.target == "isle-nli":
            assert (found.correct == (found.gold == found.prediction)).all()
            assert (found.correct == (found.score == 1)).all()


def test_answers_that_are_no_text_are_json(results: Results):
    found = results.predictions("study", target="isle-commonsense", seed=1)
    assert all(isinstance(json.loads(gold), int) for gold in found.gold)
    assert set(found.score_kind) == {"probability"}
    for row in found.itertuples():
        assert list(row.probabilities.values()) == list(row.scores)
        assert row.prediction not in row.probabilities or row.probability == row.probabilities[row.prediction]


@pytest.mark.parametrize(
    "choice", [{"target": "isle-nil"}, {"language": "qzz"}, {"seed": 9}, {"model": ["model", "x"]}]
)
def test_an_unknown_choice_is_refused(results: Results, choice: dict[str, Any]):
    with pytest.raises(UserError, match="the study 'study' has no") as error:
        results.predictions("study", **choice)
    assert "It has: " in str(error.value)


def test_an_unknown_study_is_refused(results: Results, tmp_path: Path):
    with pytest.raises(UserError, match=r"there is no study 'stduy'(.|\n)*'study'"):
        results.scores("stduy")
    with pytest.raises(UserError, match="no store at"):
        xlift.load(tmp_path / "none")


def test_a_bundle_gives_the_same_frames(store: Store, results: Results, tmp_path: Path):
    export_results(store, "study", tmp_path / "study.zip")
    bundle = xlift.load(tmp_path / "study.zip")
    assert bundle.studies() == results.studies() == ["study"]
    assert bundle.scores().equals(results.scores())
    assert bundle.predictions("study").equals(results.predictions("study"))


def test_sql_has_the_numbers_of_the_report(store: Store, results: Results):
    found = results.sql("select value, lift, lift_low from lifts where intermediate != 'none'")
    report = [row for row in make_report(read_record(store, "study"), store).rows if row.intermediate != "none"]
    assert found.to_numpy().tolist() == [[row.value, row.lift, row.lift_low] for row in report]
    scores = results.sql("select sum(n)::int as n, count(*) as rows from scores").iloc[0]
    examples = results.sql("select count(*) from predictions").iloc[0, 0]
    assert (scores.n, scores.rows) == (examples, len(results.scores()))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("selct", "syntax error"),
        ("select value from nowhere", "nowhere does not exist"),
        ("select * from read_csv('{file}')", "file system operations are disabled"),
        ("copy scores to '{file}'", "file system operations are disabled"),
        ("attach '{file}'", "file system operations are disabled"),
        ("set enable_external_access = true", "has been locked"),
        ("install httpfs", "file system operations are disabled"),
        ("select * from results", "results does not exist"),  # a variable of the caller
        ("", "gives no rows"),
    ],
)
def test_sql_is_refused_with_its_reason_and_reads_no_file(results: Results, tmp_path: Path, query: str, reason: str):
    file = tmp_path / "file.csv"
    file.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(UserError, match=reason) as error:
        results.sql(query.format(file=file))
    assert "LINE 1" not in str(error.value)
    assert file.read_text(encoding="utf-8") == "a\n1\n"


def test_a_stored_text_is_a_value_and_never_sql(results: Results):
    # A name with a quote in it comes back as it is.
    found = results.sql("""select 'x''; drop view scores; --' as name from scores limit 1""")
    assert found.name[0] == "x'; drop view scores; --"


def test_odd_predictions_of_a_bundle_are_read_or_refused(
    store: Store, results: Results, monkeypatch: pytest.MonkeyPatch
):
    # A bundle may come from a stranger: half of a surrogate pair, a number that is missing, fewer scores than rows.
    rows = PredictedRows(["1"], ["a"], ["\ud800"], [None])
    monkeypatch.setattr(example_predictions, "read_rows", lambda store, key: rows)
    monkeypatch.setattr(prediction_tables, "_read_table", lambda *args: None)  # row by row
    choice = {"target": "isle-nli", "seed": 1}

    def scores(*numbers: Any) -> None:
        monkeypatch.setattr(
            example_predictions,
            "read_scores",
            lambda store, key: DecisionScores("probability", ("a", "\ud800"), numbers),
        )

    scores([0.5, 0.25])
    found = results.predictions("study", **choice)
    assert set(found.prediction) == {"\\ud800"}
    assert found.probabilities[0] == {"a": 0.5, "\\ud800": 0.25}
    for odd in ([[0.5, None]], [7], ["x"], []):
        scores(*odd)
        with pytest.raises(UserError, match="are not of the form"):
            results.predictions("study", **choice)


@pytest.mark.parametrize(
    ("format", "names", "gold", "prediction", "correct", "score"),
    [
        ("classification", ("macro-f1", "accuracy"), "a", "a", True, None),
        ("classification", ("accuracy",), "a", "b", False, 0.0),
        ("classification", ("accuracy",), None, "b", None, None),
        ("multiple-choice", ("accuracy",), 2, 2, True, 1.0),
        ("tagging", ("entity-f1",), ["B-PER", "O"], ["B-PER", "O"], True, None),
        ("tagging", ("tag-accuracy",), ["NOUN", "VERB"], ["NOUN", "NOUN"], False, 0.5),
        ("span-qa", ("squad-f1", "squad-em"), ["the red cat"], "red cat", True, 1.0),
        ("span-qa", ("squad-f1", "squad-em"), ["red cat"], "red dog", False, 0.5),
        ("multi-label", ("macro-f1", "micro-f1"), ["a", "b"], ["b", "a"], True, None),
        ("multi-label", ("macro-f1", "micro-f1"), ["a", "b"], ["a"], False, None),
        ("dual-encoding", ("mrr@20",), ["x"], {"top": ["y", "x"], "ranks": [2]}, None, 0.5),
        ("translation", ("chrf++", "bleu"), {"text": "a", "language": "en"}, "a", None, None),
        ("regression", ("pearson",), 1.0, 2.0, None, None),
    ],
)  # fmt: skip
def test_right_and_wrong_of_one_example(format, names, gold, prediction, correct, score):
    assert _is_correct(_metric_of_answers(names, format), gold, prediction, "en") == correct
    assert _score(metrics.get(names[0]), gold, prediction, "en") == score
