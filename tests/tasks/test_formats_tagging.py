from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.profile import scaled

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.features import IGNORE_INDEX
from xlift.tasks.formats.tagging import TaggingExample

FORMAT = formats.get("tagging")
TAGS = ("NOUN", "VERB", "DET")


def make_perfect_outputs(features, labels):
    """Outputs of a make_perfect_outputs model: the target on first sub-words, a constant elsewhere."""
    return [np.array([2 if tag == IGNORE_INDEX else tag for tag in row]) for row in features.targets["label"]]


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
def test_the_target_is_on_the_first_sub_word(kind):
    tokenizer = tiny.tokenizer(kind)
    example = TaggingExample("0", ("the", "Kainarjis", "book"), ("DET", "VERB", "NOUN"))
    features = FORMAT.features([example], tokenizer, TAGS, max_length=64, train=True)
    (row,), (target,), (first,) = features.input_ids, features.targets["label"], features.extra["first"]
    assert len(row) == len(target)
    assert len(row) > 5
    assert [i for i, tag in enumerate(target) if tag != IGNORE_INDEX] == first.tolist()
    assert [target[i] for i in first] == [2, 1, 0]


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
def test_words_are_tokenized_as_in_running_text(kind):
    # without the space a byte-level or Gemma tokenizer joins each word to the previous one
    tokenizer = tiny.tokenizer(kind)
    words = tuple(tiny.CORPUS[0].split())
    (row,) = FORMAT.features([TaggingExample("0", words)], tokenizer, TAGS, max_length=64, train=True).input_ids
    assert row.tolist() == tokenizer(tiny.CORPUS[0])["input_ids"]


def test_a_word_without_tokens_becomes_the_unknown_token():
    # BERT's normalizer removes a control character
    tokenizer = tiny.tokenizer("wordpiece")
    example = TaggingExample("0", ("the", "\x9d", "book"), ("DET", "VERB", "NOUN"))
    features = FORMAT.features([example], tokenizer, TAGS, max_length=64, train=True)
    (row,), (first,) = features.input_ids, features.extra["first"]
    assert row[first[1]] == tokenizer.unk_token_id
    assert FORMAT.decode([example], features, make_perfect_outputs(features, TAGS), TAGS) == [["DET", "VERB", "NOUN"]]


def test_long_sentences_are_split_between_words():
    words = tuple(tiny.CORPUS[0].split()) * 5
    features = FORMAT.features([TaggingExample("0", words)], tiny.tokenizer(), TAGS, max_length=12, train=True)
    assert len(features) > 1
    assert max(map(len, features.input_ids)) <= 12
    assert sum(len(first) for first in features.extra["first"]) == len(words)
    assert features.unit.tolist() == list(range(len(features)))  # each row can be in its own batch
    assert set(features.example_index) == {0}


WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=scaled(60), deadline=None)
@given(
    sentences=st.lists(
        st.lists(st.tuples(WORDS, st.sampled_from(TAGS)), min_size=1, max_size=30), min_size=1, max_size=4
    ),
    kind=st.sampled_from(tiny.TOKENIZERS),
    max_length=st.integers(3, 40),
)
def test_every_word_gets_a_prediction(sentences, kind, max_length):
    examples = [
        TaggingExample(str(i), tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs))
        for i, pairs in enumerate(sentences)
    ]
    features = FORMAT.features(examples, tiny.tokenizer(kind), TAGS, max_length=max_length, train=False)
    assert max(map(len, features.input_ids)) <= max_length
    predictions = FORMAT.decode(examples, features, make_perfect_outputs(features, TAGS), TAGS)
    assert predictions == [FORMAT.gold(example) for example in examples]


def test_too_small_max_length_is_refused():
    with pytest.raises(UserError, match="max_length 2 leaves no room"):
        FORMAT.features([TaggingExample("0", ("a",))], tiny.tokenizer(), TAGS, max_length=2, train=True)


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (("the", "book"), ("DET", "OUN"), "unknown label 'OUN' on word 2 (expected one of: NOUN, VERB, DET)"),
        (("the", "book"), ("DET",), "2 words but 1 tags"),
        (("the", " "), ("DET", "NOUN"), "word 2 is empty"),
        ((), (), "a sentence without words"),
        (("the",), None, None),
    ],
)
def test_check(words, tags, message):
    assert FORMAT.check(TaggingExample("0", words, tags), TAGS) == message
