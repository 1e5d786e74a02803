"""Examples that are the same in several languages, known by their ids: the draw of a subset, and the comparison with the
English examples that they were translated from."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from xlift.errors import UserError
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
class Comparison:
    examples: int
    untranslated: int
    """English examples that have no translation here."""
    unjoined: int
    """Translations whose English example is not there."""


def compare(read: Callable[[], Iterator[Row]], english: Callable[[], Iterator[Row]]) -> Comparison:
    """Join translations to their English examples by id. Memory: 17 bytes an example of both.

    Raises:
        UserError: the label of a translation is another than that of its English example, with the row's place.
    """
    numbers: dict[str, int] = {}
    here, here_labels = _columns(read(), numbers)
    there, there_labels = _columns(english(), numbers)
    order = np.argsort(there)
    places = np.minimum(np.searchsorted(there, here, sorter=order), max(len(there) - 1, 0))
    joined = there[order][places] == here if len(there) else np.zeros(len(here), dtype=bool)
    wrong = np.flatnonzero(joined & (there_labels[order][places] != here_labels)) if len(there) else np.empty(0)
    if len(wrong):
        row = next(islice(read(), int(wrong[0]), None))
        said = list(numbers)[there_labels[order][places][wrong[0]]]
        raise UserError(
            f"the label is '{row.example.label}', and that of its English example '{said}'", where=row.where,
            fix="The files do not fit together: take both from one place and one version.",
        )  # fmt: skip
    return Comparison(len(here), len(there) - int(joined.sum()), int((~joined).sum()))


def _columns(rows: Iterable[Row], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) hashes of the ids, and numbers of the labels ('' where the format has none)."""
    hashes, labels = array("Q"), array("Q")
    for row in rows:
        hashes.append(_hash(row.example.id))
        labels.append(numbers.setdefault(str(getattr(row.example, "label", "")), len(numbers)))
    return np.array(hashes, dtype=np.uint64), np.array(labels, dtype=np.int64)


def _hash(name: str, salt: bytes = b"") -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=salt).digest(), "big")
