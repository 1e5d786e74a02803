"""Division of the documents of a file among splits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from xlift.tasks.sources.readers.base import Row


@dataclass(frozen=True)
class DocumentShare:
    """A share of a file's documents, so that one file can serve training and test without a shared article.

    By 'position': the documents from `start` to `end` (as shares of their number) in file order. By 'hash': those whose
    hashed name falls into that interval, in any order. Both give the same documents in every translation.
    """

    start: float = 0.0
    end: float = 1.0
    by: Literal["position", "hash"] = "position"

    def choose(self, documents: list[str]) -> set[str]:
        if self.by == "hash":
            return {document for document in documents if self.start <= _hash_to_unit(document) < self.end}
        return set(documents[round(self.start * len(documents)) : round(self.end * len(documents))])


def document_of(row: Row) -> str:
    return row.document or row.example.id


def _hash_to_unit(document: str) -> float:
    """A number in [0, 1) from the document's name."""
    return int.from_bytes(hashlib.sha256(document.encode()).digest()[:8], "big") / 2**64
