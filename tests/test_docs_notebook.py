"""docs/notebooks/figure.ipynb runs as it stands, and its figure has the numbers of `xlift report`, to the last digit."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import Xlift
from tests.support.command import xlift as xlift
from tests.support.pages import ROOT

import xlift as package

NOTEBOOK = ROOT / "docs" / "notebooks" / "figure.ipynb"
BUNDLE = ROOT / "docs" / "studies" / "quickstart.zip"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(cells: list[str]) -> tuple[dict[str, Any], list[Any]]:
    """The variables after all cells, and the value of the last line of each, as a notebook shows it."""
    variables: dict[str, Any] = {}
    shown = []
    for cell in cells:
        tree = ast.parse(cell)
        last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
        exec(compile(tree, "cell", "exec"), variables)
        shown.append(eval(compile(last, "cell", "eval"), variables) if last else None)
    return variables, shown


def test_the_notebook_has_no_outputs_and_names_no_machine():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook["cells"])
    sources = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    assert not re.search(r"(?<![\w.:/])/\w+/", sources), "an absolute path"
    assert all(ast.parse(cell) for cell in code_cells())


@pytest.mark.slow
def test_the_notebook_the_report_sql_and_a_merged_store_have_the_same_numbers(
    xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    report = {
        row["intermediate"]: (row["lift"], row["lift_low"], row["lift_high"], row["value"])
        for row in json.loads(xlift("report", BUNDLE, "--json").out)
        if (row["target"], row["language"], row["control"]) == ("other-tasks", "zero-shot", "")
    }
    monkeypatch.chdir(NOTEBOOK.parent)
    variables, shown = run(code_cells())
    table, by_seed, chart, sql = shown[1:]
    rows = {name: lift for name, *lift in table.to_numpy().tolist()}
    assert rows == {name: list(values[:3]) for name, values in report.items() if name != "none"}
    assert sql.to_numpy().tolist() == table.to_numpy().tolist()
    assert dict(by_seed.mean()) == pytest.approx({name: lift for name, (lift, *_) in rows.items()}, abs=1e-15)
    scores = variables["scores"].query("control == ''")
    for name, values in scores.groupby("intermediate").value:
        assert sum(values) / len(values) == report[name][3]
    drawn = json.dumps(chart.to_dict())
    assert all(name in drawn for name in rows)

    assert xlift("store", "merge", BUNDLE, "--store", tmp_path / "store").code == 0
    merged = package.load(tmp_path / "store")
    assert merged.lifts().equals(variables["lifts"])
