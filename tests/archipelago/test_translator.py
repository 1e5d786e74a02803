"""Oracle translators, exact or with errors at given rates; spans, tags and labels stay right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.archipelago.examples import EXAMPLE_KINDS, make_example
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.translator import (
    KINDS_WITHOUT_GRAMMAR,
    KINDS_WITHOUT_TRANSLATION,
    TranslationErrors,
    translate_exactly,
    translate_with_errors,
)
from xlift.archipelago.world import Entity, Event
from xlift.tasks import catalog, formats
from xlift.tasks.metrics.on_target import is_in_language

languages = st.sampled_from(sorted(GENERATED_LANGUAGES))
indices = st.integers(0, 10**6)
levels = st.sampled_from([0.1, 0.4, 1.0])
KINDS_WITH_ERRORS = [kind for kind in EXAMPLE_KINDS if kind not in KINDS_WITHOUT_TRANSLATION + KINDS_WITHOUT_GRAMMAR]


@settings(max_examples=scaled(60), deadline=None)
@given(st.sampled_from([kind for kind in EXAMPLE_KINDS if kind not in KINDS_WITHOUT_TRANSLATION]), languages, indices)
def test_an_exact_translation_is_the_example_of_the_target_language(kind, target, index):
    assert translate_exactly(kind, f"dev-3-{index}", target) == make_example(kind, target, "dev", 3, index)


@settings(max_examples=scaled(80), deadline=None)
@given(st.sampled_from(KINDS_WITH_ERRORS), languages, languages, indices)
def test_a_translation_with_error_rate_zero_is_exact(kind, source, target, index):
    assert translate_with_errors(kind, f"dev-3-{index}", source, target, TranslationErrors()) == translate_exactly(
        kind, f"dev-3-{index}", target
    )


@settings(max_examples=scaled(150), deadline=None)
@given(st.sampled_from(KINDS_WITH_ERRORS), languages, languages, indices, levels)
def test_examples_with_errors_are_valid_in_their_format(kind, source, target, index, level):
    task = catalog.get(f"isle-{kind}")
    format = formats.get(task.format)
    name = f"train-0-{index}"
    errors = TranslationErrors.at_level(level)
    row, exact = translate_with_errors(kind, name, source, target, errors), translate_exactly(kind, name, target)
    if format.name == "translation" and row["source_language"] == row["target_language"]:
        return  # translation of the source language into itself is no valid example
    if format.name != "tagging":
        assert format.check(format.example_class(**row), task.labels) is None
    else:
        assert len(row["words"]) == len(row["tags"]) > 0
        assert all(row["words"])
        assert set(row["tags"]) <= set(task.labels)
    assert row.get("label") == exact.get("label")
    assert len(row.get("answers", ())) == len(exact.get("answers", ()))
    assert row == translate_with_errors(kind, name, source, target, errors)


@settings(max_examples=scaled(300), deadline=None)
@given(st.sampled_from(["qa", "qa-unanswerable"]), languages, languages, indices, levels)
def test_answers_are_whole_words_at_their_offsets(kind, source, target, index, level):
    row = translate_with_errors(kind, f"train-0-{index}", source, target, TranslationErrors.at_level(level))
    for answer, start in zip(row["answers"], row["starts"]):
        end = start + len(answer)
        assert answer.strip() == answer != ""
        assert row["context"][start:end] == answer
        assert start == 0 or row["context"][start - 1] == " "
        assert row["context"][end] in " ."


def translate_pos_rows(source, target, errors, number=600):
    rows = [translate_with_errors("pos", f"train-0-{index}", source, target, errors, seed=5) for index in range(number)]
    exact_rows = [translate_exactly("pos", f"train-0-{index}", target) for index in range(number)]
    return [(row["words"], row["tags"], exact["words"], exact["tags"]) for row, exact in zip(rows, exact_rows)]


def test_wrong_words_occur_at_their_rate_and_keep_their_kind():
    found = translate_pos_rows("qta", "qka", TranslationErrors(wrong=0.3))
    assert all(tags == right for _, tags, _, right in found)
    differs = [a != b for words, tags, right, _ in found for a, b, tag in zip(words, right, tags) if tag != "PUNCT"]
    assert np.mean(differs) == pytest.approx(0.3, abs=0.02)  # 'not' and the question particle have no replacement


def test_nouns_names_and_pronouns_are_never_dropped():
    found = translate_pos_rows("qta", "qka", TranslationErrors(dropped=0.5))
    num_kept, num_total = ({tag: sum(row[at].count(tag) for row in found) for tag in ("NOUN", "PROPN", "PRON", "VERB", "ADP")}
                   for at in (1, 3))  # fmt: skip
    assert [num_kept[tag] for tag in ("NOUN", "PROPN", "PRON")] == [num_total[tag] for tag in ("NOUN", "PROPN", "PRON")]
    assert [num_kept[tag] / num_total[tag] for tag in ("VERB", "ADP")] == pytest.approx([0.5, 0.5], abs=0.05)


def test_untranslated_words_belong_to_the_source_language():
    found = translate_pos_rows("qta", "qka", TranslationErrors(untranslated=0.25))
    left = [word.isascii() for words, tags, *_ in found for word, tag in zip(words, tags) if tag != "PUNCT"]
    assert np.mean(left) == pytest.approx(0.25, abs=0.02)
    everything = translate_with_errors("pos", "train-0-1", "qta", "qka", TranslationErrors(untranslated=1.0))
    assert is_in_language(" ".join(everything["words"]), "qta")


def test_sentences_keep_the_word_order_of_the_source_language_at_the_given_rate():
    # 'the goats eat bread': the verb is second in Talassi and last in Karstan.
    event = Event("eat", Entity("goat"), Entity("bread"))
    talassi, karstan = ([p.role for p in get_grammar(code).sentence(event).phrases] for code in ("qta", "qka"))
    assert (talassi, karstan) == (["agent", "verb", "patient"], ["agent", "patient", "verb"])
    found = translate_pos_rows("qta", "qka", TranslationErrors(order=0.4))
    assert all(sorted(words) == sorted(right) for words, _, right, _ in found if words[-1] == ".")
    verb_last = [tags[-2] in ("VERB", "PART") for words, tags, *_ in found if words[-1] == "." and len(words) > 3]
    of_karstan = [tags[-2] in ("VERB", "PART") for *_, words, tags in found if words[-1] == "." and len(words) > 3]
    assert np.mean(of_karstan) > 0.85  # a time may follow it
    assert np.mean(verb_last) == pytest.approx(0.6 * np.mean(of_karstan), abs=0.08)


def test_another_seed_makes_other_errors():
    rows = {
        str(translate_with_errors("nli", "train-0-4", "qta", "qto", TranslationErrors.at_level(0.6), seed))
        for seed in range(4)
    }
    assert len(rows) > 1
