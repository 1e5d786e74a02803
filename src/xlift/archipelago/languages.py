"""The ten languages of the archipelago: families, sound laws, scripts, grammar and shares of text. Data only.

Each phoneme is one character: š č ž ŋ x (voiceless velar fricative), ə, y (close front rounded), and the plain letters.
A sound law is a pair (pattern, replacement) of a regular expression over phonemes. Laws apply in order to the
proto-form; the end of the string is the word boundary.

Codes are private-use codes of ISO 639 (qaa..qtz), so they never name a real language.
"""

from __future__ import annotations

from dataclasses import dataclass, field

V = "[aeiouyə]"
"""Any vowel."""
C = "[^aeiouyə]"
"""Any consonant."""


@dataclass(frozen=True)
class Family:
    name: str
    order: str
    consonants: str
    """Commonest first: roots use the first ones more often."""
    vowels: str
    shapes: tuple[str, ...]
    """Shapes of proto-roots, e.g. CVCV."""


@dataclass(frozen=True)
class GeneratedLanguage:
    """A generated language: its inheritance, sound laws, loans and grammar."""

    code: str
    name: str
    family: str
    subgroup: str
    script: str
    """ISO 15924."""
    tier: str
    """'high', 'low' or 'unseen': its amount of pretraining text."""
    sound_laws: tuple[tuple[str, str], ...]
    order: str
    """Order of subject, verb, object: SVO, SOV or VSO."""
    adjective_first: bool
    prepositions: bool
    retention: float
    """Share of concepts that keep the family's inherited root; the rest are coined."""
    lender: str = ""
    """Code of the language that it borrows from."""
    loan_share: float = 0.0
    """Share of concepts borrowed from the lender."""
    suffixes: dict[str, str] = field(default_factory=dict)
    """Category -> suffix: PL, PST, FUT, ACC, DAT, AGR (verb with a plural subject). Capital A and I are archiphonemes
    that harmonise with the last vowel of the stem."""
    wh_first: bool = True
    """Question words come first; otherwise they take the position of the answer."""
    question_particle: bool = False
    negation: str = "before"
    """The word for 'not' comes 'before' or 'after' the verb."""
    time_first: bool = True
    """Adverbs of time come first in the sentence; otherwise last."""
    text_weight: float = 0.0
    """Relative number of its pretraining documents."""
    parallel_share: float = 0.0
    """Share of its documents that are paired with a translation into another language."""
    description: str = ""
    """Two sentences for its page."""


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("Strandic", "SVO", "tklmnrspdvbgfwj", "aeiou", ("CVCV", "CVCVC", "CVC", "CVCCV")),
        Family("Karstic", "SOV", "kznbtrlgdmšpvx", "aeiouy", ("CVC", "CVCVC", "VCV", "CVCV")),
        Family("Emberic", "VSO", "šhqnmrltsbjdkz", "aeiu", ("CVCVC", "CVCV", "CVCC", "VCVC")),
    )
}

GENERATED_LANGUAGES: dict[str, GeneratedLanguage] = {
    language.code: language
    for language in (
        GeneratedLanguage(
            "qta", "Talassi", "Strandic", "Inner Strandic", "Latn", "high",
            sound_laws=((f"p(?={V}$)", "b"), ("k(?=[ei])", "č"), ("w", "v"), ("j$", "i")),
            order="SVO", adjective_first=True, prepositions=True, retention=0.95,
            suffixes={"PL": "s", "PST": "ed", "FUT": "il"}, time_first=True, text_weight=0.20, parallel_share=0.4,
            description="The lingua franca of the islands and the source language of most labelled data; nearly every neighbour "
            "has borrowed from it. It has lost the old case endings and marks roles by word order.",
        ),
        GeneratedLanguage(
            "qtm", "Merrin", "Strandic", "Inner Strandic", "Latn", "high",
            sound_laws=(("p", "f"), (f"(?<={V})t(?={V})", "d"), (f"(?<={V}){C}?o$", "u"), ("w", "g"), ("s(?=[iu])", "š")),
            order="SVO", adjective_first=False, prepositions=True, retention=0.88, lender="qta", loan_share=0.08,
            suffixes={"PL": "n", "PST": "av", "FUT": "er"}, time_first=True, text_weight=0.14, parallel_share=0.35,
            description="Spoken on the islands east of Talassi, its closest relative. Adjectives follow their noun, and every "
            "old p has become f.",
        ),
        GeneratedLanguage(
            "qto", "Orvish", "Strandic", "Outer Strandic", "Latn", "high",
            sound_laws=((f"(?<={C})a(?={C})", "o"), ("k(?=[ei])", "š"), ("b", "v"), (f"(?<={V})d(?={V})", "r"), ("e$", ""), ("f", "h")),
            order="SVO", adjective_first=True, prepositions=True, retention=0.82, lender="qta", loan_share=0.08,
            suffixes={"PL": "r", "PST": "te", "FUT": "us", "AGR": "n"}, time_first=False, wh_first=True, text_weight=0.13, parallel_share=0.35,
            description="Spoken on the outer islands. It rounded a to o between consonants and lost final e. The verb still "
            "agrees with a plural subject, and adverbs of time come last.",
        ),
        GeneratedLanguage(
            "qtu", "Ullish", "Strandic", "Outer Strandic", "Latn", "unseen",
            sound_laws=((f"(?<={C})a(?={C})", "o"), ("[eu]$", ""), ("p", "f"), ("g", "x"), ("t(?=[iu])", "č"), ("v", "b")),
            order="SVO", adjective_first=False, prepositions=True, retention=0.80, lender="qto", loan_share=0.10,
            suffixes={"PL": "r", "PST": "da", "AGR": "n"}, time_first=False,
            description="Spoken in three fishing villages and never written down, so it has no pretraining text: the encoder "
            "first meets it in evaluation. It is close to Orvish, and about half of its words can be guessed from it.",
        ),
        GeneratedLanguage(
            "qka", "Karstan", "Karstic", "High Karstic", "Cyrl", "high",
            sound_laws=(("x(?=[ei])", "š"), (f"(?<={V})b(?={V})", "v"), ("y$", "i")),
            order="SOV", adjective_first=True, prepositions=False, retention=0.93, lender="qta", loan_share=0.04,
            suffixes={"PL": "lAr", "ACC": "I", "DAT": "gA", "PST": "dI", "FUT": "sAk"}, wh_first=False, question_particle=True,
            negation="after", text_weight=0.13, parallel_share=0.35,
            description="Spoken in the mountains. The verb comes last, postpositions follow their noun, and the vowels of an "
            "ending harmonise with the last vowel of the stem.",
        ),
        GeneratedLanguage(
            "qkd", "Dolnar", "Karstic", "Low Karstic", "Cyrl", "low",
            sound_laws=(("k(?=[aou])", "g"), ("š", "s"), (f"(?<={V})z(?={V})", "r"), ("x", "k"), ("y", "i")),
            order="SOV", adjective_first=True, prepositions=False, retention=0.70, lender="qta", loan_share=0.22,
            suffixes={"PL": "lA", "ACC": "nI", "DAT": "kA", "PST": "tI"}, wh_first=False, question_particle=True, negation="after",
            text_weight=0.05, parallel_share=0.25,
            description="A lowland relative of Karstan, spoken around the Talassi trading posts: about a sixth of its words are "
            "Talassi loans adapted to Karstic sounds. It has little text.",
        ),
        GeneratedLanguage(
            "qks", "Sveth", "Karstic", "Low Karstic", "Grek", "low",
            sound_laws=(("d", "ð"), ("b", "v"), ("g(?=[ei])", "j"), (f"(?<={V})k$", "x"), ("y", "u"), ("o(?=.$)", "a")),
            order="SOV", adjective_first=False, prepositions=False, retention=0.75, lender="qka", loan_share=0.06,
            suffixes={"PL": "lIr", "ACC": "A", "DAT": "jA", "PST": "mI"}, wh_first=True, negation="before", text_weight=0.05, parallel_share=0.20,
            description="The southern Karstic language, written in Greek letters. Unlike the rest of its family, it puts "
            "adjectives after the noun and question words first.",
        ),
        GeneratedLanguage(
            "qea", "Amareth", "Emberic", "Coastal Emberic", "Armn", "high",
            sound_laws=(("q", "k"), (f"(?<={V})s(?={V})", "z"), ("h(?=[iu])", "š"), ("j$", "i")),
            order="VSO", adjective_first=False, prepositions=True, retention=0.93, lender="qta", loan_share=0.03,
            suffixes={"PL": "im", "PST": "at", "FUT": "un"}, wh_first=True, time_first=False, text_weight=0.13, parallel_share=0.30,
            description="The largest Emberic language. The verb comes first, as in the whole family. It has much text and few "
            "loans.",
        ),
        GeneratedLanguage(
            "qeo", "Oshari", "Emberic", "Inland Emberic", "Hebr", "low",
            sound_laws=(("q", "x"), ("š", "s"), (f"(?<={V})b(?={V})", "v"), ("[ai]$", "e"), ("d(?=[iu])", "z")),
            order="VSO", adjective_first=False, prepositions=True, retention=0.75, lender="qea", loan_share=0.10,
            suffixes={"PL": "ot", "PST": "ak", "AGR": "u"}, wh_first=True, time_first=True, negation="before", text_weight=0.05, parallel_share=0.15,
            description="The Emberic language of the inland plateau. The verb agrees with a plural subject. It is written from "
            "right to left, in another script than Amareth.",
        ),
        GeneratedLanguage(
            "qen", "Nuvai", "Emberic", "Island Emberic", "Geor", "unseen",
            sound_laws=(("[qk]", "g"), ("š", "č"), ("(?<=[aeiu])r", "l"), ("h", ""), (f"(?<={V})t(?={V})", "d"), ("[iu]$", "o")),
            order="VSO", adjective_first=True, prepositions=True, retention=0.60,
            suffixes={"PL": "va", "PST": "na", "FUT": "ri"}, wh_first=False, question_particle=True, time_first=False,
            description="An isolated Emberic language with its own script. It has no pretraining text: it shows what a method "
            "does where there is almost nothing to transfer.",
        ),
    )
}  # fmt: skip

SOURCE_LANGUAGE = "qta"
"""The language with labels; it has the role of English."""

# Script -> phoneme -> letters; a phoneme that is not listed is written as it is.
SCRIPTS: dict[str, dict[str, str]] = {
    "Latn": {"š": "sh", "č": "ch", "ž": "zh", "ŋ": "ng", "x": "kh", "ð": "dh", "ə": "e", "q": "q"},
    "Cyrl": dict(zip("abvgdežziyjklmnoprstufxščŋəhwqð", "абвгдежзиүйклмнопрстуфхшчңэһўқд", strict=True)),
    "Grek": dict(zip("avgdðezihklmnxoprstufčšjbwyqžŋə", "αβγδδεζιηκλμνχοπρστυφψξϊϐωύϙϡγε", strict=True)),
    "Armn": dict(zip("abgdezəilxkhčmjnšopžrstvufwqyðŋ", "աբգդեզըիլխկհչմյնշոպժռստվուֆւքէթղ".replace("ու", "օ", 1), strict=True)),
    "Hebr": {**dict(zip("abgdhvzxjklmnspcqrštfwčžyŋðə", "אבגדהוזחיכלמנספצקרשתפוצזיגדא", strict=True)), "e": "ע", "i": "י", "o": "ו", "u": "ו"},
    "Geor": dict(zip("abgdevziklmnopžrstufqšhčjxwyðŋə", "აბგდევზიკლმნოპჟრსტუფყშჰჩჲხწჳღჭც", strict=True)),
}  # fmt: skip
CASED_SCRIPTS = frozenset({"Latn", "Cyrl", "Grek", "Armn"})
"""Scripts with capital letters; names start with one."""
