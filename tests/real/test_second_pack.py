"""The second pack of ../shared/data: every example that the catalogue or a YAML gives equals the row that plain code reads.

Texts, labels and their order are compared, without the readers of the package.
"""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xlift.studies.plan import make_plan
from xlift.studies.study_file import read_study
from xlift.tasks import catalog
from xlift.tasks.sources.custom import build_custom_task
from xlift.tasks.sources.fallback import keep_kind

DATA = Path(__file__).parents[3] / "shared" / "data"
YAML = Path(__file__).parent / "second_pack.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")]

LETTERS = {"e": "entailment", "n": "neutral", "c": "contradiction"}
CAUSES = {"cause": "What was the cause?", "effect": "What was the effect?"}
Rows = Iterable[tuple[Any, ...]]


def text_lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").rstrip("\n").split("\n")


def cells(name: str, quoted: bool = False) -> list[list[str]]:
    """Rows of a table with tabs."""
    if not quoted:
        return [line.split("\t") for line in text_lines(name)]
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def records(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_lines(name)]


def archived(member: str) -> list[dict[str, Any]]:
    with tarfile.open(DATA / "indonli/translate_train_small.tar.gz") as archive:
        file = archive.extractfile(f"translate_train_small/{member}.jsonl")
        assert file is not None
        return [json.loads(line) for line in file]


def pairs(name: str) -> Rows:
    return cells(name, quoted=True)  # type: ignore[return-value]


def paraphrases(name: str) -> Rows:
    return [(a, b, ["different", "paraphrase"][int(label)]) for a, b, label in cells(name, quoted=True)]


def nli(rows: Iterable[dict[str, Any]], first: str, second: str, label: str) -> Rows:
    found = [(row[first], row[second], LETTERS.get(row[label], row[label])) for row in rows]
    return [row for row in found if row[2] != "-"]


def sick(published: str, suffix: str) -> Rows:
    header, *rows = cells("sick/SICK_NL.txt")
    found = [dict(zip(header, row, strict=True)) for row in rows]
    return [
        (row[f"sentence_A{suffix}"], row[f"sentence_B{suffix}"], row["entailment_label"].lower())
        for row in found if row["SemEval_set"] == published
    ]  # fmt: skip


def aligned(split: str) -> Rows:
    return zip(*(text_lines(f"esnli/{name}.{split}") for name in ("s1", "s2", "labels")), strict=True)


def farstail(name: str) -> Rows:
    return [(a, b, LETTERS[label]) for a, b, label in cells(name, quoted=True)[1:]]


def questions(name: str) -> Iterator[tuple[Any, ...]]:
    for article in json.loads((DATA / name).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = [(answer["text"], answer["answer_start"]) for answer in question["answers"]]
                yield paragraph["context"], question["question"], answers


def commonsense(name: str) -> Rows:
    for row in records(name):
        choices = [choice["text"] for choice in row["question"]["choices"]]
        yield row["question"]["stem"], "", choices, "ABCDE".index(row["answerKey"])


def japanese(name: str) -> Rows:
    for row in records(name):
        yield row["question"], "", [row[f"choice{i}"].strip() for i in range(5)], row["label"]


def causes(name: str) -> Rows:
    for row in records(name):
        yield row["premise"], CAUSES[row["question"]], [row["choice1"].strip(), row["choice2"].strip()], row["label"]


def sentences(name: str) -> Rows:
    blocks = [block.split("\n") for block in "\n".join(text_lines(name)).split("\n\n")]
    rows = [[line.split("\t") for line in block if line] for block in blocks]
    return [([word for word, _ in row], [tag for _, tag in row]) for row in rows if row]


def fields(example: Any) -> tuple[Any, ...]:
    """The fields of an example that the files have, except the id."""
    if hasattr(example, "words"):
        return list(example.words), list(example.tags)
    if hasattr(example, "choices"):
        return example.context, example.question, list(example.choices), example.label
    if hasattr(example, "answers"):
        return example.context, example.question, list(zip(example.answers, example.starts, strict=True))
    return example.text_a, example.text_b, example.label


def stripped(row: Iterable[Any]) -> tuple[Any, ...]:
    """A row without white space around its texts, which is removed from the texts of pairs and choices."""
    return tuple(value.strip() if isinstance(value, str) else value for value in row)


def read(task: Any, language: str, split: str) -> list[tuple[Any, ...]]:
    return [fields(example) for example in task.source.read(task, language, split, DATA)]


NLI_ROWS: dict[tuple[str, str, str], Callable[[], Rows]] = {
    **{("xnli", code, "dev"): lambda code=code: pairs(f"xnli/dev-{code}.tsv")
       for code in "ar de en es fr hi sw tr zh".split()},
    **{("pawsx", code, "dev"): lambda code=code: paraphrases(f"pawsx/dev-{code}.tsv") for code in "de en es fr zh".split()},
    ("litl-nli", "en", "train"):
        lambda: nli(records("litl-nli/train_round3_baseline_combined.jsonl"), "premise", "hypothesis", "label"),
    ("litl-nli", "en", "dev"): lambda: nli(records("litl-nli/val_round3_base_combined.jsonl"), "premise", "hypothesis", "label"),
    ("esnli", "en", "dev"): lambda: aligned("dev"),
    ("esnli", "en", "test"): lambda: aligned("test"),
    ("ocnli-10k", "zh", "train"): lambda: nli(records("ocnli/train.10k.json"), "sentence1", "sentence2", "label"),
    ("indonli", "id", "train"): lambda: nli(records("indonli/train.jsonl"), "premise", "hypothesis", "label"),
    ("indonli", "id", "dev"): lambda: nli(records("indonli/val.jsonl"), "premise", "hypothesis", "label"),
    ("indonli-mt", "id", "train"): lambda: nli(archived("train"), "sentence1", "sentence2", "gold_label"),
    ("indonli-mt", "id", "dev"): lambda: nli(archived("dev"), "sentence1", "sentence2", "gold_label"),
    ("farstail", "fa", "train"): lambda: farstail("farstail/Train-word.csv"),
    ("farstail", "fa", "dev"): lambda: farstail("farstail/Val-word.csv"),
    **{("sick", code, split): lambda published=published, suffix=suffix: sick(published, suffix)
       for code, suffix in (("nl", ""), ("en", "_original"))
       for split, published in (("train", "TRAIN"), ("dev", "TRIAL"), ("test", "TEST"))},
}  # fmt: skip
OTHER_ROWS: dict[tuple[str, str, str], Callable[[], Rows]] = {
    ("squadshifts", "en", "train"): lambda: questions("squadshifts/new_wiki_v1.0.json"),
    ("bipar", "en", "dev"): lambda: questions("bipar/Monolingual_EN_valid.json"),
    ("bipar", "zh", "dev"): lambda: questions("bipar/Monolingual_ZH_valid.json"),
    **{("tydiqa", code, "train"): lambda code=code: questions(f"tydiqa/tydiqa.goldp.{code}.train.json") for code in ("en", "sw")},
    **{("mlqa", code, "dev"): lambda code=code: questions(f"mlqa/dev-context-{code}-question-{code}.json")
       for code in ("de", "es", "zh")},
    ("commonsenseqa", "en", "train"): lambda: commonsense("commonsenseqa/train_rand_split.jsonl"),
    ("commonsenseqa", "en", "dev"): lambda: commonsense("commonsenseqa/dev_rand_split.jsonl"),
    ("jcommonsenseqa", "ja", "train"): lambda: japanese("jcommonsenseqa/train-v1.3.json"),
    ("jcommonsenseqa", "ja", "dev"): lambda: japanese("jcommonsenseqa/valid-v1.3.json"),
    **{("panx", code, "dev"): lambda code=code: sentences(f"panx/dev-{code}.tsv")
       for code in "af bn de en gu hi jv mr ms my pa qu sw ta ur".split()},
    **{("udpos", code, split): lambda code=code, split=split: sentences(f"udpos/{split}-{code}.tsv")
       for split, codes in (("train", "hu mr ta te vi"), ("test", "af el eu kk mr ta vi yo")) for code in codes.split()},
    ("udpos", "en", "dev"): lambda: sentences("udpos/dev-en.tsv"),
}  # fmt: skip
CUSTOM_ROWS: dict[tuple[str, str, str], Callable[[], Rows]] = {
    **{("mnli-10k", "en", split): lambda split=split: nli(
        json.loads((DATA / f"mnli-10k/{split}.json").read_text(encoding="utf-8")).values(), "text_a", "text_b", "label")
       for split in ("train", "dev")},
    ("copa-en", "en", "train"): lambda: causes("copa-en/train-en.jsonl"),
    ("copa-en", "en", "dev"): lambda: causes("copa-en/val-en.jsonl"),
}  # fmt: skip


def names(rows: dict[tuple[str, str, str], Any]) -> list[Any]:
    return [pytest.param(*key, id="-".join(key)) for key in rows]


@pytest.mark.parametrize(("name", "language", "split"), names(NLI_ROWS))
def test_pairs_and_their_labels_are_those_of_the_file(name, language, split):
    task = catalog.get(name)
    expected = [stripped(row) for row in NLI_ROWS[name, language, split]()]
    assert read(task, language, split) == expected
    assert {row[2] for row in expected} == set(task.labels)


@pytest.mark.parametrize(("name", "language", "split"), names(OTHER_ROWS))
def test_questions_choices_and_tags_are_those_of_the_file(name, language, split):
    task = catalog.get(name)
    source = keep_kind(task.source, "xtreme") if name == "udpos" else task.source  # English has UD's own files as well
    found = [fields(example) for example in source.read(task, language, split, DATA)]
    assert [stripped(row) for row in found] == [stripped(row) for row in OTHER_ROWS[name, language, split]()]


@pytest.mark.parametrize(("name", "language", "split"), names(CUSTOM_ROWS))
def test_custom_tasks_by_yaml_alone_have_the_rows_of_the_file(name, language, split):
    (declared,) = [task for task in read_study(str(YAML)).study.tasks if task["name"] == name]
    expected = [stripped(row) for row in CUSTOM_ROWS[name, language, split]()]
    assert read(build_custom_task(declared, DATA), language, split) == expected


def test_the_two_languages_of_sick_and_bipar_are_parallel():
    sick_task, bipar = catalog.get("sick"), catalog.get("bipar")
    for task, languages, split in ((sick_task, ("en", "nl"), "train"), (bipar, ("en", "zh"), "dev")):
        first, second = (list(task.source.read(task, code, split, DATA, size=100, seed=1)) for code in languages)
        assert [example.id for example in first] == [example.id for example in second]


def test_every_task_of_the_pack_is_planned():
    plan = make_plan(read_study(str(YAML)), data=DATA)
    used = {text for job in plan.jobs.values() for text in job.spec.model_dump_json().split('"')}
    assert {name for name, *_ in (*NLI_ROWS, *OTHER_ROWS, *CUSTOM_ROWS)} - {"tydiqa", "panx"} <= used
