"""Neighbouring keys: known pairs, and the layouts compared with the keyboards of the system."""

from __future__ import annotations

import ctypes
import ctypes.util
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon, spell
from xlift.languages import LANGUAGES
from xlift.tasks.noise.keyboards import BY_LANGUAGE, BY_SCRIPT, LAYOUTS, neighbour_key_typos, neighbouring_keys


@pytest.mark.parametrize(
    ("language", "key", "beside"),
    [
        ("en", "g", "tyfhvb"), ("en", "q", "wa"), ("en", "G", "TYFHVB"), ("fr", "a", "ézq"), ("de", "z", "tugh"), ("ru", "п", "енарми"),
        ("es", "ñ", "pl"), ("tr", "ı", "uojk"), ("el", "σ", "ςεαδζχ"), ("he", "ש", "דז"), ("ar", "ل", "فغبار"), ("fa", "پ", "تندو"),
        ("hi", "क", "गदरतस"), ("th", "ก", "ำพหดปแ"), ("ko", "ㅎ", "ㅅㅛㄹㅗㅍㅠ"),
        # characters that are not on the keyboard of the language use the default one of their script
        ("sw", "g", "tyfhvb"), ("ru", "g", "tyfhvb"), ("a-language-of-the-user", "п", "енарми"),
    ],
)  # fmt: skip
def test_known_neighbours(language, key, beside):
    """Expected keys are from pictures of the keyboards."""
    assert set(neighbouring_keys(language)[key]) == set(beside)


@pytest.mark.parametrize(
    ("language", "cluster", "expected"),
    [
        ("ko", "바", {"자", "마", "버", "비", "브"}),
        ("hi", "कि", {"गि", "दि", "रि", "ति", "सि", "की", "कु", "कू"}),
        ("en", "é", set()),  # a dead key and a letter, so no single key
        ("zh", "我", set()),
        ("ja", "か", set()),
    ],
)
def test_typos_give_whole_clusters(language, cluster, expected):
    assert expected <= set(neighbour_key_typos(cluster, language))
    assert bool(expected) == bool(neighbour_key_typos(cluster, language))


@given(st.integers(0xAC00, 0xD7A3))
def test_a_korean_typo_changes_one_jamo_of_one_syllable(code):
    parts = unicodedata.normalize("NFD", chr(code))
    for other in neighbour_key_typos(chr(code), "ko"):
        changed = unicodedata.normalize("NFD", other)
        assert len(other) == 1
        assert len(changed) == len(parts)
        assert sum(a != b for a, b in zip(changed, parts, strict=True)) == 1


def test_every_layout_is_used_and_every_language_is_in_the_table():
    codes = {language.code for language in LANGUAGES}
    assert set(BY_LANGUAGE) <= codes
    assert {*BY_LANGUAGE.values(), *BY_SCRIPT.values()} == set(LAYOUTS)


@pytest.mark.parametrize("code", GENERATED_LANGUAGES)
def test_generated_languages_use_their_own_letters(code):
    letters = {letter for word in get_lexicon(code).values() for letter in spell(GENERATED_LANGUAGES[code], word.stem)}
    neighbours = neighbouring_keys(code)
    assert {key for key in neighbours if not key.isupper()} == letters
    for letter in letters:
        assert set(neighbours[letter]) == letters - {letter}


# --- the system's own keyboards ----------------------------------------------------------------------------------------

ROWS = (range(10, 22), range(24, 36), (*range(38, 49), 51), range(52, 62))
"""evdev key codes of the four rows."""
VARIANTS = {layout: (layout, "") for layout in LAYOUTS if "-" not in layout and layout != "dubeolsik"} | {
    f"in-{script}": ("in", script) for script in ("deva", "ben", "guj", "guru", "kan", "mal", "ori", "tam", "tel")
}


class _Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


def keyboard(layout: str, variant: str) -> list[str] | None:
    """The characters of the four rows, without and with shift; None if the system has no such keyboard."""
    name = ctypes.util.find_library("xkbcommon") or "libxkbcommon.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    library.xkb_context_new.restype = library.xkb_keymap_new_from_names.restype = ctypes.c_void_p
    library.xkb_keymap_new_from_names.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Names), ctypes.c_int]
    symbols = ctypes.POINTER(ctypes.c_uint32)
    library.xkb_keymap_key_get_syms_by_level.argtypes = [
        ctypes.c_void_p,
        *[ctypes.c_uint32] * 3,
        ctypes.POINTER(symbols),
    ]
    library.xkb_keysym_to_utf32.restype = ctypes.c_uint32
    names = _Names(b"evdev", b"pc105", layout.encode(), variant.encode(), None)
    keymap = library.xkb_keymap_new_from_names(library.xkb_context_new(0), ctypes.byref(names), 0)
    if not keymap:
        return None
    rows = []
    for level in (0, 1):
        for keys in ROWS:
            row = ""
            for key in keys:
                found = symbols()
                count = library.xkb_keymap_key_get_syms_by_level(keymap, key, 0, level, ctypes.byref(found))
                row += chr(library.xkb_keysym_to_utf32(found[0]) if count == 1 else 0)
            rows.append(row)
    return rows


@pytest.mark.parametrize("layout", VARIANTS)
def test_layouts_equal_those_of_the_system(layout):
    rows = keyboard(*VARIANTS[layout])
    if rows is None:
        pytest.skip("libxkbcommon or its keyboards are not installed")
    ours = [row for side in LAYOUTS[layout].split(" | ") for row in side.split()]
    for row, system_row in zip(ours, rows):
        for position, key in enumerate(row):
            assert key in ("-", system_row[position])
    system_letters = {
        key for row in rows[:4] for key in row if unicodedata.category(key)[0] == "L" and not key.isascii()
    }
    missing = {key for key in system_letters - set("".join(ours)) if unicodedata.category(key) != "Lm"}
    assert all("LIGATURE" in unicodedata.name(key) or key in "ºª" for key in missing)  # two letters on one key
