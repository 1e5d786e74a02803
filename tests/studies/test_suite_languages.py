"""`languages: xtreme`: the languages that a suite scores a task in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import finished_study, model_folder, study_file

from xlift.errors import UserError
from xlift.report.study import make_report
from xlift.report.tables import to_markdown
from xlift.studies.plan import make_plan
from xlift.studies.planning.targets import SUITES
from xlift.studies.record import make_record
from xlift.studies.study_file import read_study
from xlift.suites import definitions
from xlift.tasks import catalog

STUDY = """\
models: [model]
languages: xtreme
targets:
  - {task: xnli, size: 20}
  - {task: tatoeba, size: 20}
"""


def languages(folder: Path, text: str = STUDY, *changes: str) -> dict[str, list[str]]:
    """Target -> its languages, without data."""
    plan = make_plan(read_study(str(study_file(folder, text)), changes), to_run=False)
    found: dict[str, list[str]] = {}
    for cell in plan.cells:
        found.setdefault(cell.target, []).append(cell.language)
    return found


def test_the_names_are_those_of_the_suites():
    assert tuple(suite.name for suite in definitions.SUITES) == SUITES


@pytest.mark.parametrize("suite", definitions.SUITES, ids=lambda suite: suite.name)
def test_every_task_of_a_suite_can_be_scored_in_its_languages(suite: definitions.Suite):
    for task in suite.tasks:
        assert set(task.languages) <= set(catalog.get(task.name).source.languages("test")), task.name


def test_a_study_has_the_languages_of_the_suite_by_task(tmp_path: Path):
    found = languages(tmp_path)
    for task in ("xnli", "tatoeba"):
        assert found[task] == list(definitions.XTREME.task(task).languages)
    assert "en" in found["xnli"]
    assert "en" not in found["tatoeba"]


def test_a_target_has_its_own(tmp_path: Path):
    found = languages(tmp_path, STUDY, "targets.0.languages=[de]", "targets.1.languages=xtreme-r")
    assert found == {"xnli": ["de"], "tatoeba": list(definitions.XTREME_R.task("tatoeba").languages)}


def test_other_languages_can_be_added_to_those_of_a_suite(tmp_path: Path):
    found = languages(tmp_path, STUDY, "targets.0.languages=[xtreme, ko, de]")  # ko is KorNLI's; de is in the suite
    assert found["xnli"] == [*definitions.XTREME.task("xnli").languages, "ko"]


@pytest.mark.parametrize(
    ("changes", "where", "what", "fix"),
    [
        (("targets.0={task: pawsx, size: 20, languages: xtreme-r}",), "targets.0", "pawsx has no languages in xtreme-r", "languages in xtreme;"),
        (("targets.1={task: isle-nli, train: {size: 50}, size: 20}",), "study.yaml:2: languages", "isle-nli has no languages in xtreme", "it is in no suite;"),
        (("targets.1.languages=xtreme_r",), "targets.1.languages", "no suite 'xtreme_r'", "did you mean 'xtreme-r'?"),
        (("targets.1.split=dev",), "study.yaml:2: languages", "tatoeba has no split 'dev'", ""),
    ],
)  # fmt: skip
def test_a_target_without_languages_in_the_suite_is_refused(tmp_path: Path, changes, where, what, fix):
    with pytest.raises(UserError) as error:
        languages(tmp_path, STUDY, *changes)
    assert where in str(error.value)
    assert what in str(error.value)
    assert fix in str(error.value)


def test_tables_name_the_suite(tmp_path: Path):
    model_folder(tmp_path / "model")
    path = study_file(
        tmp_path, "models: [model]\ntargets: [{task: isle-nli, train: {size: 50}, size: 20, languages: [qta]}]\n"
    )
    plan, store = finished_study(path, tmp_path / "store")
    record = make_record(read_study(str(path), ("targets.0.languages=[xtreme, ta]",)), plan)
    report = make_report(record, store)
    sentence = "isle-nli: in the languages of XTREME (Hu et al. 2020) and ta, over which it averages."
    assert report.info.notes == [sentence]
    assert to_markdown(report.rows, notes=report.info.notes).rstrip().endswith(sentence)
