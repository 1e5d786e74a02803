"""Labels that look like a mistake: each kind is found, and labels that are alike on purpose are not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.tasks.sources.label_checks import find_odd_labels, fold, is_misspelt

COLUMNS = ("text", "label")


def found(
    counts: dict[str, int], columns: tuple[str, ...] = COLUMNS, declared_labels: tuple[str, ...] = ()
) -> dict[str, str]:
    return dict(find_odd_labels(counts, columns, declared_labels))


@pytest.mark.parametrize(
    "label",
    ["billling", "biling", "billimg", "biliing", "bililng", "billin", "billings", "bbilling", "blilling"],
)
def test_a_rare_label_one_letter_from_a_frequent_one_is_named_with_it(label: str):
    (what,) = found({"billing": 57, "delivery": 40, label: 1}).values()
    assert what == f"the label '{label}' occurs once. Did you mean 'billing' (57 times)?"


def test_a_misspelt_word_of_a_longer_label_and_of_a_tag_is_found():
    assert list(found({"request-refund": 9, "request-refnd": 2})) == ["request-refnd"]
    assert list(found({"B-LOC": 9, "I-LOC": 9, "B-LOCC": 1, "B-ORGANISATION": 9, "I-ORGANISATON": 1})) == ["B-LOCC"]
    assert list(found({"B-ORGANISATION": 9, "B-ORGANISATON": 1})) == ["B-ORGANISATON"]


def test_a_misspelt_word_is_found_in_other_scripts():
    assert list(found({"доставка": 9, "доствка": 1, "शिकायत": 8, "शिकयत": 1})) == ["доствка", "शिकयत"]


@pytest.mark.parametrize(
    "labels",
    [
        ("A", "B"), ("1", "2"), ("yes", "no"), ("pos", "neg", "neu"), ("B-PER", "I-PER"), ("ADJ", "ADV", "ADP"),
        ("NN", "NNS", "NNP", "NNPS"), ("PRP", "PRP$"), ("topic1", "topic2", "topic10"), ("class_a", "class_b"),
        ("groupA", "groupB"), ("phase I", "phase II"), ("sign_in", "sign_on"), ("en", "es"), ("0", "0.5"),
        ("cause", "effect"), ("S/NP", "S\\NP", "NP/N", "NP\\N"), ("+1", "-1", "1"), ("1-2", "12", "1.2"), ("cold", "gold"), ("N", "N/N"),
        ("entailment", "neutral", "contradiction"), ("C", "C++", "C#"), ("true", "false"), ("like", "dislike"),
    ],
)  # fmt: skip
def test_labels_that_are_alike_on_purpose_are_not_odd(labels: tuple[str, ...]):
    for rare in labels:
        assert not found({label: 1 if label == rare else 50 for label in labels})


def test_labels_that_are_often_used_are_meant():
    assert not found({"quite": 30, "quiet": 3})
    assert not found({"quite": 2, "quiet": 1})
    assert found({"quite": 30, "quiet": 2})


def test_declared_labels_are_not_taken_for_misspelt_ones():
    assert not found({"quite": 30, "quiet": 1}, declared_labels=("quite", "quiet"))


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("Störung", "case"),
        ("STÖRUNG", "case"),
        (unicodedata.normalize("NFD", "störung"), "how its letters are composed (Unicode NFC and NFD)"),
        ("störung\u200b", "invisible characters"),
        ("\ufeffstörung", "invisible characters"),
        ("stö\u00adrung", "invisible characters"),
    ],
)
def test_labels_that_look_the_same_are_named_with_the_difference(label: str, reason: str):
    (what,) = found({"störung": 50, label: 40, "andere": 9}).values()
    assert what.endswith(f"from 'störung' (50 times) only in {reason}")
    assert what.isprintable()  # an invisible character is written as its code


@pytest.mark.parametrize(
    ("right", "label"),
    [
        ("not_entailment", "not-entailment"),
        ("not_entailment", "Not entailment"),
        ("B-PER", "BPER"),
        ("class_1", "class 1"),
    ],
)
def test_labels_that_differ_in_what_separates_their_words(right: str, label: str):
    (what,) = found({right: 50, label: 40}).values()
    assert what.endswith(f"from '{right}' (50 times) only in case, spaces or hyphens")


def test_a_label_that_is_the_name_of_a_column():
    assert list(found({"billing": 5, "Label": 1})) == ["Label"]
    assert list(found({"billing": 5, "queue": 1}, columns=("queue",))) == ["queue"]
    assert not found({"billing": 5, "text": 5}, declared_labels=("billing", "text"))


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_folding_ignores_case_composition_and_invisible_characters(text: str, form):
    text = unicodedata.normalize("NFC", text)
    assert fold(unicodedata.normalize(form, text)) == fold(text)
    assert fold(f"\u200b{text}\u2060") == fold(text)


@given(st.text(alphabet="abcdeäñж", min_size=6, max_size=12), st.data())
def test_every_single_mistake_in_a_long_word_is_recognized(word: str, data):
    at = data.draw(st.integers(0, len(word) - 2))
    letter = data.draw(st.sampled_from("xyz"))
    mistakes = [word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :]]
    if word[at] != word[at + 1]:
        mistakes.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    for mistake in mistakes:
        assert is_misspelt(mistake, word)
        assert is_misspelt(word, mistake)
        assert find_misspelt(mistake, word)
    assert not is_misspelt(word, word)


def find_misspelt(mistake: str, word: str) -> bool:
    """Whether the search among all labels finds the pair too."""
    return mistake in found({word: 20, "unrelated": 20, mistake: 1})
