"""Keyboard layouts and neighbouring keys, for typos that hit the key next to the intended one.

Each layout is the first one of its country in xkeyboard-config 2.x (xkb-data of Debian), letters only: InScript for the
scripts of India, Kedmanee for Thai, Arabic 101, ISIRI 9147 for Persian. Dubeolsik (KS X 5002) is an input method there, so
this file defines it. tests/tasks/noise/test_keyboards.py compares the layouts with libxkbcommon where that is installed.

Chinese and Japanese have no layout: people type readings, which an input method turns into characters, and this file has
no table of readings. Their typos are swapped, dropped and doubled characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon, spell
from xlift.language_tags import find_language

LAYOUTS: dict[str, str] = {
    "us": "- qwertyuiop asdfghjkl zxcvbnm",
    "fr": "-é----è-çà azertyuiop qsdfghjklmù wxcvbn",
    "de": "----------ß qwertzuiopü asdfghjklöä yxcvbnm",
    "es": "- qwertyuiop asdfghjklñ-ç zxcvbnm",
    "pt": "- qwertyuiop asdfghjklç zxcvbnm",
    "it": "-----------ì qwertyuiopè asdfghjklòàù zxcvbnm",
    "tr": "- qwertyuıopğü asdfghjklşi zxcvbnmöç | - QWERTYUIOPĞÜ ASDFGHJKLŞİ ZXCVBNMÖÇ",
    "se": "- qwertyuiopå asdfghjklöä zxcvbnm",
    "no": "- qwertyuiopå asdfghjkløæ zxcvbnm",
    "dk": "- qwertyuiopå asdfghjklæø zxcvbnm",
    "ee": "- qwertyuiopüõ asdfghjklöä zxcvbnm",
    "cz": "-ěščřžýáíé qwertzuiopú asdfghjklů yxcvbnm",
    "hu": "---------öüó qwertzuiopőú asdfghjkléáű yxcvbnm",
    "hr": "- qwertzuiopšđ asdfghjklčćž yxcvbnm",
    "ru": "- йцукенгшщзхъ фывапролджэ ячсмитьбю",
    "ua": "- йцукенгшщзхї фівапролджєґ ячсмитьбю",
    "by": "- йцукенгшўзх фывапролджэ ячсмітьбю",
    "rs": "- љњертзуиопшђ асдфгхјклчћж жџцвбнм",
    "mk": "- љњертѕуиопшѓ асдфгхјклчќж зџцвбнм",
    "bg": "- -уеишщксдзц ьяаожгтнвмч юйъэфхпрлб",
    "mn": "----------ещ фцужэнгшүзкъ йыбөахролдп ячёсмитьвю",
    "kz": "-әіңғ--үұқөһ йцукенгшщзхъ фывапролджэ ячсмитьбю",
    "gr": "- -ςερτυθιοπ ασδφγηξκλ ζχψωβνμ",
    "am": "ֆձ-------օէղ ճփբսմուկըթծց ջվգեանիտհպր ժդչյզլքխշռ",
    "ge": "- ქწერტყუიოპ ასდფგჰჯკლ ზხცვბნმ | - -ჭ-ღთ -შ----ჟ ძ-ჩ",
    "il": "- --קראטוןםפ שדגכעיחלךף זסבהנמצתץ",
    "ara": "- ضصثقفغعهخحجد شسيبلاتنمكط ئءؤر-ىةوزظ | - ًٌَُ-إ ٍِ---أ -ْ---آ",
    "ir": "- ضصثقفغعهخحجچ شسیبلاتنمکگ ظطزرذدپو | - ًٌٍَُِّْ ؤئيإأآة كٓژٰ-ٔء",
    "pk": "- قوعرتےءیہپ اسدفگحجکل زشچطبنم | - ْؤٰڑٹَئِۃُ آصڈّغھضخٔ ذژثظ-ں٘",
    "in-deva": "-----------ृ ौैाीूबहगदजड़ ोे्िुपरकतचटॉ ॆंमनवलस--य | ऍॅ--------ःऋ औऐआईऊभङघधझढञ ओएअइउफऱखथछठऑ ऎँणऩऴळशष-य़",
    "in-ben": "-----------ঋ ৌৈাীূবহগদজড় োে্িুপরকতচট -ংমনবলস--য় | ----------ঃৃ ঔঐআঈঊভঙঘধঝঢঞ ওএঅইউফঢ়খথছঠ -ঁণনবলশষ-য",
    "in-guj": "-----------ઋ ૌૈાીૂબહગદજડ઼ ોે્િુપરકતચટૉ -ંમનવલસ--ય | ઍૅ--------ઃૃ ઔઐઆઈઊભઙઘધઝઢઞ ઓએઅઇઉફરખથછઠઑ -ઁણનવળશષ",
    "in-guru": "----------ਃ ੌੈਾੀੂਬਹਗਦਜਡ਼ ੋੇ੍ਿੁਪਰਕਤਚਟ -ਂਮਨਵਲਸ--ਯ | --ੱੴ ਔਐਆਈਊਭਙਘਧਝਢਞ ਓਏਅਇਉਫੜਖਥਛਠ ਁੰਣਨਵਲ਼ਸ਼",
    "in-kan": "----------ಃೃ ೌೈಾೀೂಬಹಗದಜಡ಼ ೋೇ್ಿುಪರಕತಚಟ ೆಂಮನವಲಸ--ಯ | -----------ಋ ಔಐಆಈಊಭಙಘಧಝಢಞ ಓಏಅಇಉಫಱಖಥಛಠ ಎ-ಣ--ಳಶಷ",
    "in-mal": "-----------ൃ ൌൈാീൂബഹഗദജഡ ോേ്ിുപരകതചട െംമനവലസ--യ | ----------ഃഋ ഔഐആഈഊഭങഘധഝഢഞ ഓഏഅഇഉഫറഖഥഛഠ എ-ണ-ഴളശഷ",
    "in-ori": "----------ଃୃ ୌୈାୀୂବହଗଦଜଡ଼ ୋେ୍ିୁପରକତଚଟ -ଂମନଵଲସ--ଯ | -----------ଋ ଔଐଆଈଊଭଙଘଧଝଢଞ ଓଏଅଇଉଫ-ଖଥଛଠ -ଁଣ--ଳଶଷ",
    "in-tam": "- ௌைாீூ-ஹ--ஜ-ஞ ோே்ிுபரகதசட ெஂமநவலஸ--ய | ----------ஃ ஔஐஆஈஊ-ங ஓஏஅஇஉ-ற எ-ணனழளஶஷ",
    "in-tel": "----------ఃృ ౌైాీూబహగదజడఞ ోే్ిుపరకతచట ెంమనవలస--య | -----------ఋ ఔఐఆఈఊభఙఘధఝఢ ఓఏఅఇఉఫఱఖథఛఠ ఎఁణ--ళశష",
    "np": "- टौेरतयुिोपइए ासदउगहजकल--ॐ षडचवबनम--् | ----------॒ ठऔैृथञूीओफईऐ आशधऊघअझख---ः ऋढछँभणंङ",
    "th": "ๅ--ภถุึคตจขช -ไำพะัีรนยบล ฟหกดเ้่าสวงฃ ผปแอิืทมใฝ | -----ู --ฎฑธํ๊ณฯญฐ ฤฆฏโฌ็๋ษศซ-ฅ --ฉฮฺ์-ฒฬฦ",
    "dubeolsik": "- ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ ㅁㄴㅇㄹㅎㅗㅓㅏㅣ ㅋㅌㅊㅍㅠㅜㅡ | - ㅃㅉㄸㄲㅆ---ㅒㅖ",
}
"""Country -> its four rows from the digits down, '-' for a key without a letter; after the bar the same with shift, where
that is not the capital letter."""

OFFSETS = (0.0, 0.5, 0.75, 1.25)
"""Offset of each row to the right of the first one, in keys (for ANSI and ISO keyboards)."""

BY_SCRIPT = {
    "Latn": "us", "Cyrl": "ru", "Grek": "gr", "Armn": "am", "Geor": "ge", "Hebr": "il", "Deva": "in-deva", "Beng": "in-ben",
    "Gujr": "in-guj", "Guru": "in-guru", "Knda": "in-kan", "Mlym": "in-mal", "Orya": "in-ori", "Taml": "in-tam", "Telu": "in-tel",
    "Thai": "th", "Kore": "dubeolsik",
}  # fmt: skip
"""For languages that are not in `BY_LANGUAGE`. No Arabic: keyboards differ too much between its languages."""

BY_LANGUAGE = {
    code: layout
    for layout, codes in {
        "fr": "fr", "de": "de lb", "es": "es gl eu ca ast qu quy ay gn", "pt": "pt", "it": "it", "tr": "tr", "se": "sv fi",
        "no": "nb nn", "dk": "da", "ee": "et", "cz": "cs sk", "hu": "hu", "hr": "hr bs sl", "ua": "uk", "by": "be", "rs": "sr",
        "mk": "mk", "bg": "bg", "mn": "mn", "kz": "kk", "np": "ne", "ara": "ar acm acq aeb ajp apc ars ary arz", "ir": "fa prs",
        "pk": "ur",
    }.items()
    for code in codes.split()
}  # fmt: skip

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
"""The parts of a Hangul syllable in Unicode's order: syllable = U+AC00 + (initial * 21 + vowel) * 28 + final."""
FIRST_SYLLABLE, LAST_SYLLABLE = 0xAC00, 0xD7A3


def find_layout(language: str) -> str:
    """The keyboard layout of a language, else of its script; '' if there is none."""
    known = find_language(language)
    return (BY_LANGUAGE.get(known.code) or BY_SCRIPT.get(known.script, "")) if known else ""


@cache
def neighbouring_keys(language: str) -> Mapping[str, str]:
    """Character -> the characters on the neighbouring keys, in the same shift level and of the same class.

    Languages of the archipelago have no keyboard; every other letter of the language counts as a neighbour.
    """
    if language in GENERATED_LANGUAGES:
        return _other_letters(language)
    layout = find_layout(language)
    neighbours: dict[str, str] = {}
    # Every text may have words in other scripts: they use the default keyboard of their script.
    for name in dict.fromkeys([layout, *BY_SCRIPT.values()]):
        for character, others in (_layout_neighbours(name) if name else {}).items():
            neighbours.setdefault(character, others)
    return neighbours


def neighbour_key_typos(cluster: str, language: str) -> list[str]:
    """Variants of a cluster with one character replaced by a neighbouring key."""
    neighbours = neighbouring_keys(language)
    if len(cluster) == 1 and FIRST_SYLLABLE <= ord(cluster) <= LAST_SYLLABLE:
        return _hangul_neighbour_key_typos(cluster, neighbours)
    return [
        cluster[:position] + other + cluster[position + 1 :]
        for position, character in enumerate(cluster)
        for other in neighbours.get(character, "")
    ]


def _hangul_neighbour_key_typos(syllable: str, neighbours: Mapping[str, str]) -> list[str]:
    """Replace one jamo of the syllable; vowels and finals that take two keys stay."""
    number = ord(syllable) - FIRST_SYLLABLE
    parts = (number // 588, number % 588 // 28, number % 28)
    variants = []
    for position, letters in enumerate((INITIALS, VOWELS, FINALS)):
        for other in neighbours.get(letters[parts[position]], ""):
            if other in letters:  # ㄸ, ㅃ, ㅉ cannot be finals, and a vowel cannot replace a consonant
                initial, vowel, final = (
                    letters.index(other) if n == position else part for n, part in enumerate(parts)
                )
                variants.append(chr(FIRST_SYLLABLE + (initial * 21 + vowel) * 28 + final))
    return variants


@cache
def _layout_neighbours(layout: str) -> dict[str, str]:
    """Character -> the characters on the neighbouring keys of one layout."""
    levels = [side.split() for side in LAYOUTS[layout].split(" | ")]
    if len(levels) == 1:
        levels.append([_shifted(row) for row in levels[0]])
    neighbours: dict[str, str] = {}
    for rows in levels:
        keys = [(x + OFFSETS[y], y, key) for y, row in enumerate(rows) for x, key in enumerate(row) if key != "-"]
        for x, y, key in keys:
            beside = (
                other for x2, y2, other in keys
                if (abs(x - x2) == 1 if y == y2 else abs(y - y2) == 1 and abs(x - x2) < 1) and _character_class(other) == _character_class(key)
            )  # fmt: skip
            neighbours.setdefault(key, "".join(beside))
    return neighbours


def _shifted(row: str) -> str:
    return "".join(key.upper() if len(key.upper()) == 1 and key.upper() != key else "-" for key in row)


def _character_class(character: str) -> tuple[str, int]:
    """Class of characters that may replace each other: letters, vowel signs, and other marks by combining class. A
    replacement of another class would split the cluster or give one that the script does not have."""
    if unicodedata.category(character)[0] != "M":
        return "letter", 0
    vowel = "VOWEL SIGN" in unicodedata.name(character, "")
    return "vowel" if vowel else "mark", unicodedata.combining(character)


@cache
def _other_letters(code: str) -> dict[str, str]:
    language = GENERATED_LANGUAGES[code]
    alphabet = {letter for word in get_lexicon(code).values() for letter in spell(language, word.stem)}
    cases = sorted(alphabet), sorted({letter.upper() for letter in alphabet if letter.upper() != letter})
    return {letter: "".join(other for other in letters if other != letter) for letters in cases for letter in letters}
