"""Known faults of published data: what the catalogue declares, and how rows with a fault are read. The rows are made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xlift.errors import UserError
from xlift.tasks import catalog, formats
from xlift.tasks.faults import Correction, Fault, _tables
from xlift.tasks.sources.concatenated import ConcatenatedSource
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

DECLARED = [(task, fault) for task in catalog.TASKS for fault in task.faults]
each = pytest.mark.parametrize(("task", "fault"), DECLARED, ids=lambda item: item.name)
CAUSE, EFFECT = "What was the cause?", "What was the effect?"

# --- declarations ---------------------------------------------------------------------------------------------------


def test_every_fault_has_a_test_below():
    assert {fault.name for _, fault in DECLARED} == {
        "wrong-question", "placeholder-labels", "placeholder-sentence", "other-label", "empty-translation", "removed-labels",
    }  # fmt: skip


@each
def test_a_fault_says_what_is_wrong_where_it_is_published_and_in_how_many_rows(task: Task, fault: Fault):
    assert fault.what
    assert fault.url.startswith("https://")
    assert [other.name for other in task.faults].count(fault.name) == 1
    for split, rows in fault.rows.items():
        for language, count in rows.items():
            published = task.counts[split]
            assert language in task.source.languages(split)
            assert 0 < count <= (published if isinstance(published, int) else published[language])
    # XTREME's translations of the training sets are in no repository, so nobody has counted the failed ones.
    assert fault.rows or fault.all_rows_of or fault.name == "empty-translation"


@each
def test_a_correction_has_a_right_value_for_every_published_row(task: Task, fault: Fault):
    if fault.correction is None:
        return
    for split in fault.rows:
        letters = _tables()[fault.correction.table][split]
        assert len(letters) == task.counts[split]
        assert set(letters) == set(fault.correction.values)
    assert fault.correction.field in formats.get(task.format).example_class.__dataclass_fields__


def test_files_without_labels_are_declared_wherever_an_original_is_named():
    for task in catalog.FILES:
        sources = getattr(task.source, "members", (task.source,))
        named = any(isinstance(source, FileSource) and set(source.originals) == {"test"} for source in sources)
        assert ("removed-labels" in {fault.name for fault in task.faults}) == named, task.name


def test_no_part_of_a_concatenated_task_is_corrected():
    # `known_faults: keep` is set on the whole task, which does not pass it on to its parts.
    parts = [
        part for task in catalog.TASKS if isinstance(task.source, ConcatenatedSource) for part in task.source.parts
    ]
    assert parts
    assert [part.name for part in parts if any(fault.correction for fault in part.faults)] == []


def test_the_tables_are_balanced_as_copa_is():
    tables = _tables()
    assert [tables["copa-question"]["test"].count(letter) for letter in "ce"] == [250, 250]
    assert [tables["copa-label"]["test"].count(letter) for letter in "01"] == [250, 250]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            Fault("x", "the question is wrong", "https://a.b", correction=Correction("question", "t", {}, "English")),
            "the question is wrong in 1 row of sw, 1,200 rows of th; they are corrected from English (https://a.b).",
        ),
        (
            Fault("x", "the label is odd", "https://a.b", differs_from_english=True),
            "the label is odd in 1 row of sw, 1,200 rows of th; they are read as published (https://a.b).",
        ),
    ],
)
def test_the_sentence_about_a_fault(fault: Fault, expected: str):
    assert fault.describe({"sw": 1, "th": 1200}) == expected


# --- XCOPA's questions ------------------------------------------------------------------------------------------------

XCOPA = catalog.get("xcopa")
AS_PUBLISHED = replace(XCOPA, keeps_faults=True)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def xcopa_file(root: Path, language: str, questions: Sequence[str], split: str = "test", first: int = 0) -> Path:
    rows = [
        {"premise": f"{n}.", "choice1": "a", "choice2": "b", "question": question, "label": n % 2, "idx": n}
        for n, question in enumerate(questions, first)
    ]
    write_lines(root / "xcopa" / language / f"{split}.{language}.jsonl", rows)
    return root


def questions(task: Task, language: str, root: Path, split: str = "test", **options: Any) -> list[str]:
    return [example.question for example in task.source.read(task, language, split, root, **options)]


def fingerprint(task: Task, language: str, root: Path, split: str = "test") -> str:
    return task.source.fingerprint(task, language, split, root)


def found(task: Task, language: str, root: Path, split: str = "test") -> dict[str, int]:
    return {each.fault.name: each.count for each in task.source.faulty_rows(task, language, split, root)}


@pytest.mark.parametrize("language", ["id", "it", "sw", "th", "tr"])
@pytest.mark.parametrize(("split", "right"), [("dev", "eeee"), ("test", "ceee")])
def test_a_wrong_question_is_corrected_by_its_id(language: str, split: str, right: str, tmp_path: Path):
    name = {"dev": "val", "test": "test"}[split]
    root = xcopa_file(tmp_path, language, ["effect", "cause", "effect", "cause"], name)
    assert questions(XCOPA, language, root, split) == [{"c": CAUSE, "e": EFFECT}[letter] for letter in right]
    assert found(XCOPA, language, root, split) == {"wrong-question": 3 if split == "test" else 2}
    assert len(set(questions(XCOPA, language, root, split, size=3, seed=1))) <= len(set(right))


def test_the_reading_as_published_is_kept_on_request_and_its_rows_are_counted(tmp_path: Path):
    root = xcopa_file(tmp_path, "sw", ["effect", "cause"])
    assert questions(AS_PUBLISHED, "sw", root) == [EFFECT, CAUSE]
    assert found(AS_PUBLISHED, "sw", root) == {"wrong-question": 2}
    (faulty,) = AS_PUBLISHED.source.faulty_rows(AS_PUBLISHED, "sw", "test", root)
    assert "kept as published" in faulty.fault.describe({"sw": faulty.count}, keep=faulty.keep)


def test_only_a_corrected_language_gets_another_fingerprint(tmp_path: Path):
    without = replace(XCOPA, faults=())
    for language in ("sw", "et"):
        xcopa_file(tmp_path, language, ["effect", "cause"])
    assert fingerprint(AS_PUBLISHED, "sw", tmp_path) == fingerprint(without, "sw", tmp_path)
    assert fingerprint(XCOPA, "sw", tmp_path) != fingerprint(without, "sw", tmp_path)
    assert fingerprint(XCOPA, "et", tmp_path) == fingerprint(without, "et", tmp_path)
    assert questions(XCOPA, "et", tmp_path) == [EFFECT, CAUSE]
    assert found(XCOPA, "et", tmp_path) == {}


def test_right_questions_and_ids_outside_of_the_table_stay(tmp_path: Path):
    root = xcopa_file(tmp_path, "it", ["cause", "effect"])
    assert questions(XCOPA, "it", root) == [CAUSE, EFFECT]
    assert found(XCOPA, "it", root) == {}
    xcopa_file(root, "it", ["cause", "effect", "cause"], first=499)  # 499 is the last of 500
    assert questions(XCOPA, "it", root) == [EFFECT, EFFECT, CAUSE]


def test_the_same_file_of_a_task_without_faults_is_counted_separately(tmp_path: Path):
    # The fingerprint of the reading as published is that of any task on the same file.
    root = xcopa_file(tmp_path, "sw", ["effect", "cause"])
    own = replace(XCOPA, name="own", faults=())
    assert found(own, "sw", root) == {}
    assert found(AS_PUBLISHED, "sw", root) == {"wrong-question": 2}


# --- COPA's labels ----------------------------------------------------------------------------------------------------

COPA = catalog.get("copa")


def copa_file(root: Path, **more: Any) -> Path:
    rows = [
        {"premise": f"{n}.", "choice1": "a", "choice2": "b", "question": "cause", "idx": n, **more} for n in range(100)
    ]
    write_lines(root / "xcopa" / "test.en.jsonl", rows)
    return root


def test_placeholder_labels_of_copa_are_corrected(tmp_path: Path):
    root = copa_file(tmp_path, label=0)
    labels = [example.label for example in COPA.source.read(COPA, "en", "test", root)]
    assert labels[:8] == [0, 0, 1, 0, 0, 1, 1, 1]
    assert found(COPA, "en", root) == {"placeholder-labels": sum(labels)}


def test_placeholder_labels_as_published_cannot_be_scored(tmp_path: Path):
    kept = replace(COPA, keeps_faults=True)
    with pytest.raises(UserError, match="every label of the 100 test rows is '0'"):
        list(kept.source.read(kept, "en", "test", copa_file(tmp_path, label=0)))


def test_a_file_without_labels_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no column 'label'"):
        list(COPA.source.read(COPA, "en", "test", copa_file(tmp_path)))


# --- PAWS-X -----------------------------------------------------------------------------------------------------------

PAWSX = catalog.get("pawsx")


def pawsx_file(root: Path, language: str, rows: Sequence[tuple[str, str, str]]) -> Path:
    path = root / "pawsx" / f"dev-{language}.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    return root


GERMAN = [("Eins.", "Zwei.", "1"), ("Drei.", "NS", "0"), ("NS", "NS", "0"), ("NSA.", "Vier.", "1")]
ENGLISH = [("One.", "Two.", "1"), ("Three.", "3.", "1"), ("Four.", "4.", "0"), ("NSA.", "4.", "0")]


def test_placeholders_and_other_labels_of_pawsx_are_counted_and_read_as_published(tmp_path: Path):
    root = pawsx_file(tmp_path, "de", GERMAN)
    plain = replace(PAWSX, faults=())
    assert found(PAWSX, "de", root, "dev") == {"placeholder-sentence": 2}  # nothing to compare labels with
    read = list(PAWSX.source.read(PAWSX, "de", "dev", root))
    assert read == list(plain.source.read(plain, "de", "dev", root))
    assert fingerprint(PAWSX, "de", root, "dev") == fingerprint(plain, "de", root, "dev")


def test_labels_of_pawsx_are_compared_with_english(tmp_path: Path):
    root = pawsx_file(pawsx_file(tmp_path, "en", ENGLISH), "de", GERMAN)
    assert found(PAWSX, "de", root, "dev") == {"placeholder-sentence": 2, "other-label": 2}
    assert found(PAWSX, "en", root, "dev") == {}
    assert PAWSX.source.size(PAWSX, "de", "dev", root) == 4


def test_empty_machine_translations_are_counted(tmp_path: Path):
    task = catalog.get("pawsx-mt")
    path = tmp_path / "x-final" / "zh" / "translated_train.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("id\tsentence1\tsentence2\tlabel\n1\tYi.\t\t1\n2\tEr.\tSan.\t0\n")
    assert found(task, "zh", tmp_path, "train") == {"empty-translation": 1}
