"""The contents of the samples: made-up records in the layout of every reader. The texts are our own."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

NLI = ("entailment", "neutral", "contradiction")
UPOS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def jsonl(*records: Any) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def parquet_file() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"id": f"q{i}", "question": f"which {i}?", "context": f"at n{i}é", "answers": {"text": [f"n{i}é"], "answer_start": [3]}}
        for i in range(12)
    ]  # fmt: skip
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=5)
    return file.getvalue()


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
