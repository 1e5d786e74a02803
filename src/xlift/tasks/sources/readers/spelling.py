"""Values that files write in several ways: whole numbers and truth values, which programs write as 1 or 1.0, true or TRUE."""

from __future__ import annotations

import re
from collections.abc import Collection

_WHOLE_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,14})\.0+", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def usual_spelling(text: str) -> str:
    """'1' of '1.0', 'true' of 'TRUE'; any other text is unchanged."""
    if _WHOLE_FLOAT.fullmatch(text):
        return str(int(text.partition(".")[0]))
    return text.lower() if text.lower() in ("true", "false") else text


def unique_by_value(texts: Collection[str]) -> dict[str, str]:
    """Usual spelling -> the text that means it. Values that several texts mean are left out."""
    found: dict[str, str] = {}
    several: set[str] = set()
    for text in texts:
        value = usual_spelling(text)
        if found.setdefault(value, text) != text:
            several.add(value)
    return {value: text for value, text in found.items() if value not in several}


def sort_labels(labels: Collection[str]) -> tuple[str, ...]:
    """Labels in order, one for each value ('1' of '1' and '1.0'): numbers by value, others by code point."""
    by_value: dict[str, str] = {}
    for label in sorted(labels, key=lambda label: (len(label), label.swapcase())):
        by_value.setdefault(usual_spelling(label), label)
    unique = by_value.values()
    if all(map(_NUMBER.fullmatch, unique)):
        return tuple(sorted(unique, key=lambda label: (float(label), label)))
    return tuple(sorted(unique))
