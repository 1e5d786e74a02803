"""From a store's predictions to a leaderboard folder, which the scorer then reads as it was meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xlift.analysis.leaderboard import choose_road, predictions_of
from xlift.errors import UserError
from xlift.studies.plan import Cell
from xlift.studies.record import Record, TaskNote, write_record
from xlift.studies.store import Store
from xlift.suites import declared
from xlift.suites.submission import Predicted, render, write_submission

XCOPA = declared.XTREME_R.task("xcopa")

# --- lines ------------------------------------------------------------------------------------------------------------


def text_of(task: str, ids: Iterable[str], predictions: list[Any], code: str = "de", **more: Any) -> str:
    suite = next(suite for suite in declared.SUITES if any(one.name == task for one in suite.tasks))
    return render(suite.task(task), code, Predicted(list(ids), predictions, **more))


def test_labels_one_a_line_in_the_names_of_the_suite():
    assert text_of("xnli", "ab", ["neutral", "entailment"]) == "neutral\nentailment\n"
    assert text_of("pawsx", "ab", ["paraphrase", "different"]) == "1\n0\n"


def test_tags_one_a_line_and_sentences_parted():
    assert text_of("udpos", "ab", [["DET", "NOUN"], ["VERB"]]) == "DET\nNOUN\n\nVERB\n"


def test_answers_by_id():
    assert json.loads(text_of("xquad", "ab", ["Rom", ""])) == {"a": "Rom", "b": ""}


def test_rankings_by_id_without_the_rows_of_the_pool():
    said = [{"top": ["Q2", "Q1"], "ranks": [2]}, None]
    assert json.loads(text_of("mewslix", "ab", said)) == {"a": ["Q2", "Q1"]}


def test_choices_as_lines_of_json():
    assert text_of("xcopa", "ab", [1, 0], code="et") == '{"label": 1}\n{"label": 0}\n'


def test_pairs_once_each():
    assert text_of("bucc2018", ["de-1", "de-2", "de-1"], ["en-7", None, "en-7"]) == "de-1\ten-7\n"


def test_places_of_sentences_in_the_order_of_the_sorted_english_ones():
    # XTREME keeps the foreign file and sorts the English one, equal lines in their old order.
    english = ["Zoo ", "an ant", "Bee", "Bee"]
    assert text_of("tatoeba", "0123", ["0", "1", "2", "3"], english=english) == "2\n3\n0\n1\n"
    assert text_of("tatoeba", "0123", ["1", "1", "0", "3"], english=english) == "0\n3\n1\n1\n"


@pytest.mark.parametrize(
    ("task", "predictions", "said"),
    [
        ("xnli", ["neutral", "maybe"], "'maybe' is none of: contradiction"),
        ("xnli", ["neutral", None], "1 example without a prediction"),
        ("udpos", [["NOUN"], ["a\nb"]], "no sentence of tags"),
        ("udpos", [["NOUN"], []], "no sentence of tags"),
        ("xquad", ["Rom", 3], "3 of 'b' is no text"),
        ("xcopa", [0, "1"], "'1' is no number of a choice"),
        ("mewslix", [{"top": []}, ["Q1"]], "of 'b' is no ranking"),
        ("bucc2018", ["en-1", "en\t2"], "is no line"),
        ("tatoeba", ["a", "c"], "'c' is no id"),
        ("tatoeba", ["a", "b"], "the English sentences are not known"),
    ],
)
def test_what_cannot_stand_in_a_file_is_refused(task: str, predictions: list[Any], said: str):
    with pytest.raises(UserError) as refused:
        text_of(task, "ab", predictions)
    assert said in refused.value.what
    assert refused.value.where == f"{task}/de"


def test_a_length_that_differs_is_refused():
    with pytest.raises(UserError, match=r"(?s)xnli/de: 1 prediction.*expected 5,010"):
        text_of("xnli", "a", ["neutral"], expected=5010)


def test_one_id_with_two_answers_is_refused():
    assert json.loads(text_of("xquad", "aa", ["Rom", "Rom"])) == {"a": "Rom"}
    with pytest.raises(UserError, match="two examples have the id 'a'"):
        text_of("xquad", "aa", ["Rom", "Bonn"])


# --- whole or not at all ----------------------------------------------------------------------------------------------


def choices() -> dict[str, dict[str, Predicted]]:
    return {"xcopa": {code: Predicted(["0", "1"], [0, 1]) for code in XCOPA.languages}}


def test_a_part_of_a_suite_must_be_asked_for(tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="the study has no predictions of xnli, panx, .*8 in all"):
        write_submission(out, declared.XTREME_R, choices())
    assert not out.exists()
    written = write_submission(out, declared.XTREME_R, choices(), partial=True)
    assert (written.tasks, len(written.files)) == (1, 11)
    assert sorted(path.name for path in out.rglob("*.jsonl")) == [
        f"test-{code}.jsonl" for code in sorted(XCOPA.languages)
    ]
    assert list(tmp_path.iterdir()) == [out]
    assert "not in the folder: mlqa" in written.warnings


def test_a_missing_language_is_named(tmp_path: Path):
    predicted = choices()
    del predicted["xcopa"]["qu"]
    with pytest.raises(UserError, match="xcopa/qu"):
        write_submission(tmp_path / "out", declared.XTREME_R, predicted)


def test_nothing_is_written_when_one_file_cannot_be(tmp_path: Path):
    predicted = choices()
    predicted["xcopa"]["zh"] = Predicted(["0"], ["?"])
    with pytest.raises(UserError, match="xcopa/zh"):
        write_submission(tmp_path / "out", declared.XTREME_R, predicted, partial=True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = []

    def fail(path: Path, text: str, **how: Any) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return 0

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(UserError, match="No space left"):
        write_submission(tmp_path / "out", declared.XTREME_R, choices(), partial=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UserError, match="not an empty folder"):
            write_submission(out, declared.XTREME_R, choices(), partial=True)
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert write_submission(tmp_path / "empty", declared.XTREME_R, choices(), partial=True).tasks == 1


# --- a study's store --------------------------------------------------------------------------------------------------


def cell(task: str = "xcopa", language: str = "et", **changes: Any) -> Cell:
    road = Cell("isles", "none", "", "", 1, task, task, language, "en", "")
    road = replace(road, **changes)
    return replace(road, key=sha256(repr(road).encode()).hexdigest())


def record_of(cells: list[Cell]) -> Record:
    notes = {one.task: TaskNote(one.task, "multiple-choice", ("accuracy",)) for one in cells}
    return Record({"name": "study"}, tuple(cells), tuple(one.key for one in cells), notes, ())


def fill(store: Store, cells: list[Cell], rows: int = 500, **data: Any) -> Record:
    """Predictions of XCOPA, alternately 0 and 1."""
    for one in cells:
        made_on = {"task": one.task, "language": one.language, "split": "test", "fingerprint": "f", **data}
        with store.write(one.key, "predict", {"data": made_on}) as draft:
            said = [json.dumps(n % 2) for n in range(rows)]
            table = pa.table({"id": [str(n) for n in range(rows)], "gold": said, "prediction": said})
            pq.write_table(table, draft.folder / "predictions.parquet")
    record = record_of(cells)
    write_record(record, store)
    return record


def test_several_roads_must_be_told_apart():
    cells = [
        cell(language=code, seed=seed, intermediate=name)
        for code in ("et", "ht")
        for seed in (1, 2)
        for name in ("none", "qa")
    ]
    record = record_of(cells)
    with pytest.raises(UserError, match="several of --intermediate: none, qa"):
        choose_road(record, declared.XTREME_R, {})
    with pytest.raises(UserError, match="several of --seed: 1, 2"):
        choose_road(record, declared.XTREME_R, {"intermediate": "qa"})
    with pytest.raises(UserError, match=r"(?s)no seed '3'.*it has: 1, 2"):
        choose_road(record, declared.XTREME_R, {"seed": 3})
    chosen = choose_road(record, declared.XTREME_R, {"intermediate": "qa", "seed": 2})
    assert chosen == {"xcopa": {one.language: one for one in cells if (one.intermediate, one.seed) == ("qa", 2)}}


def test_targets_of_one_task_must_be_told_apart():
    cells = [cell(), cell(target="few")]
    with pytest.raises(UserError, match="several of --target: xcopa, few"):
        choose_road(record_of(cells), declared.XTREME_R, {})
    assert choose_road(record_of(cells), declared.XTREME_R, {}, ("few",)) == {"xcopa": {"et": cells[1]}}
    cells = [cell(), cell(train_language="zh"), cell("tatoeba", "de", train_language="")]
    with pytest.raises(UserError, match="several of --train-language: en, zh"):
        choose_road(record_of(cells), declared.XTREME_R, {})
    chosen = choose_road(record_of(cells), declared.XTREME_R, {"train_language": "zh"})
    assert chosen == {"xcopa": {"et": cells[1]}, "tatoeba": {"de": cells[2]}}  # retrieval is not trained in any


def test_a_study_of_other_tasks_has_nothing():
    with pytest.raises(UserError, match=r"(?s)no task of xtreme.*its targets are: xcopa"):
        choose_road(record_of([cell()]), declared.XTREME, {})


@pytest.mark.parametrize(
    ("rows", "data", "said"),
    [
        (500, {"split": "dev"}, "of the split 'dev'"),
        (500, {"size": 500}, "500 examples drawn"),
        (499, {}, "499 predictions"),
    ],
)
def test_only_the_whole_test_set_is_taken(tmp_path: Path, rows: int, data: dict[str, Any], said: str):
    store, cells = Store(tmp_path / "store"), [cell()]
    chosen = choose_road(fill(store, cells, rows, **data), declared.XTREME_R, {})
    with pytest.raises(UserError, match=said):
        write_submission(
            tmp_path / "out", declared.XTREME_R, predictions_of(chosen, declared.XTREME_R, store, None), partial=True
        )


def test_predictions_that_are_not_there_yet_are_said(tmp_path: Path):
    store, cells = Store(tmp_path / "store"), [cell(), cell(language="ht")]
    fill(store, cells[:1])
    chosen = choose_road(record_of(cells), declared.XTREME_R, {})
    with pytest.raises(UserError, match="not in the store yet: xcopa/ht"):
        predictions_of(chosen, declared.XTREME_R, store, None)


def test_mined_pairs_are_cut_where_dev_says(tmp_path: Path):
    store = Store(tmp_path / "store")
    one = replace(cell("bucc2018", "de", train_language=""), dev_key="d" * 64)
    scores = {
        # On dev the best cut lies between 1.2, which is right, and 1.0, which is wrong.
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
            said = [json.dumps({"text": text, "translation": found, "score": score}) for text, found, score, _ in rows]
            gold = [json.dumps(right) for *_, right in rows]
            pq.write_table(
                pa.table({"id": [row[0] for row in rows], "gold": gold, "prediction": said}),
                draft.folder / "predictions.parquet",
            )
    chosen = choose_road(record_of([one]), declared.XTREME, {})
    write_submission(
        tmp_path / "out", declared.XTREME, predictions_of(chosen, declared.XTREME, store, None), partial=True
    )
    assert (tmp_path / "out/bucc2018/test-de.tsv").read_text() == "de-5\ten-5\nde-6\ten-6\n"
