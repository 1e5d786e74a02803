"""Share of translations in the requested language. 1 - this share is the off-target rate (Zhang et al. 2020).

For the archipelago's languages the result is exact: it compares letters and, between languages that share a script,
words. For other languages the letters must be of the language's script, and py3langid, if it covers the language (139
of them), must find no other one five times as likely. On Tatoeba's short sentences in seven languages, 1.3% or fewer
are wrongly called off target, and 1% or fewer of the sentences in another of these languages on target. A text without
letters is off target.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import regex

from xlift.archipelago.concepts import CONCEPTS
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon, get_names, spell, suffix
from xlift.language_tags import find_language
from xlift.languages import Language
from xlift.tasks.metrics.base import Metric, mean

LETTERS = {
    "Hans": "Hani", "Hant": "Hani", "Jpan": "Hira Kana Hani", "Kore": "Hang Hani",
}  # fmt: skip
"""Script of a language -> the Unicode scripts that it is written in, if they have other names."""
MIN_LIKELIHOOD_RATIO = 5
"""A text is off target if another language is this many times as likely: with 1 a tenth of Tatoeba's Swahili would be
off target, with 20 four hundredths of its Swahili would pass for German."""
ACCEPTED_CODES = {
    "nb": ("no",), "fil": ("tl",), "quy": ("qu",), "gn": ("gug",), "ki": ("kik",), "zh": ("wuu",), "id": ("ms",),
    "ms": ("id",), "hr": ("bs", "sr"), "bs": ("hr", "sr"), "sr": ("hr", "bs"),
}  # fmt: skip
"""Language -> further codes of py3langid to accept: another code of it, or of a language too similar to separate."""
IDENTIFIED_CODES = frozenset(
    """ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv fy ga gcf
    gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt
    ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw
    ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx""".split()
)
"""The codes of py3langid: a plan says which languages it does not cover, and loading it takes most of a second."""


def on_target_counts(gold: dict[str, Any], prediction: str) -> tuple[float, ...]:
    """(1 if the output is in the requested language, 1) of one sentence.

    Args:
        gold: 'language', the requested language.
    """
    return float(is_in_language(prediction, gold["language"])), 1.0


def is_in_language(text: str, language: str) -> bool:
    """Whether a text is in a language; True for an unknown language if the text has letters."""
    if not regex.search(r"\p{L}", text):
        return False
    if language in GENERATED_LANGUAGES:
        return _is_in_script(GENERATED_LANGUAGES[language].script, text) and _is_in_generated(text, language)
    known = find_language(language)
    return known is None or (_is_in_script(known.script, text) and _is_identified(text, known))


def _is_in_script(script: str, text: str) -> bool:
    """Whether at least half of the letters are of a script: names and loans may be in others."""
    return 2 * len(_letter_pattern(script).findall(text)) >= len(regex.findall(r"\p{L}", text))


@lru_cache(maxsize=64)
def _letter_pattern(script: str) -> regex.Pattern[str]:
    members = "".join(rf"\p{{Script={name}}}" for name in LETTERS.get(script, script).split())
    return regex.compile(rf"(?V1)[[{members}]&&\p{{L}}]")


# --- the archipelago ------------------------------------------------------------------------------------------------


def _is_in_generated(text: str, code: str) -> bool:
    """Whether the language has some of the words, and no other language of the same script has more. Names count for no
    language: a text of names alone is in every one."""
    script = GENERATED_LANGUAGES[code].script
    words = [word for word in regex.findall(r"\w+", text) if word not in _spelled_names(script)]
    matches = {
        other: sum(word in _word_forms(other) for word in words)
        for other, language in GENERATED_LANGUAGES.items()
        if language.script == script
    }
    return not words or 0 < matches[code] == max(matches.values())


@lru_cache(maxsize=8)
def _spelled_names(script: str) -> frozenset[str]:
    """Every name, as all languages of a script write it."""
    language = next(language for language in GENERATED_LANGUAGES.values() if language.script == script)
    return frozenset(spell(language, name, True) for name in get_names().values())


@lru_cache(maxsize=16)
def _word_forms(code: str) -> frozenset[str]:
    """Every word form of a language, without names."""
    language = GENERATED_LANGUAGES[code]
    orders = [(), ("PL",), ("PST",), ("FUT",), ("ACC",), ("DAT",), ("AGR",)]
    orders += [*itertools.product(("PL",), ("ACC", "DAT")), *itertools.product(("PST", "FUT"), ("AGR",))]
    forms = set()
    for concept in CONCEPTS:
        for categories in orders:
            sounds = get_lexicon(code)[concept].stem
            for category in categories:
                sounds += suffix(language, sounds, category)
            forms.add(spell(language, sounds))
    return frozenset(forms)


# --- real languages -------------------------------------------------------------------------------------------------


def _is_identified(text: str, language: Language) -> bool:
    accepted = _identified_codes(language)
    if not accepted:
        return True
    likelihood = dict(_load_identifier().rank(text))
    covered = [likelihood[name] for name in accepted if name in likelihood]
    return not covered or MIN_LIKELIHOOD_RATIO * max(covered) >= max(likelihood.values())


def _identified_codes(language: Language) -> set[str]:
    """The codes of py3langid that mean a language, or one too similar; it covers languages in their usual script only."""
    code, _, script = language.code.partition("-")
    is_covered = not script or language.code == "zh-Hant"
    return {code, *ACCEPTED_CODES.get(code, ())} & IDENTIFIED_CODES if is_covered else set()


def _unknown_language(language: str) -> str:
    known = find_language(language)
    if language in GENERATED_LANGUAGES or (known and _identified_codes(known)):
        return ""
    return "only the script of a text is checked" if known else "every text with letters counts"


@lru_cache(maxsize=1)
def _load_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loads 4 MB of weights, so only on use

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def on_target_signature() -> str:
    """The version of py3langid."""
    from importlib.metadata import version

    return f"py3langid:{version('py3langid')}"


ON_TARGET = Metric(
    "on-target",
    "outputs in the requested language (1 - off-target rate)",
    ("on target", "outputs"),
    on_target_counts,
    mean,
    formats=("translation",),
    signature=on_target_signature,
    unknown_language=_unknown_language,
)
