"""`xlift score` and `xlift submit` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.suites.test_score_folder import languages, one_file, squad, squad_file, write_folders
from tests.suites.test_submission import XCOPA, cell, fill
from tests.support.command import Xlift

from xlift.studies.store import Store
from xlift.suites import definitions


@pytest.mark.parametrize("suite", definitions.SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("options", [(), ("--official",), ("--both", "--languages")], ids=" ".join)
def test_table_fits_80_columns_and_has_every_task(
    xlift: Xlift, suite: definitions.Suite, options: tuple[str], tmp_path: Path
):
    folders = write_folders(tmp_path, suite, 1)
    answer = xlift("score", *folders, "--suite", suite.name, *options)
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    for name in (*languages(suite), *suite.groups, "total"):
        assert any(line.startswith(name) for line in answer.out.splitlines()), name
    assert ("repaired" in answer.out) == ("--official" not in options)


def test_a_narrow_terminal_says_what_it_hides_and_keeps_a_language_with_its_score(xlift: Xlift, tmp_path: Path):
    folders = write_folders(tmp_path, definitions.XTREME, 1)
    answer = xlift("score", *folders, "--suite", "xtreme", "--languages", columns=60)
    assert max(map(len, answer.out.splitlines())) <= 60
    assert "languages" not in answer.out.splitlines()[1]
    assert "Hidden, since this terminal is narrow: languages. `xlift score --json` has it." in " ".join(
        answer.out.split()
    )
    scores = [line for line in answer.out.splitlines() if line.startswith("  ")]
    assert scores
    assert all(len(line.split()) % 2 == 0 for line in scores)  # codes and scores in pairs
    assert "Hidden" not in xlift("score", *folders, "--suite", "xtreme").out


def test_json_output_is_the_report(xlift: Xlift, tmp_path: Path):
    folders = write_folders(tmp_path, definitions.XTREME, 2)
    answer = xlift("score", *folders, "--suite", "xtreme", "--json")
    report = json.loads(answer.out)
    assert list(report) == ["all_task", *definitions.XTREME.groups, *languages(definitions.XTREME), "xlift"]
    assert "repaired" in report["xlift"]
    official = json.loads(xlift("score", *folders, "--suite", "xtreme", "--json", "--official").out)
    assert "repaired" not in official["xlift"]
    assert official | {"xlift": 0} == report | {"xlift": 0}


def test_warnings_go_to_stderr(xlift: Xlift, tmp_path: Path):
    folders = one_file(
        tmp_path, "xquad", "en", squad_file(squad("Rom", name="q1"), squad("Po", name="q2")), '{"q1": "Rom"}'
    )
    answer = xlift("score", *folders, "--suite", "xtreme", "--partial", "--json")
    assert answer.code == 0
    assert "xlift: warning: " in answer.err
    assert "1 id of 2 without a prediction, scored 0: q2" in answer.err
    assert json.loads(answer.out)["xquad"]["f1"] == {"en": 50}


def test_missing_or_damaged_files_exit_with_2(xlift: Xlift, tmp_path: Path):
    folders = one_file(tmp_path, "xnli", "en", "a\n", "a\nb\n")
    answer = xlift("score", *folders, "--suite", "xtreme")
    assert (answer.code, answer.out) == (2, "")
    assert "no labels of xnli in ar bg de" in answer.err
    answer = xlift("score", *folders, "--suite", "xtreme", "--partial")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"xlift: {folders[0]}/xnli/test-en.tsv: 2 lines")
    assert xlift("score", *folders, "--suite", "xtreme-s").code == 2
    assert xlift("score", tmp_path / "gone", folders[1], "--suite", "xtreme").code == 2


def test_submission_can_be_scored(xlift: Xlift, tmp_path: Path):
    fill(Store(tmp_path / "store"), [cell(language=code) for code in XCOPA.languages])
    call = ("submit", "study", "--suite", "xtreme-r", "--store", "store", "--out", "out")
    answer = xlift(*call)
    assert (answer.code, answer.out) == (2, "")
    assert "the study has no predictions of xnli, panx" in answer.err
    answer = xlift(*call, "--partial", "--seed", 1, "--model", "isles")
    assert answer.out == "Wrote 11 files of 1 task to out\n"
    assert answer.err.count("not in the folder") == 8
    assert xlift(*call, "--partial").code == 2  # the folder is in use now
    for path in (tmp_path / "out").rglob("*.jsonl"):
        labels = tmp_path / "labels" / path.relative_to(tmp_path / "out")
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text('{"label": 1}\n{"label": 1}\n' * 250)
    report = json.loads(xlift("score", "out", "labels", "--suite", "xtreme-r", "--json").out)
    assert report["multi_choice"] == report["xcopa"]["avg_metric"] == 50
