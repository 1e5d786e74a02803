"""The shape of a model, read from its config.json: its number of parameters and the operations of a token.

The formulas are from Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): a forward pass takes 2 operations per token
and parameter outside the embeddings; the backward pass takes twice that. Attention adds 4 operations per layer, unit of
its heads and attended token; a decoder attends to half of the tokens on average. Biases and norms are left out: at most
1% of any model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xlift.model_families import Family, family_of_json, traits_of
from xlift.recipes import Architecture

FORWARD, TRAINING, ADAPTING = 1, 3, 2
"""Cost in forward passes. The backward pass of training costs two: one for the activations and one for the gradients of
the weights, which LoRA (ADAPTING) does not compute."""


@dataclass(frozen=True)
class ModelShape:
    model_type: str
    """As in transformers."""
    num_layers: int
    """Of the encoder; of the decoder in a decoder-only model."""
    hidden_size: int
    intermediate_size: int
    num_heads: int
    vocab_size: int
    num_positions: int = 512
    """Learned position vectors; 0 if there are none."""
    is_gated: bool = False
    """Whether a feed-forward layer has three matrices."""
    family: Family = "encoder"
    num_decoder_layers: int = 0
    """Of the decoder in an encoder-decoder model; otherwise 0."""
    num_key_value_heads: int = 0
    """For grouped-query attention; 0: same as `num_heads`."""
    head_dim: int = 0
    """0: hidden_size / num_heads."""
    tie_word_embeddings: bool = True
    """Whether the output layer shares the matrix of the embeddings."""

    @cached_property
    def num_parameters(self) -> int:
        """Of the loaded model. The output layer of an encoder, which only masked language modelling has, is not loaded."""
        if self.family == "encoder":
            return self.layer_parameters + self.embedding_parameters
        return self.stored_parameters

    @cached_property
    def stored_parameters(self) -> int:
        """Of the published files, which have the output layer of an encoder too."""
        outputs = 0 if self.tie_word_embeddings else self.output_parameters
        return self.layer_parameters + self.embedding_parameters + outputs

    @cached_property
    def embedding_parameters(self) -> int:
        """Word embeddings and learned position embeddings."""
        sides = 2 if self.num_decoder_layers else 1
        return (self.vocab_size + sides * self.num_positions) * self.hidden_size

    @cached_property
    def output_parameters(self) -> int:
        """The matrix that computes logits over the vocabulary."""
        return self.vocab_size * self.hidden_size

    @cached_property
    def layer_parameters(self) -> int:
        """The matrices of all layers."""
        return self.main_stack_parameters + self.decoder_parameters

    @cached_property
    def main_stack_parameters(self) -> int:
        """The matrices of the `num_layers` layers that read the input."""
        return self.num_layers * (self._attention_matrices + self._feed_forward_matrices)

    @cached_property
    def decoder_parameters(self) -> int:
        """The matrices of the decoder in an encoder-decoder model, which has self-attention and cross-attention."""
        return self.num_decoder_layers * (2 * self._attention_matrices + self._feed_forward_matrices)

    @cached_property
    def attention_parameters(self) -> int:
        """The attention matrices of all layers."""
        return (self.num_layers + 2 * self.num_decoder_layers) * self._attention_matrices

    @cached_property
    def attention_width(self) -> int:
        """Units of all query heads."""
        return self.num_heads * (self.head_dim or self.hidden_size // self.num_heads)

    @cached_property
    def key_value_width(self) -> int:
        """Units of all key heads; the value heads have as many."""
        return (self.num_key_value_heads or self.num_heads) * (self.head_dim or self.hidden_size // self.num_heads)

    @cached_property
    def _attention_matrices(self) -> int:
        return 2 * self.hidden_size * (self.attention_width + self.key_value_width)

    @cached_property
    def _feed_forward_matrices(self) -> int:
        return (3 if self.is_gated else 2) * self.hidden_size * self.intermediate_size

    def lora_parameters(self, rank: int, *, attention_only: bool) -> int:
        """Parameters of LoRA: rank * (in + out) for each adapted linear layer."""
        attention = 2 * (self.hidden_size + self.attention_width) + 2 * (self.hidden_size + self.key_value_width)
        layer = (3 if self.is_gated else 2) * (self.hidden_size + self.intermediate_size) * (not attention_only)
        return rank * (self.num_layers * (attention + layer) + self.num_decoder_layers * (2 * attention + layer))

    def operations(self, tokens: float, length: float, passes: int = FORWARD) -> float:
        """Floating-point operations of the main stack on some tokens.

        Args:
            length: tokens per row.
            passes: FORWARD, TRAINING or ADAPTING.
        """
        attended = length / 2 if self.family == "decoder" else length
        return (
            passes * tokens * (2 * self.main_stack_parameters + 4 * self.num_layers * self.attention_width * attended)
        )

    def decoder_operations(self, tokens: float, sources: float, length: float, passes: int = FORWARD) -> float:
        """Floating-point operations of the decoder in an encoder-decoder model.

        Args:
            tokens: tokens that the decoder generates or scores.
            sources: tokens of the encoder; their keys and values are computed once.
            length: encoder tokens per row.
        """
        keys = 2 * self.num_decoder_layers * self.hidden_size * self.key_value_width
        attention = 4 * self.num_decoder_layers * self.attention_width * length
        return passes * (2 * sources * keys + tokens * (2 * (self.decoder_parameters - keys) + attention))


def read_model_shape(folder: Path) -> ModelShape | None:
    """The shape of the model in a folder; None if its config.json is missing or uses keys that are not known here."""
    try:
        return parse_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def parse_config(config: Mapping[str, Any]) -> ModelShape:
    """The shape of a model with this config.json. Raises KeyError for a config that uses keys that are not known here."""
    model_type = str(config["model_type"])
    if "text_config" in config and "num_hidden_layers" not in config:  # a model of images and text
        return parse_config({"model_type": model_type, **config["text_config"]})
    traits = traits_of(model_type)
    family = family_of_json(config)

    def size(*names: str) -> int:
        """The value of the first of these keys, whose names differ between families."""
        return int(next((config[name] for name in names[:-1] if config.get(name)), None) or config[names[-1]])

    num_layers = size("encoder_layers", "num_layers", "n_layers", "num_hidden_layers")
    return ModelShape(
        model_type, num_layers, size("d_model", "dim", "hidden_size"),
        size("d_ff", "encoder_ffn_dim", "ffn_dim", "hidden_dim", "intermediate_size"),
        size("encoder_attention_heads", "num_heads", "attention_heads", "n_heads", "num_attention_heads"),
        size("vocab_size"), int(config.get("max_position_embeddings", 512)) if traits.has_learned_positions else 0,
        str(config["feed_forward_proj"]).startswith("gated") if "feed_forward_proj" in config else traits.is_gated, family,
        int(config.get("decoder_layers") or config.get("num_decoder_layers") or num_layers) if family == "seq2seq" else 0,
        num_key_value_heads=int(config.get("num_key_value_heads") or 0),
        head_dim=int(config.get("head_dim") or config.get("d_kv") or 0),
        tie_word_embeddings=bool(config.get("tie_word_embeddings", traits.ties_output)),
    )  # fmt: skip


def shape_from_architecture(architecture: Architecture, vocab_size: int) -> ModelShape:
    """The shape of a model that a pretraining job creates."""
    a, traits = architecture, traits_of(architecture.family)
    return ModelShape(
        a.family, a.layers, a.hidden_size, a.intermediate_size, a.heads, vocab_size,
        a.max_positions if traits.has_learned_positions else 0, traits.is_gated, traits.family,
        a.layers if traits.family == "seq2seq" else 0,
    )  # fmt: skip
