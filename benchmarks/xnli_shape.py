"""Synthetic training data with the shape of XNLI on XLM-R. Training time depends only on sizes, lengths and distinct
words.

This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

BATCH, LONGEST, MEAN = 32, 128, 41.0
SPREAD = 0.25
"""Standard deviation of the log length. It sets the longest of 32 rows to 1.64 times the mean; in XNLI's English test
set the factor is 1.57 (words and punctuation) to 1.68 (characters). MNLI, the training set, has longer tails, so
padding costs more there."""
GROUP = 50
"""Batches that the length-grouped sampler of Trainer sorts together on large data."""
LABELS = ("entailment", "neutral", "contradiction")
BEGIN, PAD, END = 0, 1, 2


@dataclass(frozen=True)
class BenchmarkShape:
    num_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int = 250_002
    num_distinct: int = 16_000
    """Distinct tokens in the training data."""

    def config(self) -> dict[str, object]:
        """Arguments of XLMRobertaConfig, with its default dropout of 0.1."""
        return {
            "vocab_size": self.vocab_size, "num_hidden_layers": self.num_layers, "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_heads, "intermediate_size": 4 * self.hidden_size, "max_position_embeddings": 514,
            "type_vocab_size": 1, "layer_norm_eps": 1e-5, "bos_token_id": BEGIN, "pad_token_id": PAD,
            "eos_token_id": END, "num_labels": len(LABELS),
        }  # fmt: skip


SHAPES = {
    "large": BenchmarkShape(24, 1024, 16),
    "base": BenchmarkShape(12, 768, 12),
    "small": BenchmarkShape(6, 384, 12),
    "tiny": BenchmarkShape(2, 32, 4, vocab_size=5_000, num_distinct=500),
}


def task() -> Task:
    source = FileSource("tsv", {"train": "none.tsv"}, {"train": ("en",)})
    return Task("xnli-shape", "XNLI's shape", "classification", (), source, labels=LABELS)


def random_batches(shape: BenchmarkShape, steps: int, spread: float = SPREAD, seed: int = 0) -> list[list[np.ndarray]]:
    """The rows of one warm-up step and of `steps` others."""
    rng = np.random.default_rng(seed)
    return _fill(_lengths(rng, steps + 1, spread), shape, rng)


def grouped_batches(shape: BenchmarkShape, steps: int, spread: float = SPREAD, seed: int = 0) -> list[list[np.ndarray]]:
    """The same, as the length-grouped sampler of Trainer makes them on data as large as MNLI: random examples for 50
    batches are sorted by length and split. Takes the middle batch for warm-up and others at even intervals, in random
    order. (Sorting the examples of a few batches alone would leave more padding.)"""
    if not 0 < steps < GROUP:
        raise SystemExit(f"--steps must be 1 to {GROUP - 1}")
    rng = np.random.default_rng(seed)
    grouped = np.sort(_lengths(rng, GROUP, spread), axis=None)[::-1].reshape(GROUP, BATCH)
    chosen = rng.permutation(((np.arange(steps) + 0.5) * GROUP / steps).astype(int))
    return _fill(grouped[[GROUP // 2, *chosen]], shape, rng)


def _lengths(rng: np.random.Generator, count: int, spread: float) -> np.ndarray:
    """(count, BATCH) tokens of random rows."""
    lengths = rng.lognormal(np.log(MEAN) - spread**2 / 2, spread, (count, BATCH))
    return lengths.round().clip(8, LONGEST).astype(int)


def _fill(lengths: np.ndarray, shape: BenchmarkShape, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Tokens by Zipf's law between begin and end tokens."""
    tokens = training_tokens(shape)
    probabilities = 1 / (np.arange(shape.num_distinct) + 2.7)
    probabilities /= probabilities.sum()

    def row(length: int) -> np.ndarray:
        return np.concatenate([[BEGIN], rng.choice(tokens, length - 2, p=probabilities), [END]])

    return [[row(length) for length in batch] for batch in lengths]


def training_tokens(shape: BenchmarkShape) -> np.ndarray:
    """(num_distinct,) token ids of the training data, from the whole vocabulary."""
    return np.random.default_rng(2).permutation(np.arange(5, shape.vocab_size))[: shape.num_distinct]


def labels(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng([seed, 1]).integers(0, len(LABELS), count).tolist()


def features(rows: Sequence[np.ndarray]) -> Features:
    number = np.arange(len(rows))
    return Features(Ragged.from_rows(rows), number, number, targets={"label": np.array(labels(len(rows)))})


def whole_vocabulary(shape: BenchmarkShape) -> Features:
    """Rows with every token of the training data, for a part without steps. A few steps use a few thousand tokens; a
    whole stage would use all of them."""
    return features(np.array_split(training_tokens(shape), -(-shape.num_distinct // LONGEST)))
