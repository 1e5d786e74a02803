"""Texts on which tokenizers are compared: words of every script of the language table, and cases that normalization changes."""

from __future__ import annotations

import unicodedata
from functools import cache
from random import Random

SCRIPTS = (
    "LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU",
    "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "GEORGIAN", "ARMENIAN", "ETHIOPIC", "KHMER", "HANGUL",
    "HIRAGANA", "KATAKANA", "CJK UNIFIED", "THAANA", "SYRIAC", "OL CHIKI", "TIFINAGH", "CHEROKEE", "MONGOLIAN", "CANADIAN SYLLABICS",
)  # fmt: skip
SENTENCES_PER_SCRIPT = 5
EDGE_CASES = (
    "two  blanks", " blank before", "blank after ", "a\ttab", "a\nline", "non\u00a0breaking", "ideographic\u3000space",
    "caf\u00e9", "cafe\u0301", "\ufb01ne", "\u2460 \u00bd", "\uff21\uff22\uff43", "zero\u200bwidth", "join\u200der", "soft\u00adhyphen",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "3.14", "1,000,000", "2026-11-30", "don't",
    "https://example.org/?a=b", "name@example.org", "C++", "#tag", "\u00abquoted\u00bb", "\u201equoted\u201c", "\u3002\u3001", "...",
    "UPPER lower MiXed", "\u0130stanbul", "stra\u00dfe", "a_b", "\u202bright\u202c", "\ufeffmark",
)  # fmt: skip


@cache
def probe_texts() -> tuple[str, ...]:
    """Some 200 texts, the same in every process."""
    random = Random(0)
    texts: list[str] = []
    for script in SCRIPTS:
        letters = _letters(script)
        for _ in range(SENTENCES_PER_SCRIPT):
            words = ("".join(random.choices(letters, k=random.randint(1, 7))) for _ in range(random.randint(2, 6)))
            texts.append(" ".join(words) + random.choice(("", ".", " ?", "!")))
    return (*texts, *EDGE_CASES)


@cache
def _letters(script: str) -> tuple[str, ...]:
    """Letters and marks whose Unicode names begin with the script's, up to 400 of them."""
    named = (chr(code) for code in range(0x10000) if unicodedata.name(chr(code), "").startswith(script))
    return tuple(char for char in named if unicodedata.category(char)[0] in "LM")[:400]
