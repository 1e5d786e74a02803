"""Tiny checkpoints in the layouts that models are published in: pickled weights, and a SentencePiece file or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

TEXTS = [
    f"the quick brown fox {n} jumps über dem faulen Hund नमस्ते दुनिया 你好世界 สวัสดีชาวโลก مرحبا بالعالم"
    for n in range(200)
]
T5_PIECES = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
DEBERTA_PIECES = {
    "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
    "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]",
}  # fmt: skip
SMALL_T5: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
SMALL_BERT: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip
VOCABULARY = 260


@cache
def sentencepiece_model(**special_pieces: Any) -> bytes:
    """A SentencePiece file with at most 160 pieces."""
    import io

    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=written, vocab_size=160, character_coverage=1.0,
        hard_vocab_limit=False, minloglevel=2, **special_pieces,
    )  # fmt: skip
    return written.getvalue()


def mt5() -> tuple[PreTrainedModel, dict[str, bytes]]:
    model = MT5ForConditionalGeneration(MT5Config(vocab_size=VOCABULARY, tie_word_embeddings=False, **SMALL_T5))
    return model, {"spiece.model": sentencepiece_model(**T5_PIECES)}


def xlm_roberta() -> tuple[PreTrainedModel, dict[str, bytes]]:
    """As Glot500 and XLM-V are published."""
    model = XLMRobertaForMaskedLM(XLMRobertaConfig(vocab_size=VOCABULARY, pad_token_id=1, **SMALL_BERT))
    config = {"tokenizer_class": "XLMRobertaTokenizer"}
    return model, {
        "sentencepiece.bpe.model": sentencepiece_model(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }


def mdeberta() -> tuple[PreTrainedModel, dict[str, bytes]]:
    model = DebertaV2ForMaskedLM(DebertaV2Config(vocab_size=VOCABULARY, **SMALL_BERT))
    config = {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False, "vocab_type": "spm"}
    files = {"spm.model": sentencepiece_model(**DEBERTA_PIECES), "tokenizer_config.json": json.dumps(config).encode()}
    return model, files


def byt5() -> tuple[PreTrainedModel, dict[str, bytes]]:
    model = T5ForConditionalGeneration(T5Config(vocab_size=384, **SMALL_T5))
    return model, {"tokenizer_config.json": json.dumps({"tokenizer_class": "ByT5Tokenizer"}).encode()}


def nllb() -> tuple[PreTrainedModel, dict[str, bytes]]:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}  # fmt: skip
    model = M2M100ForConditionalGeneration(M2M100Config(vocab_size=400, **sizes))
    config = {"tokenizer_class": "NllbTokenizer"}
    return model, {
        "sentencepiece.bpe.model": sentencepiece_model(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }


LAYOUTS: dict[str, Callable[[], tuple[PreTrainedModel, dict[str, bytes]]]] = {
    "mt5": mt5, "xlm-roberta": xlm_roberta, "mdeberta": mdeberta, "byt5": byt5, "nllb": nllb,
}  # fmt: skip


def write_checkpoint(folder: Path, layout: str, shards: int = 1) -> PreTrainedModel:
    """Write a checkpoint as published, with its weights in so many pickled files."""
    torch.manual_seed(0)
    model, files = LAYOUTS[layout]()
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    state = model.state_dict()
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return model
    names = list(state)
    weight_map = {}
    for n in range(shards):
        file = f"pytorch_model-{n + 1:05}-of-{shards:05}.bin"
        part = {name: state[name].clone() for name in names[n::shards]}
        torch.save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return model


def write_gguf(path: Path, quantized: bool) -> dict[str, Any]:
    """Write a tiny Llama as a GGUF file, and return its tensors under the names of the file (quantized ones dequantized)."""
    import gguf
    import numpy as np

    width, inner, heads, layers = 64, 128, 4, 2
    pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((f"<0x{byte:02X}>", 6) for byte in range(256))]
    pieces += [("▁" + word, 1) for word in ("the", "red", "book")] + [("▁", 1), *((chr(n), 1) for n in range(97, 123))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece for piece, _ in pieces])
    writer.add_token_scores([-float(n) for n in range(len(pieces))])
    writer.add_token_types([kind for _, kind in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(pieces), width), "output_norm.weight": (width,),
                                         "output.weight": (len(pieces), width)}  # fmt: skip
    for n in range(layers):
        shapes |= {f"blk.{n}.attn_{part}.weight": (width, width) for part in ("q", "k", "v", "output")}
        shapes |= {f"blk.{n}.{part}_norm.weight": (width,) for part in ("attn", "ffn")}
        shapes |= {f"blk.{n}.ffn_gate.weight": (inner, width), f"blk.{n}.ffn_up.weight": (inner, width),
                   f"blk.{n}.ffn_down.weight": (width, inner)}  # fmt: skip
    expected: dict[str, Any] = {}
    for name, shape in shapes.items():
        values = random.normal(size=shape).astype(np.float32)
        expected[name] = values
        if quantized and len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            bytes_ = gguf.quantize(values, kind)
            writer.add_tensor(name, bytes_, raw_dtype=kind)
            expected[name] = gguf.dequantize(bytes_, kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected
