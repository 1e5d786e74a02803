"""All inflected forms of the words of a language, and their translations into another language."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

from xlift.archipelago.concepts import CONCEPTS, KIND, VERBS
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.lexicon import get_names

Analysis = tuple[str, tuple[str, ...]]
"""A concept and the categories that a form marks, in the order of their endings."""

_CASES = ((), ("ACC",), ("DAT",))
_NOUN = tuple((*number, *case) for number, case in product(((), ("PL",)), _CASES))
_VERB = tuple((*tense, *person) for person, tense in product(((), ("AGR",)), ((), ("PST",), ("FUT",))))


def _categories(concept: str) -> tuple[tuple[str, ...], ...]:
    """The categories that a word can mark, the fewest first."""
    if concept in KIND:
        return _NOUN
    if concept in VERBS:
        return _VERB
    return _CASES if concept in ("who", "what") or ":" in concept else ((),)


def _forms(code: str) -> Iterator[tuple[str, Analysis]]:
    for concept in (*CONCEPTS, *get_names()):
        for categories in _categories(concept):
            yield get_grammar(code).word(concept, "", "", *categories).form, (concept, categories)


@lru_cache(maxsize=32)
def analyse_word_forms(code: str) -> dict[str, Analysis]:
    """Form -> its analysis with the fewest categories. Forms of several concepts are left out."""
    first_analysis: dict[str, Analysis] = {}
    ambiguous: set[str] = set()
    for form, analysis in _forms(code):
        if first_analysis.setdefault(form, analysis)[0] != analysis[0]:
            ambiguous.add(form)
    return {form: analysis for form, analysis in first_analysis.items() if form not in ambiguous}


@lru_cache(maxsize=64)
def translate_word_forms(code: str, other: str) -> dict[str, str]:
    """Form of one language -> the same word in the other language, with the endings that this language has."""
    return {
        form: get_grammar(other).word(concept, "", "", *categories).form
        for form, (concept, categories) in analyse_word_forms(code).items()
    }
