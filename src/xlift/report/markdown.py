"""Markdown helpers: escaping, tables and lists in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def escaped(text: object) -> str:
    """Escape a text for Markdown, also inside a table."""
    plain = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", plain)


def code(text: object) -> str:
    return f"`{' '.join(str(text).split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def listed(words: Iterable[object]) -> str:
    several = [escaped(word) for word in dict.fromkeys(words)]
    return " and ".join(filter(None, (", ".join(several[:-1]), *several[-1:])))


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
