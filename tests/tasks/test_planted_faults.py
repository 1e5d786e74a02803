"""Random files with faults of every kind in random files: each is named with its file and row. Clean files are not odd."""

from __future__ import annotations

import csv
import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fakes import plan_of, study_file
from tests.support.profile import by_profile

from xlift.errors import UserError
from xlift.studies.resolver import Resolver
from xlift.studies.study_file import read_study

LABELS = ("billing", "delivery", "refund_request", "störung", "B-ORGANISATION", "доставка")
LETTERS = "abcdefghijklm nopäöéшж漢字ก,'"
SEEDS = st.integers(0, 2**32)

Row = dict[str, str]


def make_rows(rng: random.Random, name: str, labels: Sequence[str], is_pair: bool) -> list[Row]:
    """Rows with different texts, with every label at least six times in training and twice elsewhere."""
    answers = [*list(labels) * (6 if name == "train.en" else 2), *rng.choices(labels, k=rng.randrange(6))]
    rng.shuffle(answers)
    rows = []
    for n, label in enumerate(answers):
        words = "".join(rng.choices(LETTERS, k=rng.randrange(1, 20)))
        rows.append({"text_a": f"{words} {name} {n}", **({"text_b": f"{words}!"} if is_pair else {}), "label": label})
    return rows


def mistyped(rng: random.Random, label: str) -> str:
    """The label with one mistake in its last word."""
    at = rng.randrange(len(label) - 5, len(label) - 1)
    kind = rng.choice(("missing", "added", "wrong", "swapped"))
    if kind == "missing":
        return label[:at] + label[at + 1 :]
    if kind == "swapped" and label[at] != label[at + 1]:
        return label[:at] + label[at + 1] + label[at] + label[at + 2 :]
    return label[:at] + "z" + label[at + (kind == "wrong") :]


def alike(rng: random.Random, label: str) -> str:
    """Another label that looks the same, or has other capitals."""
    others = [label.swapcase(), f"{label}\u200b", f"{label[:3]}\u00ad{label[3:]}", unicodedata.normalize("NFD", label)]
    return rng.choice([other for other in others if other != label])


KINDS = (
    "mistyped", "alike", "column name", "header", "repeated", "two labels", "empty", "in training", "unknown", "cut",
)  # fmt: skip


COLUMN_OF_LABELS = {"classification": "label", "multi-label": "labels", "tagging": "tags"}
IMPOSSIBLE = {"conll": ("header", "empty"), "jsonl": ("header",)}
"""Extension of a tagging task -> kinds that its files cannot have."""


class Files:
    """Rows of the files of a task, which are written at the end."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.format = rng.choice(tuple(COLUMN_OF_LABELS))
        self.extension = rng.choice(("jsonl", "conll") if self.format == "tagging" else ("csv", "tsv", "jsonl"))
        self.labels = rng.sample(LABELS, rng.randrange(2, 5))
        self.names = ["train.en", *rng.choice((["test.de"], ["test.de", "test.sw"], ["dev.en", "test.de"]))]
        is_pair = self.format != "tagging" and rng.random() < 0.5
        self.rows = {name: make_rows(rng, name, self.labels, is_pair) for name in self.names}
        self._originals = {name: len(rows) for name, rows in self.rows.items()}

    def can_have(self, kind: str, split: str) -> bool:
        if self.format == "tagging" and kind in IMPOSSIBLE[self.extension]:
            return False
        return kind != ("in training" if split == "train" else "alike")

    def plant(self, kind: str, name: str) -> Row:
        """Append a row with a fault to a file. It is below all others, so that of two rows it is the one to be named."""
        rng, rows, column = self.rng, self.rows[name], COLUMN_OF_LABELS[self.format]
        row = dict(rng.choice(rows[: self._originals[name]]))
        if kind == "header":
            row = {**{field: field for field in row}, "label": column}
        elif kind == "two labels":
            row["label"] = rng.choice([label for label in self.labels if label != row["label"]])
        elif kind == "in training":
            row = dict(rng.choice(self.rows["train.en"][: self._originals["train.en"]]))
        elif kind == "cut":
            del row["label"]
        elif kind == "empty":
            row["text_a"] = rng.choice(("", " ", "\u200b", "\u00a0\ufeff"))
        elif kind != "repeated":
            row["text_a"] += " planted"
            change = {"mistyped": mistyped, "alike": alike}.get(kind)
            other = column if kind == "column name" else f"something_in_{name[:3]}"
            row["label"] = change(rng, row["label"]) if change else other
        rows.append(row)
        return row

    def place(self, name: str) -> str:
        """That of the last row so far."""
        rows = self.rows[name]
        lines = sum(len(row["text_a"].split()) + 1 for row in rows[:-1]) + 1  # conll
        number = {"jsonl": len(rows), "conll": lines}.get(self.extension, len(rows) + 1)
        return f"{name}.{self.extension}:{number}"

    def write(self, folder: Path) -> None:
        for name, rows in self.rows.items():
            with (folder / f"{name}.{self.extension}").open("w", encoding="utf-8", newline="") as file:
                if self.extension == "conll":
                    for row in rows:
                        file.writelines(f"{word}\t{tag}\n" for word, tag in zip(*tagged(row), strict=True))
                        file.write("\n")
                elif self.extension == "jsonl":
                    escapes = self.rng.random() < 0.5
                    file.writelines(json.dumps(self._record(row), ensure_ascii=escapes) + "\n" for row in rows)
                else:
                    cells = [self._record(rows[0]).keys(), *(row.values() for row in rows)]
                    if self.extension == "csv":
                        csv.writer(file).writerows(cells)
                    else:
                        file.writelines("\t".join(row) + "\r\n" for row in cells)

    def _record(self, row: Row) -> dict[str, object]:
        if self.format == "tagging":
            words, tags = tagged(row)
            return {"words": words, **({"tags": tags} if "label" in row else {})}
        return {COLUMN_OF_LABELS[self.format] if field == "label" else field: text for field, text in row.items()}


def tagged(row: Row) -> tuple[list[str], list[str]]:
    """The words of a text, of which the first has the label as its tag."""
    words = row["text_a"].split()
    return words, [row.get("label", ""), *["O"] * (len(words) - 1)][: len(words)]


def make_study(seed: int, folder: Path, kinds: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The text of a study whose files are in the folder, and the planted faults: place -> kind."""
    rng = random.Random(seed)
    files, misspelt, faults = Files(rng), set[str](), dict[str, str]()
    for kind in kinds:
        for split in ("train", "dev", "test"):
            name = rng.choice([name for name in files.names if name.startswith(split)] or [""])
            if not name or rng.random() < 0.5 or not files.can_have(kind, split):
                continue
            row = files.plant(kind, name)
            if kind == "mistyped" and row["label"] in misspelt:
                continue  # the first place of a misspelt label is named
            misspelt.add(row.get("label", ""))
            faults[files.place(name)] = kind
    if any(place.startswith("test") for place in faults):
        # A test row with an error may have the label that seems to be in train only, so that is not said.
        faults = {place: kind for place, kind in faults.items() if (kind, place[:5]) != ("unknown", "train")}
    files.write(folder)
    by_split: dict[str, dict[str, str]] = {}
    for name in files.names:
        split, language = name.split(".")
        by_split.setdefault(split, {})[language] = f"{name}.{files.extension}"
    task = {"name": "own", "format": files.format, "files": by_split}
    if rng.random() < 0.3:
        task["labels"] = [*files.labels, *(["O"] if files.format == "tagging" else [])]
    return yaml.safe_dump({"models": ["model"], "tasks": [task], "targets": [{"task": "own"}]}), faults


def named_in(folder: Path, study: str, *, plans: bool = False) -> list[str]:
    """The errors and oddities that the planning names."""
    path = study_file(folder, study)
    try:
        if plans:
            odd = [str(odd) for summary in plan_of(path).summaries for odd in summary.odd]
        else:
            resolver = Resolver(read_study(str(path)), None, check_files=True)
            odd = [str(odd) for summary in resolver.summaries for odd in summary.odd]
    except UserError as error:
        odd = [*error.warnings, *map(str, error.errors)]
    return [message.replace(f"{folder}/", "") for message in odd]


def check_all_are_named(seed: int, *, plans: bool) -> None:
    with TemporaryDirectory() as folder:
        study, faults = make_study(seed, Path(folder), KINDS)
        messages = named_in(Path(folder), study, plans=plans)
        for place, kind in faults.items():
            assert any(message.startswith(f"{place}: ") for message in messages), (kind, place, messages)


@settings(max_examples=by_profile(20, 100, 10_000))
@given(SEEDS)
def test_every_planted_fault_is_named_with_its_file_and_row(seed: int):
    check_all_are_named(seed, plans=False)


@settings(max_examples=by_profile(5, 20, 200))
@given(SEEDS)
def test_a_plan_names_every_planted_fault(seed: int):
    check_all_are_named(seed, plans=True)


@settings(max_examples=by_profile(20, 100, 10_000))
@given(SEEDS)
def test_clean_files_are_not_odd(seed: int):
    with TemporaryDirectory() as folder:
        study, _ = make_study(seed, Path(folder), ())
        assert not named_in(Path(folder), study)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_planted_and_named_alone(kind: str):
    places = 0
    for seed in range(8):
        with TemporaryDirectory() as folder:
            study, faults = make_study(seed, Path(folder), (kind,))
            messages = named_in(Path(folder), study)
            places += len(faults)
            assert {place for place in faults if not any(m.startswith(f"{place}: ") for m in messages)} == set(), (
                messages
            )
    assert places
