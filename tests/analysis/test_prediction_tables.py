"""Tables of predictions have the rows of `read_examples`, and a query reads only the columns that it needs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis import prediction_tables
from xlift.analysis.example_predictions import ExamplePrediction
from xlift.analysis.result_tables import make_prediction_tables, make_schema
from xlift.analysis.results import Results
from xlift.errors import UserError
from xlift.studies.predictions import DecisionScores, read_rows, write_predictions, write_scores
from xlift.studies.record import read_record
from xlift.studies.store import Store

TARGETS = (
    STUDY
    + """\
  - {task: isle-commonsense, train: {size: 50}, size: 20}
  - {task: isle-retrieval, size: 10}
"""
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("tables")
    return finished_study(study_file(folder, TARGETS), folder / "store")[1]


@pytest.fixture
def results(store: Store) -> Results:
    return Results({"study": store})


def row_by_row(results: Results) -> pa.Table:
    return pa.concat_tables(make_prediction_tables(results.iterate_predictions()))


def by_columns(results: Results, columns: Collection[str] | None = None) -> pa.Table:
    return pa.concat_tables(results.iterate_prediction_tables(columns=columns))


def test_tables_have_the_rows_that_are_read_one_by_one(results: Results):
    expected = row_by_row(results)
    found = by_columns(results).cast(make_schema(ExamplePrediction))
    assert found.to_pylist() == expected.to_pylist()
    assert {"gold", "scores", "correct"} <= {name for name in found.column_names if found[name].null_count < len(found)}


@pytest.mark.parametrize("columns", [("score",), ("id", "gold"), ("probability", "scores", "language")])
def test_some_columns_are_those_of_the_whole_table(results: Results, columns: tuple[str, ...]):
    found = by_columns(results, columns)
    assert set(found.column_names) == set(columns)
    assert found.to_pylist() == by_columns(results).select(found.column_names).to_pylist()


QUERIES = [
    "select intermediate, avg(score) as mean from predictions group by all order by all",
    "select count(*) as n from predictions",
    "select count(*) as n from predictions where gold = prediction and language = 'qka'",
    "select columns('s.*') from predictions order by all limit 5",
    "select p.* from predictions p order by all limit 3",
    "with right_ones as (from predictions where correct) select language, count(*) as n from right_ones group by all order by all",
    "select s.metric, count(*) as n from scores s join predictions p using (target, language, seed) group by all order by all",
    "pivot predictions on language using avg(score) group by intermediate order by intermediate",
    "select column_name, column_type, min, max, count from (summarize predictions)",  # the rest depends on threads
    "describe predictions",
    "select max(seed) as s from predictions; select min(seed) as s from predictions",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_same_with_its_columns_alone(results: Results, query: str, monkeypatch: pytest.MonkeyPatch):
    found = results.query(query).to_pylist()
    monkeypatch.setattr("xlift.analysis.sql._find_columns", lambda *args: None)
    assert repr(found) == repr(results.query(query).to_pylist())


def test_a_query_reads_only_its_columns(results: Results, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    original = prediction_tables.read_tables

    def recorded(*args: Any) -> Any:
        asked.append(args[-1])
        return original(*args)

    monkeypatch.setattr("xlift.analysis.results.read_tables", recorded)
    results.query("select language, avg(score) as mean from predictions where seed = 1 group by all")
    assert asked == [{"language", "score", "seed"}]


def changed(folder: Path, scores: DecisionScores) -> Results:
    """A study one of whose predictions has other scores."""
    plan, store = finished_study(study_file(folder), folder / "store")
    job = next(job for job in plan.jobs.values() if job.kind == "predict")
    rows = read_rows(store, job.key)
    old = store.open(job.key).folder
    old.rename(folder / "old")
    with store.write(job.key, job.kind, job.spec.model_dump(mode="json"), job.parents) as draft:
        write_predictions(draft.folder, rows.ids, rows.references, rows.predictions, rows.units)
        write_scores(draft.folder, scores)
    return Results({"study": store})


def test_rows_of_other_lengths_are_read_one_by_one(tmp_path: Path):
    scores = DecisionScores("probability", ("a", "b"), [[0.5, 0.25]] * 18 + [[0.5], None])
    results = changed(tmp_path, scores)
    assert by_columns(results).cast(make_schema(ExamplePrediction)).to_pylist() == row_by_row(results).to_pylist()


def test_fewer_scores_than_rows_are_refused(tmp_path: Path):
    results = changed(tmp_path, DecisionScores("probability", ("a", "b"), [[0.5, 0.25]] * 19))
    with pytest.raises(UserError, match="are not of the form"):
        results.query("select avg(probability) from predictions")


def test_equal_ids_are_one_list_and_pairs_of_answers_are_counted_once(store: Store):
    record, shared = read_record(store, "study"), {}
    cells = [cell for cell in record.cells if (cell.target, cell.language) == ("isle-nli", "qta")]
    first, second = (read_rows(store, cell.key, shared) for cell in cells[:2])
    assert first.ids is second.ids
    assert first.answers is not None
    gold, predictions, index = first.answers.pairs()
    assert [gold[n] for n in index] == first.references
    assert [predictions[n] for n in index] == first.predictions
    assert len(gold) == len(set(zip(gold, predictions, strict=True)))
    assert len(np.unique(index)) == len(gold)
