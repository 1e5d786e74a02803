"""Rows that are held out of training files: which ones, in which languages, and what is refused.

The expected numbers are counted from the rows that a test writes, without the readers.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.errors import UserError
from xlift.tasks import catalog
from xlift.tasks.sources.custom import build_custom_task
from xlift.tasks.sources.division import allot
from xlift.tasks.sources.holdout import hold_out, parse_holdout
from xlift.tasks.task import Task

Line = tuple[str, str, str, str]
"""id, text, label, customer"""
LABELS = ("billing", "delivery", "returns", "other", "rare")


def lines(counts: dict[str, int], groups: int = 0) -> list[Line]:
    rows = [label for label, count in counts.items() for _ in range(count)]
    return [(f"r{n}", f"text number {n}", label, f"c{n % groups}" if groups else "") for n, label in enumerate(rows)]


def write(folder: Path, name: str, rows: list[Line]) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label", "customer"), *rows])


def build(folder: Path, holdout: Any, languages: tuple[str, ...] = ("en",), **more: Any) -> Task:
    files = {"train": {code: f"{code}.csv" for code in languages}}
    declared = {
        "name": "tickets",
        "format": "classification",
        "files": files,
        "labels": sorted(LABELS),
        "holdout": holdout,
    }
    return build_custom_task(declared | more, folder)


def read_ids(task: Task, split: str, language: str = "en") -> list[str]:
    return [example.id for example in task.source.read(task, language, split, None)]


def refuses(said: str, folder: Path, holdout: Any, **more: Any) -> None:
    with pytest.raises(UserError) as error:
        task = build(folder, holdout, **more)
        for split in task.source.splits():
            for language in task.source.languages(split):
                list(task.source.read(task, language, split, None))
    assert said in str(error.value)


# --- which rows -------------------------------------------------------------------------------------------------------


def test_a_share_of_each_label_becomes_the_test_set(tmp_path: Path):
    rows = lines({"billing": 120, "delivery": 90, "returns": 60, "other": 27, "rare": 3})
    write(tmp_path, "en.csv", rows)
    task = build(tmp_path, 0.1)
    assert (task.source.splits(), task.source.languages("test")) == (("train", "test"), ("en",))
    train, test = read_ids(task, "train"), read_ids(task, "test")
    label_of = {name: label for name, _, label, _ in rows}
    # 2.7 and 0.3 are rounded up: 30 rows are a tenth of 300, and a label has a row on each side; so there are 31.
    assert Counter(label_of[name] for name in test) == {
        "billing": 12,
        "delivery": 9,
        "returns": 6,
        "other": 3,
        "rare": 1,
    }
    assert sorted(train + test) == sorted(label_of)
    assert task.source.size(task, "en", "test", None) == 31
    (note,) = task.source.notes(task, "en", "test", None)
    assert note == "31 of 300 training rows held out, stratified by label"
    assert task.source.notes(task, "en", "train", None) == ()


@given(
    counts=st.dictionaries(st.sampled_from(LABELS), st.integers(1, 60), min_size=1),
    share=st.fractions(Fraction(1, 50), Fraction(9, 10), max_denominator=100),
)
def test_labels_are_stratified_within_one(counts: dict[str, int], share: Fraction):
    quotas = allot(counts, share)
    for label, count in counts.items():
        assert abs(quotas[label] - count * share) <= 1
        assert quotas[label] == 0 if count == 1 else 1 <= quotas[label] <= count - 1
    unforced = {label: count for label, count in counts.items() if 1 <= count * share <= count - 1}
    if len(unforced) == len(counts):  # nothing was raised to one row or lowered to leave one
        assert sum(quotas.values()) == int(sum(counts.values()) * share + Fraction(1, 2))


@given(
    counts=st.dictionaries(st.sampled_from(LABELS), st.integers(1, 40), min_size=1),
    part=st.floats(0, 1, exclude_max=True),
)
def test_a_number_of_rows_is_exact_where_labels_allow_it(counts: dict[str, int], part: float):
    total, single = sum(counts.values()), sum(count == 1 for count in counts.values())
    number = 1 + int(part * (total - 1))
    if number >= total:
        return
    quotas = allot(counts, Fraction(number, total), is_exact=True)
    assert all(0 <= quotas[label] <= count for label, count in counts.items())
    assert sum(quotas.values()) == number
    if number >= len(counts) and number <= total - len(counts) and not single:
        assert all(1 <= quotas[label] <= count - 1 for label, count in counts.items())


ROWS = st.lists(
    st.tuples(st.sampled_from(LABELS[:3]), st.integers(0, 8)), min_size=8, max_size=60
).filter(lambda rows: len({group for _, group in rows}) > 2)  # fmt: skip


@given(
    rows=ROWS, share=st.sampled_from([0.1, 0.25, 0.5]), grouped=st.booleans(), dev=st.booleans(), seed=st.integers(0, 9)
)
@settings(max_examples=scaled(100))
def test_splits_are_disjoint_complete_whole_and_independent_of_the_order(
    rows: list[tuple[str, int]], share: float, grouped: bool, dev: bool, seed: int
):
    written = [(f"r{n}", f"text {n}", label, f"c{group}") for n, (label, group) in enumerate(rows)]
    holdout: dict[str, Any] = (
        {"test": share} | ({"group": "customer"} if grouped else {}) | ({"dev": 0.2} if dev else {})
    )
    sides: list[dict[str, set[str]]] = []
    for again in (False, True):
        with TemporaryDirectory() as folder:
            if again:
                random.Random(seed).shuffle(written)
            write(Path(folder), "en.csv", written)
            task = build(Path(folder), holdout)
            sides.append({split: set(read_ids(task, split)) for split in task.source.splits()})
    assert sides[0] == sides[1]
    split_of = {name: split for split, names in sides[0].items() for name in names}
    assert all(sides[0].values())
    assert sum(map(len, sides[0].values())) == len(split_of) == len(rows)  # disjoint and complete
    if grouped:
        by_group: dict[str, set[str]] = {}
        for name, _, _, group in written:
            by_group.setdefault(group, set()).add(split_of[name])
        assert all(len(splits) == 1 for splits in by_group.values())
    if dev:  # holding out dev rows changes no test row
        with TemporaryDirectory() as folder:
            write(Path(folder), "en.csv", written)
            task = build(Path(folder), {key: value for key, value in holdout.items() if key != "dev"})
            assert set(read_ids(task, "test")) == sides[0]["test"]


@given(rows=ROWS, added=st.lists(st.sampled_from(LABELS[:3]), min_size=1, max_size=5), at_end=st.booleans())
@settings(max_examples=scaled(100))
def test_added_rows_move_few_of_the_others(rows: list[tuple[str, int]], added: list[str], at_end: bool):
    old = [(f"r{n}", f"text {n}", label, "") for n, (label, _) in enumerate(rows)]
    new = [(f"n{n}", f"new {n}", label, "") for n, label in enumerate(added)]
    tests: list[set[str]] = []
    for written in (old, old + new if at_end else new + old):
        with TemporaryDirectory() as folder:
            write(Path(folder), "en.csv", written)
            tests.append(set(read_ids(build(Path(folder), 0.2), "test")))
    before, after = tests
    assert len(before ^ {name for name in after if name.startswith("r")}) <= 4 * len(added)


@given(
    present=st.lists(st.sets(st.sampled_from(["en", "de", "sw"]), min_size=1), min_size=12, max_size=40),
    group=st.booleans(), seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=scaled(100))
def test_no_translation_of_a_training_row_is_tested(present: list[set[str]], group: bool, seed: int):
    # Every row is in some of three languages, in another order in each file.
    rows = [(f"r{n}", f"text {n}", LABELS[n % 3], f"c{n // 3}") for n in range(len(present))]
    if sum("en" in codes for codes in present) < 8:
        return
    generator = random.Random(seed)
    with TemporaryDirectory() as name:
        folder, used = Path(name), [code for code in ("en", "de", "sw") if any(code in codes for codes in present)]
        for code in used:
            own = [row for row, codes in zip(rows, present, strict=True) if code in codes]
            write(folder, f"{code}.csv", generator.sample(own, len(own)))
        task = build(folder, {"test": 0.25} | ({"group": "customer"} if group else {}), tuple(used), joined=True)
        sides: dict[str, set[str]] = {}
        for code in used:
            for split in ("train", "test"):
                try:
                    for each in read_ids(task, split, code):
                        sides.setdefault(each, set()).add(split)
                except UserError as error:  # a small file may lie on one side
                    if not error.what.startswith("no examples"):
                        raise
    assert len(sides) == len(rows)
    assert all(len(splits) == 1 for splits in sides.values())


def test_ids_decide_not_the_number_of_the_row(tmp_path: Path):
    rows = lines({"billing": 50, "delivery": 50})
    write(tmp_path, "en.csv", rows)
    first = read_ids(build(tmp_path, 0.2), "test")
    write(tmp_path, "en.csv", rows[::-1])
    assert read_ids(build(tmp_path, 0.2), "test") == first[::-1]


def test_articles_of_squad_are_whole_groups(tmp_path: Path):
    def article(name: str) -> dict[str, Any]:
        questions = [
            {"id": f"{name}{n}", "question": "Who?", "answers": [{"text": name, "answer_start": 0}]} for n in range(5)
        ]
        return {"title": name, "paragraphs": [{"context": f"{name} did.", "qas": questions}]}

    names = [f"A{n}" for n in range(10)]
    (tmp_path / "en.json").write_text(json.dumps({"data": [article(name) for name in names]}), encoding="utf-8")
    declared = {"name": "qa", "format": "span-qa", "files": {"train": {"en": "en.json"}}, "holdout": 0.2}
    task = build_custom_task(declared, tmp_path)
    test = read_ids(task, "test")
    assert (len(test), len({name[:2] for name in test})) == (10, 2)
    assert task.source.notes(task, "en", "test", None) == ("10 of 50 training rows held out, in 2 whole groups",)
    refuses("their articles are whole already", tmp_path, {"test": 0.2, "group": "title"}, files=declared["files"],
            format="span-qa", labels=[])  # fmt: skip


def test_records_of_a_json_file_have_groups(tmp_path: Path):
    rows = [
        dict(zip(("id", "text", "label", "customer"), row, strict=True)) for row in lines({"billing": 50}, groups=10)
    ]
    (tmp_path / "en.json").write_text(json.dumps(rows), encoding="utf-8")
    task = build(tmp_path, {"test": 0.2, "group": "customer"}, files={"train": {"en": "en.json"}})
    customers = {row["id"]: row["customer"] for row in rows}
    test, train = ({customers[name] for name in read_ids(task, split)} for split in ("test", "train"))
    assert (len(test), test & train) == (2, set())


def test_a_group_that_is_empty_holds_its_row_alone(tmp_path: Path):
    rows = lines({"billing": 30})
    write(tmp_path, "en.csv", rows)
    assert len(read_ids(build(tmp_path, {"test": 3, "group": "customer"}), "test")) == 3


def test_a_multi_label_task_is_stratified_by_each_label(tmp_path: Path):
    cells = ["joy|fear"] * 20 + ["joy"] * 20 + ["fear"] * 20 + [""] * 20
    text = "text,labels\n" + "".join(f"t{n},{cell}\n" for n, cell in enumerate(cells))
    (tmp_path / "en.csv").write_text(text, encoding="utf-8")
    declared = {"name": "moods", "format": "multi-label", "files": {"train": {"en": "en.csv"}}, "holdout": 0.1}
    task = build_custom_task(declared, tmp_path)
    counted = Counter(label for e in task.source.read(task, "en", "test", None) for label in e.labels or ("",))
    assert counted == {"joy": 4, "fear": 4, "": 2}


# --- which languages --------------------------------------------------------------------------------------------------


def test_languages_with_a_test_file_keep_it(tmp_path: Path):
    rows = lines({"billing": 20, "delivery": 20})
    for name in ("en", "de", "sw"):
        write(tmp_path, f"{name}.csv", rows)
    write(tmp_path, "test.de.csv", rows[:4])
    files = {"train": {code: f"{code}.csv" for code in ("en", "de", "sw")}, "test": {"de": "test.de.csv"}}
    task = build(tmp_path, 0.1, files=files)
    assert set(task.source.languages("test")) == {"de", "en", "sw"}
    assert read_ids(task, "test", "de") == ["r0", "r1", "r2", "r3"]
    assert (len(read_ids(task, "train", "de")), len(read_ids(task, "train", "en"))) == (40, 36)
    # Parallel rows: the translation of a row that is tested in English is no German training row.
    joined = build(tmp_path, 0.1, files=files, joined=True)
    assert read_ids(joined, "train", "de") == read_ids(joined, "train", "en")
    assert read_ids(joined, "test", "de") == ["r0", "r1", "r2", "r3"]
    (note,) = joined.source.notes(joined, "de", "train", None)
    assert note == "4 of 40 rows left out, since they are held out in another language"


def test_only_the_missing_split_is_held_out(tmp_path: Path):
    write(tmp_path, "en.csv", lines({"billing": 20}))
    write(tmp_path, "t.csv", lines({"billing": 5}))
    files = {"train": {"en": "en.csv"}, "test": {"en": "t.csv"}}
    task = build(tmp_path, {"dev": 0.2}, files=files)
    assert [len(read_ids(task, split)) for split in ("train", "dev", "test")] == [16, 4, 5]
    refuses("`test` has no effect: every language with training files has test files", tmp_path, 0.1, files=files)


def test_a_subset_of_held_out_rows_is_among_them(tmp_path: Path):
    for code in ("en", "de"):
        write(tmp_path, f"{code}.csv", lines({"billing": 40}))
    task = build(tmp_path, 0.5, ("en", "de"), joined=True)
    chosen = {code: [e.id for e in task.source.read(task, code, "test", None, size=5, seed=3)] for code in ("en", "de")}
    assert chosen["en"] == chosen["de"]
    assert set(chosen["en"]) < set(read_ids(task, "test"))


def test_the_fingerprint_covers_what_is_held_out(tmp_path: Path):
    rows = lines({"billing": 40})
    for code in ("en", "de"):
        write(tmp_path, f"{code}.csv", rows)

    def fingerprints(holdout: Any, languages: tuple[str, ...] = ("en", "de"), **more: Any) -> dict[str, str]:
        task = build(tmp_path, holdout, languages, **more)
        return {
            f"{code} {split}": task.source.fingerprint(task, code, split, None)
            for split in task.source.splits() for code in task.source.languages(split)
        }  # fmt: skip

    tenth = fingerprints(0.1)
    assert len(set(tenth.values())) == 4
    assert not set(tenth.values()) & set(fingerprints(0.2).values())
    assert tenth["en train"] != fingerprints({"test": 0.1, "dev": 0.1})["en train"]
    assert tenth.items() >= fingerprints(0.1, ("en",)).items()  # a further language trains nothing again
    joined = fingerprints(0.1, joined=True)
    write(tmp_path, "en.csv", lines({"billing": 41}))
    changed = fingerprints(0.1, joined=True)
    assert joined["de test"] != changed["de test"]  # its rows follow the English ones
    assert fingerprints(0.1)["de test"] == tenth["de test"]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holdout", "said"),
    [
        (1.0, "`test` is 1.0, neither a share nor a number of rows"),
        (0, "`test` is 0, neither"),
        (True, "`test` is True, neither"),
        ("10%", "`test` is '10%', neither"),
        ({"test": 0.1, "dve": 0.1}, "unknown key 'dve'"),
        ({"test": 0.1, "groups": "customer"}, "did you mean 'group'?"),
        ({"group": "customer"}, "no split to hold out"),
        ({"test": 0.6, "dev": 0.4}, "no training rows are left"),
        ({"test": 0.1, "group": "custmer"}, "no column 'custmer'"),
        (12, "cannot hold out 12 of 12 rows as test and keep rows to train on"),
        ({"test": 6, "dev": 6}, "cannot hold out 6 of 12 rows as dev"),
        ({"test": 0.1, "group": "label"}, "cannot hold out 0.1 of 12 rows in 1 group as test"),
    ],
)
def test_what_cannot_be_held_out_is_refused(tmp_path: Path, holdout: Any, said: str):
    write(tmp_path, "en.csv", lines({"billing": 12}))
    refuses(said, tmp_path, holdout)


def test_formats_that_are_not_trained_are_refused(tmp_path: Path):
    (tmp_path / "en.csv").write_text("text,translation\na,b\n", encoding="utf-8")
    for format, said in [
        ("retrieval", "is scored without training"),
        ("text", "is not scored"),
        ("dual-encoding", "ranks"),
    ]:
        refuses(said, tmp_path, 0.1, format=format, labels=[])


def test_a_task_without_training_files_is_refused(tmp_path: Path):
    write(tmp_path, "de.csv", lines({"billing": 12}))
    refuses("no training files to hold rows out of", tmp_path, 0.1, files={"test": {"de": "de.csv"}})


# --- tasks of the catalogue -------------------------------------------------------------------------------------------

SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize("name", ["mnli", "kornli", "squad2", "socialiqa", "anli-plus"])
def test_a_published_task_without_a_test_split_gets_one(name: str):
    task, data = catalog.get(name), SAMPLES / name / "native"
    assert "test" not in task.source.splits()
    language = task.source.languages("train")[0]
    whole = list(task.source.read(task, language, "train", data))
    held = hold_out(task, parse_holdout(0.5, name), name)
    assert held.source.is_present(language, "test", data)
    train, test = (list(held.source.read(held, language, split, data)) for split in ("train", "test"))
    assert train
    assert test
    assert sorted([*train, *test], key=repr) == sorted(whole, key=repr)
    assert held.source.size(held, language, "test", data) == len(test)
    assert any("training rows held out" in note for note in held.source.notes(held, language, "test", data))


def test_generated_tasks_are_refused():
    with pytest.raises(UserError, match="`test` has no effect"):
        hold_out(catalog.get("isle-nli"), parse_holdout(0.1, "isle-nli"), "isle-nli")
