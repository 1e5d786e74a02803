"""Examples that flipped between the baseline and a row, and their section of the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fakes import custom_task_study, finished_study, study_file

from xlift.analysis import flips
from xlift.analysis.flips import find_flips, is_free
from xlift.report.flips import for_page, html_language
from xlift.studies.predictions import read_rows
from xlift.studies.record import read_record
from xlift.tasks import formats

STUDY = """\
models: [model]
seeds: [1, 2]
languages: [qta, qtm]
intermediate:
  - none
  - {task: isle-qa, size: 100, controls: [shuffled]}
targets:
  - {task: isle-nli, train: {size: 50}, size: 40, noise: {kind: typos, level: 0.1}}
"""


def test_an_example_flips_if_all_seeds_agree(tmp_path: Path):
    plan, store = finished_study(study_file(tmp_path, STUDY), tmp_path / "store")
    record = read_record(store, "study")
    (found,) = find_flips(record, store, {})
    answers = {}
    for cell in record.cells:
        if not cell.noise and not cell.control:
            rows = read_rows(store, cell.key)
            for name, gold, prediction in zip(rows.ids, rows.references, rows.predictions, strict=True):
                answers[cell.intermediate, cell.language, name, cell.seed] = (gold, prediction)
    expected = set()
    for language, name in {key[1:3] for key in answers}:
        before, after = (
            [answers[row, language, name, seed] for seed in (1, 2)] for row in ("none", "isle-qa")
        )  # fmt: skip
        was, became = ({gold == prediction for gold, prediction in runs} for runs in (before, after))
        if len(was) == len(became) == 1 and was != became:
            expected.add((language, name, before[0][0], before[0][1], after[0][1], became == {True}))
    assert expected
    listed = {(flip.language, flip.name, flip.gold, flip.before, flip.after, flip.is_right) for flip in found.flips}
    assert listed == expected
    (counts,) = found.counts.values()
    right = sum(flip.is_right for flip in found.flips)
    assert counts == (right, len(expected) - right, 80)

    # The archipelago is generated, so the texts are at hand and may be shown.
    task = plan.tasks["isle-nli"]
    texts = {
        (language, example.id): " ¶ ".join(formats.get(task.format).texts(example))
        for language in ("qta", "qtm")
        for example in task.source.read(task, language, "test", None, size=40)
    }
    assert all(flip.text == texts[flip.language, flip.name] for flip in found.flips)
    assert "Apache-2.0" in for_page([found])[0]["note"]


def test_the_list_has_some_of_each_language_and_direction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, store = finished_study(study_file(tmp_path, STUDY), tmp_path / "store")
    monkeypatch.setattr(flips, "MAX_FLIPS", 4)
    (found,) = find_flips(read_record(store, "study"), store, {})
    assert {(flip.language, flip.is_right) for flip in found.flips} == {
        (language, is_right) for language in ("qta", "qtm") for is_right in (True, False)
    }
    assert for_page([found])[0]["note"].startswith("The table lists 4 of ")


@pytest.mark.parametrize(("licence", "is_shown"), [("CC BY 4.0", True), ("LDC User Agreement", False), ("", False)])
def test_texts_of_custom_tasks_need_a_free_licence(tmp_path: Path, licence: str, is_shown: bool):
    text = custom_task_study(tmp_path, 40).replace(
        "targets:", "intermediate: [none, {task: isle-pos, size: 50}]\ntargets:"
    )
    text += f'    licence: "{licence}"\n' if licence else ""
    plan, store = finished_study(study_file(tmp_path, text), tmp_path / "store")
    record = read_record(store, "study")
    (found,) = find_flips(record, store, plan.tasks, plan.data)
    assert found.flips
    assert all(bool(flip.text) == is_shown for flip in found.flips)
    assert found.licence == (licence if is_shown else "")
    # Without the study's file the task is unknown. Other data have other texts.
    assert not any(flip.text for flip in find_flips(record, store, {})[0].flips)
    (tmp_path / "test.de.csv").write_text("text,label\n" + "changed,other\n" * 40, encoding="utf-8")
    changed = find_flips(record, store, plan.tasks, plan.data)[0].flips
    assert not any(flip.text for flip in changed if flip.language == "de")


@pytest.mark.parametrize("licence", ["CC BY-SA 4.0", "MIT", "Apache-2.0 (generated)", "CC0"])
def test_free_licences(licence: str):
    assert is_free(licence)


@pytest.mark.parametrize(
    "licence", ["CC BY-SA 4.0 (SNLI), mixed (MNLI), CC BY-NC 4.0 (ANLI)", "not stated", "Quora's terms of service", ""]
)
def test_other_licences(licence: str):
    assert not is_free(licence)


def test_languages_of_the_archipelago_have_no_code_in_html():
    assert html_language("qta") == ""
    assert html_language("quy") == "quy"
    assert html_language("zh-Hans") == "zh-Hans"
