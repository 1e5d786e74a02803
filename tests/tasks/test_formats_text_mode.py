"""Text mode: prompts and parsing of any answer. Changes of texts: spans and tags follow."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.catalog import ISLES, TASKS
from xlift.tasks.formats.change import ChangedText
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.dual_encoding import DualExample
from xlift.tasks.formats.mining import MiningExample
from xlift.tasks.formats.multi_label import MultiLabelExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.formats.retrieval import PairExample
from xlift.tasks.formats.span_qa import NO_ANSWER, SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.formats.template import Template
from xlift.tasks.formats.text import TextExample
from xlift.tasks.prompts import find_template, template_versions

QA, TAGGING, CHOICE, CLASSES = (
    formats.get(name) for name in ("span-qa", "tagging", "multiple-choice", "classification")
)
PLAIN = Template("toy.v1", "en", "{words}")
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")

# --- parsing of generated text --------------------------------------------------------------------------------------

SAMPLES = [
    (task, version, list(task.source.read(task, "qta", "train", None, size=3))[2])
    for task in ISLES for version in template_versions(task) if task.format != "translation"
]  # fmt: skip
MARKED_TEXT = st.lists(
    st.one_of(st.text(max_size=8), st.integers(-3, 10**7).map(lambda n: f"{n}:"),
              st.integers(0, 200).map("<extra_id_{}>".format), st.sampled_from(["NOUN", "B-PER", "$$", "PER:", "O", "\n"])),
    max_size=12,
).map(" ".join)  # fmt: skip


@settings(max_examples=scaled(120), deadline=None)
@given(answer=st.one_of(st.text(max_size=60), MARKED_TEXT), sample=st.sampled_from(SAMPLES))
@case(answer="9" * 5000 + ": NOUN", sample=next(s for s in SAMPLES if s[0].name == "isle-pos"))
def test_parse_accepts_any_text_and_returns_what_decode_would(answer, sample):
    task, version, example = sample
    template = find_template(task, PromptSettings(template=version), "qta")
    parsed = formats.get(task.format).parse(answer, example, task.labels, template)
    if task.format == "classification":
        assert parsed in task.labels
    elif task.format == "multiple-choice":
        assert parsed in range(len(example.choices))
    elif task.format == "tagging":
        assert len(parsed) == len(example.words)
        assert set(parsed) <= set(task.labels)
    else:
        assert isinstance(parsed, str)


def test_parse_maps_a_candidate_index_to_its_label_or_choice():
    pair = ClassificationExample("0", "a")
    assert [CLASSES.parse(n, pair, ("x", "y"), PLAIN) for n in range(2)] == ["x", "y"]
    assert CHOICE.parse(1, ChoiceExample("0", "", "q", ("a", "b")), (), PLAIN) == 1


def test_a_generated_label_matches_its_label_word_then_its_name():
    template = replace(PLAIN, label_words={"good": "Yes", "bad": "no"})
    pair = ClassificationExample("0", "a")
    parsed = {
        text: CLASSES.parse(text, pair, ("bad", "good"), template) for text in (" Yes\n", "yes", "NO", "good", "?")
    }
    assert parsed == {" Yes\n": "good", "yes": "good", "NO": "bad", "good": "good", "?": "bad"}
    cased = replace(PLAIN, label_words={"first": "Polish", "second": "polish"})
    assert CLASSES.parse("polish", pair, ("first", "second"), cased) == "second"


def test_a_generated_choice_matches_the_choice_it_repeats():
    choice = ChoiceExample("0", "", "q", ("the red  book", "the lamp"))
    assert CHOICE.parse(" the lamp \n", choice, (), PLAIN) == 1
    assert CHOICE.parse("the red book", choice, (), PLAIN) == 0
    assert CHOICE.parse("neither", choice, (), PLAIN) == 0


def test_an_answer_is_the_matching_span_of_the_context():
    example = SpanExample("0", "He paid 1.5\u00a0million (in\nall).", "?")
    assert QA.parse(" 1.5 million\nQuestion: what?", example, (), PLAIN) == "1.5\u00a0million"
    assert QA.parse("1 . 5", example, (), PLAIN) == "1.5"  # mT5's prompt
    assert QA.parse("( in all )", example, (), PLAIN) == "(in\nall)"
    assert QA.parse("two million", example, (), PLAIN) == "two million"
    assert QA.parse("", example, (), PLAIN) == ""


def test_a_generated_answer_in_composed_letters_is_the_span_of_a_decomposed_context():
    # Tokenizers compose letters and compatible forms (NFC, NFKC), so a model never writes them as the context does.
    example = SpanExample(
        "0", "in Hue\u0302\u0301 and Cafe\u0301\nOslo, \u1112\u1161\u11ab\u1100\u116e\u11a8, 1２３ km, oﬃce", "?"
    )
    assert QA.parse("Huế", example, (), PLAIN) == "Hue\u0302\u0301"
    assert QA.parse("Café Oslo", example, (), PLAIN) == "Cafe\u0301\nOslo"
    assert QA.parse("한국", example, (), PLAIN) == "\u1112\u1161\u11ab\u1100\u116e\u11a8"
    assert QA.parse("123", example, (), PLAIN) == "1２３"
    assert QA.parse("office", example, (), PLAIN) == "oﬃce"
    assert QA.parse("fice", example, (), PLAIN) == "fice"  # no span of whole characters
    assert QA.parse("Cafè", example, (), PLAIN) == "Cafè"


def test_the_label_word_of_no_answer_counts_only_if_the_task_allows_it():
    example = SpanExample("0", "It is unanswerable.", "?")
    template = replace(PLAIN, label_words={NO_ANSWER: "unanswerable"})
    assert QA.parse("Unanswerable", example, ("answer", NO_ANSWER), template) == ""
    assert QA.parse("unanswerable", example, (), template) == "unanswerable"
    source = replace(template, source="{context} {question}")
    assert QA.prompt(example, ("answer", NO_ANSWER), source).answer == "unanswerable"
    assert QA.prompt(example, (), source).answer is None


def test_tags_are_aligned_by_their_markers():
    example = TaggingExample("0", ("Ada", "L.", "is", "in", "Rome"))
    parsed = TAGGING.parse("4: B-LOC 0: B-PER 2: never 1: i-per 0: O 17: O", example, BIO, PLAIN)
    assert parsed == ["B-PER", "I-PER", "O", "O", "B-LOC"]
    sentinels = replace(PLAIN, word_marker="<extra_id_{n}>")
    assert TAGGING.parse("<extra_id_1>I-PER<extra_id_0> B-PER", example, BIO, sentinels) == [
        "B-PER",
        "I-PER",
        "O",
        "O",
        "O",
    ]
    assert TAGGING.parse("0 : B - PER 1 : I - PER", example, BIO, PLAIN) == [
        "B-PER",
        "I-PER",
        "O",
        "O",
        "O",
    ]  # WordPiece


def test_a_word_without_a_tag_gets_o_or_x_or_the_first_label():
    example = TaggingExample("0", ("Ada",))
    assert TAGGING.parse("", example, ("B-PER", "O"), PLAIN) == ["O"]
    assert TAGGING.parse("", example, ("NOUN", "X"), PLAIN) == ["X"]
    assert TAGGING.parse("", example, ("NOUN", "VERB"), PLAIN) == ["NOUN"]
    assert TAGGING.parse("0: N/N", example, (), PLAIN) == ["N/N"]  # CCGbank declares no labels


def test_punctuation_can_be_a_tag():
    example, tags = TaggingExample("0", ("a", ":", "b"), (":", "?", ".")), (":", "?", ".")
    prompt = TAGGING.prompt(example, tags, PLAIN)
    assert TAGGING.parse(prompt.answer or "", example, tags, PLAIN) == list(tags)


@settings(max_examples=scaled(100), deadline=None)
@given(
    words=st.lists(st.text("abc<>{}0123:$", min_size=1, max_size=5), min_size=1, max_size=12), data=st.data(),
    marker=st.sampled_from(["{n}:", "<extra_id_{n}>"]),
)  # fmt: skip
def test_gold_tags_round_trip_for_any_words(words, data, marker):
    tags = tuple(data.draw(st.lists(st.sampled_from(BIO), min_size=len(words), max_size=len(words))))
    example, template = TaggingExample("0", tuple(words), tags), replace(PLAIN, word_marker=marker)
    prompt = TAGGING.prompt(example, BIO, template)
    assert prompt.answer is not None
    assert TAGGING.parse(prompt.answer, example, BIO, template) == list(tags)
    left, right = prompt.truncatable or (0, 0)
    for n, (source, answer) in enumerate(prompt.truncation_points):  # up to each word: its tags and no more
        assert left <= source <= right
        assert prompt.source[left:source].endswith(words[n])
        kept = TAGGING.parse(prompt.answer[:answer], example, ("?", *BIO), replace(template, label_words={"?": "?"}))
        assert kept[: n + 1] == list(tags[: n + 1])


@settings(max_examples=scaled(100), deadline=None)
@given(st.data())
def test_distinct_entities_round_trip(data):
    words, tags = [], []
    for n in range(data.draw(st.integers(1, 8))):
        kind, length = data.draw(st.sampled_from(["", "PER", "LOC"])), data.draw(st.integers(1, 3))
        words += [f"w{n}.{i}" for i in range(length)]
        tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)] if kind else ["O"] * length
    example, template = TaggingExample("0", tuple(words), tuple(tags)), replace(PLAIN, scheme="spans")
    prompt = TAGGING.prompt(example, BIO, template)
    assert TAGGING.parse(prompt.answer or "", example, BIO, template) == tags
    assert prompt.truncation_points[-1] == (len(prompt.source), len(prompt.answer or ""))


def test_entities_in_composed_letters_are_found_in_decomposed_words():
    example = TaggingExample("0", ("in", "Hue\u0302\u0301", "and", "Cafe\u0301"), ("O",) * 4)
    template = replace(PLAIN, scheme="spans")
    assert TAGGING.parse("LOC: Huế $$ PER: Café", example, BIO, template) == ["O", "B-LOC", "O", "B-PER"]


def test_equal_entities_get_different_words():
    example = TaggingExample("0", ("Ada", "met", "Ada", "in", "New", "York"))
    template = replace(PLAIN, scheme="spans")
    parsed = TAGGING.parse("PER: Ada $$ PER: Ada $$ LOC: New York $$ LOC: York $$ PER: Bo", example, BIO, template)
    assert parsed == ["B-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"]


# --- changes of texts -----------------------------------------------------------------------------------------------


def no_change(text):
    return ChangedText(text, tuple(range(len(text) + 1)))


def make_change(seed, spaces=False):
    """A change that drops, doubles and replaces characters; with `spaces` it also puts spaces."""
    rng = random.Random(seed)

    def change(text):
        result, offsets = "", []
        for char in text:
            offsets.append(len(result))
            result += rng.choice((char, char, char, "", char * 2, "#", "é\u0301", *((" ", " ", "") if spaces else ())))
        return ChangedText(result, (*offsets, len(result)))

    return change


EXAMPLES = [
    ClassificationExample("0", "the old man", "a book", "x"),
    ClassificationExample("0", "the old man", None, "x"),
    MultiLabelExample("0", "the old man", "a book", ("x",)),
    RegressionExample("0", "the old man", "a book", 2.5),
    ChoiceExample("0", "it rains", "", ("so?", "then"), 1),
    ChoiceExample("0", "", "why is it so", ("a", "b c"), 0),
    SpanExample("0", "the old man of the sea", "who?", ("old man", "man", "sea"), (4, 8, 19)),
    SpanExample("0", "the old man", "who?"),
    TaggingExample("0", ("the", "old man", "o", "กำ"), ("A", "B", "A", "B")),
    TaggingExample("0", ("x",)),
    PairExample("0", "ein Buch", "a book"),
    PairExample("0", "", "a book"),
    MiningExample("0", "ein Buch", "", "t1", "t2"),
    DualExample("0", "who?", "he did", "he did it", ("7",)),
    DualExample("0", "", "he did"),
    TextExample("0", "a b c", None),
    TextExample("0", "a b c", "d e f"),
]
NAMES = {
    example: next(name for name, f in formats.FORMATS.items() if f.example_class is type(example))
    for example in EXAMPLES
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_a_change_without_effect_gives_an_equal_example(example):
    assert formats.get(NAMES[example]).change_texts(example, no_change) == example


@settings(max_examples=scaled(100), deadline=None)
@given(example=st.sampled_from(EXAMPLES), seed=st.integers(0, 10**6), spaces=st.booleans())
def test_changed_examples_are_valid_and_keep_their_structure(example, seed, spaces):
    format = formats.get(NAMES[example])
    labels = (
        (NO_ANSWER,)
        if isinstance(example, SpanExample)
        else ("A", "B")
        if isinstance(example, TaggingExample)
        else ("x",)
    )
    changed = format.change_texts(example, make_change(seed, spaces))
    assert format.check(changed, labels) is None
    assert type(changed) is type(example)
    assert len(format.texts(changed)) == len(format.texts(example))
    for field in ("id", "label", "labels", "score", "tags", "relevant", "text_id", "translation_id"):
        assert getattr(changed, field, None) == getattr(example, field, None)
    if isinstance(example, TaggingExample):
        assert len(changed.words) == len(example.words)
    if isinstance(example, ChoiceExample):
        assert len(changed.choices) == len(example.choices)


@settings(max_examples=scaled(100), deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_answers_move_with_the_context(seed, data):
    context = data.draw(st.text("ab c", min_size=3, max_size=30).filter(lambda t: len(t.split()) > 1))
    starts = data.draw(st.lists(st.integers(0, len(context) - 1), min_size=1, max_size=3))
    spans = [(start, data.draw(st.integers(start + 1, len(context)))) for start in starts]
    spans = [(start, end) for start, end in spans if context[start:end].strip()]
    example = SpanExample("0", context, "?!", tuple(context[a:b] for a, b in spans), tuple(a for a, _ in spans))
    changed = QA.change_texts(example, make_change(seed))
    changed_context = make_change(seed)(context)  # the context is changed first
    expected = [
        (changed_context.text[slice(*changed_context.span(a, b))], changed_context.span(a, b)[0]) for a, b in spans
    ]
    kept = [(text, start) for text, start in expected if text.strip()]
    if (spans and not kept) or not changed_context.text.strip():
        assert (changed.context, changed.answers, changed.starts) == (context, example.answers, example.starts)
    else:
        assert changed.context == changed_context.text
        assert list(zip(changed.answers, changed.starts, strict=True)) == kept


def test_a_tagged_word_is_read_from_its_new_position():
    def change(text):  # drops every o and puts a space into every e
        result, offsets = "", []
        for char in text:
            offsets.append(len(result))
            result += {"o": "", "e": "e e"}.get(char, char)
        return ChangedText(result, (*offsets, len(result)))

    example = TaggingExample("0", ("the", "oo", "book"), ("A", "B", "C"))
    assert TAGGING.change_texts(example, change).words == ("the e", "oo", "bk")  # "oo" would be empty, so it stays


def test_change_is_called_in_the_order_of_texts():
    for example in EXAMPLES:
        texts = []
        format = formats.get(NAMES[example])
        format.change_texts(example, lambda text, texts=texts: texts.append(text) or no_change(text))
        assert tuple(texts) == format.texts(example)


def test_every_format_of_the_catalogue_is_tested_here():
    assert {task.format for task in TASKS} - {NAMES[example] for example in EXAMPLES} == {"translation"}
    assert catalog.get("isle-nli") in ISLES
