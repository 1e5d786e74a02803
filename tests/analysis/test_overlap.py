"""Overlap of texts: exact and near matches, and hashes against plain sets of strings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.analysis import overlap
from xlift.analysis.overlap import LETTERS, NGRAM, SHARE, WORDS, Index, TrainingTexts, hash_texts, normalized_words

LONG = "The quick brown fox jumps over the lazy dog and runs home to sleep"


def compare(
    scored: list[list[str]], training: list[str], chunk: int = 100
) -> tuple[list[bool], list[bool], list[bool]]:
    """(exact, all_exact, near) of each example, given as its texts."""
    texts = [text for example in scored for text in example]
    owner = np.repeat(np.arange(len(scored)), [len(example) for example in scored])
    index = Index([(hash_texts(texts), owner, len(scored))])
    training_texts = TrainingTexts(index)
    for at in range(0, len(training), chunk):
        training_texts.add(training[at : at + chunk], [f"t{n}" for n in range(at, at + len(training[at : at + chunk]))])
    found = training_texts.find_overlap(index.sets[0])
    return found.exact.tolist(), found.all_exact.tolist(), found.near.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, WORLD -- it's 5%!", ["hello", "world", "it", "s", "5"]),
        ("\ufb01ne \uff21\uff22", ["fine", "ab"]),  # a ligature, letters of full width
        ("Stra\u00dfe\u3000a\u00a0b\u200bc", ["strasse", "a", "b", "c"]),
        ("\u5317\u4eac\u3002ok\u3053", ["\u5317", "\u4eac", "ok", "\u3053"]),  # Chinese and Japanese: letter by letter
        ("\u0e0a\u0e32\u0e22", ["\u0e0a", "\u0e32", "\u0e22"]),  # Thai
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947",
            ["\u0928\u092e\u0938\u094d\u0924\u0947"],
        ),  # vowel signs belong to the word
        (" -- ", []),
    ],
)
def test_words_are_normalised(text: str, expected: list[str]) -> None:
    assert normalized_words(text) == expected


def test_case_punctuation_and_space_are_ignored() -> None:
    assert compare([[LONG]], [f"  \u201c{LONG.upper()}.\u201d\n"]) == ([True], [True], [False])


def test_different_word_is_no_match() -> None:
    assert compare([["he went to the old market"]], ["he went to the new market"]) == ([False], [False], [False])


def test_different_word_order_is_no_match() -> None:
    assert compare([["a b c d e and the dog"]], ["b a c d e and the dog"]) == ([False], [False], [False])


@pytest.mark.parametrize("short", ["Yes.", "What was the cause?", "a b c d e", "\u5317\u4eac\u5927\u5b66\u6821\u957f"])
def test_short_texts_are_not_compared(short: str) -> None:
    assert compare([[short]], [short]) == ([False], [False], [False])


def test_all_exact_needs_each_text_that_is_long_enough() -> None:
    other = "somebody else wrote this other sentence"
    scored = [[LONG, "yes"], [LONG, other], ["no", "yes"]]
    assert compare(scored, [LONG, "yes", "no"]) == ([True, True, False], [True, False, False], [False] * 3)


def test_text_with_most_ngrams_in_training_is_near() -> None:
    inside = f"Once upon a time: {LONG.lower()}, said the old man."
    assert compare([[LONG]], [inside]) == ([False], [False], [True])
    half = " ".join(LONG.split()[:10])  # 3 of 7 eight-grams
    assert compare([[LONG]], [half]) == ([False], [False], [False])


def test_ngrams_may_come_from_several_texts() -> None:
    first, last = " ".join(LONG.split()[:11]), " ".join(LONG.split()[3:])
    assert compare([[LONG]], [first, last]) == ([False], [False], [True])


def test_ngrams_do_not_cross_texts() -> None:
    pieces = LONG.split()
    assert compare([[LONG]], [" ".join(pieces[:7]), " ".join(pieces[7:])]) == ([False], [False], [False])


def test_nothing_to_compare() -> None:
    assert compare([], [LONG]) == ([], [], [])
    assert compare([[LONG]], []) == ([False], [False], [False])
    assert compare([[""]], ["", "..."]) == ([False], [False], [False])


# -- against plain sets of strings ---------------------------------------------------------------------------------------


def plain_words(text: str) -> list[str]:
    """For the letters used below: Latin letters and one Chinese character."""
    return re.findall(r"[a-z]+|\u5317", unicodedata.normalize("NFKC", text).lower())


def oracle(scored: list[list[str]], training: list[str]) -> tuple[list[bool], list[bool], list[bool]]:
    whole = {tuple(plain_words(text)) for text in training}
    grams = {tuple(line[i : i + NGRAM]) for line in whole for i in range(len(line) - NGRAM + 1)}
    some, every, near = [], [], []
    for example in scored:
        lines = [plain_words(text) for text in example]
        lines = [line for line in lines if len(line) >= WORDS and sum(map(len, line)) >= LETTERS]
        same = [tuple(line) in whole for line in lines]
        some.append(any(same))
        every.append(bool(same) and all(same))
        shares = [
            np.mean([tuple(line[i : i + NGRAM]) in grams for i in range(len(line) - NGRAM + 1)])
            for line, there in zip(lines, same, strict=True)
            if not there and len(line) >= NGRAM
        ]
        near.append(not any(same) and any(share >= SHARE for share in shares))
    return some, every, near


text = st.lists(st.sampled_from(["dog", "DOGS", "cat,", "a", "\u5317", "--", "running"]), max_size=14).map(" ".join)


@settings(max_examples=scaled(300))
@given(st.lists(st.lists(text, max_size=3), max_size=6), st.lists(text, max_size=8), st.integers(1, 4), st.data())
def test_hashes_give_the_same_result_as_sets_of_strings(
    scored: list[list[str]], training: list[str], chunk: int, data: st.DataObject
) -> None:
    planted = [t for example in scored for t in example if data.draw(st.booleans())]
    cut = [t[data.draw(st.integers(0, 3)) :] + " a" for t in planted]
    assert compare(scored, training + planted + cut, chunk) == oracle(scored, training + planted + cut)


def test_hashes_are_equal_in_every_process() -> None:
    code = f"from xlift.analysis.overlap import hash_texts; print(hash_texts([{LONG!r}]).ngrams.tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(other) == hash_texts([LONG]).ngrams.tolist()


def test_cleared_words_get_the_same_hash_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_texts([LONG]).whole.tolist()
    monkeypatch.setattr(overlap._WordHashes, "MAX_SIZE", 3)
    assert hash_texts([LONG, "other words", LONG]).whole[[0, 2]].tolist() == before * 2


def test_first_training_example_is_reported() -> None:
    index = Index([(hash_texts([LONG]), np.array([0]), 1)])
    training_texts = TrainingTexts(index)
    training_texts.add(["nothing of that kind here", LONG], ["a", "b"])
    training_texts.add([LONG], ["c"])
    assert list(training_texts.first_id.values()) == ["b"]
    assert training_texts.num_texts == 3
