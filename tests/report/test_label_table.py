"""What `xlift plan` prints about the files of a custom task, in wide and narrow terminals and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.support.command import Xlift
from tests.support.fakes import custom_task_study, study_file

from xlift.report.data_summary import MAX_LABELS, print_summary, summary_as_json
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.sources.data_summary import Oddity, SplitSummary, TaskSummary
from xlift.tasks.sources.generated import GeneratedSource
from xlift.tasks.sources.readers.base import Row
from xlift.tasks.task import Task


def summary(splits: Mapping[str, Mapping[str, int]], labels: tuple[str, ...], *odd: Oddity) -> TaskSummary:
    """'train en' -> label -> count."""
    task = Task("own", "own", "classification", (), GeneratedSource("nli"), labels=labels)
    filled = []
    for name, counts in splits.items():
        split, language = name.split()
        each = SplitSummary(task, language, split)
        examples = [label for label, count in counts.items() for _ in range(count)]
        rows = (
            Row(Path("x"), str(n), ClassificationExample(str(n), str(n), None, label))
            for n, label in enumerate(examples)
        )
        assert sum(1 for _ in each.watch(rows)) == len(examples)
        filled.append(each)
    return TaskSummary(task, tuple(filled), odd)


def printed(made: TaskSummary, width: int = 80) -> list[str]:
    out = io.StringIO()
    print_summary(made, Console(file=out, width=width))
    lines = out.getvalue().split("\n")
    assert all(cell_len(line) <= width for line in lines)
    return [line.rstrip() for line in lines]


SMALL = {"train en": {"billing": 3, "delivery": 2}, "test de": {"billing": 1}}


def test_a_row_for_each_label_and_a_column_for_each_split_and_language():
    assert printed(summary(SMALL, ("billing", "delivery", "other"))) == [
        "own (classification)",
        "          train en  test de",
        "examples         5        1",
        "billing          3        1",
        "delivery         2        0",
        "other            0        0",  # declared
        "",
        "",
    ]


def test_what_is_odd_stands_below_with_its_place():
    lines = printed(summary(SMALL, ("billing", "delivery"), Oddity("train.en.csv:7", "a text is empty")))
    assert lines[-3:] == ["! train.en.csv:7: a text is empty", "", ""]


def test_a_narrow_terminal_has_the_columns_in_several_parts():
    made = summary({f"test {code}": {"a long name of a label, indeed": 2, "b": 1} for code in ("de", "fr", "it", "es", "zh-Hant")}, ("b", "a long name of a label, indeed"))  # fmt: skip
    lines = printed(made, width=40)
    assert lines[1].split() == ["test", "de", "test", "fr", "test", "it"]
    assert lines[5].split() == ["test", "es", "test", "zh-Hant"]
    assert lines[4].startswith("a long name …")
    assert len(lines) == 1 + 2 * 4 + 2


@pytest.mark.parametrize("width", [20, 40, 60, 100])
def test_every_width_has_every_count(width: int):
    splits = {
        f"test {code}": {"配送状態": 1000 + n, "billing": 2000 + n} for n, code in enumerate(("de", "fr", "it", "es"))
    }
    text = " ".join(printed(summary(splits, ("配送状態", "billing")), width))
    for n in range(4):
        assert f"1,00{n}" in text
        assert f"2,00{n}" in text


def test_of_many_labels_the_most_frequent_and_the_rarest_are_shown():
    labels = tuple(f"l{n:02}" for n in range(MAX_LABELS + 5))
    made = summary({"train en": {label: 100 - n for n, label in enumerate(labels)}}, labels)
    rows = [line.split() for line in printed(made)[3:-2]]
    assert [row[0] for row in rows] == [*labels[:10], "(10", *labels[-5:]]
    assert rows[10] == ["(10", "more", "labels)", str(sum(100 - n for n in range(10, 20)))]
    assert len(summary_as_json(made)["splits"][0]["labels"]) == len(labels)


def test_numbers_have_their_range():
    task = Task("own", "own", "regression", (), GeneratedSource("nli"))
    split = SplitSummary(task, "en", "train")
    rows = (Row(Path("x"), str(n), RegressionExample(str(n), str(n), None, n / 2)) for n in range(5))
    assert sum(1 for _ in split.watch(rows)) == 5
    made = TaskSummary(task, (split,), ())
    assert [line.split() for line in printed(made)[2:-2]] == [
        ["examples", "5"],
        ["min", "0"],
        ["mean", "1"],
        ["max", "2"],
    ]
    assert summary_as_json(made)["splits"][0]["numbers"] == {"min": 0, "mean": 1, "max": 2}


def test_labels_cannot_break_the_terminal():
    lines = printed(summary({"train en": {"[red]a\x1b[2J\u202e": 1}}, ("[red]a\x1b[2J\u202e",)))
    assert lines[3].startswith("[red]a\\x1b[2J\\u202e")


def test_the_commands_print_it(xlift: Xlift, tmp_path: Path):
    study_file(tmp_path, custom_task_study(tmp_path))
    (tmp_path / "test.de.csv").write_text("text,label\nhallo,billing\n,other\n", encoding="utf-8")
    answer = xlift("plan", "study.yaml", columns=60)
    assert answer.out.startswith("tickets (classification)\n")
    assert "! test.de.csv:3: a text is empty" in answer.out
    (task,) = json.loads(xlift("plan", "study.yaml", "--json").out)["tasks"]
    assert [(each["split"], each["language"], each["examples"], each["labels"]) for each in task["splits"]] == [
        ("train", "en", 6, {"billing": 3, "other": 3}),
        ("test", "de", 2, {"billing": 1, "other": 1}),
        ("test", "cv", 6, {"billing": 3, "other": 3}),
    ]
    assert task["odd"] == [{"where": "test.de.csv:3", "what": "a text is empty"}]


def test_the_run_warns_of_what_is_odd(xlift: Xlift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from xlift.execution import scheduler

    def stop(*_: object) -> None:
        raise scheduler.Stopped(2)

    monkeypatch.setattr(scheduler, "run_plan", stop)
    study_file(tmp_path, custom_task_study(tmp_path))
    (tmp_path / "test.de.csv").write_text("text,label\nhallo,billing\n,other\n", encoding="utf-8")
    assert "xlift: warning: test.de.csv:3: a text is empty\n" in xlift("run", "study.yaml", "--quiet").err
