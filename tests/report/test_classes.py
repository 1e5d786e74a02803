"""Tables of labels: on the page, in the terminal and in files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.report import synthetic
from tests.support.command import Xlift
from tests.support.fakes import STUDY, finished_study, study_file

from xlift.analysis.class_scores import ClassRow
from xlift.report.classes import TerminalClassTables, for_page, make_class_tables, to_csv, to_latex, to_markdown
from xlift.report.page import PageInfo, render_page


def rows(labels: list[str], languages: list[str], trained: str = "en") -> list[ClassRow]:
    found = []
    for name in ("none", "nli"):
        place = {"study": "s", "model": "m", "intermediate": name, "intermediate_language": "", "size": "", "seeds": 2, "target": "topics", "train_language": trained}  # fmt: skip
        for language in languages:
            found.append(ClassRow(**place, language=language, label="", n=90, precision=0.5, recall=0.4, f1=0.45, accuracy=0.6, calibration_error=0.081))  # fmt: skip
            for at, label in enumerate(labels):
                other = labels[at - 1]
                found.append(ClassRow(**place, language=language, label=label, n=30, precision=0.5, recall=0.75, f1=0.6, predicted={label: 45, other: 15}))  # fmt: skip
    return found


def test_a_table_for_each_pipeline_and_group_of_languages_and_one_of_all_languages():
    (made,) = make_class_tables(rows(["a", "b"], ["zero-shot", "all", "en", "de", "sw"]))
    titles = ["none, zero-shot languages", "none, en", "nli, zero-shot languages", "nli, en", "all labels together"]
    assert [table.title for table in made.tables] == titles
    first, last = made.tables[0], made.tables[-1]
    assert first.head == ["label", "n", "precision", "recall", "F1", "as a", "as b"]
    assert first.lines == [["a", "30", "50.0", "75.0", "60.0", "75.0", "25.0"], ["b", "30", "50.0", "75.0", "60.0", "25.0", "75.0"]]  # fmt: skip
    assert last.head[1:3] == ["accuracy, none", "accuracy, nli"]
    assert last.lines[-1] == ["sw", "60.0", "60.0", "45.0", "45.0", "8.1", "8.1"]


def test_many_labels_have_the_most_frequent_confusion_in_place_of_the_matrix():
    (made,) = make_class_tables(rows([f"intent {n}" for n in range(60)], ["all", "de", "sw"], trained=""))
    assert made.tables[0].head[-1] == "mostly taken for"
    assert made.tables[0].lines[1][-1] == "intent 0 25.0"


def test_the_section_of_a_page_is_small():
    languages = ["zero-shot", "all", "en", *(f"l{n}" for n in range(11))]
    sizes = []
    for shown in ({}, for_page(rows([f"topic number {n}" for n in range(7)], languages))):
        sizes.append(len(render_page(synthetic.rows(), PageInfo("s", "t", "q", "m", classes=shown)).encode()))
    assert 5_000 < sizes[1] - sizes[0] < 30_000


def test_hostile_labels_do_nothing_on_the_page():
    label = "<script>alert(1)</script>"
    page = render_page(
        [], PageInfo("s", "t", "q", "m", classes=for_page(rows([label, "b|`*"], ["all", "de", "sw"], "")))
    )
    assert label not in page
    assert "as &lt;script&gt;" in page
    assert "b\\|\\`\\*" in to_markdown(rows(["a", "b|`*"], ["all"], ""))
    assert r"b\_c" in to_latex(rows(["a", "b_c"], ["all"], ""))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_longer_than_the_terminal(width):
    out = io.StringIO()
    Console(file=out, width=width).print(
        TerminalClassTables(rows(["entailment", "neutral", "contradiction"], ["zero-shot", "en", "de"]))
    )
    assert max(map(len, out.getvalue().splitlines())) <= width
    assert width < 80 or "contradiction" in out.getvalue()


def test_csv_has_the_confusions_as_json():
    (row, *_) = (each for each in csv.DictReader(io.StringIO(to_csv(rows(["a", "b"], ["de"])))) if each["label"] == "a")
    assert json.loads(row["predicted"]) == {"a": 45, "b": 15}
    assert list(row) == list(ClassRow.__dataclass_fields__)


def test_the_command_prints_them_in_every_format(xlift: Xlift, tmp_path: Path):
    finished_study(study_file(tmp_path, STUDY), tmp_path / "store")
    command = ("report", "study", "--store", tmp_path / "store", "--classes")
    found = json.loads(xlift(*command, "--json").out)
    assert list(found[0]) == list(ClassRow.__dataclass_fields__)
    assert {row["intermediate"] for row in found} == {"none", "isle-qa"}
    assert "as entailment" in xlift(*command, "--markdown").out
    assert "calibration error" in xlift(*command).out
    assert xlift(*command, "--noise").code == 2
    text = STUDY.replace("isle-nli, train: {size: 50}, size: 20", "isle-retrieval, size: 20, split: dev")
    finished_study(study_file(tmp_path, text, "other.yaml"), tmp_path / "other")
    answer = xlift("report", "other", "--store", tmp_path / "other", "--classes")
    assert answer.code == 2
    assert "the study has no scores of labels or choices" in answer.err
