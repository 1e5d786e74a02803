"""Each file of ../shared/data is read, with the count found by `grep` and `awk`, or refused with a reason.

`test_readers.py` reads the same files through the catalogue.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.sample_counts import csv_records

from xlift.errors import UserError
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the published files in {DATA}")

NLI = ("entailment", "neutral", "contradiction")
UPOS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
NER = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-DATE", "I-DATE")
TOPICS = ("science/technology", "travel", "politics", "sports", "health", "entertainment", "geography")
COSMOS = {"columns": {"choices": ["answer0", "answer1", "answer2", "answer3"]}}
XCOPA = {"columns": {"context": "premise", "choices": ["choice1", "choice2"], "id": "idx"}}
COMMONSENSE = {
    "columns": {"context": "question.stem", "question": "", "choices": "question.choices.text", "label": "answerKey"},
    "values": {"label": dict(zip("ABCDE", "01234", strict=True))},
}
JCOMMONSENSE = {
    "columns": {"context": "question", "question": "", "choices": [f"choice{i}" for i in range(5)], "id": "q_id"}
}
LETTERS = {"values": {"label": dict(zip("enc", NLI, strict=True))}}
PAIRS = {"header": ("text_a", "text_b", "label")}
PARAPHRASE = ("different", "paraphrase")
PAWS = {**PAIRS, "values": {"label": dict(zip("01", PARAPHRASE, strict=True))}}
SICK = {
    "columns": {"text_a": "sentence_A", "text_b": "sentence_B", "label": "entailment_label", "id": "pair_ID"},
    "values": {"label": {label.upper(): label for label in NLI}},
}
TRANSLATED = "translate_train_small/{}.jsonl"
TYPOS = {"unquote": True, "values": {"label": dict(zip("012", NLI, strict=True))}}


def grep(pattern: str, path: Path) -> int:
    """Number of matching lines."""
    done = subprocess.run(["grep", "-c", "-a", "--", pattern, str(path)], capture_output=True, text=True)
    return int(done.stdout)


def awk(program: str, path: Path) -> int:
    done = subprocess.run(["awk", program, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def rows(path: Path) -> int:
    return grep("", path) - 1


def lines(path: Path) -> int:
    return grep("", path)


def blocks(path: Path) -> int:
    """Number of runs of non-empty lines."""
    return awk('BEGIN { RS = "" } { n += 1 } END { print n }', path)


def questions(path: Path) -> int:
    return len(re.findall(r'"question"\s*:', path.read_text(encoding="utf-8")))


def csv_rows(path: Path) -> int:
    """Number of rows below the header of a table with tabs and quotes."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file, delimiter="\t")) - 1


def packed(member: str) -> Callable[[Path], int]:
    """Counts the records with a majority label of a file in an archive."""

    def count(path: Path) -> int:
        with tarfile.open(path) as archive:
            file = archive.extractfile(member)
            assert file is not None
            return sum(json.loads(line)["gold_label"] != "-" for line in file)

    return count


@dataclass(frozen=True)
class Kind:
    pattern: str
    reader: str
    format: str
    count: Callable[[Path], int]
    labels: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


KINDS = [
    Kind("americasnli/*/*.tsv", "tsv", "classification", rows, NLI),
    Kind("bipar/*.json", "squad", "span-qa", questions),
    Kind("commonsenseqa/*.jsonl", "jsonl", "multiple-choice", lines, (), COMMONSENSE),
    Kind("copa-en/train-en.jsonl", "jsonl", "multiple-choice", lines, (), XCOPA),
    Kind("copa-en/val-en.jsonl", "jsonl", "multiple-choice", lines, (), XCOPA),
    Kind("cosmosqa/valid.csv", "csv", "multiple-choice", lambda path: csv_records(path.read_bytes()) - 1, (), COSMOS),
    Kind("esnli/s1.*", "aligned-lines", "classification", lines, NLI, PAIRS),
    Kind("farstail/*.csv", "quoted-tsv", "classification", csv_rows, NLI, LETTERS),
    Kind("indonli/*.jsonl", "jsonl", "classification", lines, NLI, LETTERS),
    *(
        Kind("indonli/*.tar.gz", "tar-jsonl", "classification", packed(TRANSLATED.format(split)), NLI,
             {"where": {"member": TRANSLATED.format(split)}, "drop": ("-",)})
        for split in ("train", "dev")
    ),
    Kind("jcommonsenseqa/*.json", "jsonl", "multiple-choice", lines, (), JCOMMONSENSE),
    Kind("kornli/*.tsv", "tsv", "classification", rows, NLI),
    Kind("litl-nli/*.jsonl", "jsonl", "classification", lines, NLI),
    Kind("masakhaner2/*/*.txt", "conll", "tagging", blocks, NER),
    Kind("mlqa/*.json", "squad", "span-qa", questions),
    Kind("mnli-10k/*.json", "json", "classification", lambda path: len(json.loads(path.read_text(encoding="utf-8"))), NLI),
    Kind("ocnli/*.json", "jsonl", "classification", lambda path: lines(path) - grep('"label":"-"', path), NLI, {"drop": ("-",)}),
    Kind("panx/*.tsv", "conll", "tagging", blocks, NER),
    Kind("pawsx/*.tsv", "quoted-tsv", "classification", lines, PARAPHRASE, PAWS),
    Kind("sib200/*/*.tsv", "tsv", "classification", rows, TOPICS),
    Kind("sick/*.txt", "tsv", "classification", rows, NLI, SICK),
    Kind("squadshifts/*.json", "squad", "span-qa", questions),
    Kind("tatoeba/*.eng", "pairs", "retrieval", lines),
    Kind("tydiqa/*.json", "squad", "span-qa", questions, (), {"numbered": True}),
    Kind("ud/*/*.conllu", "conllu", "tagging", blocks, UPOS),
    Kind("udpos/*.tsv", "conll", "tagging", blocks, UPOS),
    Kind("xcopa/*/*.jsonl", "jsonl", "multiple-choice", lines, (), XCOPA),
    Kind("xnli/*.tsv", "quoted-tsv", "classification", lines, NLI, PAIRS),
    Kind("xnli-typos/*.tsv", "tsv", "classification", rows, NLI, TYPOS),
    Kind("xquad/*.json", "squad", "span-qa", questions),
    Kind("xtreme-submission/labels/xquad/*.json", "squad", "span-qa", questions),
]  # fmt: skip

NO_DATA = [
    # A leaderboard folder has predictions without texts. `xlift score` reads it.
    ("xtreme-submission/*/xnli/*.tsv", "tsv", "classification", "no column for 'text_a'"),
    ("xtreme-submission/*/udpos/*.tsv", "conll", "tagging", "has no tag"),
    ("xtreme-submission/*/tatoeba/*.tsv", "tsv", "retrieval", "no column for 'text'"),
    ("xtreme-submission/predictions/xquad/*.json", "squad", "span-qa", "no list 'data' here"),
    # SuperGLUE hides the labels of COPA's test set: this copy has 0 in every row.
    ("copa-en/test-en.jsonl", "jsonl", "multiple-choice", "every label of the 500 test rows is '0'"),
]


OPTIONS = {"copa-en/test-en.jsonl": XCOPA}
"""Options of a file among NO_DATA."""


def files(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(DATA)) for path in DATA.glob(pattern))


def read(kind: str, format: str, names: tuple[str, ...], labels=(), options=None) -> list[Any]:
    source = FileSource(kind, {"test": names}, {"test": ("und",)}, **(options or {}))
    return list(source.read(Task("file", "A file", format, (), source, labels=labels), "und", "test", DATA))


def beside(name: str) -> list[str]:
    """The files of aligned lines that belong to a file."""
    if name.startswith("tatoeba/"):
        return [name.removesuffix("eng") + name.split(".")[1].removesuffix("-eng")]
    return [name.replace("/s1.", f"/{other}.") for other in ("s2", "labels")] if name.startswith("esnli/") else []


EVERY = [pytest.param(kind, name, id=name) for kind in KINDS for name in files(kind.pattern)]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_the_count_of_a_file_equals_that_of_grep_or_awk(kind, name):
    names = (name, *beside(name))
    examples = read(kind.reader, kind.format, names, kind.labels, kind.options)
    assert len(examples) == kind.count(DATA / name) > 0
    assert all(lines(DATA / other) == len(examples) for other in names[1:])


@pytest.mark.parametrize("name", files("masakhaner2/*/*.txt") + files("panx/*.tsv") + files("udpos/*.tsv"))
def test_tagged_files_keep_every_word(name):
    words = sum(len(example.words) for example in read("conll", "tagging", (name,), (*NER, *UPOS)))
    assert words == awk("NF { n += 1 } END { print n }", DATA / name)


@pytest.mark.parametrize("name", files("ud/*/*.conllu"))
def test_treebanks_keep_every_word(name):
    words = sum(len(example.words) for example in read("conllu", "tagging", (name,), UPOS))
    program = (
        'BEGIN { FS = "\\t" } $1 ~ /^[0-9]+-[0-9]+$/ { split($1, r, "-"); n += 1 - (r[2] - r[1] + 1) }'
        " $1 ~ /^[0-9]+$/ { n += 1 } END { print n }"
    )
    assert words == awk(program, DATA / name)


@pytest.mark.parametrize(
    ("name", "reader", "format", "reason"),
    [(name, reader, format, reason) for pattern, reader, format, reason in NO_DATA for name in files(pattern)],
)
def test_files_without_data_are_refused(name, reader, format, reason):
    with pytest.raises(UserError, match=reason):
        read(reader, format, (name,), NLI, OPTIONS.get(name))


def test_no_file_is_forgotten():
    read_here = {name for kind in KINDS for name in files(kind.pattern)}
    read_here |= {other for name in read_here for other in beside(name)}
    refused_here = {name for pattern, *_ in NO_DATA for name in files(pattern)}
    assert not read_here & refused_here
    there = {str(path.relative_to(DATA)) for path in DATA.rglob("*") if path.is_file()}
    assert there - read_here - refused_here == {"README.md", "PROVENANCE.md"}
