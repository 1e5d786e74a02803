"""Tokenizer files as published checkpoints have them, with tiny vocabularies: SentencePiece models that `sentencepiece` trains, and
`tokenizer.json` as transformers 4 wrote it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from xlift.conversion.probe import probe_texts

WORDS = (
    "the quick brown fox jumps over the lazy dog", "Der alte Mann liest im Garten ein langes Buch", "नमस्ते दुनिया", "你好世界",
    "สวัสดีชาวโลก", "مرحبا بالعالم", "дети пошли к реке", "mbwa analala na mama anarudi", "Is this the same answer? yes no true false",
)  # fmt: skip
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
NLLB_CODES = ("ace_Arab", "deu_Latn", "eng_Latn", "fra_Latn", "hin_Deva", "swh_Latn", "tha_Thai", "zho_Hans")
MBART_CODES = ("ar_AR", "de_DE", "en_XX", "fr_XX", "hi_IN", "sw_KE", "th_TH", "zh_CN")
LLAMA3_SPECIALS = tuple(f"<|reserved_special_token_{n}|>" for n in range(8))
Files = dict[str, bytes]


@cache
def sentencepiece_model(
    kind: str = "unigram", *, byte_fallback: bool = False, size: int = 4000, symbols: Sequence[str] = (), plain: bool = False,
    **special_pieces: Any,
) -> bytes:  # fmt: skip
    """A SentencePiece file.

    Args:
        kind: 'unigram' or 'bpe'.
        symbols: tokens that it never splits.
        plain: it neither normalizes, nor puts a space in front (Gemma).
    """
    import sentencepiece

    written = io.BytesIO()
    how: dict[str, Any] = {"normalization_rule_name": "identity", "add_dummy_prefix": False,
                           "remove_extra_whitespaces": False} if plain else {}  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*probe_texts(), *WORDS * 20]), model_writer=written, model_type=kind, vocab_size=size,
        character_coverage=0.98 if byte_fallback else 1.0, byte_fallback=byte_fallback, hard_vocab_limit=False, minloglevel=2,
        user_defined_symbols=list(symbols), **how, **special_pieces,
    )  # fmt: skip
    return written.getvalue()


def to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def read_proto(model: bytes) -> Any:
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # pyright: ignore[reportAttributeAccessIssue]

    return ModelProto.FromString(model)


def _added(tokens: Sequence[str], vocabulary: Sequence[str], special: bool = True) -> list[dict[str, Any]]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    return [{"id": vocabulary.index(token), "content": token, **flags} for token in tokens]


def _template(
    before: Sequence[str], after: Sequence[str], vocabulary: Sequence[str], between: Sequence[str] = ()
) -> dict[str, Any]:  # fmt: skip
    def special(token: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": 0}}

    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    single = [*map(special, before), first, *map(special, after)]
    pair = [*map(special, before), first, *map(special, between), second, *map(special, after)]
    used = dict.fromkeys((*before, *between, *after))
    tokens = {token: {"id": token, "ids": [vocabulary.index(token)], "tokens": [token]} for token in used}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _document(model: dict[str, Any], added: list[dict[str, Any]], **parts: Any) -> bytes:
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}  # fmt: skip
    return to_json(document)


def _charsmap(proto: Any) -> dict[str, Any]:
    table = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    return {"type": "Precompiled", "precompiled_charsmap": table}


def _metaspace(prepend: str = "always") -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend, "split": True}


def fairseq_unigram_json(model: bytes) -> bytes:
    """XLM-R's: ids one higher than those of the SentencePiece file, `<mask>` last."""
    proto = read_proto(model)
    pieces = [(token, 0.0) for token in FAIRSEQ] + [(p.piece, p.score) for p in proto.pieces[3:]] + [("<mask>", 0.0)]
    names = [piece for piece, _ in pieces]
    added = _added((*FAIRSEQ, "<mask>"), names)
    added[-1]["lstrip"] = True
    return _document(
        {"type": "Unigram", "unk_id": 3, "vocab": pieces}, added, normalizer=_charsmap(proto), decoder=_metaspace(),
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, _metaspace()]},
        post_processor=_template(["<s>"], ["</s>"], names, ["</s>", "</s>"]),
    )  # fmt: skip


def t5_unigram_json(model: bytes, extra: Sequence[str] = ()) -> bytes:
    """umT5's and MADLAD's: the ids of the SentencePiece file, then sentinels; the end token behind."""
    proto = read_proto(model)
    pieces = [(p.piece, p.score) for p in proto.pieces] + [(token, 0.0) for token in extra]
    names = [piece for piece, _ in pieces]
    steps = [_charsmap(proto), {"type": "Strip", "strip_left": False, "strip_right": True},
             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]  # fmt: skip
    special = [p.piece for p in proto.pieces if p.type in (2, 3)]
    marked = [p.piece for p in proto.pieces if p.type == 4]  # user-defined symbols
    fallback = any(p.type == 6 for p in proto.pieces)
    return _document(
        {"type": "Unigram", "unk_id": proto.trainer_spec.unk_id, "vocab": pieces, "byte_fallback": fallback},
        _added([*special, *marked, *extra], names),
        normalizer={"type": "Sequence", "normalizers": steps}, pre_tokenizer=_metaspace(),
        decoder={"type": "Sequence", "decoders": [{"type": "ByteFallback"}, _metaspace()]} if fallback else _metaspace(),
        post_processor=_template([], ["</s>"], names, ["</s>"]),
    )  # fmt: skip


def _merges(model: bytes) -> list[list[str]]:
    """The merges of a BPE model of SentencePiece, in the order of its pieces."""
    pieces = {p.piece: n for n, p in enumerate(read_proto(model).pieces) if p.type == 1}
    found = []
    for piece, rank in pieces.items():
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        found += [(rank, pieces[a], pieces[b], [a, b]) for a, b in splits if a in pieces and b in pieces]
    return [pair for *_, pair in sorted(found, key=lambda each: each[:3])]


def nllb_json(model: bytes) -> bytes:
    """NLLB's: fairseq's ids, language tokens and `<mask>` last, the source's language token in front."""
    proto = read_proto(model)
    names = [*FAIRSEQ, *(p.piece for p in proto.pieces[3:]), *NLLB_CODES, "<mask>"]
    steps = [_charsmap(proto), {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
    return _document(
        {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
         "fuse_unk": True, "byte_fallback": False, "vocab": {name: n for n, name in enumerate(names)}, "merges": _merges(model)},
        _added([*FAIRSEQ, *NLLB_CODES, "<mask>"], names),
        normalizer={"type": "Sequence", "normalizers": steps}, pre_tokenizer=_metaspace(), decoder=_metaspace(),
        post_processor=_template(["eng_Latn"], ["</s>"], names),
    )  # fmt: skip


def gemma_json(model: bytes, *, encoder: bool = False, extra: Sequence[str] = ()) -> bytes:
    """Gemma's: BPE with bytes for unknown characters, no space in front, `<bos>` first; as an encoder (mmBERT) `<eos>` last."""
    proto = read_proto(model)
    names = [*(p.piece for p in proto.pieces), *extra]
    special = [p.piece for p in proto.pieces if p.type in (2, 3)]
    symbols = [p.piece for p in proto.pieces if p.type == 4]
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return _document(
        {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
         "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": {name: n for n, name in enumerate(names) if name not in extra},
         "merges": _merges(model)},
        _added([*special, *symbols, *extra], names), normalizer=space,
        pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        decoder={"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        post_processor=_template(["<bos>"], ["<eos>"] if encoder else [], names, ["<eos>" if encoder else "<bos>"]),
    )  # fmt: skip


GEMMA_PIECES: dict[str, Any] = {
    "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>",
}  # fmt: skip
GEMMA_SYMBOLS = ("<mask>", "[multimodal]", "<unused0>", "<start_of_turn>", "<end_of_turn>")


def gemma_model() -> bytes:
    return sentencepiece_model("bpe", byte_fallback=True, size=3000, symbols=GEMMA_SYMBOLS, plain=True, **GEMMA_PIECES)


LLAMA3_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


@cache
def byte_level(
    specials: tuple[str, ...], *, first: bool = False, size: int = 600
) -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """Vocabulary and merges of byte-level BPE.

    Args:
        first: whether special tokens have the first ids, not the last ones.
    """
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    built.train_from_iterator([*WORDS * 5, *probe_texts()], trainer)
    made = json.loads(built.to_str())["model"]
    pieces = sorted(made["vocab"], key=made["vocab"].get)
    names = [*specials, *pieces] if first else [*pieces, *specials]
    return {name: n for n, name in enumerate(names)}, tuple((left, right) for left, right in made["merges"])


def byte_level_json(
    specials: tuple[str, ...], *, before: Sequence[str] = (), after: Sequence[str] = (), first: bool = False,
    split: str | None = LLAMA3_SPLIT, digits: bool = False, nfc: bool = False, plain: Sequence[str] = (),
) -> bytes:  # fmt: skip
    """tokenizer.json of byte-level BPE: Llama 3, Qwen, SmolLM3, Apertus, EuroBERT, ModernBERT, Cohere.

    Args:
        split: the regular expression of words; None for GPT-2's.
        digits: whether each digit is a token.
        plain: which of the special tokens are not marked special.
    """
    vocabulary, merges = byte_level(specials, first=first)
    names = list(vocabulary)
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": split is None}
    steps: list[Any] = [{"type": "Digits", "individual_digits": True}] if digits else []
    if split:
        steps.append({"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False})
    added = _added(specials, names)
    for token in added:
        token["special"] = token["content"] not in plain
    return _document(
        {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
         "fuse_unk": False, "byte_fallback": False, "ignore_merges": split is not None, "vocab": {
             name: n for name, n in vocabulary.items() if first or name not in specials
         }, "merges": [f"{left} {right}" for left, right in merges]},
        added, normalizer={"type": "NFC"} if nfc else None, decoder=bytes_ | {"add_prefix_space": True},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [*steps, bytes_]},
        post_processor=_template(before, after, names, after or before) if before or after else bytes_ | {"use_regex": True},
    )  # fmt: skip


BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def bert_files() -> Files:
    """vocab.txt and tokenizer.json of mBERT and LaBSE."""
    letters = sorted({char for text in (*WORDS, *probe_texts()) for char in text if not char.isspace()})
    words = sorted({word for text in WORDS for word in text.split() if len(word) > 1})
    names = list(dict.fromkeys([*BERT_SPECIALS, *words, *letters, *(f"##{letter}" for letter in letters)]))
    post = _template(["[CLS]"], ["[SEP]"], names)
    post["pair"] = [
        *post["single"],
        {"Sequence": {"id": "B", "type_id": 1}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
    ]
    document = _document(
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
         "vocab": {name: n for n, name in enumerate(names)}},
        _added(BERT_SPECIALS, names), post_processor=post, pre_tokenizer={"type": "BertPreTokenizer"},
        normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
    )  # fmt: skip
    return {"vocab.txt": ("\n".join(names) + "\n").encode(), "tokenizer.json": document}
