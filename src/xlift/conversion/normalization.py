"""SentencePiece's normalization of Unicode as steps of the library `tokenizers`.

A SentencePiece file has a table of replacements, and the longest one wins. The step `Precompiled` of `tokenizers` reads the same
table, but replaces a base letter and all its marks by the shortest one: "e" with a dot below and a circumflex becomes "ẹ", and a
Hebrew letter loses its points. Here these are cut apart before the table is used, and marks that belong together are composed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

SEPARATOR = "\ufdd0"
"""Stands between two characters for a moment. Unicode has no character of this number."""
LATIN_MARKS = range(0x300, 0x370)


def make_normalizer(spec: Any) -> Any:
    """The `tokenizers` normalizer of a SentencePiece file.

    Args:
        spec: its `normalizer_spec`, with a table of replacements.
    """
    import sentencepiece
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # pyright: ignore[reportAttributeAccessIssue]
    from tokenizers import Regex, normalizers

    table = ModelProto()
    table.normalizer_spec.precompiled_charsmap = spec.precompiled_charsmap
    replace = sentencepiece.SentencePieceNormalizer(
        model_proto=table.SerializeToString(), add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )  # fmt: skip
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    replaced = _character_class(char for char in characters if replace.normalize(char) != char)
    steps: list[Any] = [
        normalizers.Replace(Regex(_cuts(replaced)), SEPARATOR), normalizers.NFC(),
        normalizers.Precompiled(spec.precompiled_charsmap), normalizers.NFC(), normalizers.Replace(SEPARATOR, ""),
    ]  # fmt: skip
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence(steps)


def _cuts(replaced: str) -> str:
    """A regular expression for the places between characters that must not be composed or ordered anew: a replaced character and
    a mark; two marks, unless they are Latin and in Unicode's order (Vietnamese).

    Args:
        replaced: the characters that the table replaces alone, as ranges.
    """
    marks = [chr(code) for code in range(0x110000) if unicodedata.combining(chr(code))]
    others = _character_class(mark for mark in marks if ord(mark) not in LATIN_MARKS)

    def latin(lowest: int, highest: int) -> str:
        return _character_class(
            mark for mark in marks if ord(mark) in LATIN_MARKS and lowest <= unicodedata.combining(mark) <= highest
        )

    below = 220  # combining class of marks below; those attached to the letter (a horn) have 202 and 216
    places = [(replaced, r"\p{M}"), (others, others + latin(1, 255)), (latin(below + 1, 255), latin(1, below)),
              (latin(203, below), latin(1, 202))]  # fmt: skip
    return "|".join(f"(?<=[{left}])(?=[{right}])" for left, right in places)


def _character_class(characters: Iterable[str]) -> str:
    """Characters in ascending order as the ranges of a regular expression."""
    ranges: list[list[int]] = []
    for code in map(ord, characters):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in ranges)
