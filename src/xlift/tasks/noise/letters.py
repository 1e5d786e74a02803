"""Noise on letters: lost diacritics, and changed case.

Only optional marks are lost: the accents and strokes of Latin and Greek letters (ø, đ, ł), the dots of ё, the vowel signs of
Arabic and Hebrew, the nukta of the scripts of India. й and ї are separate letters, and the vowel signs of Devanagari or Thai
are not optional, so they stay.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import regex

from xlift.language_tags import folded_code
from xlift.tasks.noise.editing import Rewrite

PLAIN = str.maketrans("øØđĐłŁħĦŧŦıɨƗəƏ", "oOdDlLhHtTiiIeE")
"""Latin letters whose stroke or missing dot Unicode does not decompose; schwa is the Azerbaijani letter for ä."""
YO = str.maketrans("ёЁ", "еЕ")
POINTS = regex.compile(r"[\u064B-\u0655\u0670\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7]")
"""Arabic vowel signs, shadda, sukun and dagger alif; Hebrew points and accents."""
NUKTA = regex.compile(r"[\u093C\u09BC\u0A3C\u0ABC\u0B3C\u0CBC]")
ACCENTED = regex.compile(r"[\p{Script=Latin}\p{Script=Greek}]")
CASED = regex.compile(r"[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}]")
WITH_DIACRITICS = ("Latn", "Grek", "Cyrl", "Arab", "Hebr", "Deva", "Beng", "Guru", "Gujr", "Orya", "Knda")
WITH_DOTTED_I = ("tr", "az", "crh")
"""Languages whose capital of ı is I, and of i it is İ."""
WITH_CASE = ("Latn", "Cyrl", "Grek", "Armn")


@lru_cache(maxsize=65536)
def strip_diacritics(cluster: str) -> str:
    """The cluster without its diacritics."""
    if ACCENTED.match(cluster):
        parts = unicodedata.normalize("NFD", cluster.translate(PLAIN))
        return unicodedata.normalize("NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn"))
    if cluster[0] in "ёЁ":
        return cluster.translate(YO)
    without_points = POINTS.sub("", cluster)
    decomposed = unicodedata.normalize("NFD", without_points)  # क़ may be one character; NFC decomposes it too
    without_nukta = NUKTA.sub("", decomposed)
    return without_nukta if without_nukta != decomposed else without_points


class DiacriticsNoise:
    """Remove all diacritics of a word."""

    def can_change(self, word: Sequence[str]) -> bool:
        return any(strip_diacritics(cluster) != cluster for cluster in word)

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        yield Rewrite(tuple(strip_diacritics(cluster) for cluster in word), "bare")


class CaseNoise:
    """Lowercase a word that has capitals, uppercase one that has none."""

    def __init__(self, language: str) -> None:
        self.has_dotted_i = folded_code(language) in WITH_DOTTED_I

    def can_change(self, word: Sequence[str]) -> bool:
        return self._change_case(word) != tuple(word)

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        slots = self._change_case(word)
        yield Rewrite(slots, "upper" if _has_capitals(slots) else "lower")

    def _change_case(self, word: Sequence[str]) -> tuple[str, ...]:
        change = self._lower if _has_capitals(word) else self._upper
        slots = [change(cluster) if CASED.match(cluster) else cluster for cluster in word]
        if change == self._lower and len(slots) > 1 and slots[-1] == "σ":
            slots[-1] = "ς"
        return tuple(slots)

    def _lower(self, cluster: str) -> str:
        return (cluster.translate({ord("I"): "ı", ord("İ"): "i"}) if self.has_dotted_i else cluster).lower()

    def _upper(self, cluster: str) -> str:
        return (cluster.translate({ord("i"): "İ", ord("ı"): "I"}) if self.has_dotted_i else cluster).upper()


def _has_capitals(word: Sequence[str]) -> bool:
    return any(c.isupper() or c.istitle() for cluster in word for c in cluster)
