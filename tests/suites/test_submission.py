"""Leaderboard folders from the predictions of a store, and their scores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from xlift.analysis.leaderboard import choose_pipeline_cells, load_predictions
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.predictions import write_predictions
from xlift.studies.record import Record, TaskNote, write_record
from xlift.studies.store import Store
from xlift.studies.study import Study
from xlift.suites import definitions
from xlift.suites.submission import TaskPredictions, render_file, write_submission

XCOPA = definitions.XTREME_R.task("xcopa")

# --- lines ------------------------------------------------------------------------------------------------------------


def text_of(task: str, ids: Iterable[str], predictions: list[Any], code: str = "de", **more: Any) -> str:
    suite = next(suite for suite in definitions.SUITES if any(one.name == task for one in suite.tasks))
    return render_file(suite.task(task), code, TaskPredictions(list(ids), predictions, **more))


def test_labels_are_written_one_per_line_with_the_names_of_the_suite():
    assert text_of("xnli", "ab", ["neutral", "entailment"]) == "neutral\nentailment\n"
    assert text_of("pawsx", "ab", ["paraphrase", "different"]) == "1\n0\n"


def test_tags_are_written_one_per_line_with_an_empty_line_between_sentences():
    assert text_of("udpos", "ab", [["DET", "NOUN"], ["VERB"]]) == "DET\nNOUN\n\nVERB\n"


def test_answers_are_written_by_id():
    assert json.loads(text_of("xquad", "ab", ["Rom", ""])) == {"a": "Rom", "b": ""}


def test_rankings_are_written_by_id_without_pool_rows():
    message = [{"top": ["Q2", "Q1"], "ranks": [2]}, None]
    assert json.loads(text_of("mewslix", "ab", message)) == {"a": ["Q2", "Q1"]}


def test_choices_are_written_as_lines_of_json():
    assert text_of("xcopa", "ab", [1, 0], code="et") == '{"label": 1}\n{"label": 0}\n'


def test_pairs_are_written_once():
    assert text_of("bucc2018", ["de-1", "de-2", "de-1"], ["en-7", None, "en-7"]) == "de-1\ten-7\n"


def test_sentence_positions_follow_the_sorted_english_sentences():
    # XTREME keeps the foreign file and sorts the English one with a stable sort.
    english = ["Zoo ", "an ant", "Bee", "Bee"]
    assert text_of("tatoeba", "0123", ["0", "1", "2", "3"], english=english) == "2\n3\n0\n1\n"
    assert text_of("tatoeba", "0123", ["1", "1", "0", "3"], english=english) == "0\n3\n1\n1\n"


@pytest.mark.parametrize(
    ("task", "predictions", "message"),
    [
        ("xnli", ["neutral", "maybe"], "'maybe' is none of: contradiction"),
        ("xnli", ["neutral", None], "1 example without a prediction"),
        ("udpos", [["NOUN"], ["a\nb"]], "is not a list of tags"),
        ("udpos", [["NOUN"], []], "is not a list of tags"),
        ("xquad", ["Rom", 3], "3 of 'b' is not text"),
        ("xcopa", [0, "1"], "'1' is not the number of a choice"),
        ("mewslix", [{"top": []}, ["Q1"]], "of 'b' is not a ranking"),
        ("bucc2018", ["en-1", "en\t2"], "does not fit on a line"),
        ("tatoeba", ["a", "c"], "'c' is not an id"),
        ("tatoeba", ["a", "b"], "the English sentences are missing"),
    ],
)
def test_predictions_that_do_not_fit_a_file_are_an_error(task: str, predictions: list[Any], message: str):
    with pytest.raises(UserError) as refused:
        text_of(task, "ab", predictions)
    assert message in refused.value.what
    assert refused.value.where == f"{task}/de"


def test_wrong_number_of_predictions_is_an_error():
    with pytest.raises(UserError, match=r"(?s)xnli/de: 1 prediction.*expected 5,010"):
        text_of("xnli", "a", ["neutral"], expected=5010)


def test_two_predictions_for_one_id_are_an_error():
    assert json.loads(text_of("xquad", "aa", ["Rom", "Rom"])) == {"a": "Rom"}
    with pytest.raises(UserError, match="two examples have the id 'a'"):
        text_of("xquad", "aa", ["Rom", "Bonn"])


# --- whole or not at all ----------------------------------------------------------------------------------------------


def choices() -> dict[str, dict[str, TaskPredictions]]:
    return {"xcopa": {code: TaskPredictions(["0", "1"], [0, 1]) for code in XCOPA.languages}}


def test_incomplete_suite_needs_partial(tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="the study has no predictions of xnli, panx, .*8 in all"):
        write_submission(out, definitions.XTREME_R, choices())
    assert not out.exists()
    written = write_submission(out, definitions.XTREME_R, choices(), partial=True)
    assert (written.tasks, len(written.files)) == (1, 11)
    assert sorted(path.name for path in out.rglob("*.jsonl")) == [
        f"test-{code}.jsonl" for code in sorted(XCOPA.languages)
    ]
    assert list(tmp_path.iterdir()) == [out]
    assert "not in the folder: mlqa" in written.warnings


def test_missing_language_is_named(tmp_path: Path):
    predicted = choices()
    del predicted["xcopa"]["qu"]
    with pytest.raises(UserError, match="xcopa/qu"):
        write_submission(tmp_path / "out", definitions.XTREME_R, predicted)


def test_nothing_is_written_if_one_file_fails(tmp_path: Path):
    predicted = choices()
    predicted["xcopa"]["zh"] = TaskPredictions(["0"], ["?"])
    with pytest.raises(UserError, match="xcopa/zh"):
        write_submission(tmp_path / "out", definitions.XTREME_R, predicted, partial=True)
    assert list(tmp_path.iterdir()) == []


def test_disk_failure_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = []

    def fail(path: Path, text: str, **how: Any) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return 0

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(UserError, match="No space left"):
        write_submission(tmp_path / "out", definitions.XTREME_R, choices(), partial=True)
    assert list(tmp_path.iterdir()) == []


def test_non_empty_folder_is_not_changed(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UserError, match="not an empty folder"):
            write_submission(out, definitions.XTREME_R, choices(), partial=True)
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert write_submission(tmp_path / "empty", definitions.XTREME_R, choices(), partial=True).tasks == 1


# --- a study's store --------------------------------------------------------------------------------------------------


def cell(task: str = "xcopa", language: str = "et", **changes: Any) -> Cell:
    new_cell = Cell("isles", "none", "", "", 1, task, task, language, "en", "")
    new_cell = replace(new_cell, **changes)
    return replace(new_cell, key=sha256(repr(new_cell).encode()).hexdigest())


def record_of(cells: list[Cell]) -> Record:
    notes = {one.task: TaskNote(one.task, "multiple-choice", ("accuracy",)) for one in cells}
    return Record(
        Study.model_validate({"name": "study", "targets": [{"task": "xcopa"}]}),
        tuple(cells),
        tuple(one.key for one in cells),
        notes,
        (),
    )


def fill(store: Store, cells: list[Cell], rows: int = 500, **data: Any) -> Record:
    """Predictions of XCOPA that alternate between 0 and 1."""
    for one in cells:
        made_on = {"task": one.task, "language": one.language, "split": "test", "fingerprint": "f", **data}
        with store.write(one.key, "predict", {"data": made_on}) as draft:
            labels = [n % 2 for n in range(rows)]
            write_predictions(draft.folder, [str(n) for n in range(rows)], labels, labels, [None] * rows)
    record = record_of(cells)
    write_record(record, store)
    return record


def test_several_pipelines_need_options():
    cells = [
        cell(language=code, seed=seed, intermediate=name)
        for code in ("et", "ht")
        for seed in (1, 2)
        for name in ("none", "qa")
    ]
    record = record_of(cells)
    with pytest.raises(UserError, match="several values of --intermediate: none, qa"):
        choose_pipeline_cells(record, definitions.XTREME_R, {})
    with pytest.raises(UserError, match="several values of --seed: 1, 2"):
        choose_pipeline_cells(record, definitions.XTREME_R, {"intermediate": "qa"})
    with pytest.raises(UserError, match=r"(?s)no seed '3'.*it has: 1, 2"):
        choose_pipeline_cells(record, definitions.XTREME_R, {"seed": 3})
    chosen = choose_pipeline_cells(record, definitions.XTREME_R, {"intermediate": "qa", "seed": 2})
    assert chosen == {"xcopa": {one.language: one for one in cells if (one.intermediate, one.seed) == ("qa", 2)}}


def test_several_targets_of_one_task_need_options():
    cells = [cell(), cell(target="few")]
    with pytest.raises(UserError, match="several values of --target: xcopa, few"):
        choose_pipeline_cells(record_of(cells), definitions.XTREME_R, {})
    assert choose_pipeline_cells(record_of(cells), definitions.XTREME_R, {}, ("few",)) == {"xcopa": {"et": cells[1]}}
    cells = [cell(), cell(train_language="zh"), cell("tatoeba", "de", train_language="")]
    with pytest.raises(UserError, match="several values of --train-language: en, zh"):
        choose_pipeline_cells(record_of(cells), definitions.XTREME_R, {})
    chosen = choose_pipeline_cells(record_of(cells), definitions.XTREME_R, {"train_language": "zh"})
    assert chosen == {"xcopa": {"et": cells[1]}, "tatoeba": {"de": cells[2]}}  # retrieval has no training language


def test_study_without_tasks_of_the_suite_is_an_error():
    with pytest.raises(UserError, match=r"(?s)no task of xtreme.*its targets are: xcopa"):
        choose_pipeline_cells(record_of([cell()]), definitions.XTREME, {})


@pytest.mark.parametrize(
    ("rows", "data", "message"),
    [
        (500, {"split": "dev"}, "of the split 'dev'"),
        (500, {"size": 500}, "a sample of 500"),
        (499, {}, "499 predictions"),
    ],
)
def test_only_the_whole_test_set_is_accepted(tmp_path: Path, rows: int, data: dict[str, Any], message: str):
    store, cells = Store(tmp_path / "store"), [cell()]
    chosen = choose_pipeline_cells(fill(store, cells, rows, **data), definitions.XTREME_R, {})
    with pytest.raises(UserError, match=message):
        write_submission(
            tmp_path / "out",
            definitions.XTREME_R,
            load_predictions(chosen, definitions.XTREME_R, store, None),
            partial=True,
        )


def test_missing_predictions_are_named(tmp_path: Path):
    store, cells = Store(tmp_path / "store"), [cell(), cell(language="ht")]
    fill(store, cells[:1])
    chosen = choose_pipeline_cells(record_of(cells), definitions.XTREME_R, {})
    with pytest.raises(UserError, match="not in the store yet: xcopa/ht"):
        load_predictions(chosen, definitions.XTREME_R, store, None)


def test_mined_pairs_use_the_threshold_chosen_on_dev(tmp_path: Path):
    store = Store(tmp_path / "store")
    one = replace(cell("bucc2018", "de", train_language=""), dev_key="d" * 64)
    scores = {
        # On dev the best threshold is between 1.2 (correct) and 1.0 (wrong).
        "dev": (one.dev_key, [("de-1", "en-1", 1.2, "en-1"), ("de-2", "en-9", 1.0, None)]),
        "test": (
            one.key,
            [("de-5", "en-5", 1.3, "en-5"), ("de-6", "en-6", 1.11, None), ("de-7", "en-7", 1.09, "en-7")],
        ),
    }
    for split, (key, rows) in scores.items():
        with store.write(
            key, "predict", {"data": {"task": "bucc2018", "language": "de", "split": split, "fingerprint": "f"}}
        ) as draft:
            found = [{"text": text, "translation": other, "score": score} for text, other, score, _ in rows]
            gold = [right for *_, right in rows]
            write_predictions(draft.folder, [row[0] for row in rows], gold, found, [None] * len(rows))
    chosen = choose_pipeline_cells(record_of([one]), definitions.XTREME, {})
    write_submission(
        tmp_path / "out", definitions.XTREME, load_predictions(chosen, definitions.XTREME, store, None), partial=True
    )
    assert (tmp_path / "out/bucc2018/test-de.tsv").read_text() == "de-5\ten-5\nde-6\ten-6\n"
