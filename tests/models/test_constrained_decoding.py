"""Constrained decoding: any choice among allowed tokens satisfies the constraint, and every such answer is allowed."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import tiny

from xlift.evaluation.text_predictions import predict_texts
from xlift.models.constrained_decoding import AnswerConstraint
from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.prompts import find_template, tokenization

STOP = 99
OPTION = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
SLOTS = st.lists(st.lists(OPTION, min_size=1, max_size=4), min_size=1, max_size=4)


def splits(generated: list[int], slots: list[list[tuple[int, ...]]]) -> bool:
    """Whether tokens are one option of each slot, slot after slot."""
    if not slots:
        return not generated
    return any(
        tuple(generated[: len(option)]) == option and splits(generated[len(option) :], slots[1:]) for option in slots[0]
    )


@given(SLOTS, st.data())
def test_every_valid_answer_is_allowed_token_by_token(slots: Any, data: Any) -> None:
    answer = [*chain.from_iterable(data.draw(st.sampled_from(options)) for options in slots), STOP]
    constraint = AnswerConstraint(slots, [STOP])
    assert all(token in constraint.allowed_tokens(answer[:done]) for done, token in enumerate(answer))


@given(SLOTS, st.randoms(use_true_random=False))
def test_any_allowed_choice_leads_to_a_valid_answer(slots: Any, rng: Any) -> None:
    constraint, generated = AnswerConstraint(slots, [STOP]), []
    while not generated or generated[-1] != STOP:
        generated.append(rng.choice(constraint.allowed_tokens(generated)))
    assert splits(generated[:-1], slots)
    assert constraint.allowed_tokens(generated) == [STOP]  # transformers' padding after the end does not matter


@pytest.mark.parametrize(
    ("family", "name"),
    # the tiny mT5's vocabulary lacks characters of supertags
    [
        *((f, n) for f in ("qwen3", "gemma3_text", "mt5") for n in ("isle-pos", "isle-names")),
        ("qwen3", "isle-supertags"),
    ],
)
def test_gold_tags_are_valid_and_a_random_model_generates_only_valid_answers(family: str, name: str) -> None:
    task, tokenizer = catalog.get(name), tiny.tokenizer_of(family)
    model = tiny.encoder(family)
    examples = list(task.source.read(task, "qta", "test", None, size=3, seed=0))
    format = formats.get(task.format)
    template = tokenization.adapt_template(find_template(task, PromptSettings(), "qta"), tokenizer)
    prompts = [format.prompt(example, task.labels, template) for example in examples]
    train_features, features = (
        tokenization.text_features(prompts, tokenizer, model.family, max_length=400, train=train)
        for train in (True, False)
    )
    for row, slots in enumerate(features.extra["slots"]):
        target = (
            train_features.decoder_labels[row]
            if train_features.decoder_labels is not None
            else train_features.targets["label"][row]
        )
        answer = [int(token) for token in target if token != -100]
        constraint = AnswerConstraint(slots, [tokenizer.eos_token_id])
        assert all(token in constraint.allowed_tokens(answer[:done]) for done, token in enumerate(answer))
    (generated,) = predict_texts(model, tokenizer, [features], PromptSettings())
    for example, text in zip(examples, generated, strict=True):
        tags = format.parse(text, example, task.labels, template)
        markers = [template.word_marker.format(n=n) for n in range(len(tags))]
        assert all(mark in str(text) for mark in markers)  # every word has its mark
        paired = " ".join(f"{mark} {template.label_word(tag)}" for mark, tag in zip(markers, tags, strict=True))
        assert "".join(str(text).split()) == "".join(paired.split())


def test_truncated_words_are_not_part_of_the_constraint() -> None:
    task, tokenizer = catalog.get("isle-pos"), tiny.tokenizer_of("mt5")
    (example,) = task.source.read(task, "qta", "test", None, size=1, seed=0)
    template = tokenization.adapt_template(find_template(task, PromptSettings(), "qta"), tokenizer)
    prompt = formats.get("tagging").prompt(example, task.labels, template)
    full = tokenization.text_features([prompt], tokenizer, "seq2seq", max_length=400, train=False)
    length = int(full.input_ids.lengths[0]) - 3
    cut = tokenization.text_features([prompt], tokenizer, "seq2seq", max_length=length, train=False)
    assert bool(np.all(cut.extra["shortened"]))
    assert 0 < len(cut.extra["slots"][0]) < len(full.extra["slots"][0])
