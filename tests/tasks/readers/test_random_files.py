"""Files as programs write them, made at random beside the rows that they hold: the reader gives these rows, or refuses the
file and names the row that is at fault.

Files of words and tags are in test_random_conll.py. A few dozen files of each kind, and ten thousand in `make fuzz`.
"""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import by_profile
from tests.support.random_files import FILES, PLAIN, SEPARATORS, TEXTS, encodings, on_one_line, read, write_table

from xlift.errors import UserError
from xlift.execution.file_prediction import InputRows
from xlift.tasks.sources.custom import build_custom_task

pytestmark = pytest.mark.fuzz
# --- tables ---------------------------------------------------------------------------------------------------------

LABELS = {
    "text": (("a", "b c", "#"), lambda label, dice: label),
    "number": (("0", "1", "2", "10"), lambda label, dice: dice.choice([label, f"{label}.0", f"{label}.00"])),
    "truth": (("true", "false"), lambda label, dice: dice.choice([label, label.upper(), label.title()])),
}


def cell(label: str, kind: str, extension: str, dice: random.Random) -> Any:
    """One way to write a label."""
    text = LABELS[kind][1](label, dice)
    if extension != ".jsonl" or kind == "text" or dice.random() < 0.3:
        return text
    return dice.choice([int(label), float(label)]) if kind == "number" else label == "true"


@FILES
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 9)), min_size=1, max_size=5),
    kind=st.sampled_from(sorted(LABELS)), extension=st.sampled_from([".csv", ".tsv", ".jsonl"]), pair=st.booleans(),
    encodings=st.tuples(encodings(), encodings()), separator=SEPARATORS, seed=st.integers(0, 2**32),
)  # fmt: skip
def test_tables(tmp_path, rows, kind, extension, pair, encodings, separator, seed):
    dice = random.Random(seed)
    labels = LABELS[kind][0]
    clean = on_one_line if extension == ".tsv" else str
    expected = [(clean(a), clean(b) if pair else None, labels[n % len(labels)]) for a, b, n in rows]
    records = [
        {"premise": a, "label": cell(label, kind, extension, dice)} | ({"hypothesis": b} if pair else {})
        for a, b, label in expected
    ]
    first = [
        {"premise": "x", "label": cell(label, kind, extension, dice)} | ({"hypothesis": "y"} if pair else {})
        for label in labels
    ]
    train = write_table(tmp_path / f"train{extension}", first, encodings[0], separator, dice)
    test = write_table(tmp_path / f"test{extension}", records, encodings[1], separator, dice)
    examples = read("classification", train, test, labels=list(labels))
    stripped = [(a.strip(), b and b.strip(), label) for a, b, label in expected]
    assert [(e.text_a, e.text_b, e.label) for e in examples] == stripped
    predicted = [row.example for row in InputRows(test, "classification", optional_fields={"text_b": pair})]
    assert [(e.text_a, e.text_b) for e in predicted] == [(a, b) for a, b, _ in stripped]


@FILES
@given(
    numbers=st.sets(st.integers(0, 120), min_size=1, max_size=12),
    extension=st.sampled_from([".csv", ".jsonl"]), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_numeric_labels_are_in_the_order_of_their_values(tmp_path, numbers, extension, seed):
    dice = random.Random(seed)
    written = [number for number in numbers for _ in range(2)]
    records = [{"text": "x", "label": dice.choice([number, float(number), str(number)])} for number in written]
    path = write_table(tmp_path / f"x{extension}", records, PLAIN, ",", dice)
    files = {"train": {"en": path.name}}
    task = build_custom_task({"name": "toy", "format": "classification", "files": files}, tmp_path)
    assert [float(label) for label in task.labels] == sorted(numbers)
    assert [float(e.label) for e in task.source.read(task, "en", "train", None)] == written


@FILES
@given(
    number=st.integers(2, 14), questions=st.lists(st.integers(0, 99), min_size=1, max_size=4),
    prefix=st.sampled_from(["choice", "option_", "ending", "answer"]), first=st.integers(0, 1),
    extension=st.sampled_from([".csv", ".tsv", ".jsonl"]), encoding=encodings(), separator=SEPARATORS, seed=st.integers(0, 2**32),
)  # fmt: skip
def test_numbered_choices(tmp_path, number, questions, prefix, first, extension, encoding, separator, seed):
    dice = random.Random(seed)
    records, expected = [], []
    for place in questions:
        count = number if extension == ".jsonl" else dice.randint(2, number)
        texts = tuple(f"text {n} of {place}" for n in range(count))
        label = place % count
        named = [(f"{prefix}{first + n}", text) for n, text in enumerate(texts)]
        dice.shuffle(named)
        records.append({**dict(named), "context": "c", "label": dice.choice([label, float(label), f"{label}.0"])})
        expected.append((texts, label))
    path = write_table(tmp_path / f"x{extension}", records, encoding, separator, dice)
    assert [(e.choices, e.label) for e in read("multiple-choice", path)] == expected
    assert [row.example.choices for row in InputRows(path, "multiple-choice")] == [texts for texts, _ in expected]


@FILES
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans()), min_size=1, max_size=5),
    empty=st.sampled_from(["", " ", "-1", "-1.0", "0"]), extension=st.sampled_from([".csv", ".jsonl"]),
    encoding=encodings(), separator=SEPARATORS, seed=st.integers(0, 2**32),
)  # fmt: skip
def test_answers(tmp_path, rows, empty, extension, encoding, separator, seed):
    dice = random.Random(seed)
    context, records, expected = '  word, "and"; wörd', [], []
    for start, length, answerable in rows:
        answer = context[start : start + length]
        if answerable and answer.strip():
            records.append({"answer": answer, "start": dice.choice([start, float(start), str(start), f"{start}.0"])})
            expected.append(((answer,), (start,)))
        else:
            none = [None] if extension == ".jsonl" else []
            records.append({"answer": dice.choice(["", " ", *none]), "start": dice.choice([empty, *none])})
            expected.append(((), ()))
    records = [{"context": context, "question": "q?", **record} for record in records]
    path = write_table(tmp_path / f"x{extension}", records, encoding, separator, dice)
    assert [(e.answers, e.starts) for e in read("span-qa", path, labels=["no-answer"])] == expected


# --- what all rows have, or none --------------------------------------------------------------------------------------

PRESENCE = st.lists(st.sampled_from(["there", "there", "there", "empty", "absent"]), min_size=1, max_size=5)


@FILES
@given(train=PRESENCE, test=PRESENCE, extension=st.sampled_from([".csv", ".jsonl"]), seed=st.integers(0, 2**32))
def test_all_rows_have_the_second_text_or_none(tmp_path, train, test, extension, seed):
    dice = random.Random(seed)
    if extension == ".csv":  # a column is there for all rows or for none
        train, test = (
            ["absent"] * len(kinds) if kinds[0] == "absent" else [kind.replace("absent", "empty") for kind in kinds]
            for kinds in (train, test)
        )
    cells = {"there": {"text_b": "b"}, "empty": {"text_b": dice.choice(["", " "])}, "absent": {}}
    paths = [
        write_table(tmp_path / f"{name}{extension}", [{"text": "a", "label": "x", **cells[kind]} for kind in kinds],
                    PLAIN, ",", dice)
        for name, kinds in (("train", train), ("test", test))
    ]  # fmt: skip
    paired = train[0] != "absent"
    faults = [
        f"{name}{extension}:{row + (2 if extension == '.csv' else 1)}:"
        for name, kinds in (("train", train), ("test", test))
        for row, kind in enumerate(kinds)
        if (kind == "there") != paired
    ]
    if not faults:
        assert {e.text_b for e in read("classification", *paths)} == {"b" if paired else None}
        return
    with pytest.raises(UserError) as error:
        read("classification", *paths)
    assert faults[0] in str(error.value)
    assert "text_b" in str(error.value)


@FILES
@given(
    names=st.lists(st.sampled_from(["a", "b", "é", "e\u0301", "Å", "A\u030a", "\u212b", "ab", "", "7", "8"]), min_size=1, max_size=6),
    extension=st.sampled_from([".csv", ".jsonl"]), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_ids_are_unique_and_not_empty(tmp_path, names, extension, seed):
    records = [{"id": name, "text": "a", "label": "x"} for name in names]
    path = write_table(tmp_path / f"x{extension}", records, PLAIN, ",", random.Random(seed))
    keys = [unicodedata.normalize("NFC", name) for name in names]
    first = 2 if extension == ".csv" else 1
    if all(keys) and len(set(keys)) == len(keys):
        assert [e.id for e in read("classification", path, labels=["x"])] == names
        return
    with pytest.raises(UserError) as error:
        read("classification", path, labels=["x"])
    if not all(keys):
        assert f"{path}:{first + keys.index('')}: the id" in str(error.value)
        return
    second = next(n for n, key in enumerate(keys) if key in keys[:n])
    assert f"{path}:{first + second}: duplicate id" in str(error.value)
    assert f"{path}:{first + keys.index(keys[second])} has it too" in str(error.value)


@FILES
@given(
    values=st.lists(st.sampled_from(["de", "sw", "1", "1.0", "True", "x y"]), min_size=1, max_size=6),
    wanted=st.sampled_from(["de", "DE", "1", "true", "x*", "y*"]), extension=st.sampled_from([".csv", ".jsonl"]),
    seed=st.integers(0, 2**32),
)  # fmt: skip
def test_rows_that_where_selects(tmp_path, values, wanted, extension, seed):
    records = [{"part": value, "text": str(n), "label": "x"} for n, value in enumerate(values)]
    path = write_table(tmp_path / f"x{extension}", records, PLAIN, ",", random.Random(seed))
    same = {"1": ("1", "1.0"), "true": ("True",), "x*": ("x y",)}.get(wanted, (wanted,))
    expected = [str(n) for n, value in enumerate(values) if value in same]
    if expected:
        assert [e.text_a for e in read("classification", path, where={"part": wanted}, labels=["x"])] == expected
        return
    with pytest.raises(UserError, match="no row has part") as error:
        read("classification", path, where={"part": wanted}, labels=["x"])
    assert values[0] in str(error.value)


# --- plans ------------------------------------------------------------------------------------------------------------

PLANS = settings(FILES, max_examples=by_profile(3, 20, 200))


@PLANS
@given(
    rows=st.lists(st.tuples(TEXTS, st.sampled_from(["there", "there", "there", "empty"]), st.sampled_from("xy")), min_size=2, max_size=6),
    extension=st.sampled_from([".csv", ".tsv", ".jsonl"]), encoding=encodings(), separator=SEPARATORS, seed=st.integers(0, 2**32),
)  # fmt: skip
def test_plans(xlift, tmp_path, rows, extension, encoding, separator, seed):
    dice = random.Random(seed)
    train = [{"text": "a", "text_b": "b", "label": label} for label in "xy"]
    test = [
        {"text": on_one_line(text), "text_b": "b" * (kind == "there"), "label": label} for text, kind, label in rows
    ]
    paths = [
        write_table(tmp_path / f"{name}{extension}", records, encoding, separator, dice)
        for name, records in (("train", train), ("test", test))
    ]
    task = {
        "name": "toy",
        "format": "classification",
        "files": {"train": {"en": paths[0].name}, "test": {"de": paths[1].name}},
    }
    study = {"models": ["isles"], "tasks": [task], "targets": [{"task": "toy"}]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    answer = xlift("plan", "study.yaml", "--store", "store")
    faulty = any(kind == "empty" for _, kind, _ in rows)
    assert answer.code == (2 if faulty else 0), answer.err
    assert not faulty or f"{paths[1].name}:" in answer.err
