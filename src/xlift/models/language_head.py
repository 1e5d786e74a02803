"""Language heads: the masked-LM head of an encoder, as the transformers class of its family has it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from xlift.model_families import traits_of
from xlift.models.outputs import Head, HeadSpec


class PredictionHead(nn.Module):
    """ModernBERT's dense layer, activation and norm."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
        self.act = ACT2FN[config.classifier_activation]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.norm(self.act(self.dense(hidden_states)))


class LanguageHead(Head):
    """A masked-LM head: dense layer, activation, norm, and the model's input embeddings as decoder. No dropout, as in
    transformers.

    It takes selected positions, not whole rows: logits over the vocabulary are the most expensive part of a model. It is used
    for training only.
    """

    def __init__(self, spec: HeadSpec, config: Any) -> None:
        super().__init__(spec)
        heads = traits_of(config.model_type).heads
        self.stock = _STOCK_LANGUAGE.get(heads, _STOCK_LANGUAGE["roberta"])
        if heads == "modernbert":
            head, has_bias = PredictionHead(config), config.decoder_bias
            self.dense, self.act, self.norm = head.dense, head.act, head.norm
        else:
            self.dense, has_bias = nn.Linear(config.hidden_size, config.hidden_size), True
            self.act = ACT2FN[config.hidden_act if heads in ("bert", "deberta") else "gelu"]
            self.norm = nn.LayerNorm(config.hidden_size, eps=getattr(config, "layer_norm_eps", 1e-5))
        self.bias = nn.Parameter(torch.empty(config.vocab_size)) if has_bias else None

    def forward(self, hidden_states: Tensor, embeddings: Tensor) -> Tensor:
        """Logits.

        Args:
            hidden_states: (positions, hidden).
            embeddings: (vocabulary, hidden), the model's input embeddings.
        """
        return functional.linear(self.norm(self.act(self.dense(hidden_states))), embeddings, self.bias)

    def stock_names(self) -> dict[str, str]:
        """Name of a tensor here -> its name in the `AutoModelForMaskedLM` of the family."""
        parts = {name: name.partition(".") for name in self.state_dict()}
        return {name: self.stock[part] + dot + rest for name, (part, dot, rest) in parts.items()}


_STOCK_LANGUAGE = {
    "roberta": {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias", "decoder": "lm_head.decoder"},
    "bert": {
        "dense": "cls.predictions.transform.dense", "norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias", "decoder": "cls.predictions.decoder",
    },
    "deberta": {
        "dense": "lm_predictions.lm_head.dense", "norm": "lm_predictions.lm_head.LayerNorm", "bias": "lm_predictions.lm_head.bias",
    },
    "modernbert": {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias", "decoder": "decoder"},
}  # fmt: skip
"""`Traits.heads` -> part of a language head -> its name in the transformers class. DeBERTa's (with `legacy: false`, as
published) reads the embeddings and has no decoder of its own."""


def has_tied_decoder(config: Any) -> bool:
    """Whether a masked LM of this config uses its input embeddings as decoder, with the width of its hidden states."""
    width = getattr(config, "embedding_size", config.hidden_size)  # ELECTRA's may be narrower
    return getattr(config, "tie_word_embeddings", True) and width == config.hidden_size
