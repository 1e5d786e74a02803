"""The shape of an encoder, read from its config.json: how many parameters it has and how many operations a token costs.

The formulas are those of Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): a forward pass takes 2 operations for each
parameter outside the embeddings and each token, the backward pass twice that; attention adds 4 for each layer, hidden unit
and token that is looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from xlift.recipes import Architecture

FORWARD, TRAINING = 1, 3
"""Passes: training is a forward pass and a backward one of twice its cost."""


@dataclass(frozen=True)
class Shape:
    family: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    positions: int = 512

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.body + self.embeddings

    @property
    def embeddings(self) -> int:
        """Those of the vocabulary and, where they are learnt, of the positions."""
        learnt = 0 if self.family == "modernbert" else self.positions
        return (self.vocabulary + learnt) * self.hidden

    @property
    def body(self) -> int:
        """Those that every token is multiplied with: the matrices of the layers."""
        gated = 3 if self.family == "modernbert" else 2
        return self.layers * (4 * self.hidden**2 + gated * self.hidden * self.intermediate)

    def operations(self, tokens: float, length: float, passes: int = FORWARD) -> float:
        """Floating-point operations for some tokens in rows of a length.

        Args:
            passes: FORWARD or TRAINING.
        """
        return passes * tokens * (2 * self.body + 4 * self.layers * self.hidden * length)


def shape_of(folder: Path) -> Shape | None:
    """Of a model folder; None where its config.json does not say, as of a family with other words for it."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return Shape(
            str(config["model_type"]),
            int(config["num_hidden_layers"]),
            int(config["hidden_size"]),
            int(config["intermediate_size"]),
            int(config["num_attention_heads"]),
            int(config["vocab_size"]),
            int(config.get("max_position_embeddings", 512)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shape_made(architecture: Architecture, vocabulary: int) -> Shape:
    """Of a model that a job makes."""
    a = architecture
    return Shape(a.family, a.layers, a.hidden_size, a.intermediate_size, a.heads, vocabulary, a.max_positions)
