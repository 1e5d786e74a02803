"""Codes of languages as people write them, and the language of the table that each one means.

Files and studies have 'pt-BR', 'zh_TW', 'ZH-cn', 'cmn', 'sr-Latn', 'en-x-simple'. `find_language` is the one look-up for
everything that knows something about languages: metrics, noise, templates, language tokens, names. It folds a code to
the language of the table: regions, variants and extensions are left out, a script stays if it is not the usual one of
the language ('sr-Latn'), and some regions mean another script ('zh-TW' is 'zh-Hant'; CLDR's likely subtags).

A study keeps its codes as names of languages (`study_code`), so 'pt-BR' and 'pt-PT' are two languages of one task, and
both have the rules of 'pt'. `same_tag` and `match_code` compare codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import regex

from xlift import languages
from xlift.languages import Language

_FORM = re.compile(r"[A-Za-z]{2,3}([-_]([0-9A-Za-z][-_])?[0-9A-Za-z]{2,8})*")
_USUAL_FORM = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")

OTHER_CODES: dict[str, str] = {
    # codes of ISO 639-2/B, codes that ISO 639 withdrew, and the macrolanguage that CLDR reads as Bokmål
    "alb": "sq", "arm": "hy", "baq": "eu", "bur": "my", "chi": "zh", "cze": "cs", "dut": "nl", "fre": "fr", "geo": "ka",
    "ger": "de", "gre": "el", "ice": "is", "ji": "yi", "mac": "mk", "mao": "mi", "may": "ms", "mo": "ro", "mol": "ro",
    "no": "nb", "nor": "nb", "per": "fa", "rum": "ro", "scc": "sr", "scr": "hr", "slo": "sk", "tib": "bo", "wel": "cy",
}  # fmt: skip
"""Codes that mean a language of the table, beside `languages.ALIASES`. They stay names of languages in studies."""

EXTENDED = {
    "ar": "acm acq aeb ajp apc arb ars ary arz", "lv": "ltg lvs", "ms": "bjn min zsm", "sw": "swh", "zh": "cmn yue",
}  # fmt: skip
"""Macrolanguage -> its members in the table that may follow it ('zh-yue' is 'yue')."""

REGIONAL_SCRIPTS = {
    "zh-HK": "Hant", "zh-MO": "Hant", "zh-TW": "Hant", "az-IR": "Arab", "ha-CM": "Arab", "ha-SD": "Arab", "kk-CN": "Arab",
    "ky-CN": "Arab", "mn-CN": "Mong", "pa-PK": "Arab", "sr-ME": "Latn", "tg-PK": "Arab",
    "ug-KZ": "Cyrl", "uz-AF": "Arab",
}  # fmt: skip
"""Language and region -> the script of a code that names none."""

_SCRIPTS = {
    "Aran": "Arab",
    "Hang": "Kore",
    "Hira": "Jpan",
    "Hrkt": "Jpan",
    "Kana": "Jpan",
    "Latf": "Latn",
    "Latg": "Latn",
}
"""Script -> the script of the table that it is a part or a style of."""
_SCRIPT_NAMES = {"Arab": "Arabic", "Cyrl": "Cyrillic", "Deva": "Devanagari", "Latn": "Latin", "Mong": "Mongolian"}


class _Tag(NamedTuple):
    primary: str
    script: str
    region: str
    rest: tuple[str, ...]
    """Variants and extensions."""


def _parse(code: str) -> _Tag | None:
    """The subtags of a code in BCP-47's order, in its letter case; None if it has not the form of a code."""
    code = code.strip()
    if not _FORM.fullmatch(code):
        return None
    first, *subtags = re.split("[-_]", code.lower())
    primary = languages.ALIASES.get(first, first)
    if subtags and subtags[0] in EXTENDED.get(primary, "").split():
        primary = languages.ALIASES.get(subtags[0], subtags[0])
        subtags = subtags[1:]
    script = region = ""
    rest: list[str] = []
    for subtag in subtags:
        if not (script or region or rest) and re.fullmatch("[a-z]{4}", subtag):
            script = subtag.title()
        elif not (region or rest) and re.fullmatch("[a-z]{2}|[0-9]{3}", subtag):
            region = subtag.upper()
        else:
            rest.append(subtag)
    return _Tag(primary, script, region, tuple(rest))


def study_code(code: str) -> str | None:
    """The name in studies of the language with this code: the code of the table ('zho_Hans' is 'zh'), else the code as it
    is written, in BCP-47's spelling ('zh_cn' is 'zh-CN'). None if it has not the form of a code."""
    known, tag = languages.canonical(code), _parse(code)
    if known or tag is None or _USUAL_FORM.fullmatch(code):
        return known or (code if tag else None)
    return "-".join(filter(None, (*tag[:3], *tag.rest)))


@lru_cache(maxsize=4096)
def find_language(code: str) -> Language | None:
    """The language of the table that a code means; None if the table has none.

    Its `code` and `script` are those of the table, except in another script than the table has: for 'sr-Latn' they are
    'sr-Latn' and 'Latn'.
    """
    exact = languages.canonical(code)
    if exact is not None:
        return languages.get(exact)
    tag = _parse(code)
    if tag is None:
        return None
    primary = languages.canonical(OTHER_CODES.get(tag.primary, tag.primary))
    if primary is None:
        return None
    script = tag.script if _is_script(tag.script) else ""
    script = script or REGIONAL_SCRIPTS.get(f"{primary}-{tag.region}", "")
    script = _SCRIPTS.get(script, script)
    language = languages.get(languages.canonical(f"{primary}-{script}") or primary)
    if script in ("", language.script):
        return language
    name = f"{language.name}, {_SCRIPT_NAMES.get(script, script)} script"
    return replace(language, code=f"{primary}-{script}", name=name, script=script)


def _is_script(script: str) -> bool:
    """Whether a script is in Unicode or, as several together ('Jpan'), in the table."""
    if any(script == language.script for language in languages.LANGUAGES):
        return True
    try:
        return bool(script) and regex.compile(rf"\p{{Script={script}}}") is not None
    except regex.error:
        return False


def folded_code(code: str) -> str:
    """The code of the language that a code means; the code itself if the table has none."""
    language = find_language(code)
    return language.code if language else code


def has_language(codes: Iterable[str], code: str) -> bool:
    """Whether one of some codes means the language of a code: 'pt-BR' is in 'pt'."""
    return folded_code(code) in map(folded_code, codes)


def _identity(code: str) -> tuple[object, ...]:
    """Equal for two spellings of one code: 'zh-CN', 'zh_cn', 'cmn-Hans-CN'."""
    tag, language = _parse(code), find_language(code)
    if tag is None:
        return (code,)
    return (language.code if language else f"{tag.primary}-{tag.script}", tag.region, tag.rest)


def same_tag(one: str, other: str) -> bool:
    """Whether two codes are spellings of one: the same language, script, region and variants."""
    return one == other or _identity(one) == _identity(other)


def match_code(code: str, available: Sequence[str]) -> list[str]:
    """Which of the available codes a code means: itself, else its other spellings, else those that differ from it by a
    region or variant that only one of the two has ('zh' and 'zh-CN', but not 'pt-BR' and 'pt-PT')."""
    if code in available:
        return [code]
    if spellings := [other for other in available if same_tag(code, other)]:
        return spellings
    language, *details = _identity(code)
    identities = {other: _identity(other) for other in available}
    return [
        other for other, (other_language, *others) in identities.items()
        if other_language == language and (not any(details) or not any(others)) and find_language(other)
    ]  # fmt: skip
