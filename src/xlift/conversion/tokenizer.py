"""`tokenizer.json` for a model that is published with a SentencePiece file, or that reads bytes (ByT5).

transformers converts the SentencePiece file. The result is compared with SentencePiece itself on a probe: the same pieces for
every text, and ids that differ by one constant (XLM-R's are one higher). Where transformers loses the file's own normalization
or its bytes for unknown characters (mT5), they are put back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xlift.conversion import find_sentencepiece, read_json_object
from xlift.conversion.normalization import make_normalizer
from xlift.conversion.probe import probe_texts
from xlift.conversion.sentencepiece_ids import ID_OFFSETS
from xlift.errors import UserError

INSTALL = "pip install 'xlift[convert]' installs what the conversion needs."
BYTE_OFFSET, NUM_EXTRA_IDS = 3, 125
"""ByT5: the byte 0 has the id 3, after <pad>, </s> and <unk>; 125 sentinels follow the bytes."""


def convert_tokenizer(source: Path, folder: Path) -> list[Path]:
    """Write `tokenizer.json` and `tokenizer_config.json`.

    Returns:
        The files that were read.

    Raises:
        UserError: the file is damaged, a package is missing, or the result would give other tokens than SentencePiece.
    """
    model_file = find_sentencepiece(source)
    if model_file is None:
        _write_byte_tokenizer(folder)
        return [path for path in [source / "tokenizer_config.json"] if path.is_file()]
    try:
        import sentencepiece
        from sentencepiece.sentencepiece_model_pb2 import ModelProto  # pyright: ignore[reportAttributeAccessIssue]
        from transformers import AutoTokenizer, PreTrainedTokenizerFast
    except ImportError as error:
        raise UserError(f"the package {error.name} is not installed", where=str(model_file), fix=INSTALL) from None
    try:
        # the class reads the bytes, since its own reader of paths prints an error that cannot be caught
        processor = sentencepiece.SentencePieceProcessor(model_proto=model_file.read_bytes())
        proto = ModelProto.FromString(model_file.read_bytes())
    except Exception as error:  # a damaged file raises types of protobuf and of C++
        raise UserError(
            f"the SentencePiece file is damaged: {str(error)[:200]}", where=str(model_file), fix="Download it again."
        ) from None
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # transformers raises many types
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"transformers cannot convert the tokenizer: {first_line[:200]}", where=str(model_file), fix=INSTALL
        ) from None
    if find_difference(tokenizer, processor) and proto.normalizer_spec.precompiled_charsmap:
        tokenizer.backend_tokenizer.normalizer = make_normalizer(proto.normalizer_spec)
    tokenizer.save_pretrained(folder)
    if proto.trainer_spec.byte_fallback and find_difference(tokenizer, processor):
        _restore_byte_fallback(folder / "tokenizer.json")
    model_type = str(read_json_object(source / "config.json").get("model_type"))
    difference = find_difference(AutoTokenizer.from_pretrained(folder, trust_remote_code=False), processor, model_type)
    if difference:
        if getattr(tokenizer, "src_lang", None) is None:
            name_general_class(folder / "tokenizer_config.json")
        # classes that add language tokens (NLLB) must stay: models.tokenizer_loading gives them the parts of tokenizer.json
        difference = find_difference(PreTrainedTokenizerFast.from_pretrained(folder), processor, model_type)
    if difference:
        raise UserError(
            f"the converted tokenizer differs from SentencePiece: {difference}",
            where=str(model_file),
            fix="Take a checkpoint with tokenizer.json, or another version of transformers.",
        )
    return [model_file, *(path for path in [source / "tokenizer_config.json"] if path.is_file())]


def find_difference(tokenizer: Any, processor: Any, model_type: str = "") -> str:
    """The first difference between a tokenizer of transformers and a SentencePiece processor, as a clause; '' if there is none.

    Args:
        model_type: of `config.json`; it declares by how much the ids are shifted.
    """
    unknown, unknown_id = tokenizer.unk_token, processor.unk_id()
    for text in probe_texts():
        found = tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])
        expected = [unknown if n == unknown_id else processor.id_to_piece(n) for n in processor.encode(text)]
        if found != expected:
            return f"{text!r} becomes {found}, expected {expected}"
    offsets = {
        tokenizer.convert_tokens_to_ids(processor.id_to_piece(n)) - n
        for n in range(processor.get_piece_size())
        if not (processor.is_control(n) or processor.is_unknown(n) or processor.is_unused(n))
    }
    declared = ID_OFFSETS.get(model_type)
    if len(offsets) > 1 or (declared is not None and offsets != {declared}):
        return f"its ids are shifted by {sorted(offsets)[:5]}" + ("" if declared is None else f", expected {declared}")
    return ""


def _restore_byte_fallback(path: Path) -> None:
    """Let the tokenizer write unknown characters as their bytes, as mT5's does. The classes of transformers for such files make
    them the unknown token."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["model"]["byte_fallback"] = True
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, tokenizer["decoder"]]}
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def name_general_class(path: Path) -> None:
    """Let transformers load `tokenizer.json` as it is. Some classes of version 5 build another tokenizer from its vocabulary."""
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps(config | {"tokenizer_class": "PreTrainedTokenizerFast"}, indent=1) + "\n", encoding="utf-8"
    )


def _write_byte_tokenizer(folder: Path) -> None:
    """ByT5's tokens: one for each byte of the UTF-8 text, and the end token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    names = _byte_characters()
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {names[byte]: byte + BYTE_OFFSET for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[("</s>", 1)]
    )  # type: ignore[assignment]
    sentinels = [f"<extra_id_{n}>" for n in range(NUM_EXTRA_IDS)]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<pad>", "</s>", "<unk>", *sentinels)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>",
        "extra_special_tokens": sentinels, "model_input_names": ["input_ids", "attention_mask"],
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _byte_characters() -> dict[int, str]:
    """Byte -> the character that stands for it in a byte-level vocabulary: itself if it is printable, else one from U+0100 on
    (Radford et al. 2019, GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
