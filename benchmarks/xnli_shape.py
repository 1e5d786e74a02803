"""A stage with the shape of XNLI on XLM-R, made up: what training costs depends on sizes, lengths and distinct words alone.

No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xlift.tasks.formats.base import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

BATCH, LONGEST, MEAN = 32, 128, 41.0
SPREAD = 0.25
"""Standard deviation of the logarithm of a length. What matters is how far the longest of a batch stands out: of 32 rows it
has 1.64 times the mean here, 1.57 (words and marks) to 1.68 (characters) in XNLI's English test set. MNLI, on which XNLI is
trained, has longer tails: padding costs more there."""
GROUP = 50
"""Batches that Trainer's length-grouped sampler sorts together where there are examples enough."""
LABELS = ("entailment", "neutral", "contradiction")
BEGIN, PAD, END = 0, 1, 2


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    vocabulary: int = 250_002
    distinct: int = 16_000
    """Rows of the vocabulary that occur in the training data."""

    def config(self) -> dict[str, object]:
        """Of XLMRobertaConfig, with XLM-R's dropout of 0.1."""
        return {
            "vocab_size": self.vocabulary, "num_hidden_layers": self.layers, "hidden_size": self.hidden,
            "num_attention_heads": self.heads, "intermediate_size": 4 * self.hidden, "max_position_embeddings": 514,
            "type_vocab_size": 1, "layer_norm_eps": 1e-5, "bos_token_id": BEGIN, "pad_token_id": PAD,
            "eos_token_id": END, "num_labels": len(LABELS),
        }  # fmt: skip


SHAPES = {
    "large": Shape(24, 1024, 16),
    "base": Shape(12, 768, 12),
    "small": Shape(6, 384, 12),
    "tiny": Shape(2, 32, 4, vocabulary=5_000, distinct=500),
}


def task() -> Task:
    source = FileSource("tsv", {"train": "none.tsv"}, {"train": ("en",)})
    return Task("xnli-shape", "XNLI's shape", "classification", (), source, labels=LABELS)


def random_batches(shape: Shape, steps: int, spread: float = SPREAD, seed: int = 0) -> list[list[np.ndarray]]:
    """The rows of one step to warm up and of `steps` others."""
    rng = np.random.default_rng(seed)
    return _filled(_lengths(rng, steps + 1, spread), shape, rng)


def grouped_batches(shape: Shape, steps: int, spread: float = SPREAD, seed: int = 0) -> list[list[np.ndarray]]:
    """The same as Trainer's length-grouped sampler makes them on data as large as MNLI: random examples for 50 batches are
    sorted by length and cut. Of the 50 these are the middle one, to warm up, and others that lie evenly spread, in
    random order. (Sorting the examples of a few batches among themselves would leave more padding.)"""
    if not 0 < steps < GROUP:
        raise SystemExit(f"--steps must be 1 to {GROUP - 1}")
    rng = np.random.default_rng(seed)
    grouped = np.sort(_lengths(rng, GROUP, spread), axis=None)[::-1].reshape(GROUP, BATCH)
    chosen = rng.permutation(((np.arange(steps) + 0.5) * GROUP / steps).astype(int))
    return _filled(grouped[[GROUP // 2, *chosen]], shape, rng)


def _lengths(rng: np.random.Generator, count: int, spread: float) -> np.ndarray:
    """(count, BATCH) tokens of random rows."""
    lengths = rng.lognormal(np.log(MEAN) - spread**2 / 2, spread, (count, BATCH))
    return lengths.round().clip(8, LONGEST).astype(int)


def _filled(lengths: np.ndarray, shape: Shape, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Words by Zipf's law between the marks of begin and end."""
    occurring = words(shape)
    chances = 1 / (np.arange(shape.distinct) + 2.7)
    chances /= chances.sum()

    def row(length: int) -> np.ndarray:
        return np.concatenate([[BEGIN], rng.choice(occurring, length - 2, p=chances), [END]])

    return [[row(length) for length in batch] for batch in lengths]


def words(shape: Shape) -> np.ndarray:
    """(distinct,) the words of the training data, from anywhere in the vocabulary."""
    return np.random.default_rng(2).permutation(np.arange(5, shape.vocabulary))[: shape.distinct]


def labels(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng([seed, 1]).integers(0, len(LABELS), count).tolist()


def features(rows: Sequence[np.ndarray]) -> Features:
    number = np.arange(len(rows))
    return Features(Ragged.of(rows), number, number, targets={"label": np.array(labels(len(rows)))})


def whole_vocabulary(shape: Shape) -> Features:
    """Rows with every word of the training data: a part that gets no step. A run of a few steps meets a few thousand words;
    the stage that it stands for would meet all of them."""
    return features(np.array_split(words(shape), -(-shape.distinct // LONGEST)))
