"""Small model folders of every family for planning: a config, weights of zeros and a tokenizer. A plan accepts them."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from xlift.model_files.tensors import required_tensors

DECODER: dict[str, Any] = {
    "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 500,
    "tie_word_embeddings": True,
}  # fmt: skip
SEQ2SEQ: dict[str, Any] = {
    "model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"], "is_encoder_decoder": True, "d_model": 32,
    "d_ff": 64, "d_kv": 8, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 3, "vocab_size": 500,
    "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip
ENCODER: dict[str, Any] = {
    "model_type": "xlm-roberta", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "vocab_size": 500, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1,
}  # fmt: skip
CONFIGS = {"encoder": ENCODER, "decoder": DECODER, "seq2seq": SEQ2SEQ}
SPECIAL_TOKENS = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}


def family_folder(folder: Path, family: str, *, weights: bool = True) -> Path:
    return write_model_folder(folder, CONFIGS[family], weights=weights)


def write_model_folder(folder: Path, config: dict[str, Any], *, weights: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if weights:
        required = required_tensors(config)
        assert required is not None
        write_weights(folder / "model.safetensors", required.tensors)
        write_tokenizer(folder)
    return folder


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file with float32 tensors of zeros."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_heads(folder: Path, *names: str) -> None:
    """Heads of these names, as xlift saves them beside a model."""
    specs = {name: {"kind": "sequence", "labels": ["a", "b"]} for name in names}
    (folder / "heads.json").write_text(json.dumps(specs), encoding="utf-8")
    write_weights(folder / "heads.safetensors", {f"{name}.weight": (1,) for name in names})


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of four special tokens and one word."""
    vocabulary = {token: n for n, token in enumerate((*SPECIAL_TOKENS.values(), "a"))}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast"} | SPECIAL_TOKENS
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_family_folders(folder: Path) -> Path:
    """One folder per family, named after it."""
    for family in CONFIGS:
        family_folder(folder / family, family)
    return folder
