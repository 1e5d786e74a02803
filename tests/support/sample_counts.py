"""The number of records in the files of the samples, counted without the readers."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping

from tests.support.sample_files import BIO

Files = Mapping[str, bytes]


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


def blocks(content: bytes) -> list[list[str]]:
    """Sentences of a file, each ended by a blank line."""
    sentences: list[list[str]] = [[]]
    for line in content.removeprefix(b"\xef\xbb\xbf").decode().split("\n"):
        if line.strip(" \t\r\n"):
            sentences[-1].append(line.rstrip("\r"))
        elif sentences[-1]:
            sentences.append([])
    return [block for block in sentences if block]


def count_json_records(files: Files) -> int:
    """Number of records of a .json file: of a list, of an object of objects, or lines."""
    text = _json(files["x.json"])
    try:
        document = json.loads(text)
    except ValueError:
        return sum(bool(line.strip()) for line in text.split("\n"))
    if isinstance(document, dict) and not all(isinstance(value, dict) for value in document.values()):
        return 1
    return len(document)


def count_tar_records(files: Files) -> int:
    with tarfile.open(fileobj=io.BytesIO(files["x.tar.gz"])) as archive:
        lines = archive.extractfile("small/train.jsonl")
        return 0 if lines is None else sum(bool(line.strip()) for line in lines)


def count_questions(files: Files) -> int:
    return sum(len(p["qas"]) for a in json.loads(_json(files["x.json"]))["data"] for p in a["paragraphs"])


def count_found_questions(files: Files) -> int:
    """Number of questions with an answer that is in their passage."""
    paragraphs = [p for a in json.loads(_json(files["x.json"]))["data"] for p in a["paragraphs"]]
    texts = [(p["context"], [a["text"].strip() for a in q["answers"]]) for p in paragraphs for q in p["qas"]]
    return sum(any(answer and answer in context for answer in answers) for context, answers in texts)


def _json(content: bytes) -> str:
    return content.removeprefix(b"\xef\xbb\xbf").decode()


def count_panx_sentences(files: Files) -> int:
    """Number of sentences."""
    return len(blocks(files["x.txt"]))


def count_conll_sentences(files: Files) -> int:
    """Number of sentences; a line of -DOCSTART- ends one, like a blank line, and comments make none."""
    content = re.sub(rb"(?m)^[ \t]*-DOCSTART-([ \t\r][^\n]*)?$", b"", files["x.txt"].removeprefix(b"\xef\xbb\xbf"))
    lines = [line for block in blocks(content) for line in block if not line.startswith("#")]
    columns = len(re.split(r"[ \t]+", lines[0].strip(" \t"))) if lines else 2

    def is_word(line: str) -> bool:
        cells = re.split(r"[ \t]+", line.strip(" \t"))
        return not line.startswith("#") or (len(cells) == columns and (cells[-1] in BIO or line.startswith("#\t")))

    return sum(any(map(is_word, block)) for block in blocks(content))


def count_conllu_sentences(files: Files) -> int:
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


def count_bucc_examples(files: Files) -> int:
    """Number of gold pairs and of sentences in no pair."""
    gold = [line.split("\t") for line in map(str.strip, text_lines(files["x.gold"])) if line]
    alone = 0
    for name, side in (("x.de", 0), ("x.en", 1)):
        ids = {line.split("\t")[0].strip() for line in text_lines(files[name]) if line.strip()}
        alone += len(ids - {pair[side].strip() for pair in gold})
    return len(gold) + alone


def count_lareqa_questions(files: Files) -> int:
    """Number of questions whose answer begins in a sentence; all questions in a file without sentence breaks."""
    count = 0
    for article in json.loads(_json(files["x.json"]))["data"]:
        for paragraph in article["paragraphs"]:
            paragraph.setdefault("sentence_breaks", [[0, len(paragraph["context"])]])
            for question in paragraph["qas"]:
                place = question["answers"][0]["answer_start"]
                count += any(a <= place < b for a, b in paragraph["sentence_breaks"])
    return count


def count_parquet_rows(files: Files) -> int:
    import pyarrow.parquet as pq

    return pq.ParquetFile(io.BytesIO(files["x.parquet"])).metadata.num_rows
