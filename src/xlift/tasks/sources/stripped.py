"""Test files as XTREME's scripts lay them out: without the labels, "to prevent accidental cheating".

`utils_preprocess.py` leaves out the column of labels (XNLI, PAWS-X) and the tags (udpos, panx), empties the answers (XQuAD,
MLQA, TyDiQA), sorts the English side of Tatoeba, so that no line belongs to its neighbour, and deletes BUCC's gold pairs.
A model scored on them gets chance, or nonsense. They are recognised by their content, since patched copies with labels
are about; empty answers and labels that are all the same are seen by `checking.py` wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from xlift.tasks.sources.base import lines
from xlift.tasks.sources.readers.base import Layout, Reader

LOOKED_AT = 200
"""Lines from which it is judged."""


def stripped(reader: Reader, paths: Sequence[Path], layout: Layout) -> str | None:
    """How it shows that the labels of these files were taken away, or None. Looks at the first lines."""
    if reader.name == "bucc":
        return "there is no file of gold pairs" if len(paths) < 3 else None
    look = _LOOKS.get(reader.name)
    return (
        None if look is None else look([text.rstrip("\r\n") for _, text in islice(lines(paths[-1]), LOOKED_AT)], layout)
    )


def _table(texts: list[str], layout: Layout) -> str | None:
    fewer = len(layout.header) - 1
    return f"there are {fewer} columns, no label" if all(t.count("\t") + 1 == fewer for t in texts) else None


def _tags(texts: list[str], layout: Layout) -> str | None:
    return "there are words but no tags" if all(len(t.split("\t")) < 2 for t in texts) else None


def _sorted(texts: list[str], layout: Layout) -> str | None:
    return "the English lines are sorted" if len(texts) > 2 and texts == sorted(texts) else None


_LOOKS: dict[str, Callable[[list[str], Layout], str | None]] = {
    "tsv": _table,
    "quoted-tsv": _table,
    "conll": _tags,
    "pairs": _sorted,
}
