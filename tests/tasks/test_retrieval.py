"""Retrieval: its rows, its direction and its decoding."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support import tiny

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.retrieval import PairExample, official_layer

FORMAT = formats.get("retrieval")


def decoded(tokenizer, row):
    return tokenizer.decode(row, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize(("num_layers", "layer"), [(12, 8), (24, 14), (6, 5), (2, 2)])
def test_official_layer(num_layers, layer):
    # the first two are the published ones: mBERT and XLM-R large
    assert official_layer(num_layers) == layer


def test_rows_alternate_between_the_sides():
    examples = [PairExample("a", "der Mann", "the man"), PairExample("b", "das Buch", "the book")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    expected = ["<s> der Mann</s>", "<s> the man</s>", "<s> das Buch</s>", "<s> the book</s>"]
    assert [decoded(tiny.tokenizer(), row) for row in features.input_ids] == expected
    assert features.targets["side"].tolist() == [0, 1, 0, 1]


def test_queries_are_the_source_language_side():
    # text "b" is nearest to both translations; the other direction would give "a", "b"
    examples = [PairExample("a", "x", "y"), PairExample("b", "x", "y")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    text_a, text_b = np.array([1.0, -1.0]), np.array([1.0, 1.0])
    outputs = [text_a, np.array([1.0, 0.8]), text_b, np.array([2.0, 2.0])]
    assert FORMAT.decode(examples, features, outputs, ()) == ["b", "b"]


def test_block_sizes_do_not_change_the_predictions(monkeypatch):
    examples = [PairExample(str(i), "x", "y") for i in range(50)]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    outputs = list(np.random.default_rng(0).normal(size=(100, 8)))
    whole = FORMAT.decode(examples, features, outputs, ())
    monkeypatch.setattr("xlift.tasks.nearest.BLOCK_ROWS", 7)
    monkeypatch.setattr("xlift.tasks.nearest.BLOCK_COLUMNS", 9)
    assert FORMAT.decode(examples, features, outputs, ()) == whole


def test_centering_removes_what_a_language_has_in_common():
    examples = [PairExample(str(i), "x", "y") for i in range(20)]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    meanings = np.random.default_rng(0).normal(size=(20, 8))
    shift = np.zeros(8)
    shift[0] = 30.0
    outputs = [vector for meaning in meanings for vector in (meaning + shift, meaning)]
    gold = [FORMAT.gold(example) for example in examples]
    assert FORMAT.decode(examples, features, outputs, (), center=True) == gold
    assert FORMAT.decode(examples, features, outputs, ()) != gold


def test_distractors_are_candidates_and_are_not_scored():
    # "b" has no translation and is nearer to a's query than a's text; "c" has no text
    examples = [PairExample("a", "x", "y"), PairExample("b", "x", ""), PairExample("c", "", "y")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    query, own, near, other = np.array([1.0, 0.0]), np.array([1.0, 0.5]), np.array([1.0, 0.1]), np.array([0.0, 1.0])
    outputs = [own, query, near, other, other, query]
    assert FORMAT.decode(examples, features, outputs, ()) == ["b", None, None]
    assert [FORMAT.gold(example) for example in examples] == ["a", None, None]


def test_ties_go_to_the_first_text():
    examples = [PairExample("a", "x", "y"), PairExample("b", "x", "y")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    assert FORMAT.decode(examples, features, [np.ones(2)] * 4, ()) == ["a", "a"]


def test_vectors_that_are_not_finite_are_refused():
    examples = [PairExample("a", "x", "y"), PairExample("b", "x", "y")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    outputs = [np.ones(2), np.ones(2), np.array([np.nan, 1.0]), np.ones(2)]
    with pytest.raises(UserError, match="not finite"):
        FORMAT.decode(examples, features, outputs, ())
