"""Translated training sets: subsets with the same examples in every language, labels compared with English, skipped rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.samples import SAMPLES

from xlift.errors import UserError
from xlift.tasks import catalog
from xlift.tasks.sources.custom import build_custom_task
from xlift.tasks.sources.hub import HubSource
from xlift.tasks.sources.parallel import select_by_id
from xlift.tasks.task import Task

FOLDER = Path(__file__).parent / "samples"
XNLI = "xtreme_translations/XNLI/translate-train"
LABELS = ("entailment", "neutral", "contradictory")


def read(name: str, language: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Id -> example of a task's training data."""
    task = catalog.get(name)
    return {example.id: example for example in task.source.read(task, language, "train", folder, **more)}


def notes(name: str, language: str, folder: Path) -> tuple[str, ...]:
    task = catalog.get(name)
    return task.source.notes(task, language, "train", folder)


def write_xnli(folder: Path, orders: dict[str, list[int]], label: str = "") -> Path:
    """XTREME's translations of some pairs into languages, each file in its own order."""
    for language, order in orders.items():
        path = folder / XNLI / f"en-{language}-translated.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            (f"A {i}.", f"B {i}.", f"{language} A {i}.", f"{language} B {i}.", label or LABELS[i % 3]) for i in order
        ]
        path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return folder


# --- subsets -----------------------------------------------------------------------------------------------------------


@given(
    ids=st.lists(st.text(max_size=4), unique=True, max_size=60),
    lost=st.sets(st.integers(0, 59)),
    sizes=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_subsets_ignore_file_order_are_nested_and_differ_only_by_missing_examples(
    ids: list[str], lost: set[int], sizes: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    def subset(names: list[str], size: int) -> set[str]:
        return {
            name for name, taken in zip(names, select_by_id(names, size, seed, "toy", "train"), strict=True) if taken
        }

    small, large = sorted(sizes)
    assert len(subset(ids, small)) == min(small, len(ids))
    assert subset(ids, small) <= subset(ids, large)
    assert subset(data.draw(st.permutations(ids)), small) == subset(ids, small)
    fewer = [name for at, name in enumerate(ids) if at not in lost]
    # an example that both have and one selects is selected by the other too, unless its subset is full
    assert subset(ids, small) & set(fewer) <= subset(fewer, small)
    assert len(subset(fewer, small) - subset(ids, small)) <= len(lost)


def test_different_seeds_give_different_subsets() -> None:
    ids = [str(i) for i in range(100)]
    assert select_by_id(ids, 50, 1, "toy", "train").tolist() != select_by_id(ids, 50, 2, "toy", "train").tolist()


def test_the_subset_is_pinned() -> None:
    # A change here changes the training data of every job on translated data.
    assert [i for i, taken in enumerate(select_by_id(map(str, range(10)), 4, 1, "toy", "train")) if taken] == [
        0,
        3,
        6,
        8,
    ]


@pytest.mark.parametrize("name", ["xnli-mt", "xnli-translate-train", "pawsx-mt", "pawsx-translate-train", "squad-mt"])
@pytest.mark.parametrize("size", [1, 2])
def test_subsets_of_published_sets_match_across_languages(name: str, size: int) -> None:
    task, folder = catalog.get(name), FOLDER / name / "native"
    here = [code for code in task.source.languages("train") if task.source.is_present(code, "train", folder)]
    assert "en" in here
    assert len(here) > 1
    for seed in range(5):
        english = read(name, "en", folder, size=size, seed=seed)
        for code in here:
            there, taken = read(name, code, folder), read(name, code, folder, size=size, seed=seed)
            assert len(taken) == size
            assert (
                english.keys() & there.keys() <= taken.keys()
            )  # SQuAD's German lacks a question and has another instead
            joined = english.keys() & taken.keys()
            assert [getattr(english[i], "label", "") for i in joined] == [
                getattr(taken[i], "label", "") for i in joined
            ]


def test_files_in_different_orders_and_lengths_are_matched(tmp_path: Path) -> None:
    write_xnli(tmp_path, {"de": list(range(40)), "sw": list(range(39, 4, -1))})
    german, swahili, english = (
        read("xnli-translate-train", code, tmp_path, size=12, seed=3) for code in ("de", "sw", "en")
    )
    assert german.keys() == english.keys()
    assert len(swahili) == 12
    both = german.keys() & swahili.keys()
    assert len(both) >= 12 - 5  # five of the forty have no translation
    for name in both:
        assert (
            german[name].text_a.removeprefix("de ") == swahili[name].text_a.removeprefix("sw ") == english[name].text_a
        )
        assert german[name].label == swahili[name].label == english[name].label
    assert notes("xnli-translate-train", "sw", tmp_path) == ("5 of the English examples have no usable translation",)
    assert notes("xnli-translate-train", "de", tmp_path) == ()


def test_repeated_pairs_are_separate_examples(tmp_path: Path) -> None:
    write_xnli(tmp_path, {"de": [0, 1, 0], "sw": [0, 0, 1]})
    german, swahili = (read("xnli-translate-train", code, tmp_path) for code in ("de", "sw"))
    assert len(german) == 3
    assert german.keys() == swahili.keys()


def test_custom_translations_are_matched_with_joined(tmp_path: Path) -> None:
    for code, order in (("en", range(20)), ("ln", range(19, -1, -1))):
        lines = [f"{i},{code} {i},{'ab'[i % 2]}" for i in order]
        (tmp_path / f"{code}.csv").write_text("id,text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    declared = {
        "name": "tickets",
        "format": "classification",
        "files": {"train": "{lang}.csv"},
        "languages": ["en", "ln"],
    }
    apart, joined = build_custom_task(declared, tmp_path), build_custom_task(declared | {"joined": True}, tmp_path)
    taken = [
        [
            {example.id for example in task.source.read(task, code, "train", None, size=6, seed=1)}
            for code in ("en", "ln")
        ]
        for task in (apart, joined)
    ]
    assert taken[0][0] != taken[0][1]
    assert taken[1][0] == taken[1][1]
    assert apart.source.fingerprint(apart, "ln", "train", None) != joined.source.fingerprint(
        joined, "ln", "train", None
    )


# --- the labels ---------------------------------------------------------------------------------------------------------


def test_a_label_that_differs_from_english_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = tmp_path / "XNLI-MT-1.0/multinli"
    folder.mkdir(parents=True)
    for code, second in (("en", "neutral"), ("fr", "entailment")):
        text = f"premise\thypo\tlabel\na\tb\tcontradictory\nc\td\t{second}\n"
        (folder / f"multinli.train.{code}.tsv").write_text(text, encoding="utf-8")
    task = catalog.get("xnli-mt")
    with pytest.raises(UserError) as raised:
        task.source.size(task, "fr", "train", tmp_path)
    assert "multinli.train.fr.tsv:3: the label 'entailment' differs from that of the English example" in str(
        raised.value
    )
    (folder / "multinli.train.en.tsv").unlink()
    (folder / "multinli.train.fr.tsv").write_text("premise\thypo\tlabel\na\tb\tneutral\n", encoding="utf-8")
    assert task.source.size(task, "fr", "train", tmp_path) == 1  # nothing to compare with


def test_hub_files_are_matched_too(tmp_path: Path) -> None:
    task = catalog.get("xnli-mt")
    source = next(member for member in task.source.members if isinstance(member, HubSource))  # type: ignore[attr-defined]
    home, commit = tmp_path / "hub" / "datasets--facebook--xnli", "0123456789" * 4
    (home / "refs" / source.revision).parent.mkdir(parents=True)
    (home / "refs" / source.revision).write_text(commit)
    for code in ("en", "sw"):
        for pattern in source.patterns(code, "train"):
            path = home / "snapshots" / commit / pattern.replace("*", "0000")
            path.parent.mkdir(parents=True)
            labels = [i % 3 for i in range(20)] + ([0] if code == "en" else [])
            rows = [{"premise": f"{code} {i}", "hypothesis": "x", "label": label} for i, label in enumerate(labels)]
            pq.write_table(pa.Table.from_pylist(rows), path)
    english, swahili = (read("xnli-mt", code, tmp_path, size=15, seed=1) for code in ("en", "sw"))
    assert english.keys() - {"20"} <= swahili.keys()
    assert notes("xnli-mt", "sw", tmp_path) == ("1 of the English examples have no usable translation",)


# --- skipped rows -----------------------------------------------------------------------------------------------------


def test_answers_are_located_in_the_translation_and_lost_ones_are_counted(tmp_path: Path) -> None:
    sample = SAMPLES["squad-translated"]
    folder = tmp_path / "xtreme_translations/SQuAD/translate-train"
    folder.mkdir(parents=True)
    (folder / "squad.translate.train.en-de.json").write_bytes(sample.files["x.json"])
    found = read("squad-mt", "de", tmp_path)
    assert {name: example.starts for name, example in found.items()} == {"r1": (4,), "r2": (22,)}
    message = ("2 rows skipped: a question whose answer is not in the translated passage",)
    assert notes("squad-mt", "de", tmp_path) == message


def test_notes_count_skipped_and_untranslated_rows(tmp_path: Path) -> None:
    assert notes("squad-mt", "de", FOLDER / "squad-mt/native") == (
        "1 row skipped: a question whose answer is not in the translated passage",
        "1 of the English examples have no usable translation",
    )


def test_malformed_rows_are_counted_if_ragged(tmp_path: Path) -> None:
    folder = tmp_path / "xtreme_translations/PAWSX/translate-train"
    folder.mkdir(parents=True)
    rows = ['a\tb\t"Er sagte ""ja""."\tf\t1', "a\tb\te\tf", "a\tb\te\tf\tlabel", "a\tc\te\tg\t0"]
    (folder / "en-de-translated.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    kept = list(read("pawsx-translate-train", "de", tmp_path).values())
    assert [(e.text_a, e.label) for e in kept] == [('Er sagte "ja".', "paraphrase"), ("e", "different")]
    assert notes("pawsx-translate-train", "de", tmp_path) == (
        "1 row skipped: a row without five fields",
        "1 row skipped: a row without a label",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\tc\td\n", ":1: 4 fields, expected 5"),
        ("a\tb\tc\td\tentailment\na\tb\tc\td\tmaybe\n", ":2: unknown label 'maybe'"),
        ("\n", "no examples for xnli-translate-train de train"),
    ],
)
def test_malformed_rows_are_refused_by_default(content: str, message: str, tmp_path: Path) -> None:
    path = write_xnli(tmp_path, {"de": [0]}) / XNLI / "en-de-translated.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read("xnli-translate-train", "de", tmp_path)
    assert message in str(raised.value)


# --- the archipelago: exact translations -------------------------------------------------------------------


@pytest.mark.parametrize("name", [task.name for task in catalog.ISLES if task.format in ("classification", "span-qa", "multiple-choice", "tagging")])  # fmt: skip
def test_generated_examples_of_one_seed_match_across_languages(name: str) -> None:
    task: Task = catalog.get(name)
    rows = {code: list(task.source.read(task, code, "train", None, size=8, seed=5)) for code in ("qta", "qtu", "qka")}
    pivot = rows["qta"]
    for code, examples in rows.items():
        assert [e.id for e in examples] == [e.id for e in pivot]
        assert examples == list(task.source.read(task, code, "train", None, size=12, seed=5))[:8]
        if task.format in ("classification", "multiple-choice"):
            assert [e.label for e in examples] == [e.label for e in pivot]
        if task.format == "span-qa":
            assert [len(e.answers) for e in examples] == [len(e.answers) for e in pivot]
        assert code == "qta" or [json.dumps(vars(e), default=str) for e in examples] != [
            json.dumps(vars(e), default=str) for e in pivot
        ]
