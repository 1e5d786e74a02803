"""`xlift contamination`, and the check after `xlift run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.analysis.test_contamination import SENTENCES, two_tasks
from tests.support.fakes import study_file
from typer.testing import CliRunner

from xlift import cli
from xlift.analysis import contamination
from xlift.analysis.contamination_report import read_contamination_report
from xlift.cli.contamination import compare_after_run
from xlift.errors import UserError
from xlift.studies.plan import Plan
from xlift.studies.store import Store


def xlift(*words: object) -> str:
    """The output of the command at 80 columns."""
    answer = CliRunner().invoke(cli.app, list(map(str, words)), env={"COLUMNS": "80"})
    if answer.exception:
        raise answer.exception
    return answer.output


def test_command_prints_and_saves_the_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_tasks(tmp_path, SENTENCES[:2], SENTENCES)
    words = ("contamination", tmp_path / "study.yaml", "--store", tmp_path / "store")
    output = xlift(*words)
    assert "1 pair of sets shares texts (first en train and second en test)." in output.replace("\n", " ")
    assert "2 (40.0%)" in output
    assert f"0 equals training text 0: {SENTENCES[0]}" in output.replace("\n", " ")
    assert max(map(len, output.splitlines())) <= 80
    monkeypatch.setattr(contamination, "check_contamination", lambda plan: pytest.fail("compared again"))
    assert xlift(*words) == output


def test_json_has_the_finding_and_the_rule(tmp_path: Path) -> None:
    two_tasks(tmp_path, SENTENCES[:2], SENTENCES)
    found = json.loads(xlift("contamination", tmp_path / "study.yaml", "--store", tmp_path / "store", "--json"))
    (finding,) = found["findings"]
    assert finding["trained"] == {"task": "first", "language": "en", "split": "train"}
    assert (finding["num_examples"], finding["num_exact"], finding["num_all_exact"], finding["num_near"]) == (
        5,
        2,
        2,
        0,
    )
    assert "70% of the 8-grams" in found["rule"]


def test_study_without_targets_is_an_error(tmp_path: Path) -> None:
    study = study_file(
        tmp_path, "models: [{name: made, pretrain: {text: [{task: isle-text, language: qta, size: 100}]}}]\n"
    )
    with pytest.raises(UserError, match="scores nothing"):
        xlift("contamination", study, "--store", tmp_path / "store")


@pytest.fixture
def contaminated_study(tmp_path: Path) -> tuple[Plan, Store]:
    return two_tasks(tmp_path, SENTENCES[:2], SENTENCES), Store(tmp_path / "store")


def test_run_checks_for_contamination_and_warns(
    contaminated_study: tuple[Plan, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    compare_after_run(*contaminated_study)
    assert (
        "1 pair of sets shares texts (first en train and second en test). `xlift contamination STUDY` lists them."
        in capsys.readouterr().err
    )
    assert read_contamination_report(contaminated_study[1], "study") is not None


def test_run_without_contamination_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = two_tasks(tmp_path, SENTENCES, ["nobody ever trained on these words of mine"])
    compare_after_run(plan, Store(tmp_path / "store"))
    assert capsys.readouterr().err == ""
    assert read_contamination_report(Store(tmp_path / "store"), "study") is not None


def test_run_checks_only_up_to_a_number_of_examples(
    contaminated_study: tuple[Plan, Store], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "xlift.cli.contamination.MAX_EXAMPLES_AFTER_RUN", 11
    )  # 2 of 'first', 5 of 'second' for training and 5 for scoring
    compare_after_run(*contaminated_study)
    assert read_contamination_report(contaminated_study[1], "study") is None
    monkeypatch.setattr("xlift.cli.contamination.MAX_EXAMPLES_AFTER_RUN", 12)
    compare_after_run(*contaminated_study)
    assert read_contamination_report(contaminated_study[1], "study") is not None


def test_missing_data_after_a_run_is_only_a_warning(
    contaminated_study: tuple[Plan, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first.csv").unlink()
    compare_after_run(*contaminated_study)
    assert "contamination was not checked: " in capsys.readouterr().err
