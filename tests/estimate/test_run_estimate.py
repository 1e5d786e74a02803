"""Comparison of an estimate with the run."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.support.fakes import finished_study, plan_of, study_file

from xlift.estimate import PlanEstimate
from xlift.estimate.run_estimate import estimate_run
from xlift.studies.estimate_check import EstimateCheck, format_error, parse_estimate_check
from xlift.studies.plan import make_plan
from xlift.studies.record import last_record, make_record, read_record, write_record
from xlift.studies.store import Store
from xlift.studies.study_file import read_study

CHECK = EstimateCheck(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0), "predict": (240.0, 240.0)})


@pytest.mark.parametrize(
    ("estimated", "elapsed", "words"),
    [(88, 100, "12% too low"), (150, 100, "50% too high"), (100.2, 100, "exact"), (5, 0, "500000000000% too high")],
)
def test_error_of_an_estimate(estimated: float, elapsed: float, words: str):
    assert format_error(estimated, elapsed) == words


def test_description_names_kinds_that_took_long_enough():
    start = "9 jobs in 4 min 10 s; the estimate was 3 min 40 s (12% too low"
    assert CHECK.describe() == f"{start}; train 20% too low, predict exact)"
    short = EstimateCheck(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0), "predict": (1.0, 2.0)})
    assert short.describe() == f"{start}; train 20% too low)"
    alone = EstimateCheck(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0)})
    assert alone.describe() == f"{start})"
    assert alone.describe_error() == "the estimate was 3 min 40 s (12% too low)"


def test_record_keeps_the_check(tmp_path: Path):
    path, store = study_file(tmp_path), Store(tmp_path / "s")
    file = read_study(str(path))
    plan = make_plan(file)
    first = replace(make_record(file, plan), check=CHECK)
    write_record(make_record(file, plan, first), store)
    assert read_record(store, "study").check == CHECK
    last = last_record(store, "study")
    assert last
    assert last.check == CHECK
    assert last_record(store, "another") is None
    assert parse_estimate_check(asdict(CHECK)) == CHECK


def test_records_without_a_check_are_read(tmp_path: Path):
    _, store = finished_study(study_file(tmp_path), tmp_path / "s")
    path = store.root / "studies" / "study.json"
    assert '"check": null' in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(',\n "check": null', ""), encoding="utf-8")
    assert read_record(store, "study").check is None


def test_run_estimate_is_compared_with_the_manifests(tmp_path: Path):
    path = study_file(tmp_path)
    jobs = list(plan_of(path).jobs.values())
    plan_estimate = PlanEstimate(plan_of(path), None, 2)
    run_estimate = estimate_run(plan_estimate, jobs)
    _, store = finished_study(path, tmp_path / "s", leave_out=3)
    check = run_estimate.compare(store, 60.0)
    assert (check.jobs, check.workers, check.elapsed_seconds, check.is_measured) == (23, 2, 60.0, False)
    assert check.estimated_seconds == pytest.approx(plan_estimate.total_seconds(jobs), abs=1e-3)
    estimated, elapsed = check.seconds_by_kind["predict"]
    done = [job for job in jobs if job.kind == "predict" and store.has(job.key)]
    assert estimated == pytest.approx(sum(map(plan_estimate.prior_seconds, done)), abs=1e-3)
    assert elapsed == pytest.approx(sum(store.open(job.key).manifest["seconds"] for job in done), abs=1e-3)
