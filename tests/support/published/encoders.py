"""Published encoders."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from safetensors.torch import save
from tests.support.published import tokenizers as made
from tests.support.published.decoders import gemma, gemma_files
from tests.support.published.layout import (
    BERT_SIZES,
    DECODER_SIZES,
    FAIRSEQ_MAP,
    FAIRSEQ_SETTINGS,
    Layout,
    base_config,
    byte_level_files,
    named_token,
    sentence_transformers_files,
)
from tests.support.published.tokenizers import Files, to_json


def _roberta(architecture: str = "XLMRobertaForMaskedLM", **values: Any) -> dict[str, Any]:
    return base_config(
        "xlm-roberta", architecture, BERT_SIZES, attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.1, bos_token_id=0,
        eos_token_id=2, pad_token_id=1, hidden_act="gelu", initializer_range=0.02, layer_norm_eps=1e-05,
        max_position_embeddings=514, output_past=True, position_embedding_type="absolute", type_vocab_size=1, use_cache=True,
    ) | values  # fmt: skip


def _xlmr_files(*, fast: bool = True, **config: Any) -> Files:
    model = made.sentencepiece_model("unigram")
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": to_json(config)}
    return files | ({"tokenizer.json": made.fairseq_unigram_json(model)} if fast else {})


def _glot500_files() -> Files:
    files = _xlmr_files(
        fast=False, tokenizer_class="XLMRobertaTokenizer", model_max_length=512, sp_model_kwargs={}, **FAIRSEQ_SETTINGS
    )
    return files | {"special_tokens_map.json": to_json(FAIRSEQ_MAP)}


def _e5_files() -> Files:
    files = _xlmr_files(tokenizer_class="XLMRobertaTokenizer", model_max_length=512, **FAIRSEQ_SETTINGS)
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    return files | {
        "special_tokens_map.json": to_json(FAIRSEQ_MAP), **sentence_transformers_files(modules),
        "1_Pooling/config.json": to_json({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}),
        "onnx/model.onnx": b"\x08\x07", "onnx/config.json": b"{}", "onnx/tokenizer.json": b"{}",
    }  # fmt: skip


def _labse_files() -> Files:
    dense = {"linear.weight": torch.eye(32), "linear.bias": torch.zeros(32)}
    modules = [
        ("0", "", "Transformer"),
        ("1", "1_Pooling", "Pooling"),
        ("2", "2_Dense", "Dense"),
        ("3", "3_Normalize", "Normalize"),
    ]
    return made.bert_files() | sentence_transformers_files(modules) | {
        "tokenizer_config.json": to_json({
            "do_lower_case": False, "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
            "mask_token": "[MASK]", "tokenize_chinese_chars": True, "strip_accents": None, "never_split": None,
            "do_basic_tokenize": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512,
        }),
        "1_Pooling/config.json": to_json({"word_embedding_dimension": 32, "pooling_mode_cls_token": True}),
        "2_Dense/config.json": to_json({"in_features": 32, "out_features": 32, "bias": True,
                                        "activation_function": "torch.nn.modules.activation.Tanh"}),
        "2_Dense/model.safetensors": save(dense), "2_Dense/pytorch_model.bin": b"\x80\x02", "tf_model.h5": b"\x89HDF",
        "pytorch_model.bin": b"\x80\x02",
    }  # fmt: skip


def _mdeberta_files() -> Files:
    pieces = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]",
              "unk_piece": "[UNK]"}  # fmt: skip
    return {
        "spm.model": made.sentencepiece_model("unigram", **pieces),
        "tokenizer_config.json": to_json({"do_lower_case": False, "vocab_type": "spm"}), "tf_model.h5": b"\x89HDF",
    }  # fmt: skip


def _embedding_gemma_files() -> Files:
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Dense", "Dense"), ("3", "3_Dense", "Dense"),
               ("4", "4_Normalize", "Normalize")]  # fmt: skip
    dense = {"linear.weight": torch.eye(32)}
    return gemma_files(model_max_length=2048) | sentence_transformers_files(modules) | {
        "1_Pooling/config.json": to_json({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}),
        "2_Dense/config.json": b"{}", "2_Dense/model.safetensors": save(dense),
        "3_Dense/config.json": b"{}", "3_Dense/model.safetensors": save(dense),
    }  # fmt: skip


def _mmbert_files() -> Files:
    model = made.gemma_model()
    listed = {
        str(n): named_token(piece.piece)
        for n, piece in enumerate(made.read_proto(model).pieces)
        if piece.type in (2, 3, 4)
    }
    roles = {"bos_token": "<bos>", "cls_token": "<bos>", "eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<pad>",
             "sep_token": "<eos>", "unk_token": "<unk>"}  # fmt: skip
    return {
        "tokenizer.json": made.gemma_json(model, encoder=True),
        "special_tokens_map.json": to_json({role: named_token(token) for role, token in roles.items()}),
        "tokenizer_config.json": to_json({
            **roles, "added_tokens_decoder": listed, "clean_up_tokenization_spaces": False, "model_max_length": 8192,
            "model_input_names": ["input_ids", "attention_mask"], "tokenizer_class": "GemmaTokenizer", "sp_model_kwargs": {},
        }),
    }  # fmt: skip


def _modernbert(**values: Any) -> dict[str, Any]:
    return base_config(
        "modernbert", "ModernBertForMaskedLM", BERT_SIZES, attention_bias=False, attention_dropout=0.0, classifier_activation="gelu",
        classifier_bias=False, classifier_dropout=0.0, classifier_pooling="mean", decoder_bias=True, deterministic_flash_attn=False,
        embedding_dropout=0.0, global_attn_every_n_layers=3, global_rope_theta=160000.0, gradient_checkpointing=False,
        hidden_activation="gelu", initializer_cutoff_factor=2.0, initializer_range=0.02, layer_norm_eps=1e-05, local_attention=128,
        local_rope_theta=160000.0, max_position_embeddings=8192, mlp_bias=False, mlp_dropout=0.0, norm_bias=False, norm_eps=1e-05,
        position_embedding_type="absolute", reference_compile=None, sparse_pred_ignore_index=-100, sparse_prediction=False,
        tie_word_embeddings=True, torch_dtype="float32",
    ) | values  # fmt: skip


_NORMS = {r"LayerNorm\.weight$": "LayerNorm.gamma", r"LayerNorm\.bias$": "LayerNorm.beta"}


_MODERN = ("<|padding|>", "<|endoftext|>", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")


ROWS = (
    Layout("FacebookAI/xlm-roberta-base", _roberta(), partial(_xlmr_files, model_max_length=512),
           extra_tensors={"roberta.pooler.dense.weight": (32, 32), "roberta.pooler.dense.bias": (32,)}),
    Layout("google-bert/bert-base-multilingual-cased",
           base_config("bert", "BertForMaskedLM", BERT_SIZES, attention_probs_dropout_prob=0.1, directionality="bidi", hidden_act="gelu",
                   hidden_dropout_prob=0.1, initializer_range=0.02, layer_norm_eps=1e-12, max_position_embeddings=512, pad_token_id=0,
                   pooler_fc_size=768, type_vocab_size=2),
           lambda: made.bert_files() | {"tokenizer_config.json": to_json({"do_lower_case": False, "model_max_length": 512})},
           model_class="BertForPreTraining", rename=_NORMS, spare_rows=0),
    Layout("microsoft/mdeberta-v3-base",
           {name: value for name, value in base_config(
               "deberta-v2", "", BERT_SIZES, attention_probs_dropout_prob=0.1, hidden_act="gelu", hidden_dropout_prob=0.1,
               initializer_range=0.02, max_position_embeddings=512, relative_attention=True, position_buckets=256,
               norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", layer_norm_eps=1e-7, max_relative_positions=-1,
               position_biased_input=False, type_vocab_size=0, pooler_dropout=0, pooler_hidden_act="gelu").items()
            if name != "architectures"},
           _mdeberta_files, weights="bin", dtype=torch.float16, model_class="DebertaV2Model", prefix="deberta.",
           extra_tensors={"lm_head_dense": (32, 32)}),
    Layout("facebook/xlm-v-base", _roberta(torch_dtype="float32"),
           partial(_xlmr_files, tokenizer_class="XLMRobertaTokenizer", model_max_length=512, sp_model_kwargs={}, **FAIRSEQ_SETTINGS),
           weights="bin"),
    Layout("cis-lmu/glot500-base", _roberta(torch_dtype="float32"), _glot500_files),
    Layout("jhu-clsp/mmBERT-base",
           _modernbert(bos_token_id=2, cls_token_id=1, eos_token_id=1, mask_token_id=4, pad_token_id=0, sep_token_id=1,
                       position_embedding_type="sans_pos"),
           _mmbert_files),
    Layout("answerdotai/ModernBERT-base",
           _modernbert(bos_token_id=3, cls_token_id=3, eos_token_id=4, pad_token_id=5, sep_token_id=4, local_rope_theta=10000.0),
           partial(byte_level_files, _MODERN, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]",
                   unk_token="[UNK]", model_max_length=8192, model_input_names=["input_ids", "attention_mask"],
                   how={"before": ["[CLS]"], "after": ["[SEP]"], "first": True, "split": None, "nfc": True})),
    Layout("EuroBERT/EuroBERT-210m",
           base_config("eurobert", "EuroBertForMaskedLM", DECODER_SIZES, attention_bias=False, attention_dropout=0.0, head_dim=8,
                   auto_map={"AutoConfig": "configuration_eurobert.EuroBertConfig", "AutoModel": "modeling_eurobert.EuroBertModel",
                             "AutoModelForMaskedLM": "modeling_eurobert.EuroBertForMaskedLM"},
                   bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", pad_token="<|end_of_text|>", mask_token="<|mask|>",
                   bos_token_id=600, eos_token_id=601, pad_token_id=601, mask_token_id=602, hidden_act="silu",
                   hidden_dropout=0.0, initializer_range=0.02, max_position_embeddings=8192, mlp_bias=False, pretraining_tp=1,
                   rms_norm_eps=1e-05, rope_scaling=None, rope_theta=250000, tie_word_embeddings=False, use_cache=False,
                   classifier_pooling="late", clf_pooling="late", torch_dtype="bfloat16"),
           lambda: byte_level_files(
               ("<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", *made.LLAMA3_SPECIALS), bos_token="<|begin_of_text|>",
               eos_token="<|end_of_text|>", pad_token="<|end_of_text|>", mask_token="<|mask|>", model_max_length=8192,
               model_input_names=["input_ids", "attention_mask"], how={"before": ["<|begin_of_text|>"], "after": ["<|end_of_text|>"]},
           ) | {"configuration_eurobert.py": b"raise SystemExit('code of a repository')\n",
                "modeling_eurobert.py": b"raise SystemExit('code of a repository')\n"},
           dtype=torch.bfloat16),
    Layout("intfloat/multilingual-e5-large-instruct", _roberta("XLMRobertaModel", torch_dtype="float16"), _e5_files,
           dtype=torch.float16),
    Layout("intfloat/multilingual-e5-small",
           base_config("bert", "BertModel", BERT_SIZES, attention_probs_dropout_prob=0.1, classifier_dropout=None, hidden_act="gelu",
                   hidden_dropout_prob=0.1, initializer_range=0.02, layer_norm_eps=1e-12, max_position_embeddings=512, pad_token_id=0,
                   position_embedding_type="absolute", tokenizer_class="XLMRobertaTokenizer", type_vocab_size=2, torch_dtype="float32"),
           _e5_files),
    Layout("sentence-transformers/LaBSE",
           base_config("bert", "BertModel", BERT_SIZES, attention_probs_dropout_prob=0.1, directionality="bidi", gradient_checkpointing=False,
                   hidden_act="gelu", hidden_dropout_prob=0.1, initializer_range=0.02, layer_norm_eps=1e-12, max_position_embeddings=512,
                   pad_token_id=0, type_vocab_size=2, use_cache=True),
           _labse_files, spare_rows=0),
    Layout("google/embeddinggemma-300m",
           gemma("Gemma3TextModel", use_bidirectional_attention=True, eos_token_id=1, max_position_embeddings=2048,
                  torch_dtype="float32"),
           _embedding_gemma_files, spare_rows=-1, gated=True),
)  # fmt: skip
