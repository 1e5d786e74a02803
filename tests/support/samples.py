"""One or a few small files for every reader, with a count of their records that does not use the reader.

`count(files)` is the number of examples that a successful read must give for any content of the files: a record that gives no
example is a declared drop or an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.sample_counts import (
    Files,
    count_bucc_examples,
    count_conll_sentences,
    count_conllu_sentences,
    count_found_questions,
    count_json_records,
    count_lareqa_questions,
    count_panx_sentences,
    count_parquet_rows,
    count_questions,
    count_tar_records,
    csv_records,
    text_lines,
)
from tests.support.sample_files import (
    BIO,
    CCG,
    CONLLU,
    COPA,
    COPA_OPTIONS,
    CSV,
    ENTITIES,
    LAREQA,
    MENTIONS,
    NLI,
    NLI_ROWS,
    QUOTED,
    SQUAD,
    SQUAD_TRANSLATED,
    TRANSLATED,
    TSV,
    UPOS,
    jsonl,
    parquet_file,
    tar_gz,
)

from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task


@dataclass(frozen=True)
class Sample:
    reader: str
    format: str
    files: Files
    count: Callable[[Files], int]
    """Number of examples in the files."""
    labels: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    language: str = "en"

    @property
    def task(self) -> Task:
        source = FileSource(
            self.reader, {"train": tuple(self.files)}, {"train": (self.language,)}, kind="custom", **self.options
        )
        return Task("toy", "Toy", self.format, (), source, labels=self.labels)

    def read(self, folder: Path) -> list[Any]:
        task = self.task
        return list(task.source.read(task, self.language, "train", folder))

    def write(self, folder: Path, **changed: bytes) -> None:
        for name, content in {**self.files, **changed}.items():
            (folder / name).unlink(
                missing_ok=True
            )  # ext4 flushes an overwritten file at once, which is ten times slower
            (folder / name).write_bytes(content)


SAMPLES: dict[str, Sample] = {
    "tsv": Sample("tsv", "classification", {"x.tsv": TSV.encode()}, lambda f: len(text_lines(f["x.tsv"])) - 1, NLI),
    "csv": Sample("csv", "classification", {"x.csv": CSV.encode()}, lambda f: csv_records(f["x.csv"]) - 1, NLI),
    "quoted-tsv": Sample(
        "quoted-tsv", "classification", {"x.tsv": QUOTED.encode()}, lambda f: csv_records(f["x.tsv"], "\t"), NLI,
        {"header": ("premise", "hypothesis", "label")},
    ),
    "jsonl": Sample(
        "jsonl", "classification",
        {"x.jsonl": jsonl(*({"premise": a, "hypothesis": b, "gold_label": c} for a, b, c in NLI_ROWS))},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])), NLI,
    ),
    "json": Sample(
        "json", "classification",
        {"x.json": json.dumps({f"q{i}": {"premise": a, "hypothesis": b, "label": c} for i, (a, b, c) in enumerate(NLI_ROWS)},
                              ensure_ascii=False, indent=1).encode()},
        count_json_records, NLI,
    ),
    "json-list": Sample(
        "json", "classification", {"x.json": json.dumps([{"text": a, "label": c} for a, _, c in NLI_ROWS]).encode()},
        count_json_records, NLI,
    ),
    "json-lines": Sample(
        "json", "classification", {"x.json": jsonl(*({"text": a, "label": c} for a, _, c in NLI_ROWS))}, count_json_records, NLI
    ),
    "tar-jsonl": Sample(
        "tar-jsonl", "classification",
        {"x.tar.gz": tar_gz({
            "small/._train.jsonl": b"\x00\x05\x16\x07",
            "small/train.jsonl": jsonl(*({"premise": a, "hypothesis": b, "label": c} for a, b, c in NLI_ROWS)),
            "small/dev.jsonl": jsonl({"premise": "It rains.", "hypothesis": "It is wet.", "label": "entailment"}),
        })},
        count_tar_records, NLI, {"where": {"member": "small/train.jsonl"}},
    ),
    "aligned-lines": Sample(
        "aligned-lines", "classification",
        {"s1.dev": "".join(f"{a} \n" for a, _, _ in NLI_ROWS).encode(), "s2.dev": "".join(f"{b}\n" for _, b, _ in NLI_ROWS).encode(),
         "labels.dev": "".join(f"{c}\n" for _, _, c in NLI_ROWS).encode()},
        lambda f: f["s1.dev"].count(b"\n") + (not f["s1.dev"].endswith(b"\n")), NLI,
        {"header": ("text_a", "text_b", "label")},
    ),
    "tsv-numbers": Sample(
        "tsv", "regression", {"x.tsv": b"text\tscore\nein Satz\t2.50\nnoch einer\t-1\n"},
        lambda f: len(text_lines(f["x.tsv"])) - 1,
    ),
    "csv-labels": Sample(
        "csv", "multi-label", {"x.csv": b"text,labels\nein Satz,joy|fear\nnoch einer,\n"},
        lambda f: csv_records(f["x.csv"]) - 1, ("fear", "joy"),
    ),
    "jsonl-choices": Sample(
        "jsonl", "multiple-choice",
        {"x.jsonl": jsonl(
            {"id": "c1", "question": {"stem": "Where?", "choices": [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}]}, "answerKey": "B"},
            {"id": "c2", "question": {"stem": "Who?", "choices": [{"label": "A", "text": "I"}, {"label": "B", "text": "you"}]}, "answerKey": "A"})},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])), (),
        {"columns": {"context": "question.stem", "choices": "question.choices.text", "label": "answerKey", "question": ""},
         "values": {"label": {"A": "0", "B": "1"}}},
    ),
    "jsonl-tags": Sample(
        "jsonl", "tagging",
        {"x.jsonl": jsonl({"tokens": ["Rom", "ist"], "ner_tags": [3, 0]}, {"tokens": ["Ada", "L."], "ner_tags": [1, 2]})},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])), BIO,
        {"values": {"tags": {str(i): tag for i, tag in enumerate(BIO)}}},
    ),
    "txt": Sample(
        "txt", "text", {"x.txt": "ein Satz\nnoch einer\n\nund U+2028: \u2028 mitten darin\n".encode()},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.txt"])),
    ),
    "parquet": Sample("parquet", "span-qa", {"x.parquet": parquet_file()}, count_parquet_rows),
    "jsonl-labels": Sample(
        "jsonl-labels", "multiple-choice",
        {"x.jsonl": jsonl(
            {"context": "Ann left.", "question": "Why?", "answerA": "tired", "answerB": "glad", "answerC": "sad"},
            {"context": "Bo ran.", "question": "Then?", "answerA": "slept", "answerB": "won", "answerC": "sat"}),
         "x.lst": b"3\n1\n"},
        lambda f: f["x.jsonl"].count(b"\n") + (not f["x.jsonl"].endswith(b"\n")), (),
        {"columns": {"choices": ["answerA", "answerB", "answerC"]},
         "values": {"label": {"1": "0", "2": "1", "3": "2"}}},
    ),
    "copa-xml": Sample(
        "copa-xml", "multiple-choice", {"x.xml": COPA.encode()}, lambda f: len(re.findall(rb"<item[\s>/]", f["x.xml"])), (),
        COPA_OPTIONS,
    ),
    "squad": Sample("squad", "span-qa", {"x.json": json.dumps(SQUAD, ensure_ascii=False, indent=1).encode()}, count_questions),
    "translated-tsv": Sample(
        "translated-tsv", "classification", {"x.tsv": TRANSLATED.encode()}, lambda f: len(text_lines(f["x.tsv"])), NLI,
        {"values": {"label": {"contradictory": "contradiction"}}}, language="de",
    ),
    "squad-translated": Sample(
        "squad-translated", "span-qa", {"x.json": json.dumps(SQUAD_TRANSLATED, ensure_ascii=False, indent=1).encode()}, count_found_questions
    ),
    "lareqa": Sample("lareqa", "dual-encoding", {"x.json": json.dumps(LAREQA, indent=1).encode()}, count_lareqa_questions),
    "mewslix": Sample(
        "mewslix", "dual-encoding",
        {"x.jsonl": jsonl(*({"contextual_mention": m, "entity": e} for m, e in zip(MENTIONS, ENTITIES, strict=True)))},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])),
    ),
    "conll": Sample(
        "conll", "tagging", {"x.txt": b"-DOCSTART- O\n\nAda B-PER\nL. I-PER\nist O\n\nin O\nRom\tB-LOC\n"}, count_conll_sentences, BIO
    ),
    "panx": Sample(
        "panx", "tagging", {"x.txt": "de:Ada\tB-PER\nde:ist\tO\nde::\tO\n\nde:a\u00a0b\tB-LOC\n".encode()}, count_panx_sentences, BIO
    ),
    "conllu": Sample("conllu", "tagging", {"x.conllu": CONLLU.encode()}, count_conllu_sentences, UPOS, language="fr"),
    "ccgbank": Sample(
        "ccgbank", "tagging", {"x.auto": CCG.encode()}, lambda f: len(re.findall(rb"(?m)^\s*ID=", f["x.auto"])),
        ("NP", "S[dcl]\\NP", "N/N", "N"),
    ),
    "pairs": Sample(
        "pairs", "retrieval", {"x.de": b"eins\nzwei\ndrei\n", "x.en": b"one\ntwo\nthree\n"},
        lambda f: f["x.de"].count(b"\n") + (not f["x.de"].endswith(b"\n")), language="de",
    ),
    "parallel-tsv": Sample(
        "parallel-tsv", "retrieval",
        {"x.de": b"index_id\ttext\n7\teins\n8\tzwei\n", "x.en": b"index_id\ttext\n8\ttwo\n7\tone\n"},
        lambda f: len(text_lines(f["x.de"])) - 1, language="de",
    ),
    "pairs-translation": Sample(
        "pairs", "translation", {"x.de": b"eins\n\ndrei\n", "x.en": b"one\ntwo\nthree\n"},
        lambda f: sum(bool(a.strip() and b.strip()) for a, b in zip(*(f[x].decode().split("\n") for x in ("x.de", "x.en")))),
        language="de", options={"direction": ("{lang}", "en")},
    ),
    "jsonl-translation": Sample(
        "jsonl", "translation",
        {"x.jsonl": jsonl({"source": "eins", "translation": "one", "source_language": "deu", "target_language": "en"})},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])), language="de",
    ),
    "bucc-mining": Sample(
        "bucc", "mining",
        {"x.de": b"de-1\teins\nde-2\tzwei\n", "x.en": b"en-1\tone\nen-2\tfour\n", "x.gold": b"de-1\ten-1\n"},
        count_bucc_examples, language="de",
    ),
    "bucc": Sample(
        "bucc", "retrieval",
        {"x.de": b"de-1\teins\nde-2\tzwei\nde-3\tdrei\n", "x.en": b"en-1\tfour\nen-2\ttwo\nen-3\tone\n",
         "x.gold": b"de-1\ten-3\nde-2\ten-2\n"},
        count_bucc_examples, language="de",
    ),
}  # fmt: skip
