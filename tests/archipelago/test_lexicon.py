"""Words of the languages: regular sound change, distinct stems, spelling and endings."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

import pytest

from xlift.archipelago.concepts import CONCEPTS, KIND, VERBS
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import FAMILIES, GENERATED_LANGUAGES, SCRIPTS
from xlift.archipelago.lexicon import VOWELS, apply_sound_laws, get_lexicon, get_names, get_proto_lexicon, spell, suffix
from xlift.archipelago.phonology import (
    HEIGHTS,
    LAW_NAMES,
    MANNERS,
    correspondences,
    derivations,
    law_examples,
    law_notation,
    name_phonemes,
    phoneme_counts,
)
from xlift.archipelago.world import Entity, Event

every_language = pytest.mark.parametrize("language", GENERATED_LANGUAGES.values(), ids=lambda language: language.name)
UNICODE = {
    "Latn": "LATIN", "Cyrl": "CYRILLIC", "Grek": "GREEK", "Armn": "ARMENIAN", "Hebr": "HEBREW", "Geor": "GEORGIAN",
}  # fmt: skip


@every_language
def test_every_inherited_word_is_its_proto_root_after_all_sound_laws(language):
    roots = get_proto_lexicon(language.family)
    for concept, word in get_lexicon(language.code).items():
        if word.origin == "inherited":
            assert (word.etymon, word.stem) == (roots[concept], apply_sound_laws(language, roots[concept]))


@every_language
def test_derivations_end_in_the_stem(language):
    for derivation in derivations(language.code):
        assert derivation.forms[-1] == get_lexicon(language.code)[derivation.concept].stem
        assert len(derivation.forms) == len(derivation.laws) + 1


@every_language
def test_every_concept_has_a_stem_and_stems_are_distinct(language):
    stems = [word.stem for word in get_lexicon(language.code).values()]
    assert set(get_lexicon(language.code)) == set(CONCEPTS)
    assert len(set(stems)) == len(stems)
    assert min(map(len, stems)) >= 2


@pytest.mark.parametrize("family", FAMILIES)
def test_proto_roots_are_distinct(family):
    assert len(set(get_proto_lexicon(family).values())) == len(set(CONCEPTS))


@every_language
def test_loans_come_from_the_lender(language):
    loans = {c: word.etymon for c, word in get_lexicon(language.code).items() if word.origin == "loan"}
    assert bool(loans) == bool(language.lender)
    assert all(get_lexicon(language.lender)[concept].stem == etymon for concept, etymon in loans.items())


@every_language
def test_every_sound_law_has_a_name_and_examples(language):
    for position, law in enumerate(language.sound_laws):
        assert law_notation(language, law) in LAW_NAMES
        assert len(law_examples(language.code, position)) == 3


def test_every_named_sound_law_belongs_to_a_language():
    assert {law_notation(each, law) for each in GENERATED_LANGUAGES.values() for law in each.sound_laws} == set(
        LAW_NAMES
    )


@pytest.mark.parametrize(
    ("code", "position", "notation"),
    [("qtm", 1, "t > d / V_V"), ("qtm", 2, "(C)o > u / V_#"), ("qks", 5, "o > a / _X#"), ("qen", 2, "r > l / V_")],
)
def test_notation_of_sound_laws(code, position, notation):
    assert law_notation(GENERATED_LANGUAGES[code], GENERATED_LANGUAGES[code].sound_laws[position]) == notation


def test_correspondences_follow_the_sound_laws():
    strandic = correspondences("Strandic")
    assert strandic["p"] == {"qta": "p", "qtm": "f", "qto": "p", "qtu": "f"}
    assert strandic["w"] == {"qta": "v", "qtm": "g", "qto": "w", "qtu": "w"}
    assert correspondences("Emberic")["h"]["qen"] == "∅"


@every_language
def test_every_phoneme_has_a_place_in_the_charts(language):
    charted = {sound for cells in (*MANNERS.values(), *HEIGHTS.values()) for cell in cells for sound in cell}
    assert set(phoneme_counts(language.code)) | name_phonemes() <= charted


# --- spelling ---------------------------------------------------------------------------------------------------------


@every_language
def test_words_are_spelled_in_the_script_of_the_language(language):
    letters = {letter for word in get_lexicon(language.code).values() for letter in spell(language, word.stem)}
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {UNICODE[language.script]}


@every_language
def test_letters_spell_one_sound_except_known_mergers(language):
    expected = {"Grek": [{"d", "ð"}], "Hebr": [{"i", "j"}, {"o", "u", "v"}]}
    sounds = defaultdict(set)
    for sound in set(phoneme_counts(language.code)) | name_phonemes():
        sounds[SCRIPTS[language.script].get(sound, sound)].add(sound)
    merged = [group for group in sounds.values() if len(group) > 1]
    assert sorted(merged, key=sorted) == expected.get(language.script, [])


@every_language
def test_nearly_all_words_and_names_are_spelled_differently(language):
    words = {spell(language, word.stem) for word in get_lexicon(language.code).values()}
    assert len(words) >= len(set(CONCEPTS)) - 1
    assert len({spell(language, sounds, True) for sounds in get_names().values()}) >= len(get_names()) - 1


@every_language
def test_inflected_verbs_are_distinct(language):
    # Two verbs with the same form would make NLI labels wrong.
    form_of = defaultdict(set)
    for verb in VERBS:
        for tense in ("past", "present", "future"):
            for plural in (False, True):
                event = Event(verb, Entity("smith", "", plural), tense=tense)
                form_of[get_grammar(language.code).verb_phrase(event)[0].form].add(verb)
    assert all(len(verbs) == 1 for verbs in form_of.values())


# --- endings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stem", "category", "ending"),
    [
        ("qka", "korud", "PL", "lar"),  # back vowel
        ("qka", "neš", "PL", "ler"),  # front vowel
        ("qka", "lyr", "PST", "di"),  # y is a front vowel
        ("qka", "tuvta", "ACC", "ju"),  # a glide between two vowels
        ("qta", "tuvta", "PST", "d"),  # the ending loses its vowel
        ("qeo", "sasu", "AGR", "u"),  # unless it has nothing else
        ("qta", "tuvta", "ACC", ""),  # no such category
    ],
)
def test_endings_adapt_to_their_stem(code, stem, category, ending):
    assert suffix(GENERATED_LANGUAGES[code], stem, category) == ending


@every_language
def test_glosses_and_words_have_equally_many_morphemes(language):
    # Leipzig glossing rule 2.
    for concept in KIND:
        for token in get_grammar(language.code).noun_phrase(Entity(concept, "", True), "ACC"):
            assert token.gloss.count("-") == token.morphemes.count("-")
            assert token.morphemes.replace("-", "") == token.form


def test_roots_have_no_adjacent_vowels():
    # The notation `o > a / _X#` and the name of that law depend on it.
    for family in FAMILIES:
        for root in get_proto_lexicon(family).values():
            assert not any(a in VOWELS and b in VOWELS for a, b in zip(root, root[1:]))
