"""A study of dual encoding from the file to the scores: trained as intermediate and as target, ranked in every language."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.tiny_study import digests, plan_of, run, run_inline, write_study

from xlift.analysis.scores import load_cells, read_predictions
from xlift.studies.record import make_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study
from xlift.tasks import catalog

STUDY = {
    "intermediate": ["none", {"task": "isle-answer-pairs", "size": 16}],
    "targets": [{"task": "isle-answer-pairs", "train": {"size": 16}, "languages": ["qta", "qka"], "size": 5}],
}


def test_every_query_is_ranked_and_scored_but_no_candidate(tmp_path: Path) -> None:
    study = write_study(tmp_path, **STUDY)
    plan, store = plan_of(study), Store(tmp_path / "store")
    run_inline(plan, store)
    record = make_record(read_study(str(study)), plan)
    tongues = catalog.get("isle-answer-pairs").source.languages("test")
    for cell in record.cells:
        ids, gold, predictions = read_predictions(store, cell.key)
        assert ids == [f"test-0-{index}" for index in range(5)]
        assert all(
            len(names) == len(tongues) == len(found["ranks"]) for names, found in zip(gold, predictions, strict=True)
        )
        assert all(len(found["top"]) == 20 for found in predictions)
    cells, missing = load_cells(record, store, every_metric=True)
    assert not missing
    assert {cell.metric for cell in cells} == {"map@20", "map", "mrr@20"}
    assert all(0 < cell.value(cell.counts.sum(axis=0)) <= 1 for cell in cells)
    assert {cell.train_language for cell in record.cells} == {"qta"}


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_bytes(tmp_path: Path) -> None:
    study = write_study(tmp_path, **STUDY)
    stores = [tmp_path / name for name in ("one", "two")]
    for store, workers in zip(stores, ("1", "2"), strict=True):
        done = run(study, store, "--workers", workers, "--quiet")
        assert done.returncode == 0, done.stderr
    assert digests(study, stores[0]) == digests(study, stores[1])


@pytest.mark.parametrize("options", [{"pooling": "cls"}, {"pooling": "mean", "query_length": 8}])
def test_pooling_and_query_length_are_part_of_the_key(
    options: dict[str, str | int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, **STUDY)
    before = {job.key for job in plan_of(study).jobs.values() if job.kind == "train"}
    changed = tuple(replace(t, options=options) if t.name == "isle-answer-pairs" else t for t in catalog.TASKS)
    monkeypatch.setattr(catalog, "TASKS", changed)
    after = {job.key for job in plan_of(study).jobs.values() if job.kind == "train"}
    assert not before & after
