"""Known faults in random files of XCOPA and PAWS-X: every faulty row is corrected or counted, and no other row changes."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fakes import plan_of, study_file
from tests.support.profile import by_profile

from xlift.tasks import catalog

XCOPA, PAWSX = catalog.get("xcopa"), catalog.get("pawsx")
AS_PUBLISHED = replace(XCOPA, keeps_faults=True)
CORRECTED = {"id", "it", "sw", "th", "tr"}
TABLE = json.loads((Path(catalog.__file__).parent / "corrections.json").read_text(encoding="utf-8"))["copa-question"]
WORD = {"c": "cause", "e": "effect"}
at_the_reader = settings(max_examples=by_profile(30, 100, 10_000))
through_the_plan = settings(max_examples=by_profile(3, 20, 200))

words = st.text(st.characters(categories=("L", "M", "N")), min_size=1, max_size=4)
xcopa_rows = st.lists(
    st.fixed_dictionaries(
        {
            "premise": words, "choice1": words, "choice2": words, "question": st.sampled_from(["cause", "effect"]),
            "label": st.integers(0, 1), "idx": st.integers(0, 600), "changed": st.booleans(),
        }
    ),
    min_size=1, max_size=8, unique_by=lambda row: row["idx"],
)  # fmt: skip
xcopa_files = st.tuples(
    st.sampled_from(["et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"]),
    st.sampled_from(["dev", "test"]),
    xcopa_rows,
)
"""(language, split, rows)."""


def right_question(language: str, split: str, row: dict[str, Any]) -> str:
    letters = TABLE[split]
    is_known = language in CORRECTED and row["idx"] < len(letters)
    return WORD[letters[row["idx"]]] if is_known else row["question"]


def write_xcopa(root: Path, language: str, split: str, rows: list[dict[str, Any]]) -> None:
    name = {"dev": "val", "test": "test"}[split]
    path = root / "xcopa" / language / f"{name}.{language}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@at_the_reader
@given(xcopa_files)
def test_questions_are_those_of_english_wherever_xcopa_has_the_fault(file: tuple[str, str, list[dict[str, Any]]]):
    language, split, rows = file
    right = [right_question(language, split, row) for row in rows]
    wrong = sum(row["question"] != word for row, word in zip(rows, right, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        write_xcopa(Path(folder), language, split, rows)
        corrected = list(XCOPA.source.read(XCOPA, language, split, Path(folder)))
        published = list(AS_PUBLISHED.source.read(AS_PUBLISHED, language, split, Path(folder)))
        counts = [found.count for found in XCOPA.source.faulty_rows(XCOPA, language, split, Path(folder))]
    assert [example.question for example in corrected] == [f"What was the {word}?" for word in right]
    assert [example.question for example in published] == [f"What was the {row['question']}?" for row in rows]
    assert [replace(example, question="") for example in corrected] == [
        replace(each, question="") for each in published
    ]
    assert counts == ([wrong] if wrong else [])


@through_the_plan
@given(
    st.lists(xcopa_files.filter(lambda file: file[1] == "test"), min_size=1, max_size=3, unique_by=lambda file: file[0])
)
def test_the_plan_counts_the_wrong_questions_of_every_language(files: list[tuple[str, str, list[dict[str, Any]]]]):
    wrong = {
        language: sum(right_question(language, split, row) != row["question"] for row in rows)
        for language, split, rows in files
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for language, split, rows in files:
            write_xcopa(root / "data", language, split, rows)
        (root / "data" / "COPA").mkdir()
        row = {"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 0, "idx": 0}
        (root / "data" / "COPA" / "train.jsonl").write_text(json.dumps(row) + "\n")
        study = {"task": "xcopa", "train": {"task": "copa"}, "languages": [language for language, _, _ in files]}
        plan = plan_of(study_file(root, f"models: [model]\ndata: data\ntargets: [{json.dumps(study)}]\n"))
    amounts = [f"{count} {'row' if count == 1 else 'rows'} of {language}" for language, count in wrong.items() if count]
    assert bool(plan.faults) == bool(amounts)
    assert all(f" in {', '.join(amounts)}; they are corrected" in sentence for sentence in plan.faults.get("xcopa", ()))


@at_the_reader
@given(
    st.lists(
        st.tuples(st.sampled_from(["NS", "NSA", "Ja.", " NS"]), st.sampled_from(["NS", "Nein.", "ns"]), st.booleans(), st.booleans()),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_placeholders_and_other_labels_of_pawsx_are_counted(rows: list[tuple[str, str, bool, bool]]):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pawsx").mkdir()
        german = [f"{first}\t{second}\t{int(label)}\n" for first, second, label, _ in rows]
        english = [f"Yes.\tNo.\t{int(label)}\n" for _, _, _, label in rows]
        (root / "pawsx" / "dev-de.tsv").write_text("".join(german))
        (root / "pawsx" / "dev-en.tsv").write_text("".join(english))
        found = {each.fault.name: each.count for each in PAWSX.source.faulty_rows(PAWSX, "de", "dev", root)}
    expected = {
        "placeholder-sentence": sum("NS" in (first.strip(), second) for first, second, _, _ in rows),
        "other-label": sum(own != other for _, _, own, other in rows),
    }
    assert found == {name: count for name, count in expected.items() if count}
