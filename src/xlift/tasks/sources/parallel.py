"""Examples that exist in several languages under the same ids: subsets with the same examples in every language, and
comparison of translations with their English originals."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xlift.language_tags import folded_code
from xlift.tasks.formats.base import Format
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.sources.readers.base import Row

ENGLISH = "en"


def find_english(codes: Sequence[str]) -> str:
    """The language of the originals: of several codes the one of English, such as 'en-US'."""
    return next((code for code in codes if folded_code(code) == ENGLISH and ENGLISH not in codes), ENGLISH)


def select_by_id(ids: Iterable[str], size: int, *key: object) -> np.ndarray:
    """A (ids,) bool mask of the first `size` examples in an order that depends only on the key and each example's id.

    Languages with the same examples give the same subset, whatever the order of their files. If one lacks an example, the
    next in the order replaces it. A larger subset under the same key contains the smaller.
    """
    salt = hashlib.sha256(canonical_json(key).encode()).digest()[:16]
    hashes = np.fromiter((hash_name(name, salt) for name in ids), dtype=np.uint64)
    mask = np.zeros(len(hashes), dtype=bool)
    mask[np.argsort(hashes, kind="stable")[:size]] = True
    return mask


@dataclass(frozen=True)
class ExampleKeys:
    """Hashed ids and labels, by which examples of two languages are matched: 16 bytes per example."""

    ids: np.ndarray
    """(examples,) hashes."""
    labels: np.ndarray
    """(examples,) hashes; the hash of '' if the format has no fixed answers."""


def collect_keys(rows: Iterable[Row], format: Format) -> ExampleKeys:
    ids, labels = array("Q"), array("Q")
    for row in rows:
        ids.append(hash_name(row.example.id))
        labels.append(hash_name(str(format.gold(row.example)) if format.has_fixed_answers else ""))
    return ExampleKeys(np.array(ids, dtype=np.uint64), np.array(labels, dtype=np.uint64))


@dataclass(frozen=True)
class Comparison:
    untranslated: int
    """Number of English examples without a translation."""
    unmatched: int
    """Number of translations without an English example."""
    mismatches: int
    """Number of translations whose label differs from their English example's."""
    first_mismatch: int | None
    """Position of the first translation whose label differs from its English example's."""


def compare_with_english(translations: ExampleKeys, english: ExampleKeys) -> Comparison:
    """Match translations with their English examples by id."""
    _, ours, originals = np.intersect1d(translations.ids, english.ids, assume_unique=True, return_indices=True)
    mismatches = ours[translations.labels[ours] != english.labels[originals]]
    first_mismatch = int(mismatches.min()) if len(mismatches) else None
    untranslated, unmatched = len(english.ids) - len(ours), len(translations.ids) - len(ours)
    return Comparison(untranslated, unmatched, len(mismatches), first_mismatch)


def hash_name(name: str, salt: bytes = b"") -> int:
    """64 bits from a name, which may hold unpaired surrogates: rows are hashed before they are checked."""
    content = name.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=salt).digest(), "big")
