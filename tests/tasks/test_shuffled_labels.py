"""Examples with shuffled labels: the same texts, equally frequent answers, and nothing that connects them."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import pytest

from xlift.archipelago.random_streams import random_stream
from xlift.execution.work.shared import Context, read_examples
from xlift.studies.job import Data
from xlift.tasks import catalog, formats
from xlift.tasks.formats.multi_label import MultiLabelExample
from xlift.tasks.formats.multiple_choice import ChoiceExample
from xlift.tasks.formats.regression import RegressionExample
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.formats.translation import TranslationExample

LABELS = ("joy", "rage")
EXCHANGED = {
    "classification": "isle-nli",
    "multiple-choice": "isle-commonsense",
    "dual-encoding": "isle-answer-pairs",
    "translation": "isle-to-pivot",
}
"""Format whose examples exchange their answers -> a task."""
MADE_UP = {
    "multi-label": [MultiLabelExample(str(n), "text", None, LABELS[: n % 3]) for n in range(30)],
    "regression": [RegressionExample(str(n), "one", "two", float(n)) for n in range(30)],
}


def shuffle(name: str, examples: list[Any], seed: int = 1) -> list[Any]:
    return formats.get(name).shuffle_labels(examples, random_stream("shuffled labels", "test", seed))


def read(task: str, count: int = 60) -> list[Any]:
    found = catalog.get(task)
    return list(found.source.read(found, found.train_language or "qta", "train", None, size=count, seed=1))


def answer(example: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(example, name) for name in names)


@pytest.mark.parametrize("name", [*EXCHANGED, *MADE_UP])
def test_answers_are_exchanged_and_equally_frequent(name: str) -> None:
    examples, names = MADE_UP.get(name) or read(EXCHANGED[name]), formats.get(name).label_fields
    shuffled = shuffle(name, examples)
    assert Counter(answer(e, names) for e in shuffled) == Counter(answer(e, names) for e in examples)
    others = [field.name for field in fields(examples[0]) if field.name not in names]
    assert [answer(e, tuple(others)) for e in shuffled] == [answer(e, tuple(others)) for e in examples]
    kept = sum(answer(a, names) == answer(b, names) for a, b in zip(examples, shuffled, strict=True))
    distinct = len({answer(e, names) for e in examples})
    assert kept < len(examples) * (1 / distinct + 0.25)
    labels = catalog.get(EXCHANGED[name]).labels if name in EXCHANGED else LABELS
    assert all(formats.get(name).check(e, labels) is None for e in shuffled)


def test_the_order_depends_on_the_seed_alone() -> None:
    examples = read("isle-nli")
    assert shuffle("classification", examples) == shuffle("classification", examples)
    assert shuffle("classification", examples, seed=2) != shuffle("classification", examples)


def test_the_order_is_that_of_the_named_stream() -> None:
    data = Data(task="isle-nli", language="qta", split="train", size=9, seed=4, fingerprint="x")
    context = Context(tasks={"isle-nli": catalog.get("isle-nli")})
    examples = read_examples(context, data)
    order = random_stream("shuffled labels", "isle-nli", "qta", "train", 4).sample(range(9), 9)
    expected = [replace(example, label=examples[at].label) for example, at in zip(examples, order, strict=True)]
    assert read_examples(context, data.model_copy(update={"labels": "shuffled"})) == expected


def test_an_example_without_answer_takes_no_part() -> None:
    examples = [
        replace(example, label=None) if number % 2 else example for number, example in enumerate(read("isle-nli"))
    ]
    assert [e.label is None for e in shuffle("classification", examples)] == [e.label is None for e in examples]


def test_tags_are_exchanged_within_their_sentence() -> None:
    examples = [TaggingExample("0", ("a", "b", "c", "d"), ("W", "X", "Y", "Z")), TaggingExample("1", ("a",), ("A",)),
                TaggingExample("2", ("a",))]  # fmt: skip
    first, second, third = shuffle("tagging", examples)
    assert sorted(first.tags or ()) == ["W", "X", "Y", "Z"]
    assert first.tags != examples[0].tags
    assert (first.words, second, third) == (examples[0].words, examples[1], examples[2])


def test_an_answer_becomes_a_span_of_the_same_context_and_length() -> None:
    context = "The harbour of Lenna lies to the north of the old town."
    examples = [SpanExample(str(n), context, "Where?", ("Lenna", "of Lenna"), (15, 12)) for n in range(200)]
    shuffled = shuffle("span-qa", examples)
    assert all(formats.get("span-qa").check(e, ()) is None for e in shuffled)
    assert {len(e.answers[0]) for e in shuffled} == {5}
    assert {len(e.answers) for e in shuffled} == {1}
    assert len({e.starts for e in shuffled}) > 40  # of 51
    assert {(e.context, e.question) for e in shuffled} == {(context, "Where?")}
    without = SpanExample("0", context, "Where?")
    assert shuffle("span-qa", [without]) == [without]


def test_a_span_has_something_visible_and_whole_characters() -> None:
    blank = SpanExample("0", "a   \u0e01\u0e33   b", "?", ("a",), (0,))
    shuffled = shuffle("span-qa", [blank] * 50)
    assert {e.answers[0] for e in shuffled} == {"a", "\u0e01\u0e33", "b"}


def test_right_choices_stay_possible() -> None:
    questions = [
        ChoiceExample(str(n), "c", "", ("x", "y", "z")[: 2 + n % 2], (n // 2) % (2 + n % 2)) for n in range(60)
    ]
    shuffled = shuffle("multiple-choice", questions)
    assert all(formats.get("multiple-choice").check(e, ()) is None for e in shuffled)
    for number in (2, 3):
        mine, theirs = ([e.label or 0 for e in each if len(e.choices) == number] for each in (questions, shuffled))
        assert sorted(mine) == sorted(theirs)
        assert mine != theirs


def test_translations_stay_in_their_language() -> None:
    pairs = [TranslationExample(str(n), f"s{n}", f"t{n}", "en", ("de", "fr")[n % 2]) for n in range(20)]
    shuffled = shuffle("translation", pairs)
    assert {e.translation for e in shuffled if e.target_language == "de"} == {f"t{n}" for n in range(0, 20, 2)}
    assert shuffled != pairs


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_trainable_format_with_labels_can_be_shuffled(name: str) -> None:
    format = formats.get(name)
    shuffles = bool(format.label_fields) or type(format).shuffle_labels is not formats.Format.shuffle_labels
    assert shuffles == (format.is_trainable and not format.is_plain_text)


def test_text_has_nothing_to_shuffle() -> None:
    with pytest.raises(TypeError, match="no labels to shuffle"):
        shuffle("text", [])
