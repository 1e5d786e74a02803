"""CCGbank's `.auto` files: words and their lexical categories (supertags) from the leaves of the derivations.

A sentence has two lines: `ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1`, then the tree, whose leaves are

    (<L category POS POS word category-with-dependencies>)

CCGbank is licensed by the LDC (LDC2005T13), so users provide their own copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from sys import intern

from xlift.errors import UserError
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.sources.base import read_lines, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row

_HEAD = re.compile(r"ID=(\S+) .*")
_LEAF = re.compile(r"\(<L (\S+) (\S+) (\S+) (\S+) (\S+)>\)")


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    for path in paths:
        name = ""
        number = 0
        for number, text in read_lines(path):
            line = text.strip(" \t\r\n")
            if not line:
                continue
            head = _HEAD.fullmatch(line)
            if head and not name:
                name = head[1]
            elif name and line.startswith("(<") and not head:
                yield Row(path, str(number), _sentence(path, number, name, line))
                name = ""
            else:
                raise _unexpected(path, number, line)
        if name:
            raise UserError(f"sentence '{truncate(name)}' has no derivation", where=f"{path}:{number}")


def _sentence(path: Path, number: int, name: str, line: str) -> TaggingExample:
    leaves = _LEAF.findall(line)
    if not leaves or len(leaves) != line.count("(<L") or line.count("(<") != line.count(")"):
        raise _unexpected(path, number, line)
    return TaggingExample(
        id=name, words=tuple(leaf[3] for leaf in leaves), tags=tuple(intern(leaf[0]) for leaf in leaves)
    )


def _unexpected(path: Path, number: int, line: str) -> UserError:
    return UserError(
        f"unexpected line in CCGbank: '{truncate(line, 60)}'",
        where=f"{path}:{number}",
        fix="Expected a file of CCGbank's data/AUTO: a line `ID=...`, then its derivation `(<T ...` on one line.",
    )


CCGBANK = Reader("ccgbank", 1, ("tagging",), read)
