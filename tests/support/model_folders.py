"""Model folders of every family for planning: a config, and a few bytes as weights. They cannot be loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    "num_attention_heads": 4, "vocab_size": 500, "max_position_embeddings": 514,
}  # fmt: skip
CONFIGS = {"encoder": ENCODER, "decoder": DECODER, "seq2seq": SEQ2SEQ}


def family_folder(folder: Path, family: str, *, weights: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIGS[family]), encoding="utf-8")
    if weights:
        (folder / "model.safetensors").write_bytes(family.encode())
    return folder


def write_family_folders(folder: Path) -> Path:
    """One folder per family, named after it."""
    for family in CONFIGS:
        family_folder(folder / family, family)
    return folder
