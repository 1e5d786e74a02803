"""Tensors that a model must have according to its config.json: their names and shapes, for the types in `REQUIRED`.

Sizes that a config may leave out have the defaults of transformers. Names are those of the class that xlift loads, without the
prefix that its other classes add (`roberta.`, `model.`). A test holds the table against transformers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tensors = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Required:
    """Tensors of a model type."""

    tensors: Tensors
    prefix: str = ""
    """Names in files may start with it."""
    optional: Tensors = field(default_factory=dict)
    """Where one of these is in the files, it has this shape."""


IGNORED = re.compile(
    r"(position_ids|rotary_emb\.inv_freq|embed_positions\.weights|EncDecAttention\.relative_attention_bias\.weight)$"
)
"""Tensors that older versions of transformers saved, and that it ignores now."""


_SIZES = ("hidden_size", "intermediate_size", "vocab_size", "num_attention_heads")


def required_tensors(config: Mapping[str, Any]) -> Required | None:
    """The tensors of a model with this config.json; None for a type without an entry. Raises KeyError for a missing size."""
    make = REQUIRED.get(str(config.get("model_type")))
    return make(config) if make else None


def _linear(name: str, size_in: int, size_out: int, *, bias: bool = True) -> Tensors:
    weight: Tensors = {f"{name}.weight": (size_out, size_in)}
    return weight | ({f"{name}.bias": (size_out,)} if bias else {})


def _norm(name: str, size: int, *, bias: bool = True) -> Tensors:
    weight: Tensors = {f"{name}.weight": (size,)}
    return weight | ({f"{name}.bias": (size,)} if bias else {})


def _matrix(name: str, rows: int, size: int) -> Tensors:
    return {f"{name}.weight": (rows, size)}


def _bert(config: Mapping[str, Any], prefix: str = "bert") -> Required:
    size, wide, words, _ = (config[name] for name in _SIZES)
    tensors = {
        **_matrix("embeddings.word_embeddings", words, size),
        **_matrix("embeddings.position_embeddings", config.get("max_position_embeddings", 512), size),
        **_matrix("embeddings.token_type_embeddings", config.get("type_vocab_size", 2), size),
        **_norm("embeddings.LayerNorm", size),
    }
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        for part in ("query", "key", "value"):
            tensors |= _linear(f"{layer}.attention.self.{part}", size, size)
        tensors |= _linear(f"{layer}.attention.output.dense", size, size)
        tensors |= _norm(f"{layer}.attention.output.LayerNorm", size)
        tensors |= _linear(f"{layer}.intermediate.dense", size, wide) | _linear(f"{layer}.output.dense", wide, size)
        tensors |= _norm(f"{layer}.output.LayerNorm", size)
    head, norm = ("cls.predictions.transform", "LayerNorm") if prefix == "bert" else ("lm_head", "layer_norm")
    bias = f"{head.removesuffix('.transform')}.bias"
    optional = {
        **_linear("pooler.dense", size, size),
        **_linear(f"{head}.dense", size, size),
        **_norm(f"{head}.{norm}", size),
    }
    return Required(tensors, prefix, {**optional, bias: (words,)})


def _roberta(config: Mapping[str, Any]) -> Required:
    return _bert(config, "roberta")


def _modernbert(config: Mapping[str, Any]) -> Required:
    size, wide, words, _ = (config[name] for name in _SIZES)
    attention, mlp, norm = (bool(config.get(f"{name}_bias")) for name in ("attention", "mlp", "norm"))
    tensors = {
        **_matrix("embeddings.tok_embeddings", words, size),
        **_norm("embeddings.norm", size, bias=norm),
        **_norm("final_norm", size, bias=norm),
    }
    for n in range(config["num_hidden_layers"]):
        layer = f"layers.{n}"
        tensors |= _norm(f"{layer}.attn_norm", size, bias=norm) if n else {}
        tensors |= _linear(f"{layer}.attn.Wqkv", size, 3 * size, bias=attention)
        tensors |= _linear(f"{layer}.attn.Wo", size, size, bias=attention)
        tensors |= _norm(f"{layer}.mlp_norm", size, bias=norm)
        tensors |= _linear(f"{layer}.mlp.Wi", size, 2 * wide, bias=mlp) | _linear(
            f"{layer}.mlp.Wo", wide, size, bias=mlp
        )
    optional = {"head.dense.weight": (size, size), "head.norm.weight": (size,), "decoder.bias": (words,)}
    return Required(tensors, "model", optional)


def _decoder(
    *, reads_bias: bool = True, qkv_bias: bool = False, norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm"),
    head_norms: str = "", tied: bool = False, head_dim: int | None = None, groups: int | None = None,
) -> Callable[[Mapping[str, Any]], Required]:  # fmt: skip
    """Llama and its relatives.

    Args:
        reads_bias: whether `attention_bias` and `mlp_bias` of a config count; otherwise there are no such biases.
        qkv_bias: whether queries, keys and values always have a bias.
        head_norms: 'head' for norms of the queries and keys of a head, 'all' for norms over all heads.
        tied, head_dim, groups: what holds if a config has no `tie_word_embeddings`, no `head_dim` (None: hidden_size /
            num_attention_heads) or no `num_key_value_heads` (None: num_attention_heads).
    """

    def make(config: Mapping[str, Any]) -> Required:
        size, wide, words, heads = (config[name] for name in _SIZES)
        dim = config.get("head_dim", head_dim) or size // heads
        query, key = heads * dim, (config.get("num_key_value_heads", groups) or heads) * dim
        bias, mlp = (reads_bias and bool(config.get(name)) for name in ("attention_bias", "mlp_bias"))
        tensors = _matrix("embed_tokens", words, size) | _norm("norm", size, bias=False)
        for n in range(config["num_hidden_layers"]):
            layer = f"layers.{n}"
            for name, width in (("q", query), ("k", key), ("v", key)):
                tensors |= _linear(f"{layer}.self_attn.{name}_proj", size, width, bias=bias or qkv_bias)
            tensors |= _linear(f"{layer}.self_attn.o_proj", query, size, bias=bias)
            for name in ("gate", "up"):
                tensors |= _linear(f"{layer}.mlp.{name}_proj", size, wide, bias=mlp)
            tensors |= _linear(f"{layer}.mlp.down_proj", wide, size, bias=mlp)
            for norm in norms:
                tensors |= _norm(f"{layer}.{norm}", size, bias=False)
            if head_norms:
                for name, width in (("q", query), ("k", key)):
                    tensors |= _norm(
                        f"{layer}.self_attn.{name}_norm", dim if head_norms == "head" else width, bias=False
                    )
        output = _matrix("lm_head", words, size)
        is_tied = config.get("tie_word_embeddings", tied)
        return Required(tensors | ({} if is_tied else output), "model", output)

    return make


def _t5(config: Mapping[str, Any], *, all_positions: bool = False) -> Required:
    """
    Args:
        all_positions: whether every layer has relative positions (umT5); otherwise the first has those of all.
    """
    size, wide, words, heads = (config[name] for name in ("d_model", "d_ff", "vocab_size", "num_heads"))
    inner, buckets = heads * config["d_kv"], config.get("relative_attention_num_buckets", 32)
    layers = {"encoder": config["num_layers"], "decoder": config.get("num_decoder_layers") or config["num_layers"]}
    kind = config.get("feed_forward_proj", "relu" if config["model_type"] == "t5" else "gated-gelu")
    inputs = ("wi_0", "wi_1") if str(kind).startswith("gated") else ("wi",)
    tensors = _matrix("shared", words, size)
    for stack, num_layers in layers.items():
        tensors |= _norm(f"{stack}.final_layer_norm", size, bias=False)
        for n in range(num_layers):
            block = f"{stack}.block.{n}.layer"
            attentions = ["SelfAttention"] + ["EncDecAttention"] * (stack == "decoder")
            for at, attention in enumerate(attentions):
                for part in "qkv":
                    tensors |= _linear(f"{block}.{at}.{attention}.{part}", size, inner, bias=False)
                tensors |= _linear(f"{block}.{at}.{attention}.o", inner, size, bias=False)
                tensors |= _norm(f"{block}.{at}.layer_norm", size, bias=False)
            if all_positions or not n:
                tensors |= _matrix(f"{block}.0.SelfAttention.relative_attention_bias", buckets, heads)
            last = len(attentions)
            for part in inputs:
                tensors |= _linear(f"{block}.{last}.DenseReluDense.{part}", size, wide, bias=False)
            tensors |= _linear(f"{block}.{last}.DenseReluDense.wo", wide, size, bias=False)
            tensors |= _norm(f"{block}.{last}.layer_norm", size, bias=False)
    output = _matrix("lm_head", words, size)
    is_untied = config.get("tie_word_embeddings") is False
    return Required(tensors | (output if is_untied else {}), "", output)


def _umt5(config: Mapping[str, Any]) -> Required:
    return _t5(config, all_positions=True)


def _bart(config: Mapping[str, Any], *, learned_positions: bool = True) -> Required:
    """mBART; and M2M-100 and NLLB, whose positions are computed."""
    size, words, *_ = (
        config[name] for name in ("d_model", "vocab_size", "encoder_attention_heads", "decoder_attention_heads")
    )
    tensors = _matrix("shared", words, size)
    positions = config.get("max_position_embeddings", 1024)
    for stack in ("encoder", "decoder"):
        wide = config[f"{stack}_ffn_dim"]
        tensors |= _norm(f"{stack}.layer_norm", size)
        if learned_positions:
            tensors |= _matrix(f"{stack}.embed_positions", positions + 2, size)
            tensors |= _norm(f"{stack}.layernorm_embedding", size)
        for n in range(config[f"{stack}_layers"]):
            layer = f"{stack}.layers.{n}"
            for attention in ["self_attn"] + ["encoder_attn"] * (stack == "decoder"):
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    tensors |= _linear(f"{layer}.{attention}.{part}", size, size)
                tensors |= _norm(f"{layer}.{attention}_layer_norm", size)
            tensors |= _linear(f"{layer}.fc1", size, wide) | _linear(f"{layer}.fc2", wide, size)
            tensors |= _norm(f"{layer}.final_layer_norm", size)
    tied = _matrix("encoder.embed_tokens", words, size) | _matrix("decoder.embed_tokens", words, size)
    tied |= _matrix("lm_head", words, size)
    if not config.get("tie_word_embeddings", True):
        tensors |= tied
    return Required(tensors, "model", tied | {"final_logits_bias": (1, words)})


def _m2m_100(config: Mapping[str, Any]) -> Required:
    return _bart(config, learned_positions=False)


_AROUND = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")

REQUIRED: dict[str, Callable[[Mapping[str, Any]], Required]] = {
    "bert": _bert,
    "camembert": _roberta,
    "gemma": _decoder(tied=True, head_dim=256, groups=16),
    "gemma2": _decoder(tied=True, head_dim=256, groups=4, norms=_AROUND),
    "gemma3_text": _decoder(tied=True, head_dim=256, groups=4, norms=_AROUND, head_norms="head"),
    "llama": _decoder(),
    "m2m_100": _m2m_100,
    "mbart": _bart,
    "mistral": _decoder(reads_bias=False, groups=8),
    "modernbert": _modernbert,
    "mt5": _t5,
    "olmo2": _decoder(norms=_AROUND[1::2], head_norms="all"),
    "qwen2": _decoder(reads_bias=False, qkv_bias=True, groups=32),
    "qwen3": _decoder(head_dim=128, groups=32, head_norms="head"),
    "roberta": _roberta,
    "smollm3": _decoder(tied=True, groups=4),
    "t5": _t5,
    "umt5": _umt5,
    "xlm-roberta": _roberta,
}
"""Model type -> its tensors."""
TIED_EMBEDDINGS = {
    "shared.weight": ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"),
    "embed_tokens.weight": ("lm_head.weight",),
}
"""A tensor that may be stored under one of other names instead."""
