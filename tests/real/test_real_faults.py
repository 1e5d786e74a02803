"""The known faults of the catalogue, counted on the authors' real files by code of this test, and by the package.

The files are in ../shared/data beside the repository and are for tests only.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from xlift.tasks import catalog

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]
FILE = {"dev": "val", "test": "test"}
XCOPA, PAWSX, COPA = (catalog.get(name) for name in ("xcopa", "pawsx", "copa"))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def xcopa_rows(language: str, split: str) -> list[dict]:
    return lines(DATA / "xcopa" / language / f"{FILE[split]}.{language}.jsonl")


def copa_rows(split: str) -> list[dict]:
    return lines(DATA / "copa-en" / f"{FILE[split]}-en.jsonl")


def declared(task, name: str) -> dict:
    return next(fault.rows for fault in task.faults if fault.name == name)


def found(task, language: str, split: str, root: Path = DATA) -> dict[str, int]:
    return {each.fault.name: each.count for each in task.source.faulty_rows(task, language, split, root)}


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("language", ["et", "ht", "id", "it", "sw", "ta"])  # th, tr, qu, vi and zh are not here
def test_wrong_questions_of_xcopa(language: str, split: str):
    english = {row["idx"]: row["question"] for row in copa_rows(split)}
    published = [row["question"] for row in xcopa_rows(language, split)]
    right = [english[row["idx"]] for row in xcopa_rows(language, split)]
    wrong = sum(a != b for a, b in zip(published, right, strict=True))
    assert wrong == declared(XCOPA, "wrong-question")[split].get(language, 0)
    assert found(XCOPA, language, split) == ({"wrong-question": wrong} if wrong else {})
    kept = replace(XCOPA, keeps_faults=True)
    for task, expected in ((XCOPA, right), (kept, published)):
        read = list(task.source.read(task, language, split, DATA))
        assert [example.question for example in read] == [f"What was the {word}?" for word in expected]
        assert [example.label for example in read] == [row["label"] for row in xcopa_rows(language, split)]


def test_every_language_of_xcopa_has_the_labels_that_correct_english(tmp_path: Path):
    by_language = {
        code: [row["label"] for row in xcopa_rows(code, "test")] for code in ("et", "ht", "id", "it", "sw", "ta")
    }
    (tmp_path / "xcopa").mkdir()
    shutil.copy(DATA / "copa-en" / "test-en.jsonl", tmp_path / "xcopa" / "test.en.jsonl")
    labels = [example.label for example in COPA.source.read(COPA, "en", "test", tmp_path)]
    assert all(other == labels for other in by_language.values())
    assert {row["label"] for row in copa_rows("test")} == {0}
    assert found(COPA, "en", "test", tmp_path) == {"placeholder-labels": 250}


@pytest.mark.parametrize("language", ["de", "es", "fr", "zh"])  # ja and ko, and the test files, are not here
def test_placeholders_and_other_labels_of_pawsx(language: str):
    def rows(code: str) -> list[list[str]]:
        return [
            line.split("\t") for line in (DATA / "pawsx" / f"dev-{code}.tsv").read_text(encoding="utf-8").splitlines()
        ]

    own, english = rows(language), rows("en")
    placeholder = {n for n, row in enumerate(own) if "NS" in (row[0].strip(), row[1].strip())}
    other = {n for n, (row, pair) in enumerate(zip(own, english, strict=True)) if row[2] != pair[2]}
    assert other < placeholder
    expected = {"placeholder-sentence": len(placeholder), "other-label": len(other)}
    assert expected == {name: declared(PAWSX, name)["dev"][language] for name in expected}
    assert found(PAWSX, language, "dev") == expected
    assert found(PAWSX, "en", "dev") == {}
