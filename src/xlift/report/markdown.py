"""Markdown helpers: escaping, tables and lists in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def escaped(text: object, *, starts_line: bool = True) -> str:
    """Escape a text for Markdown, also inside a table. Characters that only some readers let a backslash escape become entities.

    Args:
        starts_line: whether it may start a line, where `- x` and `1. x` would be lists.
    """
    plain = " ".join(str(text).split())
    marked = re.sub(r"[&<>|~$]", lambda match: f"&#{ord(match[0])};", plain)
    marked = re.sub(r"([\\`*_{}\[\]])", r"\\\1", marked)
    return marked if not starts_line else re.sub(r"^(\d*)(#+|[-+.)=]+)(?=\s|$)", r"\1\\\2", marked)


def code(text: object) -> str:
    return f"`{' '.join(str(text).split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, num_right: int = 0) -> str:
    """A table of finished cells.

    Args:
        num_right: number of columns on the right that are aligned to the right.
    """
    lines = [head, ["---"] * (len(head) - num_right) + ["---:"] * num_right, *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def listed(words: Iterable[object]) -> str:
    several = [escaped(word) for word in dict.fromkeys(words)]
    return " and ".join(filter(None, (", ".join(several[:-1]), *several[-1:])))
