"""Files as programs write them, made at random beside the rows that they hold: the reader gives these rows, or refuses the
file and names the row that is at fault.

A few dozen files of each kind, and ten thousand in `make fuzz`.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.profile import by_profile

from xlift.errors import UserError
from xlift.execution.file_prediction import InputRows
from xlift.tasks.sources.custom import build_custom_task
from xlift.tasks.sources.readers import conll
from xlift.tasks.sources.readers.base import Layout

pytestmark = pytest.mark.fuzz
FILES = settings(
    max_examples=by_profile(40, 200, 10_000),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)

LETTERS = st.characters(codec="utf-8", exclude_characters="\r\x00\ufeff")
TEXTS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.text(st.sampled_from("ab ,;\t\n\"'#=|\u00a0\u3000\u2028é"), min_size=1, max_size=12),
).filter(lambda text: text.strip() != "")
NUMBERS = itertools.count()
"""In the name of every file, since digests are kept while size and time stay the same."""
SEPARATORS = st.sampled_from(",;\t")


PLAIN = (False, False, "\n")


@st.composite
def encodings(draw: st.DrawFn) -> tuple[bool, bool, str]:
    """Byte-order mark, gzip, line end."""
    return draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(["\n", "\r\n"]))


def write(path: Path, text: str, encoding: tuple[bool, bool, str]) -> Path:
    """Write a text whose lines end with "\\n"; `.gz` is added to the name of a gzip file."""
    mark, packed, _ = encoding
    content = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    path = path.with_name(f"{next(NUMBERS)}.{path.name}{'.gz' if packed else ''}")
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    return path


def write_table(
    path: Path, records: Sequence[dict[str, Any]], encoding: tuple[bool, bool, str], separator: str, dice: random.Random
) -> Path:
    """Write records as .csv, .tsv or .jsonl, by the extension."""
    end, stream = encoding[2], io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    dice.shuffle(names)
    if path.suffix == ".jsonl":
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=dice.random() < 0.5) + end)
    elif path.suffix == ".tsv":
        for row in (names, *([str(record.get(name, "")) for name in names] for record in records)):
            stream.write("\t".join(row) + end)
    else:
        if encoding != PLAIN and dice.random() < 0.3:
            stream.write(f"sep={separator}{end}")
        quoting: Any = dice.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        writer = csv.DictWriter(stream, names, delimiter=separator, quoting=quoting, lineterminator=end, restval="")
        writer.writeheader()
        writer.writerows(records)
    return write(path, stream.getvalue(), encoding)


def on_one_line(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def read(format: str, train: Path, test: Path | None = None, **keys: Any) -> list[Any]:
    """The examples of the test file of a custom task, or of its training file, after all of them are checked."""
    files = {"train": {"en": train.name}} | ({"test": {"de": test.name}} if test else {})
    task = build_custom_task({"name": "toy", "format": format, "files": files, **keys}, train.parent)
    task.source.size(task, "en", "train", None)
    return list(task.source.read(task, *(("de", "test") if test else ("en", "train")), None))


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


# --- words and tags ---------------------------------------------------------------------------------------------------

TAGS: tuple[str, ...] = ("O", "B-PER", "I-PER", "SYM")
WORD = st.one_of(
    st.sampled_from(["#", "##", "#tag", "Rome", "\u00a0", "\u3000", "a\u2028b", "O", "-", '"', "B-PER", "10\u00a0000"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=" \ufeff"), min_size=1, max_size=6),
)  # fmt: skip
COMMENT = st.sampled_from(
    [
        "# id a1\tdomain=train",
        "# text = a b c",
        "# sent_id = 3",
        "# newdoc",
        "#",
        "# comment",
        "# a b c d",
        "# one\ttwo",
    ]
)


@st.composite
def conll_files(draw: st.DrawFn) -> tuple[str, list[list[tuple[str, str]]]]:
    """The text of a file, and the words and tags of its sentences."""
    tabs, columns = draw(st.booleans()), draw(st.integers(0, 2))
    separator = draw(st.sampled_from(["\t", " \t", "\t "] if tabs else [" ", "  "]))
    words = st.lists(WORD, min_size=1, max_size=2).map(" ".join) if tabs else WORD
    sentences = draw(
        st.lists(st.lists(st.tuples(words, st.sampled_from(TAGS)), min_size=1, max_size=4), min_size=1, max_size=4)
    )
    lines: list[str] = []
    for sentence in sentences:
        lines += [""] * draw(st.integers(0, 2)) + draw(st.sampled_from([[], [], ["-DOCSTART- -X- O", ""]]))
        lines += draw(st.lists(COMMENT, max_size=2))
        for word, tag in sentence:
            lines.append(separator.join([word, *(["x"] * columns), tag]))
        lines.append(draw(st.sampled_from(["", " ", "\t"])))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end])), sentences


@FILES
@given(file=conll_files(), encoding=encodings(), declared=st.booleans())
def test_words_and_tags(tmp_path, file, encoding, declared):
    text, expected = file
    # A word that begins with `#` above all others of a sentence needs a known tag, and no blank.
    starts = [sentence[0] for sentence in expected if sentence[0][0].startswith("#")]
    assume(not any(" " in word for word, _ in starts))
    known = {tag for sentence in expected for n, (word, tag) in enumerate(sentence) if not word.startswith("#")}
    assume(known)
    assume(declared or all(tag in known for _, tag in starts))
    assume(not any(sentence[0][0].startswith("-DOCSTART-") for sentence in expected))
    path = write(tmp_path / "x.conll", text, encoding)
    labels: dict[str, Any] = {"labels": list(TAGS)} if declared else {}
    examples = read("tagging", path, **labels)
    assert [list(zip(e.words, e.tags, strict=True)) for e in examples] == expected
    rows = InputRows(path, "tagging", labels=TAGS)
    assert [list(row.example.words) for row in rows] == [[word for word, _ in sentence] for sentence in expected]


@FILES
@given(file=conll_files(), seed=st.integers(0, 2**32))
def test_words_without_tags(tmp_path, file, seed):
    """`predict` reads the words of a file that has no tags."""
    _, sentences = file
    words = [[word for word, _ in sentence if " " not in word and not word.startswith("#")] for sentence in sentences]
    words = [sentence for sentence in words if sentence]
    assume(words)
    path = write(tmp_path / "x.conll", "\n\n".join("\n".join(sentence) for sentence in words), PLAIN)
    assert [list(row.example.words) for row in InputRows(path, "tagging", labels=TAGS)] == words


@FILES
@given(file=conll_files(), seed=st.integers(0, 2**32))
def test_a_line_with_other_columns_is_refused(tmp_path, file, seed):
    text, sentences = file
    assume("\t" in text.replace("# id a1\tdomain=train", "").replace("# one\ttwo", "").replace("\n\t", "\n"))
    lines = text.replace("\r\n", "\n").split("\n")
    tagged = [n for n, line in enumerate(lines) if "\t" in line.strip() and not line.startswith("#")]
    assume(len(tagged) > 1)
    at = random.Random(seed).choice(tagged[1:])
    lines[at] = lines[at].rstrip() + "\textra"
    path = write(tmp_path / "x.conll", "\n".join(lines), PLAIN)
    with pytest.raises(UserError, match="columns"):
        list(conll.sentences(path, Layout("tagging", "en", labels=TAGS)))


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
