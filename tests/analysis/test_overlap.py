"""Texts of one side in the other: what counts as the same, what as near, and that hashing finds neither more nor less."""

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

from xlift.analysis import overlap
from xlift.analysis.overlap import LETTERS, NGRAM, SHARE, WORDS, Index, Seen, hashed, words

LONG = "The quick brown fox jumps over the lazy dog and runs home to sleep"


def met(asked: list[list[str]], past: list[str], chunk: int = 100) -> tuple[list[bool], list[bool], list[bool]]:
    """(some, every, near) of each example, given as its texts."""
    texts = [text for example in asked for text in example]
    owner = np.repeat(np.arange(len(asked)), [len(example) for example in asked])
    index = Index([(hashed(texts), owner, len(asked))])
    seen = Seen(index)
    for at in range(0, len(past), chunk):
        seen.add(past[at : at + chunk], [f"t{n}" for n in range(at, at + len(past[at : at + chunk]))])
    found = seen.overlap(index.sets[0])
    return found.some.tolist(), found.every.tolist(), found.near.tolist()


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
def test_words_are_folded(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_case_punctuation_and_space_do_not_hide_a_text() -> None:
    assert met([[LONG]], [f"  \u201c{LONG.upper()}.\u201d\n"]) == ([True], [True], [False])


def test_another_word_makes_it_another_text() -> None:
    assert met([["he went to the old market"]], ["he went to the new market"]) == ([False], [False], [False])


def test_words_in_another_order_are_another_text() -> None:
    assert met([["a b c d e and the dog"]], ["b a c d e and the dog"]) == ([False], [False], [False])


@pytest.mark.parametrize("short", ["Yes.", "What was the cause?", "a b c d e", "\u5317\u4eac\u5927\u5b66\u6821\u957f"])
def test_short_texts_say_nothing(short: str) -> None:
    assert met([[short]], [short]) == ([False], [False], [False])


def test_every_means_each_text_that_is_long_enough() -> None:
    other = "somebody else wrote this other sentence"
    asked = [[LONG, "yes"], [LONG, other], ["no", "yes"]]
    assert met(asked, [LONG, "yes", "no"]) == ([True, True, False], [True, False, False], [False] * 3)


def test_a_text_that_is_mostly_there_is_near() -> None:
    inside = f"Once upon a time: {LONG.lower()}, said the old man."
    assert met([[LONG]], [inside]) == ([False], [False], [True])
    half = " ".join(LONG.split()[:10])  # 3 of 7 eight-grams
    assert met([[LONG]], [half]) == ([False], [False], [False])


def test_n_grams_may_come_from_several_texts() -> None:
    first, last = " ".join(LONG.split()[:11]), " ".join(LONG.split()[3:])
    assert met([[LONG]], [first, last]) == ([False], [False], [True])


def test_n_grams_do_not_run_from_one_text_into_the_next() -> None:
    pieces = LONG.split()
    assert met([[LONG]], [" ".join(pieces[:7]), " ".join(pieces[7:])]) == ([False], [False], [False])


def test_nothing_to_compare() -> None:
    assert met([], [LONG]) == ([], [], [])
    assert met([[LONG]], []) == ([False], [False], [False])
    assert met([[""]], ["", "..."]) == ([False], [False], [False])


# -- against plain sets of strings ---------------------------------------------------------------------------------------


def plain_words(text: str) -> list[str]:
    """For the letters used below: those of Latin script, and one that stands alone."""
    return re.findall(r"[a-z]+|\u5317", unicodedata.normalize("NFKC", text).lower())


def oracle(asked: list[list[str]], past: list[str]) -> tuple[list[bool], list[bool], list[bool]]:
    whole = {tuple(plain_words(text)) for text in past}
    grams = {tuple(line[i : i + NGRAM]) for line in whole for i in range(len(line) - NGRAM + 1)}
    some, every, near = [], [], []
    for example in asked:
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


@settings(max_examples=300)
@given(st.lists(st.lists(text, max_size=3), max_size=6), st.lists(text, max_size=8), st.integers(1, 4), st.data())
def test_hashes_find_what_sets_of_strings_find(
    asked: list[list[str]], past: list[str], chunk: int, data: st.DataObject
) -> None:
    planted = [t for example in asked for t in example if data.draw(st.booleans())]
    cut = [t[data.draw(st.integers(0, 3)) :] + " a" for t in planted]
    assert met(asked, past + planted + cut, chunk) == oracle(asked, past + planted + cut)


def test_hashes_are_the_same_in_every_process() -> None:
    code = f"from xlift.analysis.overlap import hashed; print(hashed([{LONG!r}]).grams.tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(other) == hashed([LONG]).grams.tolist()


def test_words_that_were_forgotten_have_the_same_number_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hashed([LONG]).whole.tolist()
    monkeypatch.setattr(overlap._Numbers, "LARGEST", 3)
    assert hashed([LONG, "other words", LONG]).whole[[0, 2]].tolist() == before * 2


def test_the_first_training_example_is_named() -> None:
    index = Index([(hashed([LONG]), np.array([0]), 1)])
    seen = Seen(index)
    seen.add(["nothing of that kind here", LONG], ["a", "b"])
    seen.add([LONG], ["c"])
    assert list(seen.origin.values()) == ["b"]
    assert seen.texts == 3
