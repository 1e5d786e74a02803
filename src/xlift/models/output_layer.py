"""The output layer of a model that generates text: logits over the vocabulary from the states of its last layer.

Its class in transformers may scale, cap or shift them. What the types of `MODEL_TYPES` do is known here, and tests compare it with
transformers. Other types are compared when they are loaded.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from xlift.errors import UserError
from xlift.model_families import MODEL_TYPES, traits_of
from xlift.models.model import Model


def decoder_of(model: Model) -> Any:
    """The decoder of an encoder-decoder model."""
    return cast(Any, model.backbone).get_decoder()


def output_layer(model: Model) -> Any:
    return cast(Any, model.backbone).get_output_embeddings()


def vocabulary_logits(model: Model, states: Tensor) -> Tensor:
    """(positions, hidden) of the last layer -> (positions, vocabulary), as in the transformers class."""
    backbone: Any = model.backbone
    config = backbone.config
    is_scaled = traits_of(config.model_type).scales_tied_output and config.tie_word_embeddings
    is_scaled = getattr(config, "scale_decoder_outputs", is_scaled)
    logits = output_layer(model)(states * config.d_model**-0.5 if is_scaled else states)
    if scale := traits_of(config.model_type).logit_scale:
        logits = logits * getattr(config, scale)
    if (bias := getattr(backbone, "final_logits_bias", None)) is not None:  # BART's
        logits = logits + bias
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma's
        logits = torch.tanh(logits / cap) * cap
    return logits


@torch.no_grad()
def check_vocabulary_logits(model: Model) -> None:
    """Check that `vocabulary_logits` computes what the model's own class computes. Takes a forward pass of two tokens.

    Raises:
        UserError: the class does more with the logits than is known here (Granite divides them).
    """
    backbone: Any = model.backbone
    if backbone.config.model_type in MODEL_TYPES:
        return  # tests show it
    was_training = backbone.training
    backbone.eval()
    try:
        input_ids = torch.tensor([[1, 2]], device=model.device)
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        own = backbone(**inputs, **({"decoder_input_ids": input_ids} if model.family == "seq2seq" else {}))
        if model.family == "seq2seq":
            states = decoder_of(model)(
                input_ids=input_ids, encoder_hidden_states=own.encoder_last_hidden_state, use_cache=False
            ).last_hidden_state
        else:
            states = model.last_hidden_state(inputs)
        difference = (vocabulary_logits(model, states) - own.logits).abs().max()
    finally:
        backbone.train(was_training)
    if not difference <= 1e-3 * max(1.0, float(own.logits.abs().max())):
        raise UserError(
            f"models of type '{backbone.config.model_type}' change their logits in a way that xlift does not know",
            fix="give it `mode: head`, or take a model of another type.",
        )
