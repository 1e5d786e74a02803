"""`xlift scores`: tables, files and SQL."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.support.command import Xlift
from tests.support.command import xlift as xlift
from tests.support.fakes import finished_study, study_file
from tests.support.pages import blocks, commands

import xlift as xlift_package
from xlift.analysis.example_predictions import ExamplePrediction
from xlift.report.csv_rows import format_cell
from xlift.studies.bundle import export_results

STUDY = """\
models: [model]
seeds: [1, 2]
intermediate: [none, {task: isle-qa, size: 100}]
targets:
  - {task: isle-nli, train: {size: 50}, languages: [qta, qtm], size: 10}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    finished_study(study_file(tmp_path, STUDY), tmp_path / "xlift-store")
    return tmp_path


def test_the_table_has_a_column_for_each_seed(folder: Path, xlift: Xlift):
    answer = xlift("scores", "study.yaml", columns=60)
    lines = [line.split() for line in answer.out.splitlines() if line.strip()]
    assert lines[0][-4:] == ["seed", "1", "seed", "2"]
    assert [line[0] for line in lines[2:-1]] == ["none", "none", "isle-qa", "isle-qa"]
    assert answer.code == 0
    assert "\N{HORIZONTAL ELLIPSIS}" not in answer.out


def test_json_csv_and_parquet_have_the_same_rows(folder: Path, xlift: Xlift):
    rows = json.loads(xlift("scores", "study", "--json").out)
    assert len(rows) == 2 * 2 * 2
    table = list(csv.DictReader(io.StringIO(xlift("scores", "study", "--csv").out)))
    assert [float(row["value"]) for row in table] == [row["value"] for row in rows]
    assert xlift("scores", "--parquet", "out/scores.parquet").err == "Wrote out/scores.parquet: 8 rows\n"
    assert pq.read_table(folder / "out/scores.parquet").to_pylist() == rows


def test_means_are_those_of_the_report(folder: Path, xlift: Xlift):
    report = json.loads(xlift("report", "study", "--json").out)
    rows = json.loads(xlift("scores", "study", "--json", "--means").out)
    for row in report:
        values = [
            each["value"]
            for each in rows
            if all(each[key] == row[key] for key in ("intermediate", "target", "language"))
        ]
        assert sum(values) / 2 == row["value"]


def test_predictions_in_every_format(folder: Path, xlift: Xlift):
    lines = [json.loads(line) for line in xlift("scores", "study", "--predictions", "--json").out.splitlines()]
    assert len(lines) == 8 * 10
    assert list(lines[0]) == list(ExamplePrediction.__dataclass_fields__)
    table = list(csv.DictReader(io.StringIO(xlift("scores", "study", "--predictions", "--csv").out)))
    assert [row["prediction"] for row in table] == [line["prediction"] for line in lines]
    xlift("scores", "study", "--predictions", "--parquet", "p.parquet")
    written = pq.read_table(folder / "p.parquet").to_pylist(maps_as_pydicts="strict")
    assert written == lines


def test_sql_prints_a_table_json_or_csv(folder: Path, xlift: Xlift):
    query = "select target, count(*) as n, 1 / 0 as x, date '2026-01-02' as day from scores group by target"
    assert xlift("scores", "--sql", query).out.split()[-4:] == ["isle-nli", "8", "inf", "2026-01-02"]
    assert json.loads(xlift("scores", "--sql", query, "--json").out) == [
        {"target": "isle-nli", "n": 8, "x": "inf", "day": "2026-01-02"}
    ]
    assert xlift("scores", "--sql", query, "--csv").out == "target,n,x,day\nisle-nli,8,inf,2026-01-02\n"


def test_several_studies_and_bundles(folder: Path, xlift: Xlift):
    _, store = finished_study(study_file(folder, STUDY, "other.yaml"), folder / "other-store")
    export_results(store, "other", folder / "other.zip")
    rows = json.loads(xlift("scores", "study", "other.zip", "--json").out)
    assert {row["study"] for row in rows} == {"study", "other"}
    assert "study" in xlift("scores", "study", "other.zip").out.split()[:2]
    assert "two of them are named 'other'" in xlift("scores", "other.zip", "other.zip").err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["--predictions"], "--predictions needs a format"),
        (["--predictions", "--json", "--sql", "select 1"], "--predictions and --sql exclude each other"),
        (["--means", "--sql", "select 1"], "--means is for scores"),
        (["--sql", "selct"], "DuckDB refuses the query: Parser Error"),
        (["nothing"], "the store has no study 'nothing'"),
        (["--store", "nowhere"], "no store at 'nowhere'"),
        (["--parquet", "study.yaml/x.parquet"], "cannot be written"),
    ],
)
def test_wrong_options_are_refused(folder: Path, xlift: Xlift, options: list[str], message: str):
    answer = xlift("scores", *options)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-x", "'-x"), ("@a", "'@a"), ("\tx", "'\tx"), ("a=b", "a=b"), (-0.5, -0.5), (None, None),
        ({"a": 0.5}, '{"a": 0.5}'), (["é"], '["é"]'),
    ],
)  # fmt: skip
def test_cells_that_look_like_formulas_are_quoted(value, cell):
    assert format_cell(value) == cell


def test_control_characters_do_not_reach_the_terminal(folder: Path, xlift: Xlift):
    answer = xlift("scores", "--sql", "select chr(27) || '[31mred' as a")
    assert "\x1b" not in answer.out
    assert "\\x1b[31mred" in answer.out


def test_commands_and_python_of_the_page_run_as_they_stand(
    folder: Path, xlift: Xlift, capsys: pytest.CaptureFixture[str]
):
    for command in commands("scores"):
        answer = xlift(*shlex.split(command)[1:])
        assert answer.code == 0, f"{command}: {answer.err}"
    variables: dict[str, object] = {}
    for block in blocks("scores", "python"):
        exec(block.text, variables)
    assert "count" in capsys.readouterr().out


def test_csv_of_reports_is_written_in_one_place():
    """`xlift predict` keeps the user's own cells as they are; all other CSV goes through `format_cell`."""
    folder = Path(xlift_package.__file__).parent
    writers = {path.name for path in folder.rglob("*.py") if "csv.writer(" in path.read_text(encoding="utf-8")}
    assert writers == {"csv_rows.py", "output_files.py"}
