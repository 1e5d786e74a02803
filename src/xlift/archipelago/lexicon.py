"""The words of each language: proto-roots, their reflexes by sound law, loans, coinages, names and spelling.

Everything is computed from the language's declaration; nothing is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from xlift.archipelago.concepts import CONCEPTS, FUNCTION_WORDS, NUM_GUILD_NAMES, NUM_PERSON_NAMES, NUM_PLACE_NAMES
from xlift.archipelago.languages import CASED_SCRIPTS, FAMILIES, GENERATED_LANGUAGES, SCRIPTS, Family, GeneratedLanguage
from xlift.archipelago.random_streams import random_stream, sample_zipf

VOWELS = "aeiouyə"
FRONT_VOWELS = "eiy"
NAME_CONSONANTS, NAME_VOWELS = "lmrnvtsdkbg", "aeiou"


@dataclass(frozen=True, slots=True)
class Word:
    """A lexeme: its stem in phonemes and its origin."""

    stem: str
    origin: str
    """'inherited', 'loan' or 'coined'."""
    etymon: str
    """The proto-root, or the stem in the lending language."""


def make_root(family: Family, *name: object) -> str:
    """Make a proto-root; the same name gives the same root."""
    rng = random_stream("root", family.name, *name)
    shape = sample_zipf(rng, family.shapes, 0.7)
    return "".join(
        sample_zipf(rng, family.consonants, 0.5) if slot == "C" else rng.choice(family.vowels) for slot in shape
    )


@lru_cache(maxsize=8)
def get_proto_lexicon(family_name: str) -> dict[str, str]:
    """Concept -> proto-root of a family; each concept has another root."""
    family = FAMILIES[family_name]
    used: set[str] = set()
    roots = {}
    for concept in CONCEPTS:
        attempt = 0
        while (root := _make_concept_root(family, concept, attempt)) in used:
            attempt += 1
        used.add(root)
        roots[concept] = root
    return roots


def _make_concept_root(family: Family, concept: str, attempt: int) -> str:
    # Function words are short, as in real languages.
    root = make_root(family, concept, attempt)
    return root[:3] if concept in FUNCTION_WORDS and attempt < 20 else root


def apply_sound_laws(language: GeneratedLanguage, proto: str) -> str:
    """Apply the language's sound laws, in order, to a proto-form."""
    for pattern, replacement in language.sound_laws:
        proto = re.sub(pattern, replacement, proto)
    return proto


@lru_cache(maxsize=32)
def get_lexicon(code: str) -> dict[str, Word]:
    """Concept -> word of one language; each concept has another stem."""
    language = GENERATED_LANGUAGES[code]
    family = FAMILIES[language.family]
    lender = get_lexicon(language.lender) if language.lender else {}
    used: set[str] = set()
    words: dict[str, Word] = {}
    for concept in CONCEPTS:
        draw = random_stream("etymology", code, concept).random()
        proto = get_proto_lexicon(language.family)[concept]
        if concept in FUNCTION_WORDS or draw < language.retention:
            word = Word(apply_sound_laws(language, proto), "inherited", proto)
        elif draw < language.retention + language.loan_share:
            etymon = lender[concept].stem
            word = Word(_adapt_loan(etymon, family), "loan", etymon)
        else:
            word = _coin(language, family, concept, 0)
        attempt = 1
        while word.stem in used or len(word.stem) < 2:  # the stem merged with another one or is too short: coin a word
            word = _coin(language, family, concept, attempt)
            attempt += 1
        used.add(word.stem)
        words[concept] = word
    return words


def _coin(language: GeneratedLanguage, family: Family, concept: str, attempt: int) -> Word:
    root = make_root(family, language.code, concept, attempt)
    return Word(apply_sound_laws(language, root), "coined", root)


def _adapt_loan(stem: str, family: Family) -> str:
    """Replace the sounds that the borrowing family lacks by the nearest ones that it has."""
    nearest = {
        "f": "p", "p": "f", "č": "š", "š": "s", "w": "v", "v": "b", "g": "k", "k": "g", "o": "u", "x": "h", "h": "x",
    }  # fmt: skip
    native = set(family.consonants) | set(family.vowels)
    return "".join(sound if sound in native else nearest.get(sound, sound) for sound in stem)


@lru_cache(maxsize=1)
def get_names() -> dict[str, str]:
    """Name concept ("person:3") -> its phonemes, the same in every language; only the spelling differs."""
    shapes = {"person": ("CVCV", "CVCVC"), "place": ("CVCVCV", "VCVCV"), "guild": ("CVCCVC",)}
    used: set[str] = set()
    table = {}
    for kind, count in (("person", NUM_PERSON_NAMES), ("place", NUM_PLACE_NAMES), ("guild", NUM_GUILD_NAMES)):
        for index in range(count):
            attempt = 0
            while True:
                rng = random_stream("name", kind, index, attempt)
                sounds = "".join(
                    rng.choice(NAME_CONSONANTS if slot == "C" else NAME_VOWELS) for slot in rng.choice(shapes[kind])
                )
                if sounds not in used:
                    break
                attempt += 1
            used.add(sounds)
            table[f"{kind}:{index}"] = sounds
    return table


def suffix(language: GeneratedLanguage, stem: str, category: str) -> str:
    """The ending of a category on this stem, with vowel harmony and without hiatus; '' if the language has none."""
    ending = language.suffixes.get(category, "")
    if not ending:
        return ""
    last = next((sound for sound in reversed(stem) if sound in VOWELS), "a")
    front = last in FRONT_VOWELS
    ending = ending.replace("A", "e" if front else "a").replace("I", "i" if front else "u")
    if stem[-1] in VOWELS and ending[0] in VOWELS:
        ending = "j" + ending if language.family == "Karstic" else ending[1:] or ending
    return ending


def spell(language: GeneratedLanguage, sounds: str, capital: bool = False) -> str:
    """Spell phonemes in the language's script."""
    letters = SCRIPTS[language.script]
    written = "".join(letters.get(sound, sound) for sound in sounds)
    if capital and language.script in CASED_SCRIPTS:
        return written[:1].upper() + written[1:]
    return written
