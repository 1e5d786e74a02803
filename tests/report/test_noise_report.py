"""The report of a study with noise, and `xlift report --noise`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.report.page import render_page
from xlift.report.study import Report, make_report
from xlift.studies.record import read_record

NOISE = "noise: [{kind: typos, level: 0.05}, {kind: typos, level: 0.2}, {kind: case}]"
NOISY = STUDY.replace("size: 20}", f"size: 20, {NOISE}}}")


def report(folder: Path, text: str) -> Report:
    _, store = finished_study(study_file(folder, text), folder / "store")
    return make_report(read_record(store, "study"), store)


def test_every_noise_has_rows_for_the_same_languages(tmp_path: Path):
    made = report(tmp_path, NOISY)
    found = {(row.noise, row.intermediate, row.language) for row in made.noise_rows}
    languages = {noise: {language for other, _, language in found if other == noise} for noise, _, _ in found}
    assert list(dict.fromkeys(row.noise for row in made.noise_rows)) == ["typos 5%", "typos 20%", "case 10%"]
    assert len(languages["typos 5%"]) == len(languages["typos 20%"]) == 11
    assert languages["case 10%"] == languages["typos 5%"] - {"qeo", "qen"}  # scripts without capitals
    assert {row.intermediate for row in made.noise_rows} == {"none", "isle-qa"}


def test_lift_table_uses_clean_texts(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clean, noisy = report(tmp_path / "a", STUDY), report(tmp_path / "b", NOISY)
    assert noisy.rows == clean.rows
    assert clean.noise_rows == []


def test_page_and_method_mention_noise(tmp_path: Path):
    made = report(tmp_path, NOISY)
    assert "also scored with noise in their texts: typos 5%, typos 20% and case 10%." in made.info.method
    assert "Effect of noise" in render_page(made.rows, made.info)


@pytest.mark.parametrize("format", ["--json", "--csv", "--latex", "--markdown", ""])
def test_command_prints_only_noise_with_the_option(xlift: Xlift, tmp_path: Path, format: str):
    finished_study(study_file(tmp_path, NOISY), tmp_path / "store")
    out = xlift("report", "study", "--store", tmp_path / "store", "--noise", *filter(None, [format])).out
    assert "typos" in out
    if format == "--json":
        assert {"kept", "kept_low", "worst_language", "spread"} <= set(json.loads(out)[0])


@pytest.mark.parametrize("format", ["--latex", "--markdown", ""])
def test_command_prints_noise_below_lifts(xlift: Xlift, tmp_path: Path, format: str):
    finished_study(study_file(tmp_path, NOISY), tmp_path / "store")
    out = xlift("report", "study", "--store", tmp_path / "store", *filter(None, [format])).out
    lifts = xlift("report", "study", "--store", tmp_path / "store", "--csv").out
    assert "spread" in out
    assert "intermediate" in out.split("spread")[0]
    assert "typos" not in lifts


def test_command_without_noise_is_an_error(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, STUDY), tmp_path / "store")
    answer = xlift("report", "study", "--store", tmp_path / "store", "--noise")
    assert answer.code == 2
    assert "no scores with noise" in answer.err
