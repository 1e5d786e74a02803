"""Detect test files whose labels XTREME's scripts removed "to prevent accidental cheating".

`utils_preprocess.py` drops the label column (XNLI, PAWS-X) and the tags (udpos, panx), empties the answers (XQuAD, MLQA,
TyDiQA), sorts the English side of Tatoeba, so that lines no longer match, and deletes BUCC's gold pairs. A model scored on
such files gets chance level or worse. They are detected by their content, since patched copies with labels exist. Empty
answers, and labels that are all the same, are detected by `checking.py` in every layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from xlift.tasks.sources.base import read_lines
from xlift.tasks.sources.readers.base import Layout, Reader

NUM_LINES_READ = 200
"""Number of lines that are examined."""


def find_removed_labels(reader: Reader, paths: Sequence[Path], layout: Layout) -> str | None:
    """The evidence, in the first lines, that the labels of these files were removed; None if there is none."""
    if reader.name == "bucc":
        return "there is no file of gold pairs" if len(paths) < 3 else None
    check = _CHECKS.get(reader.name)
    if check is None:
        return None
    return check([text.rstrip("\r\n") for _, text in islice(read_lines(paths[-1]), NUM_LINES_READ)], layout)


def _check_table(texts: list[str], layout: Layout) -> str | None:
    fewer = len(layout.header) - 1
    return f"there are {fewer} columns and no label" if all(t.count("\t") + 1 == fewer for t in texts) else None


def _check_tags(texts: list[str], layout: Layout) -> str | None:
    return "there are words but no tags" if all(len(t.split("\t")) < 2 for t in texts) else None


def _check_sorted(texts: list[str], layout: Layout) -> str | None:
    return "the English lines are sorted" if len(texts) > 2 and texts == sorted(texts) else None


_CHECKS: dict[str, Callable[[list[str], Layout], str | None]] = {
    "tsv": _check_table,
    "quoted-tsv": _check_table,
    "conll": _check_tags,
    "pairs": _check_sorted,
}
