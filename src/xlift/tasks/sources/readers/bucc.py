"""BUCC 2018: two files of `id<TAB>sentence` and the gold pairs among them, `id<TAB>id`.

Of XTREME's "dev" (BUCC's sample) and "test" (BUCC's training set, whose gold is public) each has three files: the
language, English, gold. As examples of mining, or of retrieval:

- a gold pair has both sides and the id `de-000000005 en-000000001`: both ids, a space between;
- every other sentence stands alone, the other side empty, under its own id. Those of the language come in file order with
  the pairs, those of English after them.

A sentence in two gold pairs is in two examples. Without the file of gold pairs all sentences stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks.formats.mining import MiningExample
from xlift.tasks.formats.retrieval import PairExample
from xlift.tasks.sources.base import clipped, lines
from xlift.tasks.sources.readers.base import Layout, Reader, Row


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    """The files in the order language, English, gold (which may be left out)."""
    if len(paths) not in (2, 3):
        raise UserError(f"{len(paths)} files where BUCC has three", where=str(paths[0]))
    english = {name: (number, text) for number, name, text in _sentences(paths[1])}
    partners = _gold(paths[2], english) if len(paths) == 3 else {}
    mining = layout.format == "mining"
    make = MiningExample if mining else PairExample
    found: set[str] = set()
    matched: set[str] = set()
    for number, name, text in _sentences(paths[0]):
        found.add(name)
        for partner in partners.get(name, ()):
            matched.add(partner)
            pair = f"{name} {partner}", text, english[partner][1]
            yield Row(paths[0], str(number), MiningExample(*pair, name, partner) if mining else PairExample(*pair))
        if name not in partners:
            yield Row(paths[0], str(number), make(name, text, ""))
    for name in partners:
        if name not in found:
            raise UserError(f"'{clipped(name)}' of a gold pair is not in {paths[0].name}", where=str(paths[2]))
    for name, (number, text) in english.items():
        if name not in matched:
            yield Row(paths[1], str(number), make(name, "", text))


def _sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, id, text) of each sentence."""
    seen: set[str] = set()
    for number, name, text in _two(path, "Expected the id of a sentence, a tab, the sentence."):
        if name in seen:
            raise UserError(f"the id '{clipped(name)}' stands twice", where=f"{path}:{number}")
        seen.add(name)
        yield number, name, text


def _gold(path: Path, english: dict[str, tuple[int, str]]) -> dict[str, list[str]]:
    """Id of the language -> ids of English."""
    partners: dict[str, list[str]] = {}
    for number, name, partner in _two(path, "Expected the ids of a pair, a tab between."):
        if partner not in english:
            raise UserError(f"no English sentence '{clipped(partner.strip())}'", where=f"{path}:{number}")
        if partner in partners.setdefault(name, []):
            raise UserError("the pair stands twice", where=f"{path}:{number}")
        partners[name].append(partner)
    return partners


def _two(path: Path, expected: str) -> Iterator[tuple[int, str, str]]:
    for number, line in lines(path):
        if not line.strip():
            continue
        left, tab, right = line.rstrip("\r\n").partition("\t")
        if not tab or not left.strip() or not right.strip() or " " in left.strip():
            raise UserError(f"'{clipped(line.strip(), 60)}' is no pair", where=f"{path}:{number}", fix=expected)
        yield number, left.strip(), right.strip(" ")


BUCC = Reader("bucc", 1, ("mining", "retrieval"), read)
