"""Transliterate words into another script by a published table.

| language | to | table |
| --- | --- | --- |
| ru, uk, be, bg | Latin | ISO 9:1995 |
| sr, mk | Latin | Gaj's alphabet (Serbian law; Macedonian as in ISO 9:1986) |
| bs, sr-Latn | Cyrillic | Gaj's alphabet reversed: Bosnian and Serbian are written in both scripts |
| el | Latin | ISO 843:1997, transliteration |
| ka | Latin | the national system of 2002 (BGN/PCGN 2009) |
| hi, mr, ne, sa and others in Devanagari | Latin | ISO 15919:2001 (IAST but for ē, ō, r̥, ṁ) |
| generated languages | Latin; from Latin: Cyrillic | the table of phonemes in archipelago/languages.py |

All are transliterations, not transcriptions of sounds: Hindi keeps silent vowels. Languages whose reading is not in the
text (Chinese, Japanese, Arabic and Hebrew without points, Thai), or that have no second script in use, have no table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import regex

from xlift.archipelago.languages import GENERATED_LANGUAGES, SCRIPTS
from xlift.language_tags import find_language, folded_code
from xlift.tasks.noise.editing import Rewrite, align_to_clusters


def _pairs(text: str) -> dict[str, str]:
    """Parse 'а a б b' into a table."""
    parts = text.split()
    return dict(zip(parts[::2], parts[1::2], strict=True))


ISO9 = _pairs(
    "а a б b в v г g ґ g̀ д d е e є ê ё ë ж ž з z и i і ì ї ï й j к k л l м m н n о o п p р r с s т t у u ў ŭ ф f х h ц c ч č ш š "
    "щ ŝ ъ ʺ ы y ь ʹ э è ю û я â"
)
GAJ = _pairs(
    "а a б b в v г g д d ђ đ е e ж ž з z и i ј j к k л l љ lj м m н n њ nj о o п p р r с s т t ћ ć у u ф f х h ц c ч č џ dž ш š "
    "ѓ ǵ ќ ḱ ѕ dz"
)
ISO843 = _pairs(
    "α a β v γ g δ d ε e ζ z η ī θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω ō αυ au ευ eu ου ou "
    "αύ aú εύ eú ού oú"
)
GEORGIAN = _pairs(
    "ა a ბ b გ g დ d ე e ვ v ზ z თ t ი i კ kʼ ლ l მ m ნ n ო o პ pʼ ჟ zh რ r ს s ტ tʼ უ u ფ p ქ k ღ gh ყ qʼ შ sh ჩ ch ც ts ძ dz "
    "წ tsʼ ჭ chʼ ხ kh ჯ j ჰ h"
)
DEVANAGARI = {
    "vowels": _pairs("अ a आ ā इ i ई ī उ u ऊ ū ऋ r̥ ॠ r̥̄ ऌ l̥ ऍ ê ऎ e ए ē ऐ ai ऑ ô ऒ o ओ ō औ au"),
    "signs": _pairs("ा ā ि i ी ī ु u ू ū ृ r̥ ॄ r̥̄ ॅ ê ॆ e े ē ै ai ॉ ô ॊ o ो ō ौ au ् -"),
    "consonants": _pairs(
        "क k ख kh ग g घ gh ङ ṅ च c छ ch ज j झ jh ञ ñ ट ṭ ठ ṭh ड ḍ ढ ḍh ण ṇ त t थ th द d ध dh न n प p फ ph ब b भ bh म m य y र r "
        "ल l ळ ḷ व v श ś ष ṣ स s ह h क़ q ख़ k͟h ग़ ġ ज़ z ड़ ṛ ढ़ ṛh फ़ f य़ ẏ ऩ ṉ ऱ ṟ ऴ ḻ"
    ),
    "others": _pairs("ं ṁ ः ḥ ँ m̐ ऽ ’ ॐ ōṁ"),
}
"""'-' is the virama, no vowel; a consonant without a sign is followed by a."""
_NUKTA = "\u093c"

BY_LANGUAGE: dict[str, Mapping[str, str]] = {
    **dict.fromkeys(("ru", "uk", "be", "bg"), ISO9),
    **dict.fromkeys(("sr", "mk"), GAJ),
    **dict.fromkeys(("bs", "sr-Latn"), {latin: cyrillic for cyrillic, latin in GAJ.items() if cyrillic not in "ѓќѕ"}),
    "el": ISO843,
    "ka": GEORGIAN,
}


def has_table(language: str) -> bool:
    """Whether a language has a transliteration table."""
    known = find_language(language)
    return (
        language in GENERATED_LANGUAGES or known is not None and (known.code in BY_LANGUAGE or known.script == "Deva")
    )


class ScriptNoise:
    """Transliterate every letter of a word; words without such letters stay."""

    def __init__(self, language: str) -> None:
        code = folded_code(language)
        self.table = None if language not in GENERATED_LANGUAGES and code not in BY_LANGUAGE else _table(code)

    def can_change(self, word: Sequence[str]) -> bool:
        text = "".join(word)
        return self.transliterate(text) != text

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        yield Rewrite(align_to_clusters(word, self.transliterate("".join(word))), "script")

    def transliterate(self, word: str) -> str:
        """Write the word in the other script."""
        return _transliterate_devanagari(word) if self.table is None else _transliterate_letters(word, self.table)


@cache
def _table(code: str) -> Mapping[str, str]:
    if code not in GENERATED_LANGUAGES:
        return BY_LANGUAGE[code]
    script = GENERATED_LANGUAGES[code].script
    letters, other_letters = SCRIPTS[script], SCRIPTS["Cyrl" if script == "Latn" else "Latn"]
    table: dict[str, str] = {}
    for sound in SCRIPTS["Cyrl"]:  # it has all sounds; a letter for several sounds takes the first
        table.setdefault(letters.get(sound, sound), other_letters.get(sound, sound))
    return table


def _transliterate_letters(word: str, table: Mapping[str, str]) -> str:
    """Replace the longest match from left to right; capitals stay capitals, all-capital words stay all-capital."""
    text = unicodedata.normalize("NFC", word)
    longest, is_all_capitals = max(map(len, table)), len(text) > 1 and text.isupper()
    parts, position = [], 0
    while position < len(text):
        for length in range(min(longest, len(text) - position), 0, -1):
            piece = text[position : position + length]
            replacement = table.get(piece.lower()) or _transliterate_accented(piece, table)
            if replacement is not None:
                break
        else:
            length, replacement = 1, piece
        if piece[0].isupper() and replacement[0].islower():
            replacement = replacement.upper() if is_all_capitals else replacement[0].upper() + replacement[1:]
        parts.append(replacement)
        position += length
    return unicodedata.normalize("NFC", "".join(parts))


def _transliterate_accented(letter: str, table: Mapping[str, str]) -> str | None:
    """Transliterate a letter whose accent is not in the table (Greek tonos) and keep the accent."""
    base, *marks = unicodedata.normalize("NFD", letter.lower())
    return table[base] + "".join(marks) if marks and len(letter) == 1 and base in table else None


_SYLLABLE = regex.compile(
    rf"(?P<letter>[\u0915-\u0939\u0958-\u095F]{_NUKTA}?)(?P<sign>[\u093E-\u094D])?|.", regex.DOTALL
)


def _transliterate_devanagari(word: str) -> str:
    vowels, signs, consonants, others = (DEVANAGARI[part] for part in ("vowels", "signs", "consonants", "others"))
    consonants = {unicodedata.normalize("NFD", letter): latin for letter, latin in consonants.items()}
    parts = []
    for match in _SYLLABLE.finditer(unicodedata.normalize("NFD", word)):
        letter, sign = match["letter"], match["sign"]
        if letter:
            vowel = signs.get(sign, sign) if sign else "a"
            parts += [consonants.get(letter, consonants.get(letter[0], letter)), "" if vowel == "-" else vowel]
        else:
            parts.append(vowels.get(match[0]) or signs.get(match[0]) or others.get(match[0], match[0]))
    return unicodedata.normalize("NFC", "".join(parts))
