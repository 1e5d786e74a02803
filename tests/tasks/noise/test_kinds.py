"""The rules of each kind of noise, with expected outputs from the standards."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.noise.texts import SENTENCES, any_text

from xlift.errors import UserError
from xlift.recipes import Noise
from xlift.tasks import catalog
from xlift.tasks.noise import add_noise_to_text, check_noise, segmentation
from xlift.tasks.noise.scripts import GAJ, ISO9, ScriptNoise


def apply(text: str, kind: str, language: str, level: float = 1.0, **more) -> str:
    return add_noise_to_text(
        text, Noise.model_validate({"kind": kind, "level": level, **more}), language, "id"
    ).changed.text


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Don't go, well-known 1,5 o’clock 'quoted' B2B",
            ["Don't", "go", "well", "known", "o’clock", "quoted", "B", "B"],
        ),
        ("我在2008年奥运会NBA", ["我在", "年奥", "运会", "NBA"]),
        ("カードと日本語です。", ["カード", "と", "日本", "語", "です"]),
        ("ที่นี่ประเทศ", ["ที่นี่ป", "ระเ", "ทศ"]),
        ("क्षत्रिय में।", ["क्षत्रिय", "में"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("👩‍👩‍👧 🇩🇪 7", []),
        ("", []),
    ],
)
def test_words(text, expected):
    segmented = segmentation.segment(text)
    assert ["".join(segmented.word(number)) for number in range(len(segmented.words))] == expected


def test_a_boundary_ends_a_word_and_excludes_a_cluster_that_it_splits():
    assert [*map("".join, map(segmentation.segment("unbelievable", [2]).word, (0, 1)))] == ["un", "believable"]
    segmented = segmentation.segment("cafe\u0301s", [4])  # between e and its accent
    assert ["".join(segmented.word(number)) for number in range(len(segmented.words))] == ["caf", "s"]


# --- diacritics and case ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "Où êtes-vous allés, garçon ?", "Ou etes-vous alles, garcon ?"),
        ("vi", "Tiếng Việt đẹp", "Tieng Viet dep"),
        ("tr", "ışık ağaç İzmir", "isik agac Izmir"),
        ("pl", "Zażółć gęślą jaźń", "Zazolc gesla jazn"),
        ("el", "Ο Γιώργος ΐ", "Ο Γιωργος ι"),
        ("ru", "Ёж и ещё йод", "Еж и еще йод"),  # й is a letter, not и with an optional mark
        ("uk", "їжак", "їжак"),
        ("ar", "مُحَمَّدٌ", "محمد"),
        ("he", "שָׁלוֹם", "שלום"),
        ("hi", "लड़का ज़मीन में", "लडका जमीन में"),
        ("th", "ที่นี่", "ที่นี่"),
        ("de", "Straße", "Straße"),
    ],
)
def test_diacritics_are_removed(language, text, expected):
    assert apply(text, "diacritics", language) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "In London it RAINS", "in london IT rains"),
        ("de", "die Straße", "DIE straße"),
        ("de", "großes", "GROSSES"),
        ("tr", "İstanbul ışık ilk", "istanbul IŞIK İLK"),
        ("en", "ilk", "ILK"),
        ("el", "ΟΔΟΣ Σ", "οδος σ"),  # a final sigma at the end of a word, not alone
        ("ru", "Москва река", "москва РЕКА"),
        ("hy", "Երևան", "երևան"),
        ("ka", "საქართველო", "საქართველო"),
    ],
)
def test_case_is_changed(language, text, expected):
    assert apply(text, "case", language) == expected


@given(any_text)
def test_removing_diacritics_is_idempotent(text):
    once = apply(text, "diacritics", "en")
    assert apply(once, "diacritics", "en") == once


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzàéîõüçñšžőăàạ", min_size=1))
def test_latin_without_diacritics_is_ascii(text):
    assert apply(text, "diacritics", "fr").isascii()


# --- script -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("ru", "Щукин, юный мальчик: ЁЖ", "Ŝukin, ûnyj malʹčik: ËŽ"),  # ISO 9:1995
        ("uk", "Київ, ґанок", "Kiïv, g̀anok"),
        ("sr", "Љубљана, Џеп, ЊЕГОШ, ђак", "Ljubljana, Džep, NJEGOŠ, đak"),
        ("bs", "Ljubav, njega, džep, đak", "Љубав, њега, џеп, ђак"),
        ("el", "Αθήνα, ψυχή, ουρανός, Θεός", "Athī́na, psychī́, ouranós, Theós"),  # ISO 843
        ("ka", "თბილისი, ჭიქა", "tbilisi, chʼika"),
        ("hi", "क्षत्रिय हिन्दी दिल्ली संस्कृत", "kṣatriya hindī dillī saṁskr̥ta"),  # ISO 15919
        ("hi", "लड़का ज़मीन औरत", "laṛakā zamīna aurata"),
    ],
)
def test_transliteration(language, text, expected):
    assert apply(text, "script", language) == unicodedata.normalize("NFC", expected)


@given(st.text(alphabet="абвгдђежзијклљмнњопрстћуфхцчџш", min_size=1, max_size=12))
def test_serbian_round_trip_without_accidental_digraphs(word):
    latin = ScriptNoise("sr").transliterate(word)
    if not any(pair in word for pair in ("лј", "нј", "дж")):
        assert ScriptNoise("bs").transliterate(latin) == word


@given(st.text(alphabet=[letter for letter in ISO9 if len(letter) == 1], min_size=1, max_size=12))
def test_iso_9_is_one_to_one(word):
    """The standard maps each letter to one letter."""
    back = {unicodedata.normalize("NFC", latin): letter for letter, latin in ISO9.items()}
    assert len(back) == len(ISO9)
    latin = unicodedata.normalize("NFC", ScriptNoise("ru").transliterate(word))
    parts, position = [], 0
    while position < len(latin):
        length = next(n for n in (2, 1) if latin[position : position + n] in back)
        parts.append(back[latin[position : position + length]])
        position += length
    assert "".join(parts) == word


def test_the_alphabet_of_gaj_has_thirty_letters():
    serbian = [letter for letter in GAJ if letter not in "ѓќѕ"]
    assert len(serbian) == len({GAJ[letter] for letter in serbian}) == 30


@pytest.mark.parametrize("code", ["qta", "qtm", "qto", "qtu", "qka", "qkd", "qks", "qea", "qeo", "qen"])
def test_generated_languages_are_transliterated(code):
    from xlift.archipelago.examples import make_example
    from xlift.archipelago.languages import GENERATED_LANGUAGES

    text = make_example("nli", code, "test", 0, 1)["text_a"]
    transliterated = apply(text, "script", code)
    name = "CYRILLIC" if GENERATED_LANGUAGES[code].script == "Latn" else "LATIN"
    assert all(name in unicodedata.name(c) for c in transliterated if c.isalpha())
    assert len(transliterated.split()) == len(text.split())


def test_letters_of_other_scripts_stay():
    assert apply("Москвa2 x", "script", "ru") == "Moskva2 x"  # a Latin a among the others


# --- unavailable noise ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "task", "language", "message"),
    [
        ({"kind": "case"}, "xnli", "zh", "has no capital letters"),
        ({"kind": "case"}, "xnli", "hi", "has no capital letters"),
        ({"kind": "case"}, "isle-nli", "qeo", "has no capital letters"),
        ({"kind": "diacritics"}, "xnli", "th", "no diacritics"),
        ({"kind": "diacritics"}, "isle-nli", "qta", "no diacritics"),
        ({"kind": "script"}, "xnli", "en", "no published transliteration table"),
        ({"kind": "script"}, "xnli", "zh", "no published transliteration table"),
        ({"kind": "code-switch"}, "xnli", "de", "needs a dictionary"),
        ({"kind": "natural"}, "xnli", "de", "needs a dictionary"),
        ({"kind": "natural"}, "isle-nli", "qta", "needs a dictionary"),
        ({"kind": "code-switch", "words": "x.txt"}, "xnli", "zh", "not separated by spaces"),
        ({"kind": "code-switch", "into": "qta"}, "xnli", "de", "`into` is only for"),
        ({"kind": "code-switch", "into": "de"}, "isle-nli", "qta", "cannot be translated"),
        ({"kind": "code-switch", "into": "qta"}, "isle-nli", "qta", "cannot be translated"),
        ({"kind": "typos", "words": "x.txt"}, "xnli", "de", "takes no `words`"),
        ({"kind": "paraphrase"}, "xnli", "en", "not generated from meanings"),
        ({"kind": "paraphrase"}, "isle-text", "qta", "none of its sentences has a paraphrase"),
    ],
)
def test_unavailable_noise_is_refused_with_the_reason(noise, task, language, message):
    with pytest.raises(UserError, match=message) as caught:
        check_noise(Noise.model_validate(noise), catalog.get(task), language)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("kind", "task", "language"),
    [
        ("typos", "xnli", "zh"), ("typos", "isle-pos", "qen"), ("case", "xnli", "el"), ("diacritics", "xnli", "ar"),
        ("diacritics", "isle-nli", "qks"), ("script", "xnli", "bg"), ("script", "isle-qa", "qta"), ("code-switch", "isle-nli", "qka"),
        ("paraphrase", "isle-qa", "qka"), ("typos", "xnli", "a-language-of-the-user"),
    ],
)  # fmt: skip
def test_available_noise_passes(kind, task, language):
    check_noise(Noise.model_validate({"kind": kind}), catalog.get(task), language)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("kind", ["case", "diacritics", "script"])
def test_refused_noise_would_change_nothing(language, kind):
    try:
        check_noise(Noise(kind=kind), catalog.get("xnli"), language)
    except UserError:
        assert apply(SENTENCES[language], kind, language) == SENTENCES[language]
    else:
        assert apply(SENTENCES[language], kind, language) != SENTENCES[language]
