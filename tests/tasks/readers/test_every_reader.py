"""Each reader on the samples of its format, with the full expected examples."""

from __future__ import annotations

import csv
import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from tests.support.sample_files import COPA_OPTIONS, ENTITIES, LAREQA, MENTIONS, NLI_ROWS, UPOS, jsonl, tar_gz
from tests.support.samples import SAMPLES, Sample

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.sources.files import FileSource
from xlift.tasks.sources.readers import READERS
from xlift.tasks.task import Task


def read(sample: Sample, folder, **changed: bytes):
    sample.write(folder, **changed)
    return sample.read(folder)


def plain(examples) -> list[tuple]:
    return [dataclasses.astuple(example) for example in examples]


def test_every_reader_has_a_sample():
    assert {sample.reader for sample in SAMPLES.values()} == set(READERS)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_read_completely_in_their_formats(name, tmp_path):
    sample = SAMPLES[name]
    examples = read(sample, tmp_path)
    assert len(examples) == sample.count(sample.files) > 0
    assert {type(example) for example in examples} == {formats.get(sample.format).example_class}
    assert sample.format in READERS[sample.reader].formats


@pytest.mark.parametrize("name", ["tsv", "csv", "quoted-tsv", "jsonl"])
def test_the_same_rows_in_four_file_formats(name, tmp_path):
    expected = [(str(i), *row) for i, row in enumerate(NLI_ROWS)]
    assert plain(read(SAMPLES[name], tmp_path)) == expected


@pytest.mark.parametrize("name", ["tar-jsonl", "aligned-lines"])
def test_the_same_rows_out_of_an_archive_and_of_a_file_for_each_column(name, tmp_path):
    assert plain(read(SAMPLES[name], tmp_path)) == [(str(i), *row) for i, row in enumerate(NLI_ROWS)]


def test_files_of_aligned_lines_have_one_length_and_one_file_for_each_column(tmp_path):
    sample = SAMPLES["aligned-lines"]
    with pytest.raises(UserError, match=r"s1\.dev:4: line 4 has no counterpart in labels\.dev"):
        read(sample, tmp_path, **{"labels.dev": b"neutral\n" * 3})
    with pytest.raises(UserError, match="2 files given, expected one for each of text_a, text_b, label"):
        dataclasses.replace(sample, files=dict.fromkeys(("s1.dev", "s2.dev"), b"x\n")).read(tmp_path)


def test_a_json_object_of_records_gives_its_keys_as_ids(tmp_path):
    assert plain(read(SAMPLES["json"], tmp_path)) == [(f"q{i}", *row) for i, row in enumerate(NLI_ROWS)]
    own = {"q0": {"id": "mine", "text": "a", "label": "neutral"}}
    assert read(SAMPLES["json"], tmp_path, **{"x.json": json.dumps(own).encode()})[0].id == "mine"


@pytest.mark.parametrize("name", ["json-list", "json-lines"])
def test_json_records_without_keys_have_their_number_as_id(name, tmp_path):
    examples = read(SAMPLES[name], tmp_path)
    assert [(example.id, example.text_a, example.label) for example in examples] == [
        (str(i), a, label) for i, (a, _, label) in enumerate(NLI_ROWS)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a", "label": "neutral"}, 3]', r"x\.json:\[1\]: not a JSON object"),
        ('{"q1": {"text": "a"}, "q2": {"text": "b", "label": "?"}}', r"""x\.json:\["q1"\]: no column for 'label'"""),
        ('{"text": "a", "label": "neutral"}\n{"text": "b"}\n', r"x\.json:2: no column for 'label'"),
        ('{"text": "a",\n "label": }', r"x\.json:2: invalid JSON"),
        ("{}", "no examples"),
        ("3", "not a list or an object"),
    ],
)
def test_errors_in_a_json_file_have_their_place(content, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read(SAMPLES["json"], tmp_path, **{"x.json": content.encode()})


def test_an_archive_that_is_cut_off_is_refused(tmp_path):
    whole = SAMPLES["tar-jsonl"].files["x.tar.gz"]
    for content in (whole[:-20], b"PK" + whole, whole[:100] + b"x" + whole[101:]):
        with pytest.raises(UserError, match=r"x\.tar\.gz: not a whole \.tar\.gz archive"):
            read(SAMPLES["tar-jsonl"], tmp_path, **{"x.tar.gz": content})


def test_errors_in_an_archive_name_the_file_and_the_line(tmp_path):
    packed = tar_gz({"small/train.jsonl": b'{"text": "a", "label": "neutral"}\n{"text": "b", "label": "maybe"}\n'})
    with pytest.raises(UserError, match=r"x\.tar\.gz:small/train\.jsonl:2: unknown label 'maybe'"):
        read(SAMPLES["tar-jsonl"], tmp_path, **{"x.tar.gz": packed})


def test_parquet_gives_the_examples_of_json_lines(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in ("jsonl", "jsonl-choices", "jsonl-tags", "mewslix"):
        sample = SAMPLES[name]
        if sample.reader != "jsonl":
            continue
        rows = [json.loads(line) for line in sample.files["x.jsonl"].splitlines()]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
        twin = Sample("parquet", sample.format, {"x.parquet": b""}, len, sample.labels, sample.options)
        assert plain(twin.read(tmp_path)) == plain(read(sample, tmp_path))


def test_parquet_numbered_classes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": pa.array([2, 0], pa.int64())})
    pq.write_table(table, tmp_path / "x.parquet")
    options = {"values": {"label": {"0": "entailment", "1": "neutral", "2": "contradiction"}}}
    labels = SAMPLES["jsonl"].labels
    sample = Sample("parquet", "classification", {"x.parquet": b""}, len, labels, options)
    assert [e.label for e in sample.read(tmp_path)] == ["contradiction", "entailment"]
    (tmp_path / "y.parquet").write_bytes((tmp_path / "x.parquet").read_bytes())
    unmapped = Sample("parquet", "classification", {"x.parquet": b""}, len, labels)
    with pytest.raises(UserError, match="x.parquet:row 1: unknown label '2'"):
        unmapped.read(tmp_path)


def test_nulls_of_parquet_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"premise": ["a", None], "label": ["neutral", "neutral"]}), tmp_path / "x.parquet")
    sample = Sample("parquet", "classification", {"x.parquet": b""}, len, SAMPLES["jsonl"].labels)
    with pytest.raises(UserError, match="x.parquet:row 2: 'premise' is null, expected a text"):
        sample.read(tmp_path)


def test_nested_choices_with_letters(tmp_path):
    assert plain(read(SAMPLES["jsonl-choices"], tmp_path)) == [
        ("c1", "Where?", "", ("here", "there"), 1),
        ("c2", "Who?", "", ("I", "you"), 0),
    ]


def test_choices_in_one_column(tmp_path):
    # HellaSwag: `endings` is a list, and their context is in two columns.
    row = {
        "ind": 4,
        "ctx_a": "A man sits.",
        "ctx_b": "he",
        "endings": ["stands.", "sings.", "eats.", "sleeps."],
        "label": 3,
    }
    columns = {"id": "ind", "context": "ctx_a", "question": "ctx_b", "choices": "endings"}
    sample = Sample("jsonl", "multiple-choice", {"x.jsonl": jsonl(row)}, len, (), {"columns": columns})
    assert plain(read(sample, tmp_path)) == [("4", "A man sits.", "he", ("stands.", "sings.", "eats.", "sleeps."), 3)]


def test_ids_of_several_columns(tmp_path):
    # Belebele: a passage has several questions, so the id needs two columns.
    row = {"link": "en/a", "question_number": 2, "flores_passage": "p", "question": "q", "mc_answer1": "x", "mc_answer2": "y",
           "correct_answer_num": "2"}  # fmt: skip
    columns = {"id": ["link", "question_number"], "context": "flores_passage", "choices": ["mc_answer1", "mc_answer2"],
               "label": "correct_answer_num"}  # fmt: skip
    options = {"columns": columns, "values": {"label": {"1": "0", "2": "1"}}}
    sample = Sample("jsonl", "multiple-choice", {"x.jsonl": jsonl(row)}, len, (), options)
    assert plain(read(sample, tmp_path)) == [("en/a-2", "p", "q", ("x", "y"), 1)]


def test_labels_in_a_separate_file(tmp_path):
    assert plain(read(SAMPLES["jsonl-labels"], tmp_path)) == [
        ("0", "Ann left.", "Why?", ("tired", "glad", "sad"), 2),
        ("1", "Bo ran.", "Then?", ("slept", "won", "sat"), 0),
    ]


def test_copa_xml(tmp_path):
    assert plain(read(SAMPLES["copa-xml"], tmp_path)) == [
        ("1", "The lamp went out.", "What was the cause?", ("It was noon.", "The fuse & bulb broke."), 1),
        ("2", "It rained.", "What was the effect?", ("The road got wet.", "The road got dry."), 0),
    ]
    assert COPA_OPTIONS["columns"]["context"] == "p"


def test_squad_offsets_are_code_points(tmp_path):
    # '𝕏' is one code point, two units of UTF-16 and four bytes.
    assert plain(read(SAMPLES["squad"], tmp_path))[2] == ("r3", "𝕏 marks it.", "What marks it?", ("𝕏",), (0,))


def test_one_file_of_many_languages_is_filtered_by_id(tmp_path):
    # TyDiQA's training file, whose ids begin with the language's name.
    def qa(name):
        return {"id": name, "question": "q", "answers": [{"text": "a", "answer_start": 0}]}

    tree = {
        "data": [{"paragraphs": [{"context": "a b", "qas": [qa("swahili-1-0"), qa("finnish-1-0"), qa("swahili-2-0")]}]}]
    }
    (tmp_path / "x.json").write_text(json.dumps(tree), encoding="utf-8")
    source = FileSource(
        "squad", {"train": "x.json"}, {"train": ("sw", "fi")}, codes={"sw": "swahili", "fi": "finnish"},
        where={"id": "{lang}-*"},
    )  # fmt: skip
    task = Task("toy", "Toy", "span-qa", (), source)
    assert [e.id for e in source.read(task, "sw", "train", tmp_path)] == ["swahili-1-0", "swahili-2-0"]
    assert [e.id for e in source.read(task, "fi", "train", tmp_path)] == ["finnish-1-0"]


def test_panx_words_follow_the_first_colon(tmp_path):
    # XTREME's reader splits at the no-break space and makes the tag 'O'.
    assert plain(read(SAMPLES["panx"], tmp_path)) == [
        ("0", ("Ada", "ist", ":"), ("B-PER", "O", "O")),
        ("1", ("a\u00a0b",), ("B-LOC",)),
    ]


def test_ccgbank_leaves(tmp_path):
    assert plain(read(SAMPLES["ccgbank"], tmp_path)) == [
        ("wsj_9901.1", ("It", "rains"), ("NP", "S[dcl]\\NP")),
        ("wsj_9901.2", ("Dry", "hills"), ("N/N", "N")),
    ]


def test_sentence_ids_of_several_treebanks_include_the_file(tmp_path):
    # Two treebanks of a language may both have a sentence s1.
    (tmp_path / "fr_a-ud-train.conllu").write_bytes(SAMPLES["conllu"].files["x.conllu"])
    (tmp_path / "fr_b-ud-train.conllu").write_bytes(SAMPLES["conllu"].files["x.conllu"])
    source = FileSource("conllu", {"train": "{lang}_*-ud-train.conllu"}, {"train": ("fr",)})
    task = Task("toy", "Toy", "tagging", (), source, labels=UPOS)
    names = [e.id for e in source.read(task, "fr", "train", tmp_path)]
    assert names == [f"fr_{bank}-ud-train s{n}" for bank in "ab" for n in (1, 2)]


def test_aligned_lines_are_text_too(tmp_path):
    # FLORES-200: pairs to train on (TLM, translation).
    sample = Sample("pairs", "text", SAMPLES["pairs"].files, len, language="de")
    assert plain(read(sample, tmp_path))[0] == ("0", "eins", "one")


def test_bucc_pairs_and_unpaired_sentences(tmp_path):
    assert plain(read(SAMPLES["bucc"], tmp_path)) == [
        ("de-1 en-3", "eins", "one"),
        ("de-2 en-2", "zwei", "two"),
        ("de-3", "drei", ""),
        ("en-1", "", "four"),
    ]


def test_bucc_sentence_in_two_gold_pairs(tmp_path):
    examples = read(SAMPLES["bucc"], tmp_path, **{"x.gold": b"de-1\ten-3\nde-1\ten-1\n"})
    assert [e.id for e in examples] == ["de-1 en-3", "de-1 en-1", "de-2", "de-3", "en-2"]


# --- arbitrary cells ------------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(cells=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=scaled(60), deadline=None)
def test_files_of_other_writers_are_read_back(tmp_path, cells):
    # Written by Python's csv and json and by Arrow; outer white space of texts is removed.
    import pyarrow as pa
    import pyarrow.parquet as pq

    expected = [(a.strip(), b.strip()) for a, b in cells]
    rows = [{"premise": a, "hypothesis": b, "label": "neutral"} for a, b in cells]
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["premise", "hypothesis", "label"], *(row.values() for row in rows)])
    with (tmp_path / "x.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(row.values() for row in rows)
    (tmp_path / "x.jsonl").write_bytes(jsonl(*rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    (tmp_path / "lines.json").write_bytes(jsonl(*rows))
    (tmp_path / "list.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "keyed.json").write_text(
        json.dumps(dict(enumerate(rows)), indent=2, ensure_ascii=False), encoding="utf-8-sig"
    )
    (tmp_path / "x.tar.gz").write_bytes(tar_gz({"a/x.jsonl": jsonl(*rows), "a/README.md": b"\xff"}))
    for reader, name, header in [
        ("csv", "x.csv", ()),
        ("quoted-tsv", "x.tsv", ("premise", "hypothesis", "label")),
        ("jsonl", "x.jsonl", ()),
        ("parquet", "x.parquet", ()),
        ("json", "lines.json", ()),
        ("json", "list.json", ()),
        ("json", "keyed.json", ()),
        ("tar-jsonl", "x.tar.gz", ()),
    ]:
        sample = Sample(reader, "classification", {name: b""}, len, ("neutral",), {"header": header})
        if all(b for _, b in expected):
            assert [(e.text_a, e.text_b) for e in sample.read(tmp_path)] == expected, reader
        else:
            with pytest.raises(UserError, match=r"has no 'text_b' \(the cell is empty\)"):
                sample.read(tmp_path)


# --- retrieval of sentences and entities ----------------------------------------------------------------------------


def pool(reader: str, folder, *paths: str, language="en"):
    source = FileSource(reader, {"test": paths}, {"test": (language,)})
    return list(source.read(Task("toy", "Toy", "dual-encoding", (), source), language, "test", folder))


def test_lareqa_training_pairs(tmp_path):
    # The third question's answer begins in no sentence: left out, as the benchmark leaves it out.
    context = "It rains. The sun is out. End"
    assert plain(read(SAMPLES["lareqa"], tmp_path)) == [
        ("w1", "What does it do?", "It rains.", context, ()),
        ("w2", "What is out?", "The sun is out.", context, ()),
    ]


def test_lareqa_pool_of_two_languages(tmp_path):
    for language in ("en", "de"):
        (tmp_path / f"{language}.json").write_text(json.dumps(LAREQA), encoding="utf-8")
    queries_and_pool = pool("lareqa", tmp_path, "en.json", "en.json", "de.json")
    queries = [e for e in queries_and_pool if e.query]
    assert [(e.id, e.passage, e.relevant) for e in queries] == [
        ("w1", "", ("en_1_0", "de_1_0")),
        ("w2", "", ("en_1_1", "de_1_1")),
    ]
    candidates = {e.id: (e.passage, e.context) for e in queries_and_pool if not e.query}
    assert list(candidates) == ["en_1_0", "en_1_1", "en_2_0", "de_1_0", "de_1_1", "de_2_0"]
    assert candidates["de_1_1"] == ("The sun is out.", LAREQA["data"][0]["paragraphs"][0]["context"])


def test_sentence_splitting_without_breaks():
    from xlift.tasks.sources.readers.lareqa import sentences

    text = 'Dr. Ada B. Fox came. "Why?" he asked. At 3.5 km it ended! 1990 was dry. the end'
    assert [text[a:b] for a, b in sentences(text)] == [
        "Dr. Ada B. Fox came.", '"Why?" he asked.', "At 3.5 km it ended!", "1990 was dry. the end",
    ]  # fmt: skip
    assert sentences("") == []
    assert sentences("  one  ") == [(2, 5)]


def test_mewslix_training_pairs(tmp_path):
    assert plain(read(SAMPLES["mewslix"], tmp_path)) == [
        ("m1", "Bern: { Bern } ist klein.", "Bern is a city.", "", ()),
        ("m2", "Rome: { Rome } fell.", "Roma è una città.", "", ()),
    ]


def test_mewslix_mentions_and_entities(tmp_path):
    (tmp_path / "mentions.jsonl").write_bytes(jsonl(*MENTIONS))
    (tmp_path / "entities.jsonl").write_bytes(jsonl(*ENTITIES))
    assert plain(pool("mewslix", tmp_path, "mentions.jsonl", "entities.jsonl", language="de")) == [
        ("m1", "Bern: { Bern } ist klein.", "", "", ("Q70",)),
        ("Q70", "", "Bern is a city.", "", ()),
        ("Q220", "", "Roma è una città.", "", ()),
    ]


def test_mewslix_braces_in_the_text_are_replaced(tmp_path):
    row = json.loads(json.dumps(MENTIONS[1]))
    row["context"]["text"], row["context"]["sentence_spans"] = "Rome {old} fell.", [{"start": 0, "end": 16}]
    (tmp_path / "mentions.jsonl").write_bytes(jsonl(row))
    (tmp_path / "entities.jsonl").write_bytes(jsonl(*ENTITIES))
    assert pool("mewslix", tmp_path, "mentions.jsonl", "entities.jsonl")[0].query == "Rome: { Rome } (old) fell."


def test_translations_get_their_languages(tmp_path):
    # From a direction for all rows or from columns, with any spelling of codes. Blank lines of aligned files are skipped.
    assert plain(read(SAMPLES["pairs-translation"], tmp_path)) == [
        ("0", "eins", "one", "de", "en"),
        ("2", "drei", "three", "de", "en"),
    ]
    assert plain(read(SAMPLES["jsonl-translation"], tmp_path)) == [("0", "eins", "one", "de", "en")]
    (tmp_path / "x.jsonl").write_bytes(jsonl({"source": "eins", "translation": "one"}))
    with pytest.raises(UserError, match=r"x.jsonl:1: the direction of the translation is not given"):
        SAMPLES["jsonl-translation"].read(tmp_path)
