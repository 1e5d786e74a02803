"""Traits of the model types, against the configs of transformers."""

from __future__ import annotations

from typing import get_args

import pytest

from xlift.model_families import MODEL_TYPES, family_of, family_of_json, traits_of
from xlift.model_shape import parse_config
from xlift.recipes import Architecture


def test_every_new_architecture_has_traits() -> None:
    families = get_args(Architecture.model_fields["family"].annotation)
    assert set(families) <= MODEL_TYPES.keys()


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_family_and_shape_agree_with_transformers(model_type: str) -> None:
    from transformers import AutoConfig

    config, traits = AutoConfig.for_model(model_type), traits_of(model_type)
    assert family_of(model_type, bool(config.is_encoder_decoder), None) == traits.family
    shape = parse_config(config.to_dict())
    assert (shape.num_layers, shape.hidden_size) == (config.num_hidden_layers, config.hidden_size)
    assert (shape.num_heads, shape.vocab_size) == (config.num_attention_heads, config.vocab_size)
    assert shape.is_gated == getattr(config, "is_gated_act", traits.is_gated)
    assert shape.tie_word_embeddings == config.tie_word_embeddings
    assert shape.intermediate_size > shape.hidden_size


def test_a_decoder_of_an_unknown_type_is_recognized_by_its_class() -> None:
    assert family_of("new", False, ["NewForCausalLM"]) == "decoder"
    assert family_of("new", False, None) == "encoder"
    # EmbeddingGemma: a decoder's layers that read in both directions; Gemma 3 with images has a text as the value
    assert family_of_json({"model_type": "gemma3_text", "use_bidirectional_attention": True}) == "encoder"
    assert family_of_json({"model_type": "gemma3_text", "use_bidirectional_attention": "vision"}) == "decoder"
