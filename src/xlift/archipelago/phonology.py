"""The sounds of a language: phoneme counts, sound laws in the notation of linguistics, and sound correspondences.

Everything is computed from the lexicon.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from xlift.archipelago.languages import FAMILIES, GENERATED_LANGUAGES, C, GeneratedLanguage, V
from xlift.archipelago.lexicon import VOWELS, get_lexicon, get_names, get_proto_lexicon

PLACES = ("labial", "dental, alveolar", "postalveolar, palatal", "velar, uvular", "glottal")
MANNERS: dict[str, tuple[str, str, str, str, str]] = {
    "nasal": ("m", "n", "", "ŋ", ""),
    "stop": ("pb", "td", "", "kgq", ""),
    "affricate": ("", "", "č", "", ""),
    "fricative": ("fv", "szð", "šž", "x", "h"),
    "liquid": ("", "lr", "", "", ""),
    "glide": ("w", "", "j", "", ""),
}
"""Manner -> phonemes by place, in the order of `PLACES`; q is uvular."""
HEIGHTS: dict[str, tuple[str, str, str]] = {"close": ("iy", "", "u"), "mid": ("e", "ə", "o"), "open": ("", "a", "")}
"""Height -> vowels: front, central, back."""

LAW_NAMES = {
    "p > b / _V#": "voicing before a final vowel",
    "k > č / _{e, i}": "palatalisation before front vowels",
    "w > v": "spirantisation of the glide w",
    "j > i / _#": "vocalisation of final j",
    "p > f": "spirantisation of p",
    "t > d / V_V": "intervocalic voicing",
    "(C)o > u / V_#": "loss of the consonant before final o, which is raised to u",
    "w > g": "fortition of the glide w to a stop",
    "s > š / _{i, u}": "retraction of s before close vowels",
    "a > o / C_C": "rounding of a between consonants",
    "k > š / _{e, i}": "palatalisation before front vowels, through to a sibilant",
    "b > v": "spirantisation of b",
    "d > r / V_V": "rhotacism of intervocalic d",
    "e > ∅ / _#": "apocope of e",
    "f > h": "debuccalisation of f",
    "{e, u} > ∅ / _#": "apocope of e and u",
    "g > x": "spirantisation and devoicing of g",
    "t > č / _{i, u}": "affrication before close vowels",
    "v > b": "fortition of v to a stop",
    "x > š / _{e, i}": "palatalisation before front vowels",
    "b > v / V_V": "intervocalic spirantisation",
    "y > i / _#": "unrounding of final y",
    "k > g / _{a, o, u}": "voicing before vowels that are not front",
    "š > s": "fronting of š to s",
    "z > r / V_V": "rhotacism of intervocalic z",
    "x > k": "fortition of x to a stop",
    "y > i": "unrounding of y",
    "d > ð": "spirantisation of d",
    "g > j / _{e, i}": "palatalisation of g to a glide before front vowels",
    "k > x / V_#": "spirantisation of final k after a vowel",
    "y > u": "backing of y",
    "o > a / _X#": "unrounding and lowering of o before a final consonant",
    "q > k": "fronting of the uvular stop",
    "s > z / V_V": "intervocalic voicing",
    "h > š / _{i, u}": "h becomes a sibilant before close vowels",
    "q > x": "spirantisation of the uvular stop",
    "{a, i} > e / _#": "merger of final a and i in e",
    "d > z / _{i, u}": "assibilation before close vowels",
    "{q, k} > g": "voicing and merger of the dorsal stops",
    "š > č": "affrication of š",
    "r > l / V_": "lambdacism after a vowel",
    "h > ∅": "loss of h",
    "{i, u} > o / _#": "merger of final close vowels in o",
}
"""Notation of a law -> its name in phonology."""

_LAW = re.compile(r"(?:\(\?<=(?P<before>[^)]+)\))?(?P<target>.*?)(?:\(\?=(?P<after>[^)]+)\))?(?P<end>\$?)")


def law_notation(language: GeneratedLanguage, law: tuple[str, str]) -> str:
    """Write a sound law in linguistic notation: 't > d / V_V'. V vowel, C consonant, X any sound, # end of the word."""
    pattern, replacement = law
    match = _LAW.fullmatch(pattern)
    assert match, f"{language.code}: a sound law must be lookbehind, target, lookahead: {pattern}"
    before, target, after, end = (
        _symbols(language, match[part] or "") for part in ("before", "target", "after", "end")
    )
    change = f"{target} > {replacement or '∅'}"
    return f"{change} / {before}_{after}{end}" if before or after or end else change


def _symbols(language: GeneratedLanguage, pattern: str) -> str:
    """Translate the classes of a regular expression into notation."""
    text = pattern.replace(f"{C}?", "(C)").replace(C, "C").replace(V, "V").replace(".", "X").replace("$", "#")

    def sounds(match: re.Match[str]) -> str:
        every_vowel = set(match[1]) == set(FAMILIES[language.family].vowels)
        return "V" if every_vowel else "{" + ", ".join(match[1]) + "}"

    return re.sub(r"\[([^\]]+)\]", sounds, text)


@dataclass(frozen=True)
class Derivation:
    """An inherited word from its proto-root to its stem: the laws that changed it, and the form after each."""

    concept: str
    laws: tuple[int, ...]
    """Indices into the language's `sound_laws`."""
    forms: tuple[str, ...]
    """The proto-root first, the stem last."""


@lru_cache(maxsize=32)
def derivations(code: str) -> tuple[Derivation, ...]:
    """Derivation of every inherited word of a language, in the order of the concepts."""
    all_derivations = []
    for concept, word in get_lexicon(code).items():
        if word.origin != "inherited":
            continue
        laws, forms = [], [word.etymon]
        for position, (pattern, replacement) in enumerate(GENERATED_LANGUAGES[code].sound_laws):
            changed = re.sub(pattern, replacement, forms[-1])
            if changed != forms[-1]:
                laws.append(position)
                forms.append(changed)
        all_derivations.append(Derivation(concept, tuple(laws), tuple(forms)))
    return tuple(all_derivations)


def law_examples(code: str, position: int, count: int = 3) -> list[Derivation]:
    """Words that a law changed; those that fewest laws changed come first."""
    changed = [d for d in derivations(code) if position in d.laws]
    return sorted(changed, key=lambda d: len(d.laws))[:count]


def phoneme_counts(code: str) -> Counter[str]:
    """Count each phoneme in the stems of the lexicon."""
    return Counter("".join(word.stem for word in get_lexicon(code).values()))


def name_phonemes() -> set[str]:
    """Phonemes of proper names; every language can spell them."""
    return set("".join(get_names().values()))


def correspondences(family: str) -> dict[str, dict[str, str]]:
    """Proto-consonant -> language -> its reflexes at the beginning of inherited words, commonest first ('k, č')."""
    members = [language for language in GENERATED_LANGUAGES.values() if language.family == family]
    table: dict[str, dict[str, str]] = {}
    for sound in FAMILIES[family].consonants:
        row = {}
        for language in members:
            reflexes: Counter[str] = Counter()
            for derivation in derivations(language.code):
                if derivation.forms[0].startswith(sound):
                    first = derivation.forms[-1][0]
                    reflexes["∅" if first in VOWELS else first] += 1
            row[language.code] = ", ".join(reflex for reflex, _ in reflexes.most_common())
        table[sound] = row
    return table


def cognates(code: str, other: str) -> float:
    """Share of concepts for which both languages keep the family's root; 0 between families."""
    if GENERATED_LANGUAGES[code].family != GENERATED_LANGUAGES[other].family:
        return 0.0
    words, other_words = get_lexicon(code), get_lexicon(other)
    roots = get_proto_lexicon(GENERATED_LANGUAGES[code].family)
    kept = [words[concept].origin == other_words[concept].origin == "inherited" for concept in roots]
    return sum(kept) / len(kept)
