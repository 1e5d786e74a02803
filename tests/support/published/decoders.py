"""Published decoders."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tests.support.published import tokenizers as made
from tests.support.published.layout import DECODER_SIZES, NO_LIMIT, Layout, base_config, byte_level_files, named_token
from tests.support.published.tokenizers import Files, to_json


def _decoder(model_type: str, architecture: str, **values: Any) -> dict[str, Any]:
    return base_config(
        model_type, architecture, DECODER_SIZES, attention_bias=False, attention_dropout=0.0, hidden_act="silu", initializer_range=0.02,
        max_position_embeddings=4096, rms_norm_eps=1e-06, rope_scaling=None, torch_dtype="bfloat16", use_cache=True,
    ) | values  # fmt: skip


_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


_LLAMA3 = ("<|begin_of_text|>", "<|end_of_text|>", *made.LLAMA3_SPECIALS, "<|eot_id|>")


_ROPE_LLAMA3 = {
    "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3",
}  # fmt: skip


def gemma(architecture: str, **values: Any) -> dict[str, Any]:
    return _decoder(
        "gemma3_text", architecture, attn_logit_softcapping=None, bos_token_id=2, eos_token_id=[1, 106], pad_token_id=0,
        final_logit_softcapping=None, head_dim=8, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=256,
        rope_local_base_freq=10000.0, rope_theta=1000000.0, sliding_window=512, max_position_embeddings=32768,
        layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention=False, _sliding_window_pattern=6,
    ) | values  # fmt: skip


def gemma_files(**settings: Any) -> Files:
    model, image = made.gemma_model(), "<image_soft_token>"
    pieces = made.read_proto(model).pieces
    listed = {str(n): named_token(piece.piece) for n, piece in enumerate(pieces) if piece.type in (2, 3, 4)}
    return {
        "tokenizer.model": model, "tokenizer.json": made.gemma_json(model, extra=[image]),
        "added_tokens.json": to_json({image: len(pieces)}),
        "special_tokens_map.json": to_json({"boi_token": "<start_of_image>"} | {
            role: named_token(token) for role, token in (("bos_token", "<bos>"), ("eos_token", "<eos>"), ("pad_token", "<pad>"), ("unk_token", "<unk>"))
        }),
        "tokenizer_config.json": to_json({
            "add_bos_token": True, "add_eos_token": False, "added_tokens_decoder": listed | {str(len(pieces)): named_token(image)},
            "bos_token": "<bos>", "clean_up_tokenization_spaces": False, "eos_token": "<eos>", "image_token": image,
            "model_max_length": NO_LIMIT, "pad_token": "<pad>", "processor_class": "Gemma3Processor", "sp_model_kwargs": None,
            "spaces_between_special_tokens": False, "tokenizer_class": "GemmaTokenizer", "unk_token": "<unk>",
            "use_default_system_prompt": False, **settings,
        }),
    }  # fmt: skip


_COHERE = ("<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<EOP_TOKEN>",
           "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>")  # fmt: skip


_cohere_files = partial(
    byte_level_files, _COHERE, tokenizer_class="CohereTokenizerFast", add_bos_token=True, add_eos_token=False, add_prefix_space=False,
    bos_token="<BOS_TOKEN>", eos_token="<|END_OF_TURN_TOKEN|>", pad_token="<PAD>", unk_token=None, cls_token="<CLS>",
    sep_token="<SEP>", mask_token="<MASK_TOKEN>", legacy=True, merges_file=None, sp_model_kwargs={}, spaces_between_special_tokens=False,
    model_max_length=NO_LIMIT, how={"before": ["<BOS_TOKEN>"], "first": True, "split": None, "digits": True, "nfc": True},
)  # fmt: skip


ROWS = (
    Layout("Qwen/Qwen3-0.6B-Base",
           _decoder("qwen3", "Qwen3ForCausalLM", bos_token_id=600, eos_token_id=600, head_dim=8, max_position_embeddings=32768,
                    max_window_layers=2, rope_theta=1000000, sliding_window=None, tie_word_embeddings=True, use_sliding_window=False),
           partial(byte_level_files, _QWEN, tokenizer_class="Qwen2Tokenizer", vocab=True, add_bos_token=False, add_prefix_space=False,
                   additional_special_tokens=["<|im_start|>", "<|im_end|>"], bos_token=None, eos_token="<|endoftext|>", errors="replace",
                   model_max_length=131072, pad_token="<|endoftext|>", split_special_tokens=False, unk_token=None,
                   how={"nfc": True, "split": made.QWEN_SPLIT, "plain": ("<think>", "</think>")}),
           dtype=torch.bfloat16, shards=2, spare_rows=20,
           generation_config={"bos_token_id": 600, "do_sample": False, "eos_token_id": 600, "max_new_tokens": 2048}),
    Layout("google/gemma-3-270m", gemma("Gemma3ForCausalLM"), gemma_files, dtype=torch.bfloat16,
           spare_rows=-1, gated=True,
           generation_config={"cache_implementation": "hybrid", "do_sample": True, "eos_token_id": [1, 106], "top_k": 64, "top_p": 0.95}),
    Layout("google/gemma-3-4b-pt",
           {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 256,
            "text_config": DECODER_SIZES | {"model_type": "gemma3_text", "rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
            "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 32, "num_hidden_layers": 2}},
           gemma_files, spare_rows=-1, gated=True, model_class="none"),
    Layout("HuggingFaceTB/SmolLM3-3B-Base",
           _decoder("smollm3", "SmolLM3ForCausalLM", bos_token_id=600, eos_token_id=601, pad_token_id=602, mlp_bias=False,
                    layer_types=["full_attention", "full_attention"], max_window_layers=28, no_rope_layer_interval=4,
                    no_rope_layers=[1, 0], pretraining_tp=2, rope_theta=5000000.0, sliding_window=None, use_sliding_window=False,
                    max_position_embeddings=65536),
           partial(byte_level_files, ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|im_end|>"), bos_token=None,
                   eos_token="<|end_of_text|>", pad_token="<|finetune_right_pad_id|>", model_max_length=131072,
                   model_input_names=["input_ids", "attention_mask"], fast=False),
           dtype=torch.bfloat16, shards=2),
    Layout("meta-llama/Llama-3.2-1B",
           _decoder("llama", "LlamaForCausalLM", bos_token_id=600, eos_token_id=601, head_dim=8, mlp_bias=False, pretraining_tp=1,
                    rms_norm_eps=1e-05, rope_scaling=_ROPE_LLAMA3, rope_theta=500000.0, tie_word_embeddings=True,
                    max_position_embeddings=131072),
           lambda: byte_level_files(_LLAMA3, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", model_max_length=131072,
                                  model_input_names=["input_ids", "attention_mask"], how={"before": ["<|begin_of_text|>"]})
           | {"original/consolidated.00.pth": b"PK", "original/params.json": b"{}", "original/tokenizer.model": b"IQ== 0\n"},
           dtype=torch.bfloat16, spare_rows=0, gated=True,
           generation_config={"bos_token_id": 600, "do_sample": True, "eos_token_id": 601, "temperature": 0.6, "top_p": 0.9}),
    Layout("swiss-ai/Apertus-8B-2509",
           _decoder("apertus", "ApertusForCausalLM", bos_token_id=1, eos_token_id=2, pad_token_id=3, hidden_act="xielu", mlp_bias=False,
                    post_norm=False, qk_norm=True, max_position_embeddings=65536, rms_norm_eps=1e-05, rope_theta=12000000, tie_word_embeddings=False,
                    rope_scaling=_ROPE_LLAMA3 | {"factor": 8.0, "type": "llama3"}),
           partial(byte_level_files, ("<unk>", "<s>", "</s>", "<pad>", "[INST]"), add_prefix_space=False, bos_token="<s>", eos_token="</s>",
                   pad_token="<pad>", unk_token="<unk>", model_max_length=NO_LIMIT, how={"before": ["<s>"], "first": True}),
           dtype=torch.bfloat16, shards=4),
    Layout("CohereLabs/tiny-aya-base",
           _decoder("cohere2", "Cohere2ForCausalLM", bos_token_id=5, eos_token_id=9, pad_token_id=0, layer_norm_eps=1e-05,
                    layer_types=["sliding_attention", "full_attention"], logit_scale=1.0, rope_theta=50000, sliding_window=4096,
                    sliding_window_pattern=4, head_dim=8, tie_word_embeddings=True) | {"logit_scale": 0.25},
           _cohere_files, dtype=torch.bfloat16, shards=2, gated=True),
    Layout("CohereLabs/aya-expanse-8b",
           _decoder("cohere", "CohereForCausalLM", bos_token_id=5, eos_token_id=9, pad_token_id=0, layer_norm_eps=1e-05, logit_scale=0.125,
                    model_max_length=8192, rope_theta=10000, use_qk_norm=False, tie_word_embeddings=True),
           _cohere_files, dtype=torch.float16, shards=2, gated=True),
)  # fmt: skip
