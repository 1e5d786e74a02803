"""Known faults of a task's data in a study: in the plan, the record and the report, and `known_faults: keep`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.fakes import finished_study, plan_of, study_file

from xlift.errors import UserError
from xlift.report.latex import to_latex
from xlift.report.page import render_page
from xlift.report.study import make_report
from xlift.report.tables import to_markdown
from xlift.report.terminal_tables import TerminalTable
from xlift.studies.record import read_record

STUDY = """\
models: [model]
data: data
targets:
  - {task: xcopa, train: {task: copa}, languages: [et, it, sw]}
"""
KEEP = STUDY + "known_faults: keep\n"
CORRECTED = (
    "xcopa test: the question (cause or effect) is wrong in 11 rows of it, 11 rows of sw; they are corrected from the rows of "
    "English COPA with the same `idx` (https://github.com/allenai/natural-instructions/pull/564)."
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"premise": f"{n}.", "choice1": "a", "choice2": "b", "question": "effect", "label": n % 2, "idx": n}
        for n in range(20)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("COPA/train", *(f"xcopa/{code}/test.{code}" for code in ("et", "it", "sw"))):
        path = tmp_path / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def faults_of(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if "question" in warning]


def test_the_plan_says_which_rows_are_corrected(folder: Path):
    plan = plan_of(study_file(folder, STUDY))
    assert faults_of(plan.warnings) == [CORRECTED]
    assert plan.faults == {"xcopa": (CORRECTED,)}


def test_the_reading_as_published_is_another_job_only_where_a_language_has_the_fault(folder: Path):
    corrected, kept = plan_of(study_file(folder, STUDY)), plan_of(study_file(folder, KEEP))
    (sentence,) = faults_of(kept.warnings)
    assert "they are kept as published, since the study has `known_faults: keep`" in sentence

    def keys(plan, language):
        return {job.key for job in plan.jobs.values() if job.kind == "predict" and job.spec.data.language == language}

    assert keys(corrected, "et") == keys(kept, "et")
    assert keys(corrected, "sw").isdisjoint(keys(kept, "sw"))


def test_another_value_is_refused(folder: Path):
    with pytest.raises(UserError, match="'correct' or 'keep'"):
        plan_of(study_file(folder, STUDY + "known_faults: no\n"))


def test_the_report_names_the_rows_without_the_data(folder: Path):
    _, store = finished_study(study_file(folder, STUDY), folder / "store")
    for path in (folder / "data").rglob("*.jsonl"):
        path.unlink()
    report = make_report(read_record(store, "study"), store)
    assert report.info.notes == [f"Known fault of {CORRECTED}"]
    out = StringIO()
    Console(file=out, width=2000).print(TerminalTable(report.rows, notes=report.info.notes))
    tables = (
        out.getvalue(),
        to_markdown(report.rows, notes=report.info.notes),
        render_page(report.rows, report.info).replace("<code>", "`").replace("</code>", "`"),
    )
    assert all(f"Known fault of {CORRECTED}" in text for text in tables)
    assert r"Known fault of xcopa test: the question (cause or effect) is wrong in 11 rows of it" in to_latex(
        report.rows, notes=report.info.notes
    )
