"""Each reader on small files written here: expected examples and errors."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.small_files import read, refuses, task, write

from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.division import DocumentShare
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

# --- lines ----------------------------------------------------------------------------------------------------------


def test_lines_end_at_line_feeds_only(tmp_path):
    # U+2028 and U+0085 occur inside texts of web corpora; str.splitlines would split there.
    write(tmp_path, "a\u2028b\u0085c\r\nd")
    assert [text.rstrip("\r\n") for _, text in read_lines(tmp_path / "x.en")] == ["a\u2028b\u0085c", "d"]


def test_byte_order_mark_is_no_part_of_the_header(tmp_path):
    write(tmp_path, "\ufeffpremise\thypothesis\tlabel\na\tb\tneutral\n")
    assert read(task("tsv"), tmp_path)[0].text_a == "a"


def test_invalid_utf8_names_the_line(tmp_path):
    write(tmp_path, b"premise\thypothesis\tlabel\na\tb\tneutral\ncaf\xe9\tb\tneutral\n")
    refuses("x.en:3: byte 0xe9 at column 4 is not UTF-8", task("tsv"), tmp_path)


def test_empty_file(tmp_path):
    refuses("x.en: the file is empty", task("tsv"), write(tmp_path, ""))


def test_header_without_rows(tmp_path):
    refuses("no examples for toy en test", task("tsv"), write(tmp_path, "premise\thypothesis\tlabel\n"))


# --- tables and JSON lines ------------------------------------------------------------------------------------------


def test_tsv_quotes_are_ordinary_characters(tmp_path):
    # A reader that interprets quotes would merge these two rows of XNLI.
    write(tmp_path, 'premise\thypothesis\tlabel\n"He message\tno\tneutral\n"yes\tb\tentailment\n')
    assert [(e.text_a, e.text_b, e.label) for e in read(task("tsv"), tmp_path)] == [
        ('"He message', "no", "neutral"),
        ('"yes', "b", "entailment"),
    ]


def test_csv_follows_rfc_4180(tmp_path):
    write(tmp_path, 'premise,hypothesis,label\r\n"a, ""b""\nc",d,neutral\r\n')
    (example,) = read(task("csv"), tmp_path)
    assert example.text_a == 'a, "b"\nc'


def test_row_numbers_are_ids_without_an_id_column(tmp_path):
    write(tmp_path, "premise\tlabel\na\tneutral\n\nb\tneutral\n")
    assert [e.id for e in read(task("tsv"), tmp_path)] == ["0", "1"]


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        ("tsv", "premise\thypothesis\tlabel\na\tb\n", "x.en:2: 2 fields, the header has 3"),
        ("csv", 'premise,hypothesis,label\n"a\nb",c,neutral\na,b,c,d\n', "x.en:4: 4 fields, the header has 3"),
        ("csv", 'premise,hypothesis,label\na,b,neutral\n"a,b,neutral\n', "x.en:3: invalid CSV"),
        ("csv", "premise,premise,label\na,b,neutral\n", "x.en:1: duplicate column 'premise' in the header"),
        ("tsv", "premise\thypothesis\na\tb\n", "no column for 'label'"),
        ("tsv", "premise\thypothesis\tlabel\na\tb\tnuetral\n", "x.en:2: unknown label 'nuetral'"),
        ("tsv", "premise\thypothesis\tlabel\na\tb\tnuetral\n", "did you mean 'neutral'?"),
        ("tsv", "id\tpremise\tlabel\n7\ta\tneutral\n7\tb\tneutral\n", "x.en:3: duplicate id '7'"),
        ("jsonl", '{"premise": "a", "label": "neutral"}\n{"premise": "a", \n', "x.en:2: invalid JSON"),
        ("jsonl", "[1]\n", "x.en:1: not a JSON object"),
        ("jsonl", '{"premise": null, "label": "neutral"}\n', "x.en:1: 'premise' is null, expected a text"),
        ("jsonl", '{"premise": "a", "gold": "neutral"}\n', "Columns of the file: premise, gold"),
    ],
)  # fmt: skip
def test_errors_name_the_place(tmp_path, reader, text, message):
    refuses(message, task(reader), write(tmp_path, text))


def test_a_missing_column_lists_the_existing_ones(tmp_path):
    write(tmp_path, "premise\tgold_lable\na\tneutral\n")
    message = refuses("no column 'gold_label'", task("tsv", columns={"label": "gold_label"}), tmp_path)
    assert "did you mean 'gold_lable'" in message
    assert "Columns of the file: premise, gold_lable" in message


def test_dropped_labels_mapped_values_and_quotes(tmp_path):
    write(tmp_path, "premise\tlabel\n'it's'\t0\n\"b\"\t-\n")
    toy = task("tsv", values={"label": {"0": "entailment"}}, drop=("-",), unquote=True)
    (example,) = read(toy, tmp_path)
    assert (example.text_a, example.label) == ("it's", "entailment")


def test_choices_with_a_mapped_question(tmp_path):
    row = {"premise": "Er fiel.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 3}
    toy = task(
        "jsonl", format="multiple-choice", labels=(), columns={"choices": ["choice1", "choice2"]},
        values={"question": {"cause": "What was the cause?"}},
    )  # fmt: skip
    (example,) = read(toy, write(tmp_path, json.dumps(row)))
    assert (example.id, example.question, example.choices, example.label) == ("3", "What was the cause?", ("a", "b"), 1)


def test_label_of_a_choice_must_be_a_number(tmp_path):
    toy = task("csv", format="multiple-choice", labels=())
    refuses("'label' is 'b', expected a whole number", toy, write(tmp_path, "context,choice1,choice2,label\nc,x,y,b\n"))


def test_spans_in_a_table_keep_their_offsets(tmp_path):
    # The context must not be stripped, since the start refers to it.
    write(tmp_path, "context,question,answer,start\n  x Rome,where,Rome,4\n")
    (example,) = read(task("csv", format="span-qa", labels=()), tmp_path)
    assert (example.context, example.starts) == ("  x Rome", (4,))
    write(tmp_path, "context,question,answer\nx Rome,where,Paris\n")
    refuses("the answer 'Paris' is not in the context", task("csv", format="span-qa", labels=()), tmp_path)


# --- CoNLL ----------------------------------------------------------------------------------------------------------


def test_conll_sentences(tmp_path):
    write(tmp_path, "-DOCSTART- O\n\nHabuba B-PER\nta\tO\n\n\n# O\n")
    examples = read(task("conll", format="tagging", labels=("O", "B-PER")), tmp_path)
    assert [(e.words, e.tags) for e in examples] == [(("Habuba", "ta"), ("B-PER", "O")), (("#",), ("O",))]


def test_conll_keeps_other_white_space_in_words(tmp_path):
    # XTREME's reader splits at it and silently sets the label 'O'.
    (example,) = read(task("conll", format="tagging", labels=("B-PER",)), write(tmp_path, "a\u00a0b B-PER\n"))
    assert (example.words, example.tags) == (("a\u00a0b",), ("B-PER",))


def test_conll_word_without_tag(tmp_path):
    refuses("x.en:2: 'ta' has no tag", task("conll", format="tagging", labels=("O",)), write(tmp_path, "a O\nta\n"))


def conllu(*words: str) -> str:
    """Rows 'id form upos head' as CoNLL-U."""
    rows = []
    for word in words:
        name, form, upos, head = word.split("|")
        rows.append("\t".join([name, form, "_", upos, "_", "_", head, "_", "_", "_"]))
    return "# sent_id = s1\n" + "\n".join(rows) + "\n\n"


def tagged(tmp_path, text, language="en"):
    write(tmp_path, text, f"x.{language}")
    labels = tuple("ADJ ADP ADV AUX CCONJ DET NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
    toy = task("conllu", format="tagging", labels=labels, languages=(language,))
    return [tuple(zip(e.words, e.tags, strict=True)) for e in read(toy, tmp_path, language)]


def test_fused_word_takes_the_tag_of_its_head(tmp_path):
    # "gonna": 'gon' is the verb and 'na' depends on the next one, so precedence does not matter.
    text = conllu("1|I|PRON|2", "2-3|gonna|_|_", "2|gon|PART|0", "3|na|VERB|4", "4|go|VERB|2")
    assert tagged(tmp_path, text) == [(("I", "PRON"), ("gonna", "PART"), ("go", "VERB"))]


def test_equally_near_words_are_ranked_by_precedence(tmp_path):
    # French "du" = de (ADP) + le (DET), both under the noun: ADP precedes DET.
    text = conllu("1-2|du|_|_", "1|de|ADP|3", "2|le|DET|3", "3|pain|NOUN|0")
    assert tagged(tmp_path, text, "fr") == [(("du", "ADP"), ("pain", "NOUN"))]
    # The lists differ: NOUN beats PRON by default, PRON beats NOUN in French.
    text = conllu("1-2|xy|_|_", "1|x|NOUN|3", "2|y|PRON|3", "3|z|VERB|0")
    assert tagged(tmp_path, text, "de")[0][0] == ("xy", "NOUN")
    assert tagged(tmp_path, text, "fr")[0][0] == ("xy", "PRON")


def test_tags_outside_the_list_come_last(tmp_path):
    # XTREME's script stops with an error where SYM ties.
    text = conllu("1-2|5€|_|_", "1|5|SYM|3", "2|€|PUNCT|3", "3|z|VERB|0")
    assert tagged(tmp_path, text)[0][0] == ("5€", "PUNCT")


def test_cycle_of_heads_terminates(tmp_path):
    text = conllu("1-2|ab|_|_", "1|a|NOUN|2", "2|b|VERB|1")
    assert tagged(tmp_path, text)[0][0] == ("ab", "VERB")


def test_empty_nodes_joiners_and_inner_spaces_are_removed(tmp_path):
    text = conllu("1|می\u200cروم|VERB|0", "1.1|ghost|VERB|_", "2|10 000|NUM|1")
    assert tagged(tmp_path, text) == [(("میروم", "VERB"), ("10000", "NUM"))]


def test_sentences_without_text_are_skipped(tmp_path):
    kept = conllu("1|_|SYM|2", "2|b|NOUN|0", "3|c|NOUN|2")
    text = conllu("1|_|NOUN|0", "2|_|NOUN|1", "3|.|PUNCT|1").replace("s1", "s0") + kept
    assert len(tagged(tmp_path, text)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tfoo\tNOUN\n\n", "x.en:1: 3 columns, CoNLL-U has 10"),
        (conllu("1|a|NOUN|0", "b|b|NOUN|1"), "x.en:3: id 'b'"),
        (conllu("1-2|ab|_|_", "1|a|NOUN|0"), "multi-word token 1-2 covers words"),
    ],
)
def test_invalid_conllu(tmp_path, text, message):
    refuses(message, task("conllu", format="tagging", labels=("NOUN",)), write(tmp_path, text))


# --- SQuAD ----------------------------------------------------------------------------------------------------------


def squad(articles: int, *, impossible=False) -> str:
    def qa(i):
        answers = [] if impossible else [{"text": f"n{i}", "answer_start": 3}]
        return {"id": f"q{i}", "question": "which?", "answers": answers, "is_impossible": impossible}

    data = [{"title": f"T{i}", "paragraphs": [{"context": f"at n{i}", "qas": [qa(i)]}]} for i in range(articles)]
    return json.dumps({"version": "1.1", "data": data}, indent=1)


def test_squad_v1(tmp_path):
    (example,) = read(task("squad", format="span-qa", labels=()), write(tmp_path, squad(1)))
    assert dataclasses.astuple(example) == ("q0", "at n0", "which?", ("n0",), (3,))


def test_squad_v2_without_answer(tmp_path):
    toy = task("squad", format="span-qa", labels=("no-answer",))
    (example,) = read(toy, write(tmp_path, squad(1, impossible=True)))
    assert example.answers == ()


def test_squad_errors_name_the_place(tmp_path):
    broken = squad(2).replace('"id": "q1"', '"name": "q1"')
    refuses(
        "x.en:data[1].paragraphs[0].qas[0]: no text 'id' here", task("squad", format="span-qa"), write(tmp_path, broken)
    )
    refuses("invalid JSON", task("squad", format="span-qa"), write(tmp_path, squad(1)[:-3]))
    refuses("x.en: no list 'data' here", task("squad", format="span-qa"), write(tmp_path, "[]"))


def test_answer_with_a_wrong_offset(tmp_path):
    broken = squad(1).replace('"answer_start": 3', '"answer_start": 2')
    refuses("x.en:data[0].paragraphs[0].qas[0]", task("squad", format="span-qa"), write(tmp_path, broken))


@given(articles=st.integers(1, 40), cut=st.floats(0, 1))
def test_document_shares_are_disjoint_and_complete(articles, cut):
    documents = [f"T{i}" for i in range(articles)]
    left, right = DocumentShare(0, cut).choose(documents), DocumentShare(cut, 1).choose(documents)
    assert not left & right
    assert left | right == set(documents)


def test_document_shares_are_the_same_in_every_language(tmp_path):
    write(tmp_path, squad(6))
    write(tmp_path, squad(6).replace("which", "welche"), "x.de")
    source = FileSource(
        "squad", {"train": "x.{lang}", "test": "x.{lang}"}, {"train": ("en",), "test": ("en", "de")},
        document_shares={"train": DocumentShare(0, 2 / 3), "test": DocumentShare(2 / 3, 1)},
    )  # fmt: skip
    toy = Task("toy", "Toy", "span-qa", (), source)
    ids = {
        (split, code): [e.id for e in source.read(toy, code, split, tmp_path)]
        for split, code in [("train", "en"), ("test", "en"), ("test", "de")]
    }
    assert ids["train", "en"] == ["q0", "q1", "q2", "q3"]
    assert ids["test", "en"] == ids["test", "de"] == ["q4", "q5"]


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_aligned_lines(tmp_path):
    write(tmp_path, "eins\nzwei\n", "t.deu")
    write(tmp_path, "one\ntwo\n", "t.eng")
    toy = task("pairs", ("t.{lang}", "t.eng"), format="retrieval", labels=(), languages=("de",), codes={"de": "deu"})
    assert [dataclasses.astuple(e) for e in read(toy, tmp_path, "de")] == [("0", "eins", "one"), ("1", "zwei", "two")]
    write(tmp_path, "one\n", "t.eng")
    refuses("t.deu:2: line 2 has no counterpart in t.eng", toy, tmp_path, language="de")
