"""`xlift report A B`: several studies in one table, each with the numbers of its own report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.command import xlift as xlift
from tests.support.fakes import finished_study, study_file

from xlift.report.footer import SEVERAL_STUDIES
from xlift.report.study import make_report
from xlift.report.tables import make_overview_tables
from xlift.studies.bundle import export_results
from xlift.studies.record import read_record

STUDY = """\
models: [model]
seeds: [1, 2]
intermediate: [none, {task: isle-qa, size: 100}]
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtm], size: 10}
"""
OTHER = STUDY.replace("isle-qa, size: 100", "isle-pos, size: 60").replace("size: 10}", "size: 12}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    finished_study(study_file(tmp_path, STUDY, "one.yaml"), tmp_path / "xlift-store")
    _, store = finished_study(study_file(tmp_path, OTHER, "two.yaml"), tmp_path / "other-store")
    export_results(store, "two", tmp_path / "two.zip")
    return tmp_path


def test_json_and_csv_have_the_rows_of_both_reports(folder: Path, xlift: Xlift):
    rows = [json.loads(xlift("report", *names, "--json").out) for names in (["one"], ["two.zip"], ["one", "two.zip"])]
    assert rows[2] == rows[0] + rows[1]
    lines = [xlift("report", *names, "--csv").out.splitlines() for names in (["one"], ["two.zip"], ["one", "two.zip"])]
    assert lines[2] == lines[0] + lines[1][1:]


def test_the_table_names_the_study_of_each_row_and_says_what_is_compared(folder: Path, xlift: Xlift):
    answer = xlift("report", "one", "two.zip", "--markdown")
    table = answer.out.split("\n\n")[1].splitlines()
    names = [[cell.strip() for cell in line.strip("|").split("|")][:2] for line in table[2:]]
    guesses = [[study, guess] for guess in ("(chance)", "(majority)") for study in ("one", "two")]
    assert names == [["one", "none"], ["one", "isle-qa"], ["two", "none"], ["two", "isle-pos"], *guesses]
    assert SEVERAL_STUDIES in answer.out
    assert "one: " in answer.out
    assert "10 test examples" in answer.out
    assert "12 test examples" in answer.out


def test_one_study_has_no_column_for_it(folder: Path, xlift: Xlift):
    assert "study" not in xlift("report", "one", "--markdown").out.splitlines()[0]
    assert SEVERAL_STUDIES not in xlift("report", "one", "--markdown").out


def test_a_target_that_only_one_study_scores_zero_shot_is_in_that_study_only(tmp_path: Path):
    rows = []
    for name, languages in (("one", "[qta]"), ("two", "[qta, qtm]")):
        study = study_file(tmp_path, STUDY.replace("[qta, qtm]", languages), f"{name}.yaml")
        _, store = finished_study(study, tmp_path / name)
        rows += make_report(read_record(store, name), store).rows
    table = next(table for table in make_overview_tables(rows) if "zero-shot" in table.title)
    assert {row.study for line in table.cells for row in line if row} == {"two"}


@pytest.mark.parametrize(
    "options", [["--html", "p.html"], ["--paper", "p.md"], ["--noise"], ["--classes"], ["--claims", "x"]]
)
def test_options_of_one_study_are_refused(folder: Path, xlift: Xlift, options: list[str]):
    answer = xlift("report", "one", "two.zip", *options)
    assert answer.code == 2
    assert f"{options[0]} is for one study" in answer.err
    assert not (folder / "p.html").exists()


def test_two_studies_of_one_name_are_refused(folder: Path, xlift: Xlift):
    answer = xlift("report", "two.zip", "two.zip")
    assert answer.code == 2
    assert "two of them are named 'two'" in answer.err
