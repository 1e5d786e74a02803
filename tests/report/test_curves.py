"""`xlift curves`: from a store and from a bundle, selected by pipeline, as plots, a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.support.fakes import finished_study, study_file
from typer.testing import CliRunner

from xlift.analysis.curves import StageCurves
from xlift.cli import app
from xlift.errors import UserError
from xlift.report.curves import plot, print_curves, sparkline, to_csv
from xlift.studies.bundle import export_results
from xlift.studies.job import Job

LOSSES = [(5, 1.5), (10, 0.75), (20, 0.25)]
SCORES = [(10, 0.5), (20, 0.625)]
TEXT = """\
models: [model]
seeds: [1, 2]
intermediate:
  - none
  - {task: isle-qa, size: 100}
targets:
  - {task: isle-nli, train: {size: 50}, size: 20}
"""


def numbers(job: Job) -> dict[str, Any]:
    if job.kind != "train":
        return {}
    is_target = "isle-nli" in job.label
    return {
        "steps": 20,
        "loss": 0.25,
        "loss_curve": LOSSES,
        "dev_score": 0.625,
        "dev_curve": SCORES if is_target else None,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curves")
    finished_study(study_file(folder, TEXT), folder / "store", numbers=numbers)
    return folder / "store"


def curves(store: Path, *words: str, columns: int = 80) -> str:
    study = [] if store.suffix == ".zip" else ["--store", str(store)]
    name = str(store) if store.suffix == ".zip" else "study"
    result = CliRunner().invoke(app, ["curves", name, *study, *words], env={"COLUMNS": str(columns)})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


ONE = ("--target", "isle-nli", "--intermediate", "isle-qa", "--seed", "1")


def test_one_pipeline_has_a_plot_of_each_stage(store: Path) -> None:
    text = curves(store, *ONE, columns=100)
    first, second = text.index("isle-qa/qta/100: 20 steps"), text.index("isle-nli/qta/50: 20 steps")
    assert 0 <= first < second
    assert "model model, intermediate isle-qa, from qta, size 100, seed 1" in text[first:second]
    assert "dev score (%) at step 20: 62.5" in text[first:second]
    lines = text[second:].splitlines()
    assert "target isle-nli, train language qta" in lines[1]
    assert lines[2] == "training loss"
    assert lines[3].startswith("1.500 ┤")
    assert lines[10].startswith("0.250 ┤")
    assert lines[10].endswith("•")
    assert lines[12].startswith("       0 ")
    assert lines[12].endswith("step 20")
    assert lines[14].startswith("62.5 ┤")
    assert all(len(line) <= 60 for line in lines[2:13])


def test_a_bundle_has_the_same_curves_as_its_store(store: Path, tmp_path: Path) -> None:
    from xlift.studies.store import Store

    assert export_results(Store(store), "study", tmp_path / "study.zip") == []
    assert "training.json" not in " ".join(zipfile.ZipFile(tmp_path / "study.zip").namelist())
    assert curves(tmp_path / "study.zip", *ONE, "--json") == curves(store, *ONE, "--json")


def test_json_and_csv_have_every_step_of_every_stage(store: Path) -> None:
    read = json.loads(curves(store, *ONE, "--json"))
    assert [stage["stage"] for stage in read] == ["isle-qa/qta/100", "isle-nli/qta/50"]
    assert [stage["target"] for stage in read] == ["", "isle-nli"]
    assert read[1]["losses"] == [{"step": step, "loss": loss} for step, loss in LOSSES]
    assert read[1]["dev_scores"] == [{"step": step, "dev_score": score} for step, score in SCORES]
    assert read[0]["dev_scores"] == [{"step": 20, "dev_score": 0.625}]
    rows = list(csv.DictReader(io.StringIO(curves(store, *ONE, "--csv"))))
    target = [(row["step"], row["loss"], row["dev_score"]) for row in rows if row["target"]]
    assert target == [("5", "1.5", ""), ("10", "0.75", "0.5"), ("20", "0.25", "0.625")]


@pytest.mark.parametrize("columns", [120, 60, 40])
def test_many_stages_are_one_table_and_no_word_is_broken(store: Path, columns: int) -> None:
    text = curves(store, columns=columns)
    assert text.count("isle-nli/qta/50") == 4  # two pipelines, two seeds
    assert text.count("isle-qa/qta/100") == 2  # the stage is shown once for each seed
    assert text.count("1.500 █▄▁ 0.250") == 6
    assert text.count("50.0 ▁█ 62.5") == 4
    assert max(map(len, text.splitlines())) <= columns


def test_names_that_a_spreadsheet_would_run_are_quoted() -> None:
    text = to_csv([StageCurves({"model": "=1+1"}, "@task", "0", 20, 1, None, LOSSES, ())])  # pyright: ignore[reportArgumentType]
    rows = list(csv.reader(io.StringIO(text)))
    assert [row[:2] for row in rows[1:]] == [["'=1+1", "'@task"]] * 3


def test_a_stage_without_kept_losses_says_so() -> None:
    out = io.StringIO()
    print_curves([StageCurves({"model": "m"}, "isle-qa", "0", 20, 1, None, (), ())], Console(file=out))
    assert "Stages without a training loss" in out.getvalue()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", "3"), "no pipeline of 'study' has --seed '3'\n  Values: 1, 2."),
        (
            ("--intermediate", "isle-q"),
            "no pipeline of 'study' has --intermediate 'isle-q'\n  did you mean 'isle-qa'? Values: none, isle-qa.",
        ),
        (("--json", "--csv"), "--json and --csv exclude each other"),
    ],
)
def test_a_wrong_choice_is_an_error(store: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        curves(store, *words)
    assert message in str(error.value)


def test_a_study_without_finished_stages_is_an_error(tmp_path: Path) -> None:
    finished_study(study_file(tmp_path, TEXT), tmp_path / "store", leave_out=10**6)
    with pytest.raises(UserError, match="no training stage of these pipelines"):
        curves(tmp_path / "store")


def test_a_flat_curve_and_a_single_step_can_be_drawn() -> None:
    assert sparkline([(1, 0.5), (2, 0.5)]) == "▁▁"
    lines = plot([(1, 0.5), (2, 0.5)], 30, 1)
    assert lines[0].startswith("0.5 ┤")
    assert "•" in lines[0]
