"""Tables of model_files, held against transformers: types, tensors, kinds of values, tokenizer classes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

from xlift.model_families import MODEL_TYPES, family_of
from xlift.model_files.config_values import ACTIVATIONS, KINDS, OPTIONAL, OPTIONAL_IN, ROPE_TYPES
from xlift.model_files.known_types import KNOWN_TYPES, LISTED_VERSION
from xlift.model_files.tensors import REQUIRED, required_tensors
from xlift.model_files.tokenizer import CLASS_MODELS, CLASS_TOKENS, DEFAULT_CLASSES, ROLES, T5_SENTINELS
from xlift.models.pretrained import AUTO_CLASSES

SIZES: dict[str, Any] = {
    "vocab_size": 101, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40, "d_model": 24,
    "d_ff": 40, "d_kv": 5, "num_layers": 2, "num_heads": 4, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 44, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "pad_token_id": 1,
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "max_position_embeddings": 37, "type_vocab_size": 3, "num_key_value_heads": 2, "head_dim": 10, "num_decoder_layers": 3,
    "relative_attention_num_buckets": 8, "attention_bias": True, "mlp_bias": True, "norm_bias": True,
}  # fmt: skip
"""Sizes that a config may leave out."""


def make_config(model_type: str, sizes: dict[str, Any]) -> Any:
    config_class: Any = CONFIG_MAPPING[model_type]
    names = {field.name for field in dataclasses.fields(config_class)}
    return config_class(**{name: value for name, value in sizes.items() if name in names})


@pytest.mark.parametrize("sizes", [SIZES, SIZES | OTHERS, SIZES | OTHERS | {"tie_word_embeddings": False}])
@pytest.mark.parametrize("model_type", REQUIRED)
def test_tensors_are_those_of_transformers(model_type: str, sizes: dict[str, Any]):
    config = make_config(model_type, sizes)
    family = family_of(model_type, bool(config.is_encoder_decoder), None)
    auto: Any = {"encoder": AutoModel, "decoder": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}[family]
    with torch.device("meta"):
        model = auto.from_config(config)
    tied = model.all_tied_weights_keys
    # a config file may leave out values that transformers has defaults for
    written = {name: value for name, value in sizes.items() if hasattr(config, name)}
    required = required_tensors({"model_type": model_type} | written)
    assert required
    prefix = f"{required.prefix}." if required.prefix else ""
    found = {
        name.removeprefix(prefix): tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if name not in tied
    }
    outside = {name: shape for name, shape in found.items() if name not in required.tensors}
    if sizes.get("tie_word_embeddings") is False and model_type in ("t5", "mt5", "umt5"):
        # transformers 5 ties it, whatever the config says; published models have it
        found["lm_head.weight"] = (101, 24)
    assert {name: found.get(name) for name in required.tensors} == required.tensors
    assert all(name.startswith("pooler.") or required.optional.get(name) == shape for name, shape in outside.items())


def test_known_types_are_those_of_the_listed_version():
    if transformers.__version__ != LISTED_VERSION:
        pytest.skip("another version may have other types")
    assert {family: set(types) for family, (types, _) in AUTO_CLASSES.items()} == {
        family: set(types) for family, types in KNOWN_TYPES.items()
    }


def test_every_type_with_traits_is_known():
    assert set(MODEL_TYPES) <= {name for types in KNOWN_TYPES.values() for name in types}


def test_names_of_functions_are_those_of_transformers():
    assert set(ACTIVATIONS) == set(ACT2FN)
    assert set(ROPE_TYPES) == {"default", *ROPE_INIT_FUNCTIONS}


@pytest.mark.parametrize("model_type", REQUIRED)
def test_kinds_of_values_are_those_that_transformers_declares(model_type: str):
    declared = {field.name: str(field.type) for field in dataclasses.fields(CONFIG_MAPPING[model_type])}
    words = {"size": "int", "whole": "int", "ids": "list[int]", "float": "float", "share": "float", "flag": "bool",
             "activation": "str", "texts": "list[str]", "object": "dict"}  # fmt: skip
    for name, kind in KINDS.items():
        if name in declared and kind in words:
            assert words[kind] in declared[name], name
            may_be_null = name in OPTIONAL and model_type in OPTIONAL_IN.get(name, (model_type,))
            assert may_be_null or "None" not in declared[name] or name == "is_encoder_decoder", name
            if name in OPTIONAL_IN:
                assert may_be_null == ("None" in declared[name]), name


def test_tokenizer_classes_are_those_of_transformers():
    for name, kind in CLASS_MODELS.items():
        made: Any = tokenizer_class_from_name(name)
        assert made.model.__name__ == kind, name
    for model_type, name in DEFAULT_CLASSES.items():
        assert TOKENIZER_MAPPING_NAMES[model_type] == name
    for name, tokens in CLASS_TOKENS.items():
        made = tokenizer_class_from_name(name)
        assert made
        assert {role: str(token) for role, token in made().special_tokens_map.items() if role in ROLES} == tokens
    sentinels: Any = tokenizer_class_from_name("T5Tokenizer")
    assert len(sentinels().extra_special_tokens) == T5_SENTINELS
