"""Each known kind of damage on every reader that it can affect: refused with file and row, or read correctly.

`test_fuzzed_files.py` searches for unknown kinds.
"""

from __future__ import annotations

import json
import resource
import time

import pytest
from tests.support.sample_files import ENTITIES, LAREQA, MENTIONS, NLI, SQUAD, jsonl
from tests.support.samples import SAMPLES, Sample

from xlift.errors import UserError
from xlift.tasks.sources.base import LINE_LIMIT

TEXT = [name for name in SAMPLES if name not in ("parquet", "tar-jsonl")]


def damaged(name: str, folder, change, which: str = ""):
    """The sample with the content of one file changed (the first, or the named one)."""
    sample = SAMPLES[name]
    which = which or next(iter(sample.files))
    sample.write(folder, **{which: change(sample.files[which])})
    return sample


def refused(sample: Sample, folder, *parts: str) -> str:
    with pytest.raises(UserError) as error:
        sample.read(folder)
    for part in parts:
        assert part in str(error.value)
    return str(error.value)


# --- harmless differences -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXT)
def test_byte_order_marks_change_nothing(name, tmp_path):
    sample = SAMPLES[name]
    sample.write(tmp_path)
    clean = sample.read(tmp_path)
    sample.write(tmp_path, **{file: b"\xef\xbb\xbf" + content for file, content in sample.files.items()})
    assert sample.read(tmp_path) == clean


@pytest.mark.parametrize("name", TEXT)
def test_carriage_returns_before_line_feeds_change_nothing(name, tmp_path):
    sample = SAMPLES[name]
    sample.write(tmp_path)
    clean = sample.read(tmp_path)
    windows = {file: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for file, content in sample.files.items()}
    sample.write(tmp_path, **windows)
    assert sample.read(tmp_path) == clean


@pytest.mark.parametrize("name", TEXT)
def test_a_last_line_without_its_end_is_read(name, tmp_path):
    sample = SAMPLES[name]
    sample.write(tmp_path, **{file: content.rstrip(b"\r\n") for file, content in sample.files.items()})
    assert len(sample.read(tmp_path)) == sample.count(sample.files)


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b", "\x1c"])
def test_unicode_separators_do_not_end_lines(separator, tmp_path):
    sample = Sample("tsv", "classification", {"x.tsv": f"text\tlabel\na{separator}b\tneutral\n".encode()}, len, NLI)
    sample.write(tmp_path)
    assert [e.text_a for e in sample.read(tmp_path)] == [f"a{separator}b"]


# --- whole files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_an_empty_file_is_refused_by_name(name, tmp_path):
    sample = damaged(name, tmp_path, lambda content: b"")
    refused(sample, tmp_path, next(iter(sample.files)), "empty")


@pytest.mark.parametrize(
    "name", ["squad", "lareqa", "jsonl", "copa-xml", "ccgbank", "csv", "conllu", "parquet", "mewslix"]
)
def test_a_truncated_file_is_refused(name, tmp_path):
    sample = damaged(name, tmp_path, lambda content: content[: len(content) * 3 // 5].rstrip(b"\r\n") + b'"')
    refused(sample, tmp_path, f"{tmp_path / next(iter(sample.files))}")


@pytest.mark.parametrize("name", TEXT)
def test_a_second_encoding_is_refused_with_its_line(name, tmp_path):
    # As if a line was appended in an editor that writes Latin-1.
    sample = damaged(name, tmp_path, lambda content: content.rstrip(b"\n") + "\ncafé\n".encode("latin-1"))
    content = next(iter(sample.files.values()))
    line = content.rstrip(b"\n").count(b"\n") + 2
    refused(sample, tmp_path, f"{next(iter(sample.files))}:{line}: byte 0xe9 at column 4 is not UTF-8")


@pytest.mark.parametrize("name", TEXT)
def test_utf_16_is_refused(name, tmp_path):
    sample = damaged(name, tmp_path, lambda content: content.decode().encode("utf-16-le"))
    refused(sample, tmp_path, f"{next(iter(sample.files))}:", "UTF-8")


@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl", "conll", "pairs", "txt", "bucc", "jsonl-labels", "panx"])
def test_a_line_of_100_mb_is_refused_unread(name, tmp_path):
    sample = damaged(name, tmp_path, lambda content: b"")
    file = next(iter(sample.files))
    with (tmp_path / file).open("wb") as stream:
        stream.write(sample.files[file].rstrip(b"\n") + b"\n")
        stream.truncate(100 * 2**20)  # a sparse file: NUL bytes, as after a crash
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(sample, tmp_path, f"{file}:", f"the line is longer than {LINE_LIMIT >> 20} MB")
    assert time.monotonic() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_an_unclosed_quote_does_not_read_the_whole_file(tmp_path):
    sample = SAMPLES["csv"]
    sample.write(tmp_path)
    with (tmp_path / "x.csv").open("wb") as stream:
        stream.write(b'premise,hypothesis,label\na,b,neutral\n"a,b,neutral\n')
        for _ in range(20):
            stream.write(b"a,b,neutral\n" * 100_000)
    refused(sample, tmp_path, "x.csv:3: invalid CSV: field larger than field limit")


# --- records --------------------------------------------------------------------------------------------------------


def nli(text: str | bytes, reader: str) -> Sample:
    return Sample(reader, "classification", {"x": text.encode() if isinstance(text, str) else text}, len, NLI)


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        ("tsv", "premise\tlabel\na\n", "x:2: 1 fields, the header has 2"),
        ("tsv", "premise\tlabels\na\tneutral\n", "x:2: no column for 'label'"),
        ("tsv", "premise\tlabel\na\tnan\n", "x:2: unknown label 'nan'"),
        ("tsv", "premise\tlabel\na\t\n", "x:2: unknown label ''"),
        ("tsv", "premise\tlabel\n\t\n", "x:2: unknown label ''"),  # a row of empty cells is not an empty line
        ("tsv", "premise\tlabel\n" + "a\tneutral\n" * 3 + "a\tneutral\textra\n", "x:5: 3 fields"),
        ("csv", "premise,label\na,NaN\n", "x:2: unknown label 'NaN'"),
        ("csv", 'premise,label\n"a""b,neutral\n', "x:2: invalid CSV"),
        ("csv", 'premise,label\n"a"b,neutral\n', "x:2: invalid CSV"),
        ("csv", "premise,label\na\rb,neutral\n", "x:2: invalid CSV"),
        ("jsonl", '{"premise": NaN, "label": "neutral"}\n', "x:1: invalid JSON: NaN is not a JSON value"),
        ("jsonl", '{"premise": 1e999, "label": "neutral"}\n', "x:1: 'premise' is Infinity, expected a text"),
        ("jsonl", '{"premise": null, "label": "neutral"}\n', "x:1: 'premise' is null, expected a text"),
        ("jsonl", '{"premise": true, "label": "neutral"}\n', "x:1: 'premise' is true, expected a text"),
        ("jsonl", '{"premise": {}, "label": "neutral"}\n', "x:1: 'premise' is {}, expected a text"),
        ("jsonl", '{"premise": "a", "label": "maybe"}\n', "x:1: unknown label 'maybe'"),
        ("jsonl", '{"premise": "a", "label": "neutral", "label": "neutral"}\n', "x:1: invalid JSON: duplicate key 'label'"),
        ("jsonl", '{"premise": "\\ud800", "label": "neutral"}\n', "unpaired surrogate"),
        ("jsonl", '{"premise": "a", "label": "neutral"} {}\n', "x:1: invalid JSON: Extra data"),
        ("jsonl", '{"premise": "a", "label": "neutral"}\r{"premise": "b", "label": "neutral"}\n', "x:1: invalid JSON"),
        ("jsonl", '{"premise": ' + "[" * 100_000 + "\n", "x:1: invalid JSON: brackets nested too deeply"),
        ("jsonl", '{"premise": ' + "9" * 10_000 + ', "label": "neutral"}\n', "x:1: invalid JSON: a number has too many digits"),
        ("jsonl", '{"premise": "a", "label": "' + "n" * 100_000 + '"}\n', "x:1: unknown label 'nnn"),
        ("jsonl", '{"id": 1, "premise": "a", "label": "neutral"}\n' * 2, "x:2: duplicate id '1'"),
        ("jsonl", '{"id": 1, "premise": "a", "label": "neutral"}\n{"id": "1", "premise": "b", "label": "neutral"}\n', "x:2: duplicate id '1'"),
        ("tsv", b"premise\tlabel\na\0b\tneutral\n", "x:2: a NUL byte at column 2"),
        ("tsv", "premise\tlabel\ra\tneutral\r", "x:1: a carriage return inside the header"),
        ("csv", "premise,label\ra,neutral\r", "x:1: invalid CSV: a carriage return outside quotes"),
        ("jsonl", '{"premise": "a", "label": "\\u001b[31m"}\n', "x:1: unknown label '\\x1b[31m'"),
    ],
)  # fmt: skip
def test_damaged_records_are_refused_by_row(reader, text, message, tmp_path):
    sample = nli(text, reader)
    sample.write(tmp_path)
    assert len(refused(sample, tmp_path, message)) < 2000


def test_a_label_outside_the_choices_is_refused(tmp_path):
    rows = [{"context": "c", "choice1": "a", "choice2": "b", "label": label} for label in (0, 2)]
    sample = Sample("jsonl", "multiple-choice", {"x": jsonl(*rows)}, len)
    sample.write(tmp_path)
    refused(sample, tmp_path, "x:2: unknown label 2 (expected 0 to 1)")


@pytest.mark.parametrize("number", ["1.5", "9" * 40, "1_0", "٣", " ", "1e3"])
def test_an_invalid_whole_number_is_refused(number, tmp_path):
    text = f"context,choice1,choice2,label\nc,a,b,{number}\n"
    sample = Sample("csv", "multiple-choice", {"x": text.encode()}, len)
    sample.write(tmp_path)
    refused(sample, tmp_path, "x:2: 'label' is '", "expected a whole number")


# --- spans ----------------------------------------------------------------------------------------------------------


def question(**changes):
    tree = json.loads(json.dumps(SQUAD))
    tree["data"][0]["paragraphs"][0]["qas"][1].update(changes)
    return json.dumps(tree, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": [{"text": "Rhône", "answer_start": 21}]}, "is not at character 21"),
        ({"answers": [{"text": "Rhône", "answer_start": 2200}]}, "is not at character 2200"),
        ({"answers": [{"text": "Rhône", "answer_start": -13}]}, "is not at character -13"),
        ({"answers": [{"text": "Rhone", "answer_start": 22}]}, "(found there: 'Rhône')"),
        ({"answers": [{"text": "Rhône", "answer_start": None}]}, "no number 'answer_start' here (found: null)"),
        ({"answers": [{"text": "T", "answer_start": True}]}, "no number 'answer_start' here (found: true)"),
        ({"answers": [{"text": "T", "answer_start": 0.0}]}, "no number 'answer_start' here (found: 0.0)"),
        ({"answers": {"text": ["Rhône"]}}, "no list 'answers' here"),
        ({"answers": []}, "no answer is given"),
        ({"is_impossible": True}, "a question marked `is_impossible` has answers"),
        ({"is_impossible": "false"}, "no true or false 'is_impossible' here"),
        ({"id": 7}, "no text 'id' here (found: 7)"),
        ({"question": "\ud800"}, "unpaired surrogate"),
    ],
)
def test_damaged_questions_are_refused_by_their_place(changes, message, tmp_path):
    tree = json.loads(json.dumps(SQUAD))
    tree["data"][0]["paragraphs"][0]["qas"][1].update(changes)
    (tmp_path / "x.json").write_text(json.dumps(tree), encoding="utf-8")
    refused(SAMPLES["squad"], tmp_path, "x.json:data[0].paragraphs[0].qas[1]", message)


def test_duplicate_question_ids_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(question(id="h1"))
    refused(SAMPLES["squad"], tmp_path, "x.json:data[1].paragraphs[0].qas[0]: duplicate id 'h1'")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answers": {"text": ["n"], "answer_start": [2]}}, "is not at character 2"),
        ({"answers": {"text": ["n", "n"], "answer_start": [0]}}, "2 answers but 1 starts"),
        ({"answers": {"text": [None], "answer_start": [0]}}, "'answers.text' is null"),
        ({"answers": {"text": "n", "answer_start": [0]}}, "'answers.text' is not a list"),
        ({"answers": {"text": ["n"]}}, "no column for 'starts'"),
    ],
)
def test_nested_answers_are_checked_too(row, message, tmp_path):
    sample = Sample("jsonl", "span-qa", {"x": jsonl({"context": "no", "question": "q", **row})}, len)
    sample.write(tmp_path)
    refused(sample, tmp_path, "x:1: ", message)


@pytest.mark.parametrize("breaks", [[[0, 99]], [[5, 2]], [[0]], [["0", "9"]], ["0-9"], [[-1, 3]], [[False, 3]]])
def test_sentences_outside_the_paragraph_are_refused(breaks, tmp_path):
    tree = json.loads(json.dumps(LAREQA))
    tree["data"][0]["paragraphs"][0]["sentence_breaks"] = breaks
    (tmp_path / "x.json").write_text(json.dumps(tree), encoding="utf-8")
    refused(
        SAMPLES["lareqa"],
        tmp_path,
        "x.json:data[0].paragraphs[0].sentence_breaks: ",
        "is not a sentence of the context",
    )


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"start": 7}, "is not at characters 7 to 10"),
        ({"end": 99}, "characters 6 to 99 are outside a text of 21"),
        ({"text": "Basel"}, "the mention 'Basel' is not at"),
        ({"start": 0, "text": "Hier. Bern"}, "is not inside one sentence"),
    ],
)
def test_mentions_must_match_their_span(span, message, tmp_path):
    row = json.loads(json.dumps({"contextual_mention": MENTIONS[0], "entity": ENTITIES[0]}))
    row["contextual_mention"]["mention"]["mention_span"].update(span)
    (tmp_path / "x.jsonl").write_bytes(jsonl(row))
    refused(SAMPLES["mewslix"], tmp_path, "x.jsonl:1: ", message)


# --- words and tags -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("conll", "Ada B-PER\nist X\n", "unknown label 'X' on word 2"),
        ("conll", "Ada B-PER\nist\n", ":2: 'ist' has no tag"),
        ("conll", "Ada B-PER\rist O\n", ":1: a carriage return inside a line"),
        ("panx", "de:Ada O\n", ":1: 'de:Ada O' is not a token with a tag"),
        ("panx", "Ada\tO\n", ":1: 'Ada\\tO' is not a token with a tag"),
        ("panx", "de:\tO\n", ":1: word 1 is empty"),
        ("panx", "de:Ada\t\n", ":1: unknown label '' on word 1"),
        ("ccgbank", "ID=a PARSER=GOLD\nID=b PARSER=GOLD\n", ":2: unexpected line in CCGbank: 'ID=b PARSER=GOLD'"),
        ("ccgbank", "ID=a PARSER=GOLD\n", ":1: sentence 'a' has no derivation"),
        ("ccgbank", "ID=a PARSER=GOLD\n(<T NP 0 1> (<L N NNS hills N>) )\n", ":2: unexpected line in CCGbank: '(<T NP"),
    ],
)
def test_damaged_sentences_are_refused_by_line(name, text, message, tmp_path):
    sample = damaged(name, tmp_path, lambda content: text.encode())
    refused(sample, tmp_path, next(iter(sample.files)), message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2\tprix", "3\tprix", "word 3 found, word 2 expected"),
        ("2\tprix", "#\tprix", "a comment inside a sentence"),
        ("2\tprix", "\n2\tprix", "word 2 found, word 1 expected"),
        ("3-4\tdu", "3-9\tdu", "multi-word token 3-9 covers words that are not in the sentence"),
        ("3-4\tdu", "4-3\tdu", "multi-word token 4-3"),
        ("3-4\tdu", "3-٤\tdu", "is not a number"),
        ("\tDET\t_\t_\t2\t", "\tDET\t_\t_\tzwei\t", "head 'zwei' is not a number"),
        ("DET", "DETERMINER", "unknown label 'DETERMINER'"),
        ("sent_id = s2", "sent_id = s1", "duplicate id 's1'"),
    ],
)
def test_damaged_treebanks_are_refused_by_line(old, new, message, tmp_path):
    sample = damaged("conllu", tmp_path, lambda content: content.decode().replace(old, new, 1).encode())
    refused(sample, tmp_path, "x.conllu:", message)


# --- several files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("pairs", "x.en", b"one\ntwo\n", "x.de:3: line 3 has no counterpart in x.en"),
        ("pairs", "x.de", b"eins\n", "x.en:2: line 2 has no counterpart in x.de"),
        ("jsonl-labels", "x.lst", b"3\n", "x.jsonl:2: line 2 has no counterpart in x.lst"),
        ("jsonl-labels", "x.lst", b"3\n4\n", "x.jsonl:2: unknown label 4"),
        ("bucc", "x.gold", b"de-1\ten-9\n", "x.gold:1: no English sentence 'en-9'"),
        ("bucc", "x.gold", b"de-9\ten-1\n", "x.gold: 'de-9' of a gold pair is not in x.de"),
        ("bucc", "x.gold", b"de-1\ten-1\nde-1\ten-1\n", "x.gold:2: duplicate pair"),
        ("bucc", "x.en", b"en-1\tone\nen-1\ttwo\n", "x.en:2: duplicate id 'en-1'"),
        ("bucc", "x.de", b"de-1\n", "x.de:1: 'de-1' is not an id, a tab and a value"),
    ],
)
def test_files_that_do_not_match_are_refused(name, file, content, message, tmp_path):
    refused(damaged(name, tmp_path, lambda _: content, file), tmp_path, message)


def test_xml_entity_declarations_are_refused(tmp_path):
    # With entities, XML can grow without limit or read other files of the machine.
    bomb = b'<!DOCTYPE copa-corpus [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    sample = damaged("copa-xml", tmp_path, lambda text: text.replace(b'<!DOCTYPE copa-corpus SYSTEM "copa.dtd">', bomb))
    refused(sample, tmp_path, "x.xml:2: the file declares an entity")


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    # Root may read everything, so the system's error is simulated.
    from pathlib import Path

    sample = SAMPLES["tsv"]
    sample.write(tmp_path)

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    refused(sample, tmp_path, "x.tsv: cannot read the file: Permission denied")
