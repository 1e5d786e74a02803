"""Examples that are the same in several languages, known by their ids: the draw of a subset, and the comparison with the
English examples that they were translated from."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xlift.tasks.sources.base import canonical_json
from xlift.tasks.sources.readers.base import Row

ENGLISH = "en"


def drawn(ids: Iterable[str], size: int, *key: object) -> np.ndarray:
    """(ids,) bool: `size` of the examples, by an order in which the place of an example depends on the key and its id alone.

    So languages that have the same examples give the same subset, whatever the order of their files; where one lacks an
    example, the next in the order takes its place. A larger size under the same key holds the smaller.
    """
    salt = hashlib.sha256(canonical_json(key).encode()).digest()[:16]
    places = np.fromiter((_hash(name, salt) for name in ids), dtype=np.uint64)
    mask = np.zeros(len(places), dtype=bool)
    mask[np.argsort(places, kind="stable")[:size]] = True
    return mask


@dataclass(frozen=True)
class Column:
    """What joins the examples of a language to those of another: 16 bytes each."""

    ids: np.ndarray
    """(examples,) hashes."""
    labels: np.ndarray
    """(examples,) hashes; that of nothing where the format has no label."""


def column(rows: Iterable[Row]) -> Column:
    ids, labels = array("Q"), array("Q")
    for row in rows:
        ids.append(_hash(row.example.id))
        labels.append(_hash(str(getattr(row.example, "label", ""))))
    return Column(np.array(ids, dtype=np.uint64), np.array(labels, dtype=np.uint64))


@dataclass(frozen=True)
class Comparison:
    untranslated: int
    """English examples that have no translation here."""
    unjoined: int
    """Translations whose English example is not there."""
    wrong: int | None
    """Position of the first translation with another label than its English example."""


def compare(here: Column, english: Column) -> Comparison:
    """Join translations to their English examples by id."""
    _, mine, theirs = np.intersect1d(here.ids, english.ids, assume_unique=True, return_indices=True)
    wrong = mine[here.labels[mine] != english.labels[theirs]]
    return Comparison(len(english.ids) - len(mine), len(here.ids) - len(mine), int(wrong.min()) if len(wrong) else None)


def _hash(name: str, salt: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=salt).digest(), "big")
