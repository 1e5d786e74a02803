"""Sets of labels: features, decoding, and labels as text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.multi_label import MultiLabelExample
from xlift.tasks.formats.template import Template

FORMAT = formats.get("multi-label")
LABELS = ("anger", "fear", "joy", "no one")
TEMPLATE = Template("t.v1", "en", "{text_a} ({labels}):", label_words={"fear": "Angst", "none": "nothing"})


def example(*labels: str) -> MultiLabelExample:
    return MultiLabelExample("1", "the river", None, labels)


UNKNOWN = MultiLabelExample("1", "the river")


def test_targets_are_zeros_and_ones_and_unknown_ones_are_nan():
    features = FORMAT.features(
        [example("joy", "anger"), UNKNOWN, example()], tiny.tokenizer(), LABELS, max_length=16, train=True
    )
    assert features.targets["labels"].dtype == np.float32
    assert features.targets["labels"] == pytest.approx(np.array([[1, 0, 1, 0], [np.nan] * 4, [0] * 4]), nan_ok=True)
    outputs = [np.array([True, False, True, False]), np.zeros(4, dtype=bool)]
    assert FORMAT.decode([example()] * 2, features, outputs, LABELS) == [["anger", "joy"], []]


def test_labels_must_be_known():
    assert FORMAT.check(example("joy"), LABELS) is None
    assert FORMAT.check(UNKNOWN, LABELS) is None
    assert (
        FORMAT.check(example("joy", "awe"), LABELS)
        == "unknown label 'awe' (expected some of: anger, fear, joy, no one)"
    )


def test_answers_are_label_words_in_order():
    prompt = FORMAT.prompt(example("joy", "fear"), LABELS, TEMPLATE)
    assert prompt.source == "the river (anger, Angst, joy, no one):"
    assert prompt.answer == "Angst, joy"
    assert FORMAT.prompt(example(), LABELS, TEMPLATE).answer == "nothing"
    assert FORMAT.prompt(UNKNOWN, LABELS, TEMPLATE).answer is None


def test_label_words_with_a_comma_are_an_error():
    with pytest.raises(UserError, match="'a, b' contains a comma"):
        FORMAT.prompt(example(), ("a, b", "c"), TEMPLATE)


@pytest.mark.parametrize(
    ("text", "labels"),
    [("joy, Angst", ["fear", "joy"]), ("Joy;noone", ["joy", "no one"]), ("joy, joy, awe", ["joy"]), ("nothing", []), ("", []),
     ("fear、anger", ["anger", "fear"])],
)  # fmt: skip
def test_labels_are_found_in_any_text(text, labels):
    assert FORMAT.parse(text, UNKNOWN, LABELS, TEMPLATE) == labels


@given(st.lists(st.sampled_from(LABELS), unique=True))
def test_written_labels_are_read_back(labels):
    text = FORMAT.prompt(example(*labels), LABELS, TEMPLATE).answer
    assert FORMAT.parse(text, UNKNOWN, LABELS, TEMPLATE) == sorted(labels, key=LABELS.index)
