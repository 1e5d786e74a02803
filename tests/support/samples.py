"""One or a few small files for every reader, with a count of their records that does not use the reader.

The texts are our own. `count(files)` is the number of examples that a successful read must give for any content of the
files: a record that gives no example is a declared drop or an error.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

NLI = ("entailment", "neutral", "contradiction")
UPOS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")

Files = Mapping[str, bytes]


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


def text_lines(content: bytes) -> list[str]:
    """Lines split at line feeds only, without line ends and empty lines."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode()
    return [line for line in (line.rstrip("\r\n") for line in text.split("\n")) if line]


def csv_records(content: bytes, delimiter: str = ",") -> int:
    """Number of records by RFC 4180: a line end counts outside quotes, which open at the start of a field."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode()
    records, inside, empty, start = 0, False, True, True
    for i, letter in enumerate(text):
        if letter == '"' and (inside or start):
            inside, empty, start = not inside, False, inside and text[i + 1 : i + 2] == '"'
        elif not inside and letter in "\r\n":
            records, empty, start = records + (not empty), True, True
        else:
            empty, start = False, not inside and letter == delimiter
    return records + (not empty)


def jsonl(*records: Any) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def blocks(content: bytes) -> list[list[str]]:
    """Sentences of a file, each ended by a blank line."""
    sentences: list[list[str]] = [[]]
    for line in content.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        if line.strip(" \t\r\n"):
            sentences[-1].append(line.rstrip("\r"))
        elif sentences[-1]:
            sentences.append([])
    return [block for block in sentences if block]


def _json_records(files: Files) -> int:
    """Number of records of a .json file: of a list, of an object of objects, or lines."""
    text = _json(files["x.json"])
    try:
        document = json.loads(text)
    except ValueError:
        return sum(bool(line.strip()) for line in text.split("\n"))
    if isinstance(document, dict) and not all(isinstance(value, dict) for value in document.values()):
        return 1
    return len(document)


def tar_gz(members: Files) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _tar_records(files: Files) -> int:
    with tarfile.open(fileobj=io.BytesIO(files["x.tar.gz"])) as archive:
        lines = archive.extractfile("small/train.jsonl")
        return 0 if lines is None else sum(bool(line.strip()) for line in lines)


def _squad(files: Files) -> int:
    return sum(len(p["qas"]) for a in json.loads(_json(files["x.json"]))["data"] for p in a["paragraphs"])


def _squad_found(files: Files) -> int:
    """Number of questions with an answer that is in their passage."""
    paragraphs = [p for a in json.loads(_json(files["x.json"]))["data"] for p in a["paragraphs"]]
    texts = [(p["context"], [a["text"].strip() for a in q["answers"]]) for p in paragraphs for q in p["qas"]]
    return sum(any(answer and answer in context for answer in answers) for context, answers in texts)


def _json(content: bytes) -> str:
    return content.removeprefix(b"\xef\xbb\xbf").decode()


def _panx(files: Files) -> int:
    """Number of sentences."""
    return len(blocks(files["x.txt"]))


def _conll(files: Files) -> int:
    """Number of sentences; a line of -DOCSTART- ends one, like a blank line, and comments make none."""
    content = re.sub(rb"(?m)^[ \t]*-DOCSTART-([ \t\r][^\n]*)?$", b"", files["x.txt"].removeprefix(b"\xef\xbb\xbf"))
    lines = [line for block in blocks(content) for line in block if not line.startswith("#")]
    columns = len(re.split(r"[ \t]+", lines[0].strip(" \t"))) if lines else 2

    def is_word(line: str) -> bool:
        cells = re.split(r"[ \t]+", line.strip(" \t"))
        return not line.startswith("#") or (len(cells) == columns and (cells[-1] in BIO or line.startswith("#\t")))

    return sum(any(map(is_word, block)) for block in blocks(content))


def _conllu(files: Files) -> int:
    def kept(block: list[str]) -> bool:
        rows = [line.split("\t") for line in block if not line.startswith("#")]
        ranges = [tuple(map(int, row[0].split("-"))) for row in rows if "-" in row[0]]
        inside = {i for first, last in ranges for i in range(first, last + 1)}
        forms = [r[1] for r in rows if "-" in r[0] or ("." not in r[0] and int(r[0]) not in inside)]
        return bool(forms) and (forms.count("_") == 0 or forms.count("_") < len(forms) - 1)

    found = [[]]
    for line in files["x.conllu"].removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        if line.strip():
            found[-1].append(line.rstrip("\r"))
        else:
            found.append([])
    return sum(kept(block) for block in found if block)


def _bucc(files: Files) -> int:
    """Number of gold pairs and of sentences in no pair."""
    gold = [line.split("\t") for line in map(str.strip, text_lines(files["x.gold"])) if line]
    alone = 0
    for name, side in (("x.de", 0), ("x.en", 1)):
        ids = {line.split("\t")[0].strip() for line in text_lines(files[name]) if line.strip()}
        alone += len(ids - {pair[side].strip() for pair in gold})
    return len(gold) + alone


def _lareqa(files: Files) -> int:
    """Number of questions whose answer begins in a sentence; all questions in a file without sentence breaks."""
    count = 0
    for article in json.loads(_json(files["x.json"]))["data"]:
        for paragraph in article["paragraphs"]:
            paragraph.setdefault("sentence_breaks", [[0, len(paragraph["context"])]])
            for question in paragraph["qas"]:
                place = question["answers"][0]["answer_start"]
                count += any(a <= place < b for a, b in paragraph["sentence_breaks"])
    return count


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"id": f"q{i}", "question": f"which {i}?", "context": f"at n{i}é", "answers": {"text": [f"n{i}é"], "answer_start": [3]}}
        for i in range(12)
    ]  # fmt: skip
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=5)
    return file.getvalue()


def _rows(files: Files) -> int:
    import pyarrow.parquet as pq

    return pq.ParquetFile(io.BytesIO(files["x.parquet"])).metadata.num_rows


NLI_ROWS = [
    ("A man sleeps.", "He is awake.", "contradiction"),
    ('She said "no" twice.', "She spoke.", "entailment"),
    ("Der Zug fährt ab.", "Es regnet.", "neutral"),
    ("雨が降っている。", "傘がある。", "neutral"),
]
TSV = "premise\thypothesis\tlabel\n" + "".join("\t".join(row) + "\n" for row in NLI_ROWS)
CSV = "premise,hypothesis,label\r\n" + "".join(
    ",".join('"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in row) + "\r\n" for row in NLI_ROWS
)
TRANSLATED = (
    'He said "no".\tHe agreed.\tEr sagte "nein".\tEr stimmte zu.\tcontradictory\n'
    "It rains.\tIt is wet.\tEs regnet.\tEs ist nass.\tentailment\n"
    "It rains.\tIt is wet.\tEs regnet.\tEs ist feucht.\tentailment\n"
)
QUOTED = "".join(
    "\t".join('"' + c.replace('"', '""') + '"' if '"' in c else c for c in row) + "\r\n" for row in NLI_ROWS
)

SQUAD = {
    "version": "1.1",
    "data": [
        {"title": "Rivers", "paragraphs": [
            {"context": "The Nile is long. The Rhône is not.", "qas": [
                {"id": "r1", "question": "What is long?", "answers": [{"text": "The Nile", "answer_start": 0}]},
                {"id": "r2", "question": "What is not?", "answers": [{"text": "Rhône", "answer_start": 22}]}]},
            {"context": "𝕏 marks it.", "qas": [
                {"id": "r3", "question": "What marks it?", "answers": [{"text": "𝕏", "answer_start": 0}]}]}]},
        {"title": "Hills", "paragraphs": [
            {"context": "Ben Nevis.", "qas": [
                {"id": "h1", "question": "Which?", "answers": [{"text": "Ben Nevis", "answer_start": 0}]}]}]},
    ],
}  # fmt: skip

SQUAD_TRANSLATED = {
    "version": "1.1",
    "data": [
        {"title": "Rivers", "paragraphs": [
            {"context": "Der Nil ist lang, der Nil ist alt. Die Rhône ist kurz.", "qas": [
                {"id": "r1", "question": "Was ist lang?", "answers": [{"text": "Nil", "answer_start": 4}]},
                {"id": "r2", "question": "Was ist alt?", "answers": [{"text": "Nil", "answer_start": 20}]},
                {"id": "r3", "question": "Was ist kurz?", "answers": [{"text": "", "answer_start": 0}]},
                {"id": "r4", "question": "Was noch?", "answers": [{"text": "Rhone", "answer_start": 39}]}]}]}],
}  # fmt: skip
"""An answer at its place, one two characters off, an empty one, and one that is missing."""

CONLLU = "\n".join(
    [
        "# sent_id = s1",
        "# text = Le prix du pain.",
        "1\tLe\tle\tDET\t_\t_\t2\tdet\t_\t_",
        "2\tprix\tprix\tNOUN\t_\t_\t0\troot\t_\t_",
        "3-4\tdu\t_\t_\t_\t_\t_\t_\t_\t_",
        "3\tde\tde\tADP\t_\t_\t5\tcase\t_\t_",
        "4\tle\tle\tDET\t_\t_\t5\tdet\t_\t_",
        "5\tpain\tpain\tNOUN\t_\t_\t2\tnmod\t_\t_",
        "5.1\tghost\t_\tVERB\t_\t_\t_\t_\t_\t_",
        "6\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_",
        "",
        "# sent_id = s2",
        "1\tNon\tnon\tINTJ\t_\t_\t0\troot\t_\t_",
        "",
        "",
    ]
)

CCG = (
    "ID=wsj_9901.1 PARSER=GOLD NUMPARSE=1\n"
    "(<T S[dcl] 0 2> (<L NP PRP PRP It NP>) (<L S[dcl]\\NP VBZ VBZ rains S[dcl]\\NP>) )\n"
    "ID=wsj_9901.2 PARSER=GOLD NUMPARSE=1\n"
    "(<T NP 0 1> (<T N 1 2> (<L N/N JJ JJ Dry N/N>) (<L N NNS NNS hills N>) ) )\n"
)

LAREQA = {
    "data": [{"paragraphs": [
        {"context": "It rains. The sun is out. End", "sentence_breaks": [[0, 9], [10, 25]], "qas": [
            {"id": "w1", "question": "What does it do?", "answers": [{"text": "rains", "answer_start": 3}]},
            {"id": "w2", "question": "What is out?", "answers": [{"text": "The sun", "answer_start": 10}]},
            {"id": "w3", "question": "Where is the end?", "answers": [{"text": "End", "answer_start": 26}]}]},
        {"context": "Alone.", "sentence_breaks": [[0, 6]], "qas": []}]}],
}  # fmt: skip


def mention(
    name: str, text: str, words: str, language: str, entity: str, sentences: list[tuple[int, int]]
) -> dict[str, Any]:
    start = text.index(words)
    return {
        "context": {"document_title": "t", "language": language, "text": text,
                    "sentence_spans": [{"start": a, "end": b} for a, b in sentences]},
        "mention": {"example_id": name, "entity_id": entity,
                    "mention_span": {"start": start, "end": start + len(words), "text": words}},
    }  # fmt: skip


def entity(name: str, text: str) -> dict[str, Any]:
    return {"entity_id": name, "title": name, "description": text, "sentence_spans": [{"start": 0, "end": len(text)}]}


MENTIONS = [
    mention("m1", "Hier. Bern ist klein.", "Bern", "de", "Q70", [(0, 5), (6, 21)]),
    mention("m2", "Rome fell.", "Rome", "en", "Q220", [(0, 10)]),
]
ENTITIES = [entity("Q70", "Bern is a city."), entity("Q220", "Roma è una città.")]

COPA = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE copa-corpus SYSTEM "copa.dtd">\n<copa-corpus version="1.0">\n'
    '<item id="1" asks-for="cause" most-plausible-alternative="2">\n<p>The lamp went out.</p>\n'
    "<a1>It was noon.</a1>\n<a2>The fuse &amp; bulb broke.</a2>\n</item>\n"
    '<item id="2" asks-for="effect" most-plausible-alternative="1">\n<p>It rained.</p>\n'
    "<a1>The road got wet.</a1>\n<a2>The road got dry.</a2>\n</item>\n</copa-corpus>\n"
)
COPA_OPTIONS = {
    "columns": {"context": "p", "question": "asks-for", "choices": ["a1", "a2"], "label": "most-plausible-alternative"},
    "values": {
        "label": {"1": "0", "2": "1"},
        "question": {"cause": "What was the cause?", "effect": "What was the effect?"},
    },
}

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
        _json_records, NLI,
    ),
    "json-list": Sample(
        "json", "classification", {"x.json": json.dumps([{"text": a, "label": c} for a, _, c in NLI_ROWS]).encode()},
        _json_records, NLI,
    ),
    "json-lines": Sample(
        "json", "classification", {"x.json": jsonl(*({"text": a, "label": c} for a, _, c in NLI_ROWS))}, _json_records, NLI
    ),
    "tar-jsonl": Sample(
        "tar-jsonl", "classification",
        {"x.tar.gz": tar_gz({
            "small/._train.jsonl": b"\x00\x05\x16\x07",
            "small/train.jsonl": jsonl(*({"premise": a, "hypothesis": b, "label": c} for a, b, c in NLI_ROWS)),
            "small/dev.jsonl": jsonl({"premise": "It rains.", "hypothesis": "It is wet.", "label": "entailment"}),
        })},
        _tar_records, NLI, {"where": {"member": "small/train.jsonl"}},
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
    "parquet": Sample("parquet", "span-qa", {"x.parquet": _parquet()}, _rows),
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
    "squad": Sample("squad", "span-qa", {"x.json": json.dumps(SQUAD, ensure_ascii=False, indent=1).encode()}, _squad),
    "translated-tsv": Sample(
        "translated-tsv", "classification", {"x.tsv": TRANSLATED.encode()}, lambda f: len(text_lines(f["x.tsv"])), NLI,
        {"values": {"label": {"contradictory": "contradiction"}}}, language="de",
    ),
    "squad-translated": Sample(
        "squad-translated", "span-qa", {"x.json": json.dumps(SQUAD_TRANSLATED, ensure_ascii=False, indent=1).encode()}, _squad_found
    ),
    "lareqa": Sample("lareqa", "dual-encoding", {"x.json": json.dumps(LAREQA, indent=1).encode()}, _lareqa),
    "mewslix": Sample(
        "mewslix", "dual-encoding",
        {"x.jsonl": jsonl(*({"contextual_mention": m, "entity": e} for m, e in zip(MENTIONS, ENTITIES, strict=True)))},
        lambda f: sum(bool(line.strip()) for line in text_lines(f["x.jsonl"])),
    ),
    "conll": Sample(
        "conll", "tagging", {"x.txt": b"-DOCSTART- O\n\nAda B-PER\nL. I-PER\nist O\n\nin O\nRom\tB-LOC\n"}, _conll, BIO
    ),
    "panx": Sample(
        "panx", "tagging", {"x.txt": "de:Ada\tB-PER\nde:ist\tO\nde::\tO\n\nde:a\u00a0b\tB-LOC\n".encode()}, _panx, BIO
    ),
    "conllu": Sample("conllu", "tagging", {"x.conllu": CONLLU.encode()}, _conllu, UPOS, language="fr"),
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
        _bucc, language="de",
    ),
    "bucc": Sample(
        "bucc", "retrieval",
        {"x.de": b"de-1\teins\nde-2\tzwei\nde-3\tdrei\n", "x.en": b"en-1\tfour\nen-2\ttwo\nen-3\tone\n",
         "x.gold": b"de-1\ten-3\nde-2\ten-2\n"},
        _bucc, language="de",
    ),
}  # fmt: skip
