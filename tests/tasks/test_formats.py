from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.support import tiny

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats import encoding
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.features import IGNORE_INDEX
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.text import TextExample

NLI = ("entailment", "neutral", "contradiction")
MAN = "the old man reads a long book in the garden"


def decoded(tokenizer, row):
    return tokenizer.decode(row, clean_up_tokenization_spaces=False)


def test_get_suggests_the_nearest_format():
    with pytest.raises(UserError, match="unknown format 'span_qa'\n  did you mean 'span-qa'"):
        formats.get("span_qa")


def test_every_format_is_registered_under_its_name():
    assert all(formats.get(name).name == name for name in formats.FORMATS)


def test_formats_do_not_import_torch():
    # planning and reporting run without torch
    code = "import sys, xlift.tasks.formats; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
def test_encode_gives_the_rows_of_the_tokenizer_in_order_across_calls(kind, monkeypatch):
    monkeypatch.setattr(encoding, "TEXTS_PER_CALL", 3)
    tokenizer = tiny.tokenizer(kind)
    firsts = [MAN, "Paris", "", "a <mask> in </s> it", "the river", MAN, "книга 本 ☃"]
    seconds = [None, MAN, "the book", None, None, "the north", MAN]
    lengths = [6, 12, 12, 64, 64, 9, 64]
    ids, types = encoding.encode(tokenizer, firsts, seconds, max_length=lengths)
    for row, (first, second, length) in enumerate(zip(firsts, seconds, lengths, strict=True)):
        expected = tokenizer(first, second, truncation="longest_first", max_length=length)
        assert ids[row].tolist() == expected["input_ids"]
        assert (types and types[row].tolist()) == expected.get("token_type_ids")


def test_encode_resets_the_truncation_of_the_tokenizer():
    tokenizer = tiny.tokenizer()
    encoding.encode(tokenizer, [MAN], [None], max_length=6)
    assert tokenizer.backend_tokenizer.truncation is None  # it would be saved with the tokenizer


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
@pytest.mark.parametrize("pair", [False, True])
def test_special_tokens_give_the_rows_of_the_tokenizer(kind, pair):
    tokenizer = tiny.tokenizer(kind)
    special = encoding.get_special_tokens(tokenizer, pair=pair)
    first, second = "the old man", "Paris in France"
    expected = tokenizer([first], [second] if pair else None)
    parts = [encoded.ids for encoded in encoding.tokenize(tokenizer, [first, second])][: 2 if pair else 1]
    assert special.build_input_ids(*parts) == expected["input_ids"][0]
    assert special.count == tokenizer.num_special_tokens_to_add(pair=pair)
    if kind == "wordpiece":
        assert special.build_token_type_ids(*parts) == expected["token_type_ids"][0]


class TestClassification:
    format = formats.get("classification")

    def test_single_texts_and_pairs_keep_their_order(self):
        tokenizer = tiny.tokenizer()
        examples = [
            ClassificationExample("0", "the river", "the garden", "neutral"),
            ClassificationExample("1", "Paris"),
            ClassificationExample("2", "a book", "the book", "entailment"),
        ]
        features = self.format.features(examples, tokenizer, NLI, max_length=32, train=True)
        expected = ["<s> the river</s></s> the garden</s>", "<s> Paris</s>", "<s> a book</s></s> the book</s>"]
        assert [decoded(tokenizer, row) for row in features.input_ids] == expected
        assert features.targets["label"].tolist() == [1, IGNORE_INDEX, 0]

    def test_the_longer_text_is_truncated_first(self):
        tokenizer = tiny.tokenizer("wordpiece")
        examples = [ClassificationExample("0", MAN, "Paris in France")]
        (row,) = self.format.features(examples, tokenizer, NLI, max_length=12, train=True).input_ids
        assert decoded(tokenizer, row) == "<s> the old man reads a long </s> Paris in France </s>"

    def test_more_texts_than_one_call(self, monkeypatch):
        monkeypatch.setattr(encoding, "TEXTS_PER_CALL", 2)
        examples = [ClassificationExample(str(i), f"text {i}", "b" if i % 2 else None) for i in range(7)]
        rows = self.format.features(examples, tiny.tokenizer(), NLI, max_length=32, train=True).input_ids
        assert [("text " + str(i)) in decoded(tiny.tokenizer(), row) for i, row in enumerate(rows)] == [True] * 7

    def test_token_type_ids_if_the_tokenizer_has_them(self):
        examples = [ClassificationExample("0", "the book", "Paris"), ClassificationExample("1", "Paris")]
        features = self.format.features(examples, tiny.tokenizer("wordpiece"), NLI, max_length=32, train=True)
        assert features.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0]]
        assert self.format.features(examples, tiny.tokenizer(), NLI, max_length=32, train=True).token_type_ids is None

    def test_decode_returns_the_best_label(self):
        examples = [ClassificationExample(str(i), "a") for i in range(2)]
        features = self.format.features(examples, tiny.tokenizer(), NLI, max_length=32, train=False)
        outputs = [np.int64(2), np.int64(0)]
        assert self.format.decode(examples, features, outputs, NLI) == ["contradiction", "entailment"]

    def test_check_names_the_unknown_label_and_the_expected_ones(self):
        example = ClassificationExample("0", "a", "b", "maybe")
        expected = "unknown label 'maybe' (expected one of: entailment, neutral, contradiction)"
        assert self.format.check(example, NLI) == expected
        assert self.format.check(ClassificationExample("0", "a"), NLI) is None


class TestMultipleChoice:
    format = formats.get("multiple-choice")
    examples = [
        ChoiceExample("0", "the man asked", "why?", ("a book", "a river"), 1),
        ChoiceExample("1", "the garden is", "", ("red", "long", "old"), 0),
        ChoiceExample("2", "Paris", "", ("north", "France"), None),
    ]

    def test_rows_of_a_question_are_one_unit_for_any_number_of_choices(self):
        features = self.format.features(self.examples, tiny.tokenizer(), (), max_length=32, train=True)
        assert features.unit.tolist() == features.example_index.tolist() == [0, 0, 1, 1, 1, 2, 2]
        assert features.targets["correct"].tolist() == [0, 1, 1, 0, 0, IGNORE_INDEX, IGNORE_INDEX]

    def test_question_and_choice_are_one_text(self):
        rows = self.format.features(self.examples, tiny.tokenizer(), (), max_length=32, train=True).input_ids
        assert decoded(tiny.tokenizer(), rows[1]) == "<s> the man asked</s></s> why? a river</s>"
        assert decoded(tiny.tokenizer(), rows[2]) == "<s> the garden is</s></s> red</s>"

    @pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
    def test_only_the_context_is_truncated_from_its_left(self, kind):
        tokenizer = tiny.tokenizer(kind)
        examples = [ChoiceExample("0", MAN, "", ("a book", "Paris"))]
        for row in self.format.features(examples, tokenizer, (), max_length=10, train=True).input_ids:
            assert len(row) == 10
            text = decoded(tokenizer, row)
            assert "garden" in text
            assert "old" not in text
            assert "book" in text or "Paris" in text

    def test_a_choice_longer_than_the_row_leaves_no_context(self):
        examples = [ChoiceExample("0", "Paris", "", (MAN, MAN))]
        rows = self.format.features(examples, tiny.tokenizer(), (), max_length=8, train=True).input_ids
        assert [len(row) for row in rows] == [8, 8]
        assert "Paris" not in decoded(tiny.tokenizer(), rows[0])

    def test_decode_returns_the_best_choice_of_each_question(self):
        features = self.format.features(self.examples, tiny.tokenizer(), (), max_length=32, train=False)
        outputs = [np.float32(score) for score in (0.5, 0.1, -3, -1, -2, 7, 7)]
        assert self.format.decode(self.examples, features, outputs, ()) == [0, 1, 0]

    def test_check_compares_the_label_with_the_number_of_choices(self):
        assert self.format.check(ChoiceExample("0", "a", "", ("b", "c"), 2), ()) == "unknown label 2 (expected 0 to 1)"
        assert self.format.check(ChoiceExample("0", "a", "", ("b",), 0), ()) is not None


class TestText:
    format = formats.get("text")

    def test_a_translation_makes_a_pair(self):
        examples = [TextExample("0", "the book"), TextExample("1", "the book", "das Buch")]
        rows = self.format.features(examples, tiny.tokenizer(), (), max_length=16, train=True).input_ids
        expected = ["<s> the book</s>", "<s> the book</s></s> das Buch</s>"]
        assert [decoded(tiny.tokenizer(), row) for row in rows] == expected

    def test_there_is_nothing_to_decode(self):
        with pytest.raises(TypeError, match="nothing to decode"):
            self.format.decode([], None, [], ())
