"""BUCC 2018: two files of `id<TAB>sentence` and the gold pairs among them, `id<TAB>id`.

XTREME's "dev" (BUCC's sample) and "test" (BUCC's training set, whose gold is public) have three files each: the language,
English, gold. They become examples of mining or retrieval:

- a gold pair has both sides and the id `de-000000005 en-000000001`: both ids separated by a space;
- every other sentence is an example with one empty side and its own id. Sentences of the language come in file order among
  the pairs, English ones after them.

A sentence in two gold pairs is in two examples. Without the file of gold pairs no sentences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xlift.errors import UserError
from xlift.tasks import formats
from xlift.tasks.formats.mining import MiningExample
from xlift.tasks.sources.base import read_lines, truncate
from xlift.tasks.sources.readers.base import Layout, Reader, Row
from xlift.units import count_noun


def read(paths: Sequence[Path], layout: Layout) -> Iterator[Row]:
    """Read the files in the order language, English, gold (optional)."""
    if len(paths) not in (2, 3):
        raise UserError(f"{count_noun(len(paths), 'file')} given, BUCC has three", where=str(paths[0]))
    english = {name: (number, text) for number, name, text in _sentences(paths[1])}
    partners = _gold(paths[2], english) if len(paths) == 3 else {}
    make = formats.get(layout.format).example_class
    seen: set[str] = set()
    matched: set[str] = set()
    for number, name, text in _sentences(paths[0]):
        seen.add(name)
        for partner in partners.get(name, ()):
            matched.add(partner)
            pair = f"{name} {partner}", text, english[partner][1]
            ids = (name, partner) if make is MiningExample else ()
            yield Row(paths[0], str(number), make(*pair, *ids))
        if name not in partners:
            yield Row(paths[0], str(number), make(name, text, ""))
    for name in partners:
        if name not in seen:
            raise UserError(f"'{truncate(name)}' of a gold pair is not in {paths[0].name}", where=str(paths[2]))
    for name, (number, text) in english.items():
        if name not in matched:
            yield Row(paths[1], str(number), make(name, "", text))


def _sentences(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, id, text) of each sentence."""
    seen: set[str] = set()
    for number, name, text in _read_pairs(path, "Expected the id of a sentence, a tab, the sentence."):
        if name in seen:
            raise UserError(f"duplicate id '{truncate(name)}'", where=f"{path}:{number}")
        seen.add(name)
        yield number, name, text


def _gold(path: Path, english: dict[str, tuple[int, str]]) -> dict[str, list[str]]:
    """Id of a sentence -> ids of its English partners."""
    partners: dict[str, list[str]] = {}
    for number, name, partner in _read_pairs(path, "Expected the two ids of a pair, separated by a tab."):
        if partner not in english:
            raise UserError(f"no English sentence '{truncate(partner.strip())}'", where=f"{path}:{number}")
        if partner in partners.setdefault(name, []):
            raise UserError("duplicate pair", where=f"{path}:{number}")
        partners[name].append(partner)
    return partners


def _read_pairs(path: Path, expected: str) -> Iterator[tuple[int, str, str]]:
    """(line, left side, right side) of each line that is not blank."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        left, tab, right = line.rstrip("\r\n").partition("\t")
        if not tab or not left.strip() or not right.strip() or " " in left.strip():
            raise UserError(
                f"'{truncate(line.strip(), 60)}' is not an id, a tab and a value",
                where=f"{path}:{number}",
                fix=expected,
            )
        yield number, left.strip(), right.strip(" ")


BUCC = Reader("bucc", 1, ("mining", "retrieval"), read)
