"""Numbers for texts: features, decoding, and numbers as text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny

from xlift.tasks import formats
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.formats.template import Template

FORMAT = formats.get("regression")
PLAIN = Template("t.v1", "en", "{text_a} | {text_b} =")
T5 = Template("t.t5", "en", "{text_a} | {text_b} =", scheme="t5")


def example(score: float | None = None, text_b: str | None = "a river") -> RegressionExample:
    return RegressionExample("1", "the river", text_b, score)


def test_targets_are_floats_and_unknown_ones_are_nan():
    features = FORMAT.features(
        [example(3.7), example(), example(0.0, None)], tiny.tokenizer(), (), max_length=16, train=True
    )
    scores = features.targets["score"]
    assert scores.dtype == np.float32
    assert scores == pytest.approx([3.7, np.nan, 0.0], nan_ok=True)
    assert len(features) == 3
    assert FORMAT.decode([example()], features, [np.float32(1.5)], ()) == [1.5]


def test_numbers_must_be_finite():
    assert FORMAT.check(example(-1.5), ()) is None
    assert FORMAT.check(example(), ()) is None
    assert "finite" in FORMAT.check(example(float("nan")), ())


@pytest.mark.parametrize(
    ("template", "score", "answer"),
    [(PLAIN, 3.756, "3.76"), (PLAIN, -0.001, "0.00"), (PLAIN, 80, "80.00"), (T5, 2.57, "2.6"), (T5, 4.95, "5.0"), (T5, 4.9, "4.8"), (T5, -0.05, "0.0")],
)  # fmt: skip
def test_answers_have_a_fixed_number_of_decimals(template, score, answer):
    prompt = FORMAT.prompt(example(score), (), template)
    assert prompt.source == "the river | a river ="
    assert prompt.answer == answer
    assert not prompt.candidates
    assert FORMAT.prompt(example(), (), template).answer is None


@pytest.mark.parametrize(
    ("text", "number"),
    [(" 3.80", 3.8), ("3,8", 3.8), ("about 4 of 5", 4), ("−0.5", -0.5), (".25", 0.25), ("٣٫٥", 3.5), ("5.", 5), ("none", 0), ("", 0)],
)  # fmt: skip
def test_numbers_are_found_in_any_text(text, number):
    assert FORMAT.parse(text, example(), (), PLAIN) == number


@given(st.text())
def test_any_answer_gives_a_finite_number(text):
    assert np.isfinite(FORMAT.parse(text, example(), (), PLAIN))


@given(st.floats(-1000, 1000))
def test_written_numbers_are_read_back(score):
    for template, step in ((PLAIN, 0.01), (T5, 0.2)):
        text = FORMAT.prompt(example(score), (), template).answer
        assert abs(FORMAT.parse(text, example(), (), template) - score) <= step / 2 + 1e-9
