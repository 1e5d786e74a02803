"""Order texts by how well they answer a query: BM25, and vectors of an encoder, fused by reciprocal rank."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> vectors, (texts, dimension)."""

RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009: reciprocal rank fusion adds 1 / (60 + rank)."""

STOPWORDS = frozenset(
    "a about above after all also an and any are as at be been but by can do does each for from had has have how if in into is "
    "it its may more most no not of on one or other our over same so some such than that the their them then there these they "
    "this to under up using was we were what when where which while who whose why will with within would you your".split()
)


def tokenize(text: str) -> list[str]:
    """Words in lower case without stop words; a plural 's' is removed."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in words
        if word not in STOPWORDS
    ]


def keywords(text: str, limit: int = 8) -> list[str]:
    """The first distinct words of a question that a search engine can use: no stop words, no numbers."""
    words = [word for word in re.findall(r"[^\W_]+", text.casefold()) if word not in STOPWORDS]
    return list(dict.fromkeys(word for word in words if not (word.isascii() and len(word) < 2) and not word.isdigit()))[
        :limit
    ]


def rank(query: str, texts: Sequence[str], embed: Embed | None = None) -> np.ndarray:
    """Fused scores of the texts, (texts,) float64; higher is better. A text that shares no word with the query is last by BM25.

    Args:
        embed: the encoder; without it the order is that of BM25.
    """
    if not texts:
        return np.zeros(0)
    scores = bm25(query, texts)
    fused = 1 / (RANK_CONSTANT + _ranks(scores))
    if embed is not None:
        vectors = np.asarray(embed([query, *texts]), dtype=np.float64)
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        fused += 1 / (RANK_CONSTANT + _ranks(unit[1:] @ unit[0]))
    return fused


def bm25(query: str, texts: Sequence[str]) -> np.ndarray:
    """BM25 of each text (bm25s with its defaults: k1 1.5, b 0.75), (texts,) float64."""
    import bm25s

    words = sorted(set(tokenize(query)))
    corpus = [tokenize(text) or ["\0"] for text in texts]
    words = [word for word in words if any(word in text for text in map(set, corpus))]
    if not words:
        return np.zeros(len(texts))
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    return np.asarray(index.get_scores(words), dtype=np.float64)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks from 1 for the highest score; equal scores share the better rank."""
    return np.array([1 + np.sum(scores > score) for score in scores], dtype=np.float64)
