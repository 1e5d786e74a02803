"""How far off a plan was."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from tests.support.fakes import finished, plan_of, study_file

from xlift.studies.estimate import Foresight
from xlift.studies.estimate.check import Check, from_json, off, promise
from xlift.studies.plan import make_plan
from xlift.studies.reading import read_study
from xlift.studies.record import last_check, make_record, read_record, write_record
from xlift.studies.store import Store

CHECK = Check(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0), "predict": (240.0, 240.0)})


@pytest.mark.parametrize(
    ("foreseen", "taken", "words"),
    [(88, 100, "12% under"), (150, 100, "50% over"), (100.2, 100, "as foreseen"), (5, 0, "500000000000% over")],
)
def test_a_plan_that_said_too_little_is_under(foreseen: float, taken: float, words: str):
    assert off(foreseen, taken) == words


def test_the_sentence_names_kinds_that_took_long_enough():
    said = "foreseen 4 min, taken 4 min: 12% under"
    assert CHECK.sentence() == f"{said} (train 20% under, predict as foreseen)"
    short = Check(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0), "predict": (1.0, 2.0)})
    assert short.sentence() == f"{said} (train 20% under)"
    alone = Check(9, 2, True, 220.0, 250.0, {"train": (200.0, 250.0)})
    assert alone.sentence() == said


def test_a_check_survives_the_record(tmp_path: Path):
    path, store = study_file(tmp_path), Store(tmp_path / "s")
    file = read_study(str(path))
    write_record(make_record(file, make_plan(file), CHECK), store)
    assert read_record(store, "study").check == CHECK
    assert last_check(store, "study") == CHECK
    assert last_check(store, "another") is None
    assert from_json(asdict(CHECK)) == CHECK


def test_records_from_before_there_were_checks_are_read(tmp_path: Path):
    _, store = finished(study_file(tmp_path), tmp_path / "s")
    path = store.root / "studies" / "study.json"
    assert '"check": null' in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(',\n "check": null', ""), encoding="utf-8")
    assert read_record(store, "study").check is None


def test_a_promise_is_held_to_the_manifests(tmp_path: Path):
    path = study_file(tmp_path)
    todo = list(plan_of(path).jobs.values())
    foresight = Foresight(plan_of(path), None, 2)
    promised = promise(foresight, todo)
    _, store = finished(path, tmp_path / "s", leave_out=3)
    check = promised.check(store, 60.0)
    assert (check.jobs, check.workers, check.taken, check.measured) == (23, 2, 60.0, False)
    assert check.foreseen == pytest.approx(foresight.total(todo), abs=1e-3)
    foreseen, taken = check.kinds["predict"]
    done = [job for job in todo if job.kind == "predict" and store.has(job.key)]
    assert foreseen == pytest.approx(sum(map(foresight.foreseen, done)), abs=1e-3)
    assert taken == pytest.approx(sum(store.open(job.key).manifest["seconds"] for job in done), abs=1e-3)
