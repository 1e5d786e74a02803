"""Tiny random models and tokenizers of every family, for tests: 2 layers x 32, made in milliseconds, no network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    DebertaV2Config,
    EuroBertConfig,
    Gemma3TextConfig,
    GemmaTokenizer,
    LlamaConfig,
    M2M100Config,
    MBartConfig,
    MBartTokenizer,
    ModernBertConfig,
    MT5Config,
    NllbTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    Qwen3Config,
    T5Tokenizer,
    XLMRobertaConfig,
)

from xlift.models.backbone import save
from xlift.models.model import Model

ENCODERS = ("xlm-roberta", "bert", "modernbert")
"""The encoders."""
OTHER_ENCODERS = ("deberta-v2", "eurobert")
"""Encoders with heads of their own, whose rows are not packed. Only tests of heads, export and the language head take them."""
DECODERS = ("qwen3", "gemma3_text", "llama")
SEQ2SEQ = ("mt5", "nllb", "mbart")
ALL_FAMILIES = ENCODERS + DECODERS + SEQ2SEQ
TOKENIZERS = ("bpe", "bpe-unspaced", "unigram", "wordpiece")
CORPUS = (
    "the old man reads a long book in the garden",
    "the children of the village went to the river",
    "she gave him the red book because he asked for it",
    "Kuchuk Kainarji lies in the north, and Paris in France",
    "der alte Mann liest im Garten ein langes Buch",
    "дети деревни пошли к реке",
    "ชายชราอ่านหนังสือในสวน",
    "子供たちは川へ行った",
)
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LETTERS = sorted(set("".join(CORPUS)) - {" "})
NLLB_LANGUAGES = ("eng_Latn", "deu_Latn", "fra_Latn", "rus_Cyrl", "tha_Thai", "jpn_Jpan", "swh_Latn")
SENTINELS = 20


@cache
def tokenizer(kind: str = "bpe") -> Any:
    """A fast tokenizer: byte-level BPE (with and without `add_prefix_space`), Unigram with Metaspace, or WordPiece.

    Unigram and WordPiece get a fixed vocabulary, since training them is not deterministic.
    """
    if kind.startswith("bpe"):
        built = Tokenizer(models.BPE(unk_token="<unk>"))
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind == "bpe")
        built.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        built.train_from_iterator(CORPUS, trainer)
    elif kind == "unigram":
        words = sorted({"▁" + word for line in CORPUS[:4] for word in line.split()})
        scored = [(piece, -float(i + 1)) for i, piece in enumerate(["▁", *words])]
        pieces = [(special, 0.0) for special in SPECIALS] + scored + [(letter, -99.0) for letter in LETTERS]
        built = Tokenizer(models.Unigram(pieces, unk_id=SPECIALS.index("<unk>"), byte_fallback=False))
        built.normalizer = normalizers.NFKC()
        built.pre_tokenizer = pre_tokenizers.Metaspace()
        built.decoder = decoders.Metaspace()
    else:
        words = sorted({word for line in CORPUS[:4] for word in line.split() if len(word) > 1})
        pieces = [*SPECIALS, *words, *LETTERS, *("##" + letter for letter in LETTERS)]
        vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
        built = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
        built.normalizer = normalizers.BertNormalizer(lowercase=False)
        built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        built.decoder = decoders.WordPiece()
    begin, end = ("<s>", built.token_to_id("<s>")), ("</s>", built.token_to_id("</s>"))
    pair = "<s> $A </s> $B:1 </s>:1" if kind == "wordpiece" else "<s> $A </s> </s> $B </s>"
    built.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=[begin, end])
    names = (
        ["input_ids", "token_type_ids", "attention_mask"] if kind == "wordpiece" else ["input_ids", "attention_mask"]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        model_input_names=names,
        model_max_length=512,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


@cache
def generative_tokenizer(family: str) -> Any:
    """The tokenizer of a decoder or an encoder-decoder model, of the class of its published checkpoints.

    Qwen's adds no token and pads with its end token; Gemma's and Llama's add a start token, and Llama's has
    no padding token; mT5's has sentinels; NLLB's and mBART's have language tokens.
    """
    if family == "qwen3":
        tokens, merges = _pieces(pre_tokenizers.ByteLevel(add_prefix_space=False), ("<|endoftext|>", "<|im_end|>"), 380)
        made = Qwen2Tokenizer(vocab=tokens, merges=merges)
    elif family == "llama":
        begin, end = "<|begin_of_text|>", "<|end_of_text|>"
        tokens, merges = _pieces(pre_tokenizers.ByteLevel(add_prefix_space=False), (begin, end), 380)
        built = Tokenizer(models.BPE(tokens, merges))
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        built.decoder = decoders.ByteLevel()
        built.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, tokens[begin])]
        )
        names = ["input_ids", "attention_mask"]
        made = PreTrainedTokenizerFast(
            tokenizer_object=built, bos_token=begin, eos_token=end, model_input_names=names, padding_side="left"
        )
    elif family == "gemma3_text":
        specials = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)))
        tokens, merges = _pieces(pre_tokenizers.Metaspace(prepend_scheme="never"), specials, 480)
        made = GemmaTokenizer(vocab=tokens, merges=merges, add_bos_token=True)
    elif family == "nllb":
        tokens, merges = _pieces(pre_tokenizers.Metaspace(), ("<s>", "<pad>", "</s>", "<unk>"), 300)
        made = NllbTokenizer(vocab=tokens, merges=merges, extra_special_tokens=list(NLLB_LANGUAGES))
    else:
        words = sorted({"▁" + word for line in CORPUS[:4] for word in line.split()})
        pieces = [(piece, -float(i + 1)) for i, piece in enumerate(["▁", *words])] + [(x, -99.0) for x in LETTERS]
        if family == "mt5":
            specials = [(special, 0.0) for special in ("<pad>", "</s>", "<unk>")]
            sentinels = [(f"<extra_id_{i}>", 0.0) for i in reversed(range(SENTINELS))]
            made = T5Tokenizer(vocab=[*specials, *pieces, *sentinels], extra_ids=SENTINELS)
        else:
            made = MBartTokenizer(vocab=[(special, 0.0) for special in SPECIALS[:4]] + pieces)
    made.model_max_length = 512
    return made


def _pieces(pre_tokenizer: Any, specials: tuple[str, ...], size: int) -> tuple[dict[str, int], Any]:
    """Vocabulary and merges of BPE trained on the corpus."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet() if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel) else []
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), initial_alphabet=sorted(alphabet), show_progress=False
    )
    built.train_from_iterator(CORPUS, trainer)
    made = json.loads(built.to_str())["model"]
    return made["vocab"], [tuple(pair) for pair in made["merges"]]


def config(family: str, **options: Any) -> Any:
    """Two layers of width 32, without dropout, for the tokenizers here."""
    if family not in ENCODERS + OTHER_ENCODERS:
        return _generative_config(family, options)
    made: Any = {
        "xlm-roberta": XLMRobertaConfig, "bert": BertConfig, "modernbert": ModernBertConfig, "deberta-v2": DebertaV2Config,
        "eurobert": EuroBertConfig,
    }[family]  # fmt: skip
    sizes: dict[str, Any] = {
        "vocab_size": 500,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 514,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    if family == "modernbert":
        sizes |= {"cls_token_id": 0, "sep_token_id": 2}
    elif family == "eurobert":
        sizes |= {"num_key_value_heads": 2, "mask_token_id": 4}
    elif family == "deberta-v2":  # as mDeBERTa
        sizes |= {
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "relative_attention": True, "position_buckets": 8,
            "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
            "legacy": False,
        }  # fmt: skip
    else:
        sizes |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        sizes |= {"type_vocab_size": 2 if family == "bert" else 1}
    return made(**sizes | options)


def _generative_config(family: str, options: dict[str, Any]) -> Any:
    """As published: decoders with half as many key heads as heads and tied embeddings, Gemma's layers alternately local and
    global, mT5 with a separate output layer."""
    own = generative_tokenizer(family)
    vocabulary = {"vocab_size": -(-len(own) // 8) * 8}
    made: Any
    if family in DECODERS:
        made = {"qwen3": Qwen3Config, "gemma3_text": Gemma3TextConfig, "llama": LlamaConfig}[family]
        sizes: dict[str, Any] = {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "tie_word_embeddings": True,
            "bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id,
            "pad_token_id": own.pad_token_id if family == "gemma3_text" else None,
        }  # fmt: skip
        if family == "gemma3_text":
            depth = options.get("num_hidden_layers", 2)
            layers = ["full_attention" if i % 2 else "sliding_attention" for i in range(depth)]
            sizes |= {"sliding_window": 6, "query_pre_attn_scalar": 8, "layer_types": layers}
    elif family == "mt5":
        made = MT5Config
        sizes = {"d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8, "dropout_rate": 0.0}
    else:
        made = M2M100Config if family == "nllb" else MBartConfig
        sizes = {
            "d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_layers": 2, "decoder_layers": 2,
            "encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 512,
            "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
            "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "scale_embedding": True,
        }  # fmt: skip
        if family == "nllb":
            sizes |= {"decoder_start_token_id": 2}
    return made(**vocabulary | sizes | options)


def backbone(family: str, seed: int = 0, **options: Any) -> PreTrainedModel:
    """A random backbone without pooler, in evaluation mode; generative models include the output layer."""
    is_decoder = family in DECODERS and not options.get("use_bidirectional_attention")
    auto: Any = AutoModelForCausalLM if is_decoder else AutoModelForSeq2SeqLM if family in SEQ2SEQ else AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = auto.from_config(config(family, **options))
        if family == "mt5":  # as published; transformers ties both unless a checkpoint has two
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
            del model.all_tied_weights_keys["lm_head.weight"]
    if hasattr(model, "pooler"):
        model.pooler = None
    return model.eval()


def encoder(family: str, seed: int = 0, **options: Any) -> Model:
    return Model(backbone(family, seed, **options)).eval()


def tokenizer_of(family: str) -> Any:
    """WordPiece with token types for BERT, byte-level BPE for other encoders, the family's for generative models."""
    if family not in ENCODERS + OTHER_ENCODERS:
        return generative_tokenizer(family)
    return tokenizer("wordpiece" if family == "bert" else "bpe")


def model_folder(folder: Path, family: str = "xlm-roberta", seed: int = 0) -> Path:
    """Save a tiny model with its tokenizer, for `load` and for commands that need a model."""
    save(encoder(family, seed), tokenizer_of(family), folder)
    return folder


def batch(input_ids: Iterable[Any], token_type_ids: Iterable[Any] | None = None) -> dict[str, torch.Tensor]:
    """Rows, lists or arrays, padded on the right, as tensors."""
    rows = [list(row) for row in input_ids]
    width = max(map(len, rows))
    inputs = {
        "input_ids": torch.tensor([row + [1] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }
    if token_type_ids is not None:
        inputs["token_type_ids"] = torch.tensor([[*row, *[0] * (width - len(row))] for row in token_type_ids])
    return inputs
