"""Published encoder-decoder models."""

from __future__ import annotations

from typing import Any

from tests.support.published import tokenizers as made
from tests.support.published.layout import (
    BART_SIZES,
    FAIRSEQ_MAP,
    FAIRSEQ_SETTINGS,
    NO_LIMIT,
    T5_SIZES,
    Layout,
    base_config,
)
from tests.support.published.tokenizers import Files, to_json


def _t5(model_type: str, architecture: str, **values: Any) -> dict[str, Any]:
    return base_config(
        model_type, architecture, T5_SIZES, decoder_start_token_id=0, dropout_rate=0.1, eos_token_id=1,
        feed_forward_proj="gated-gelu", initializer_factor=1.0, is_encoder_decoder=True, layer_norm_epsilon=1e-06, pad_token_id=0,
        relative_attention_num_buckets=32, tie_word_embeddings=False, tokenizer_class="T5Tokenizer", use_cache=True,
    ) | values  # fmt: skip


_MT5_PIECES = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


_MT5_MAP = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def _mt5_files() -> Files:
    sentinels = tuple(f"▁<extra_id_{n}>" for n in reversed(range(100)))
    return {
        "spiece.model": made.sentencepiece_model("unigram", byte_fallback=True, size=2500, symbols=sentinels, **_MT5_PIECES),
        "special_tokens_map.json": to_json(_MT5_MAP),
        "tokenizer_config.json": to_json({
            **_MT5_MAP, "extra_ids": 0, "additional_special_tokens": None, "special_tokens_map_file": "special_tokens_map.json",
            "tokenizer_file": None, "name_or_path": "google/mt5-small",
        }),
        "tf_model.h5": b"\x89HDF", "flax_model.msgpack": b"\x80",
    }  # fmt: skip


def _umt5_files() -> Files:
    pieces = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}
    model = made.sentencepiece_model("unigram", byte_fallback=True, size=2500, **pieces)
    sentinels = [f"<extra_id_{n}>" for n in reversed(range(300))]
    settings = {
        "additional_special_tokens": sentinels, "bos_token": "<s>", "clean_up_tokenization_spaces": True, "eos_token": "</s>",
        "extra_ids": 300, "model_max_length": NO_LIMIT, "pad_token": "<pad>", "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer", "unk_token": "<unk>",
    }  # fmt: skip
    return {
        "spiece.model": model, "tokenizer.json": made.t5_unigram_json(model, sentinels), "tokenizer_config.json": to_json(settings),
        "special_tokens_map.json": to_json(_MT5_MAP | {"bos_token": "<s>", "additional_special_tokens": sentinels}),
    }  # fmt: skip


def _byt5_files() -> Files:
    sentinels = [f"<extra_id_{n}>" for n in range(125)]
    settings = {
        **_MT5_MAP,
        "extra_ids": 125,
        "additional_special_tokens": sentinels,
        "tokenizer_class": "ByT5Tokenizer",
    }
    return {
        "tokenizer_config.json": to_json(settings),
        "special_tokens_map.json": to_json(_MT5_MAP | {"additional_special_tokens": sentinels}),
    }


def _madlad_files() -> Files:
    targets = tuple(f"<2{code}>" for code in ("en", "de", "fr", "hi", "sw", "th", "zh"))
    pieces = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
    model = made.sentencepiece_model("unigram", byte_fallback=True, size=2500, symbols=targets, **pieces)
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<s>", "unk_token": "<unk>"}
    settings = {
        **roles, "additional_special_tokens": [], "clean_up_tokenization_spaces": True, "extra_ids": 0, "sp_model_kwargs": {},
        "model_max_length": NO_LIMIT, "tokenizer_class": "T5Tokenizer", "legacy": False,
    }  # fmt: skip
    return {
        "spiece.model": model, "tokenizer.json": made.t5_unigram_json(model), "tokenizer_config.json": to_json(settings),
        "special_tokens_map.json": to_json(roles), "model-q4k.gguf": b"GGUF",
    }  # fmt: skip


def _bart(model_type: str, architecture: str, **values: Any) -> dict[str, Any]:
    return base_config(
        model_type, architecture, BART_SIZES, activation_dropout=0.0, activation_function="relu", attention_dropout=0.1,
        bos_token_id=0, decoder_layerdrop=0, decoder_start_token_id=2, dropout=0.1, encoder_layerdrop=0, eos_token_id=2,
        init_std=0.02, is_encoder_decoder=True, max_position_embeddings=1024, pad_token_id=1, scale_embedding=True, use_cache=True,
    ) | values  # fmt: skip


def _nllb_files() -> Files:
    model = made.sentencepiece_model("bpe", size=3000)
    codes = list(made.NLLB_CODES)
    settings = {
        **FAIRSEQ_SETTINGS, "additional_special_tokens": None, "model_max_length": 1024, "name_or_path": "facebook/nllb-200-distilled-600M",
        "sp_model_kwargs": {}, "special_tokens_map_file": None, "src_lang": None, "tgt_lang": None, "tokenizer_class": "NllbTokenizer",
    }  # fmt: skip
    return {
        "sentencepiece.bpe.model": model, "tokenizer.json": made.nllb_json(model), "tokenizer_config.json": to_json(settings),
        "special_tokens_map.json": to_json(FAIRSEQ_MAP | {"additional_special_tokens": codes}),
    }  # fmt: skip


def _mbart_files() -> Files:
    model = made.sentencepiece_model("unigram")
    settings = {
        **FAIRSEQ_SETTINGS, "language_codes": "ML50", "name_or_path": "facebook/mbart-large-50-many-to-many-mmt", "sp_model_kwargs": {},
        "special_tokens_map_file": None, "src_lang": None, "tgt_lang": None, "tokenizer_class": "MBart50Tokenizer",
    }  # fmt: skip
    return {
        "sentencepiece.bpe.model": model, "tokenizer_config.json": to_json(settings), "special_tokens_map.json": to_json(FAIRSEQ_MAP),
        "pytorch_model.bin": b"\x80\x02", "rust_model.ot": b"", "tf_model.h5": b"\x89HDF",
    }  # fmt: skip


ROWS = (
    Layout("google/mt5-small", _t5("mt5", "MT5ForConditionalGeneration", dropout_rate=0.1, is_gated_act=True, dense_act_fn="gelu_new"),
           _mt5_files, weights="bin", separate_output=True),
    Layout("google/mt5-xxl", _t5("mt5", "MT5ForConditionalGeneration", output_past=True), _mt5_files, weights="bin", shards=3,
           separate_output=True),
    Layout("google/umt5-small", _t5("umt5", "UMT5ForConditionalGeneration", scalable_attention=True, is_gated_act=True,
                                    dense_act_fn="gelu_new", relative_attention_max_distance=128),
           _umt5_files, weights="bin", separate_output=True),
    Layout("google/byt5-small", _t5("t5", "T5ForConditionalGeneration", tokenizer_class="ByT5Tokenizer", gradient_checkpointing=False),
           _byt5_files, weights="bin", separate_output=True, spare_rows=0),
    Layout("google/madlad400-3b-mt",
           _t5("t5", "T5ForConditionalGeneration", bos_token_id=1, decoder_start_token_id=0, eos_token_id=2, pad_token_id=1,
               is_gated_act=True, dense_act_fn="gelu_new", relative_attention_max_distance=128, n_positions=512, torch_dtype="float32"),
           _madlad_files, separate_output=True,
           generation_config={"decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}),
    Layout("facebook/nllb-200-distilled-600M",
           _bart("m2m_100", "M2M100ForConditionalGeneration", max_length=200, tokenizer_class="NllbTokenizer", torch_dtype="float32",
                 num_hidden_layers=2),
           _nllb_files, weights="bin",
           generation_config={"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "max_length": 200, "pad_token_id": 1}),
    Layout("facebook/mbart-large-50-many-to-many-mmt",
           _bart("mbart", "MBartForConditionalGeneration", add_bias_logits=False, add_final_layer_norm=True, classif_dropout=0.0,
                 classifier_dropout=0.0, early_stopping=True, forced_eos_token_id=2, gradient_checkpointing=False, max_length=200,
                 normalize_before=True, normalize_embedding=True, num_beams=5, static_position_embeddings=False,
                 tokenizer_class="MBart50Tokenizer"),
           _mbart_files,
           generation_config={"bos_token_id": 0, "decoder_start_token_id": 2, "early_stopping": True, "eos_token_id": 2,
                              "forced_eos_token_id": 2, "max_length": 200, "num_beams": 5, "pad_token_id": 1}),
)  # fmt: skip
