"""Model shapes of every family, read from config.json, against the counts of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.model_folders import CONFIGS

from xlift.model_families import traits_of
from xlift.model_shape import ADAPTING, TRAINING, ModelShape, read_model_shape, shape_from_architecture
from xlift.recipes import Architecture

MT5: dict[str, Any] = {
    "model_type": "mt5", "is_encoder_decoder": True, "d_kv": 64, "vocab_size": 250_112,
    "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip
BART: dict[str, Any] = {
    "is_encoder_decoder": True, "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12, "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096, "encoder_attention_heads": 16, "decoder_attention_heads": 16, "max_position_embeddings": 1024,
}  # fmt: skip
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    # parameters in the models' safetensors files
    "mt5-small": (MT5 | {"d_model": 512, "d_ff": 1024, "num_heads": 6, "num_layers": 8, "num_decoder_layers": 8}, 300_176_768),
    "mt5-base": (MT5 | {"d_model": 768, "d_ff": 2048, "num_heads": 12, "num_layers": 12, "num_decoder_layers": 12}, 582_401_280),
    "mt5-xxl": (MT5 | {"d_model": 4096, "d_ff": 10240, "num_heads": 64, "num_layers": 24, "num_decoder_layers": 24}, 12_900_000_000),
    "nllb-200-distilled-600M": (BART | {"model_type": "m2m_100", "vocab_size": 256_206}, 615_073_792),
    "mbart-large-50": (BART | {"model_type": "mbart", "vocab_size": 250_054}, 610_879_488),
    "Llama-3.1-8B": ({
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": False,
    }, 8_030_261_248),
    "Qwen3-0.6B": ({
        "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "head_dim": 128,
        "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 151_936, "tie_word_embeddings": True,
    }, 596_049_920),
    "gemma-3-1b": ({
        "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "head_dim": 256,
        "num_attention_heads": 4, "num_key_value_heads": 1, "vocab_size": 262_144,
    }, 999_885_952),
    "xlm-roberta-base": ({
        "model_type": "xlm-roberta", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1,
    }, 277_453_056),
}  # fmt: skip


def shape(folder: Path, config: dict[str, Any]) -> ModelShape:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = read_model_shape(folder)
    assert found is not None
    return found


def count_parameters(config: dict[str, Any]) -> int:
    """Parameters counted by transformers on the meta device. It ties the outputs of a new mT5; the published models
    have an untied output matrix, also when transformers loads them."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    made = AutoConfig.for_model(**config)
    kinds = {True: AutoModelForSeq2SeqLM, False: AutoModel}
    auto: Any = (
        AutoModelForCausalLM if config["model_type"] in DECODERS else kinds[bool(config.get("is_encoder_decoder"))]
    )
    with torch.device("meta"):
        model = auto.from_config(made)
    model.tie_weights()
    apart = config["model_type"] == "mt5" and not config["tie_word_embeddings"] and made.tie_word_embeddings
    return model.num_parameters() + (config["vocab_size"] * config["d_model"] if apart else 0)


DECODERS = ("llama", "qwen3", "gemma3_text")


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_match_published_models(tmp_path: Path, name: str):
    config, published = PUBLISHED[name]
    found = shape(tmp_path, config).num_parameters
    # biases and norms are left out; the paper gives 13B for mT5-XXL
    assert found == pytest.approx(published, rel=0.004)
    assert found == pytest.approx(count_parameters(config), rel=0.004)


@pytest.mark.parametrize("family", CONFIGS)
def test_parameters_match_tiny_models(tmp_path: Path, family: str):
    config = CONFIGS[family]
    found, real = (
        shape(tmp_path, config).num_parameters,
        count_parameters({k: v for k, v in config.items() if k != "architectures"}),
    )
    assert found == pytest.approx(real, rel=0.08)  # norms and biases are a larger share of a tiny model


@pytest.mark.parametrize("family", ["modernbert", "xlm-roberta", "bert", "qwen3", "llama", "mt5"])
def test_shape_of_an_architecture_equals_the_shape_of_its_saved_config(tmp_path: Path, family: str):
    from xlift.recipes import TokenizerRecipe
    from xlift.training import pretraining

    architecture = Architecture.model_validate({"family": family, "layers": 3, "hidden_size": 32, "heads": 4, "intermediate_size": 48})  # fmt: skip
    words = iter([f"word{n} and {n * 7} more" for n in range(200)])
    tokenizer = pretraining.train_tokenizer(words, TokenizerRecipe(vocabulary=400), traits_of(family).family)
    model = pretraining.create_model(architecture, tokenizer, seed=1)
    model.config.save_pretrained(tmp_path)
    made, saved = shape_from_architecture(architecture, len(tokenizer)), read_model_shape(tmp_path)
    assert saved is not None
    assert made.num_parameters == pytest.approx(saved.num_parameters, rel=0.02)  # XLM-R numbers its positions from two
    assert (made.model_type, made.num_layers, made.num_decoder_layers, made.is_gated) == (
        saved.model_type,
        saved.num_layers,
        saved.num_decoder_layers,
        saved.is_gated,
    )


@pytest.mark.parametrize("name", ["mt5-small", "Llama-3.1-8B"])
@pytest.mark.parametrize("where", ["linear", "attention"])
def test_lora_parameters_match_peft(tmp_path: Path, name: str, where: str):
    from peft import LoraConfig, inject_adapter_in_model
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = PUBLISHED[name][0]
    auto: Any = AutoModelForSeq2SeqLM if name.startswith("mt5") else AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(AutoConfig.for_model(**config))
    layers = {"linear": ["q", "k", "v", "o", "wi_0", "wi_1", "wo", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
              "attention": ["q", "k", "v", "o", "q_proj", "k_proj", "v_proj", "o_proj"]}[where]  # fmt: skip
    inject_adapter_in_model(LoraConfig(r=8, target_modules=layers), model)
    real = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    assert shape(tmp_path, config).lora_parameters(8, attention_only=where == "attention") == real


def test_grouped_query_attention_and_head_dim_are_counted(tmp_path: Path):
    found = shape(tmp_path, PUBLISHED["Qwen3-0.6B"][0])
    assert (found.attention_width, found.key_value_width) == (16 * 128, 8 * 128)
    assert found.main_stack_parameters == 28 * (2 * 1024 * (2048 + 1024) + 3 * 1024 * 3072)


def test_shape_of_an_image_model_is_that_of_its_text_config(tmp_path: Path):
    config = PUBLISHED["gemma-3-1b"][0]
    assert shape(tmp_path, {"model_type": "gemma3", "text_config": config}) == shape(tmp_path, config)


def test_operations_match_a_hand_calculation(tmp_path: Path):
    found = shape(tmp_path, PUBLISHED["Llama-3.1-8B"][0])
    assert found.operations(10, 64) == 10 * (
        2 * found.main_stack_parameters + 4 * 32 * 4096 * 32
    )  # a decoder attends to half of a row on average
    assert found.operations(10, 64, ADAPTING) / found.operations(10, 64, TRAINING) == 2 / 3


def test_decoder_computes_the_keys_of_the_encoder_once(tmp_path: Path):
    found = shape(tmp_path, PUBLISHED["mt5-small"][0])
    keys = 8 * 2 * 512 * 384
    one, two = found.decoder_operations(1, 100, 50), found.decoder_operations(2, 100, 50)
    assert two - one == 2 * (found.decoder_parameters - keys) + 4 * 8 * 384 * 50
    assert one - (two - one) == 100 * 2 * keys


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model_type": "mt5", "d_ff": 3}', '{"model_type": 3}'])
def test_unreadable_config_gives_no_shape(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert read_model_shape(tmp_path) is None
