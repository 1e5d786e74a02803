"""Tokens that stand for a language in translation: NLLB's 'swh_Latn', mBART's 'sw_KE', MADLAD's '<2sw>' for the target."""

from __future__ import annotations

from collections.abc import Iterable

from xlift.language_tags import folded_code
from xlift.tasks.catalog.flores import FLORES

TARGET_TAG = "<2{code}>"
"""MADLAD's token for the language to translate to, before the source."""


def find_language_token(code: str, tokens: Iterable[str]) -> str | None:
    """The token of a language among the tokens of a tokenizer; None if there is none."""
    language = folded_code(code)
    names = {code, code.replace("-", "_"), language}
    names |= {TARGET_TAG.format(code=name) for name in names} | {FLORES.get(language, code)}
    for token in tokens:
        if token in names or (len(token) == 5 and token[2] == "_" and token[:2] == language):
            return token
    return None
