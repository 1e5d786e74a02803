"""Noise from files: misspelt rows of a tagging task, paired with the clean rows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.support.command import Xlift

from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.tasks import catalog
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.noise import NoiseCounts, add_noise_to_examples, check_noise, noise_notes, with_digest
from xlift.tasks.noise.misspelt_rows import NoisyRow, pair_rows
from xlift.tasks.sources.custom import build_custom_task

NATURAL = Noise(kind="natural", level=0.2, words="noisy.{lang}.conll")
CLEAN = """\
Anna Musterfrau wohnt in Neustadt am Wasser .|B-PER I-PER O O B-LOC I-LOC I-LOC O
Der Verein spielt in Altdorf .|O O O O B-LOC O
Neustadt|B-LOC
Er kennt Karl Beispiel .|O O B-PER I-PER O
"""
NOISY = """\
Anna Musterfrua wohtn in Neustadt am Waser .|B-PER I-PER O O B-LOC I-LOC I-LOC O
Der Verien spielt in Altdorf .|O O O O B-LOC O
Neusadt|B-LOC
Er kennt Karl Beispiel .|O O B-PER I-PER O
"""


def sentences(text: str) -> list[tuple[list[str], list[str]]]:
    return [(line.split("|")[0].split(), line.split("|")[1].split()) for line in text.splitlines()]


def conll(text: str) -> str:
    return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in zip(*row, strict=True)) for row in sentences(text))


def clean() -> list[TaggingExample]:
    return [TaggingExample(f"c{n}", tuple(words), tuple(tags)) for n, (words, tags) in enumerate(sentences(CLEAN))]


def read(folder: Path, text: str, noise: Noise = NATURAL, **more) -> list[TaggingExample]:
    (folder / "noisy.de.conll").write_text(text, encoding="utf-8")
    return add_noise_to_examples(catalog.get("panx"), more.pop("examples", clean()), noise, "de", data=folder, **more)


def join_words(examples: list[TaggingExample]) -> list[str]:
    return [" ".join(e.words) for e in examples]


def test_words_come_from_the_file_and_ids_and_tags_from_the_clean_rows(tmp_path: Path):
    noise_counts = NoiseCounts()
    made = read(tmp_path, conll(NOISY), noise_counts=noise_counts)
    assert join_words(made) == [line.split("|")[0] for line in NOISY.splitlines()]
    assert [(e.id, e.tags) for e in made] == [(e.id, e.tags) for e in clean()]
    assert (noise_counts.num_texts, noise_counts.num_words, noise_counts.num_changed) == (4, 20, 5)


def test_rows_pair_in_any_order_and_number(tmp_path: Path):
    rows = NOISY.splitlines()
    made = read(tmp_path, conll("\n".join([rows[3], rows[0], rows[1]])))
    assert [(e.id, e.words[1]) for e in made] == [("c0", "Musterfrua"), ("c1", "Verien"), ("c3", "kennt")]


@pytest.mark.parametrize(
    "other",
    [
        "Das ist ein ganz anderer Satz ja .|O O O O O O O O",
        "Der Verein spielt in Altdorf .|O O O O B-ORG O",  # another tag
        "Der Verein spielt in Alt dorf .|O O O O B-LOC I-LOC O",  # another number of words
        "Der Hund schläft in Altdorf .|O O O O B-LOC O",  # other words
    ],
)
def test_a_row_without_a_clean_row_is_left_out_and_reported(tmp_path: Path, other: str):
    rows = NOISY.splitlines()
    text = conll("\n".join([rows[0], other, *rows[2:]]))
    assert [e.id for e in read(tmp_path, text)] == ["c0", "c2", "c3"]
    (tmp_path / "panx.de.conll").write_text(conll(CLEAN), encoding="utf-8")
    task = build_custom_task({"name": "t", "format": "tagging", "files": {"test": {"de": "panx.de.conll"}},
                     "labels": list(catalog.get("panx").labels)}, tmp_path)  # fmt: skip
    noise = NATURAL.model_copy(update={"words": "noisy.de.conll"})
    assert noise_notes(noise, task, "de", "test", tmp_path) == (
        "1 of 4 rows have no misspelt row in noisy.de.conll and are left out under this noise",
        f"1 of 4 misspelt rows match no clean row and are left out (the first: {tmp_path}/noisy.de.conll:10)",
    )


def test_no_notes_if_all_rows_pair(tmp_path: Path):
    (tmp_path / "noisy.de.conll").write_text(conll(NOISY), encoding="utf-8")
    (tmp_path / "c.conll").write_text(conll(CLEAN), encoding="utf-8")
    task = build_custom_task({"name": "t", "format": "tagging", "files": {"test": {"de": "c.conll"}},
                     "labels": list(catalog.get("panx").labels)}, tmp_path)  # fmt: skip
    assert noise_notes(NATURAL, task, "de", "test", tmp_path) == ()
    assert noise_notes(Noise(kind="typos"), task, "de", "test", tmp_path) == ()


def test_a_file_of_another_task_is_refused_with_numbers(tmp_path: Path):
    other = "Ganz andere Wörter|O O O\nNoch ein Satz hier|O O O O\nUnd der letzte|O O O\n" + NOISY.splitlines()[3]
    with pytest.raises(UserError, match=r"only 1 of 4 misspelt rows match one of the 4 clean rows"):
        read(tmp_path, conll(other))


def test_a_subset_of_the_clean_rows_pairs_only_with_its_own_rows(tmp_path: Path):
    """The file has no ids; rows of other examples must not replace those of the subset."""
    some = [e for e in clean() if e.id in ("c1", "c2")]
    assert join_words(read(tmp_path, conll(NOISY), examples=some)) == ["Der Verien spielt in Altdorf .", "Neusadt"]


@pytest.mark.parametrize("name", ["isle-pos", "isle-names"])
@pytest.mark.parametrize(("noisy_share", "shuffled", "clean_share"), [(1.0, False, 1.0), (0.7, False, 1.0), (0.7, True, 1.0), (0.7, False, 0.2)])  # fmt: skip
def test_hundreds_of_misspelt_rows_pair_correctly(name: str, noisy_share: float, shuffled: bool, clean_share: float):
    """30% of the words have typos, some rows are missing in the file or among the clean ones, and the order may change."""
    task, rng = catalog.get(name), random.Random(5)
    examples = list(task.source.read(task, "qka", "test", None, size=300))
    dirty = add_noise_to_examples(task, examples, Noise(kind="typos", level=0.3), "qka")
    numbers = [n for n in range(300) if rng.random() < noisy_share]
    if shuffled:
        rng.shuffle(numbers)
    clean_numbers = [n for n in range(300) if rng.random() < clean_share]
    rows = [NoisyRow(dirty[n].words, dirty[n].tags, str(n)) for n in numbers]
    pairing = pair_rows([examples[n] for n in clean_numbers], rows, task.labels)
    wrong = {
        (c, r) for c, r in pairing.partner.items()
        if (examples[clean_numbers[c]].words, examples[clean_numbers[c]].tags) != (examples[numbers[r]].words, examples[numbers[r]].tags)
    }  # fmt: skip
    assert not wrong
    assert len(pairing.partner) >= 0.98 * len(set(numbers) & set(clean_numbers))
    assert len(pairing.unpaired) == len(rows) - len(pairing.partner)


def test_json_lines_with_tags_by_name_or_number(tmp_path: Path):
    """WikiANN on the Hub has the columns `tokens` and `ner_tags`, with tags as indices into the labels."""
    labels = catalog.get("panx").labels
    for number, key in ((True, "ner_tags"), (False, "tags")):
        lines = [
            json.dumps(
                {"tokens": words, key: [labels.index(tag) if number else tag for tag in tags]}, ensure_ascii=False
            )
            for words, tags in sentences(NOISY)
        ]
        (tmp_path / f"{key}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        noise = Noise(kind="natural", level=0.2, words=f"{key}.jsonl")
        made = add_noise_to_examples(catalog.get("panx"), clean(), noise, "de", data=tmp_path)
        assert join_words(made)[:2] == [
            "Anna Musterfrua wohtn in Neustadt am Waser .",
            "Der Verien spielt in Altdorf .",
        ]
        assert [e.tags for e in made] == [e.tags for e in clean()]


def test_the_digest_covers_the_rows_and_a_later_change_is_refused(tmp_path: Path):
    path = tmp_path / "noisy.de.conll"
    path.write_text(conll(NOISY), encoding="utf-8")
    first = with_digest(NATURAL, "de", tmp_path)
    assert len(first.digest) == 64
    path.write_text(conll(NOISY.replace("Waser", "Wasr")), encoding="utf-8")
    assert with_digest(NATURAL, "de", tmp_path).digest != first.digest
    with pytest.raises(UserError, match="have changed since the plan was made"):
        add_noise_to_examples(catalog.get("panx"), clean(), first, "de", data=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Wort\n", "has no tag"),
        ("\n\n", "the file has no rows"),
        (None, "cannot read the misspelt rows"),
        ("", "the file is empty"),
    ],
)
def test_invalid_files_are_refused_at_planning(tmp_path: Path, text: str | None, message: str):
    if text is not None:
        (tmp_path / "noisy.de.conll").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        with_digest(NATURAL, "de", tmp_path)
    assert "noisy.de.conll" in caught.value.where


def test_json_rows_with_more_words_than_tags_are_refused(tmp_path: Path):
    (tmp_path / "n.jsonl").write_text('{"tokens": ["a", "b"], "tags": ["O"]}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"2 words \(some may be empty\) and 1 tags"):
        with_digest(Noise(kind="natural", level=0.2, words="n.jsonl"), "de", tmp_path)


def test_misspelt_rows_need_a_level(tmp_path: Path):
    (tmp_path / "noisy.de.conll").write_text(conll(NOISY), encoding="utf-8")
    with pytest.raises(UserError, match="has no `level`"):
        with_digest(Noise(kind="natural", words="noisy.{lang}.conll"), "de", tmp_path)


def test_misspelt_rows_are_natural_noise_of_tagging_tasks():
    check_noise(NATURAL, catalog.get("panx"), "de")
    check_noise(NATURAL, catalog.get("panx"), "ja")  # the rows have words, so no spaces are needed
    with pytest.raises(UserError, match="xnli is not one"):
        check_noise(NATURAL, catalog.get("xnli"), "de")
    with pytest.raises(UserError, match="needs a dictionary"):
        check_noise(NATURAL.model_copy(update={"kind": "code-switch"}), catalog.get("panx"), "de")
    with pytest.raises(UserError, match=r"\.conll"):
        check_noise(Noise(kind="natural"), catalog.get("panx"), "de")


def test_tagged_rows_are_refused_as_a_dictionary(tmp_path: Path):
    """Otherwise 'Neustadt B-LOC' would replace a word by a tag."""
    (tmp_path / "noisy.txt").write_text(conll(NOISY), encoding="utf-8")
    with pytest.raises(UserError, match="every second word is a tag") as caught:
        add_noise_to_examples(
            catalog.get("panx"), clean(), Noise(kind="natural", words="noisy.txt"), "de", data=tmp_path
        )
    assert ".conll" in caught.value.fix


STUDY = """\
question: What do misspellings cost?
models: [isles]
seeds: [1]
data: .
training: {lr: 0.001, batch_size: 16, epochs: 1}
tasks:
  - {name: mine, format: tagging, labels: [O, B-LOC], files: {train: {de: c.conll}, test: {de: c.conll}}}
intermediate: [none]
targets:
  - {task: mine, noise: {kind: natural, level: 0.2, words: "n.{lang}.conll"}}
"""


@pytest.mark.slow
def test_a_study_compares_paired_rows_with_the_same_clean_rows(xlift: Xlift, tmp_path: Path):
    words = ["Altdorf", "Neustadt", "Wasser", "Verein", "Garten", "Hafen"]
    rows = [f"Der Weg nach {a} und {b} Nummer {n}|O O O B-LOC O B-LOC O O" for n, (a, b) in enumerate(
        (a, b) for a in words for b in words if a != b)]  # fmt: skip
    (tmp_path / "c.conll").write_text(conll("\n".join(rows)), encoding="utf-8")
    noisy_rows = [row.replace("nach", "nahc").replace("Hafen", "Hfaen") for row in rows[:20]]
    (tmp_path / "n.de.conll").write_text(conll("\n".join([*noisy_rows, "Etwas anderes|O O"])), encoding="utf-8")
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    assert xlift("run", tmp_path / "s.yaml", "--store", tmp_path / "store", "--workers", 0).code == 0
    (row,) = (
        row for row in json.loads(xlift("report", tmp_path / "s.yaml", "--store", tmp_path / "store", "--noise", "--json").out)
        if row["language"] == "de"
    )  # fmt: skip
    assert (row["noise"], row["n"], row["whole"]) == ("natural 20% n.{lang}.conll", 20, 30)
