"""Load a tokenizer that gives the ids of the checkpoint's own `tokenizer.json`.

Some classes of transformers 5 read the vocabulary of `tokenizer.json` and build the rest themselves: the normalization of DeBERTa
and NLLB is then lost, and texts get other ids than in pretraining, without a message. So the ids of both are compared on the texts of
`conversion.probe`. Where they differ, the parts of `tokenizer.json` replace those of the class. Where they still differ, the
tokenizer is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from xlift.conversion import find_sentencepiece
from xlift.conversion.probe import probe_texts
from xlift.conversion.sentencepiece_ids import find_shifted_id, open_sentencepiece
from xlift.conversion.tokenizer import name_general_class
from xlift.errors import UserError
from xlift.model_files.contents import read_object
from xlift.model_files.tokenizer import CONFIG, ROLES, TOKENIZER, read_tokenizer


def load_tokenizer(name: str | Path) -> Any:
    """Load the fast tokenizer of a folder or a Hub id.

    One without a padding token (Llama's) pads with its end token. No token is added, and attention masks mark the padding.

    Raises:
        UserError: it gives other ids than its `tokenizer.json`, or than the SentencePiece file beside it.
    """
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    folder = Path(name)
    if (folder / TOKENIZER).is_file():
        own = read_tokenizer(folder)
        if find_difference(tokenizer, own):
            _restore_parts(tokenizer, own)
        if difference := find_difference(tokenizer, own):
            raise UserError(
                f"transformers reads the tokenizer otherwise than its file says: {difference}", where=str(folder / TOKENIZER),
                fix="write `\"tokenizer_class\": \"PreTrainedTokenizerFast\"` in a copy of its tokenizer_config.json, or take another "
                "version of transformers.",
            )  # fmt: skip
        _compare_with_sentencepiece(own, folder)
    return tokenizer


def _compare_with_sentencepiece(own: Any, folder: Path) -> None:
    """Raises UserError where the pieces of the SentencePiece file of a folder have other ids in its `tokenizer.json`.

    Only ids are compared: `tokenizers` normalizes some combining marks otherwise than SentencePiece, in published files too, and the
    models are used with `tokenizer.json`.
    """
    path = find_sentencepiece(folder)
    processor = open_sentencepiece(path) if path else None
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    if processor and (difference := find_shifted_id(own.token_to_id, processor, str(config.get("model_type")))):
        raise UserError(
            f"tokenizer.json and the SentencePiece file are of different models: {difference}", where=str(path),
            fix="copy or download the tokenizer's files of this model again.",
        )  # fmt: skip


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer so that plain transformers gives the same ids. A class that would build another one from the file is not
    named, unless it has language tokens to add."""
    tokenizer.save_pretrained(folder)
    own = read_tokenizer(folder)
    has_languages = getattr(tokenizer, "src_lang", None) is not None
    written = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if not has_languages and find_difference(written, own):
        name_general_class(folder / CONFIG)


def find_difference(tokenizer: Any, own: Any) -> str:
    """The first difference between a loaded tokenizer and a `tokenizers.Tokenizer`, as a clause; '' if there is none."""
    for number, token in own.get_added_tokens_decoder().items():
        if (found := tokenizer.convert_tokens_to_ids(token.content)) != number:
            return f"'{token.content}' has the id {found}, expected {number}"
    texts = list(probe_texts())
    found_rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    expected_rows = own.encode_batch(texts, add_special_tokens=False)
    for text, found, expected in zip(texts, found_rows, expected_rows, strict=True):
        if found != expected.ids:
            return f"{text!r} becomes {found[:20]}, expected {expected.ids[:20]}"
    return ""


def _restore_parts(tokenizer: Any, own: Any) -> None:
    """Give a tokenizer the parts of `tokenizer.json`, except the part that adds special tokens, which depends on the language."""
    backend = tokenizer.backend_tokenizer
    backend.model = own.model
    backend.normalizer = own.normalizer
    backend.pre_tokenizer = own.pre_tokenizer
    backend.decoder = own.decoder


def check_tokenizer(tokenizer: Any, num_embeddings: int, name: str, allowed: Collection[str]) -> None:
    """Raises UserError for a tokenizer that is empty or belongs to another model.

    Args:
        num_embeddings: rows of the model's input embeddings.
        name: of the model, for the message.
        allowed: tokens that need no row: the tokenizer of Gemma's text-only models has an image token after their last row.
    """
    special_ids = [getattr(tokenizer, f"{each}_id", None) for each in ROLES]
    needed = max(tokenizer.vocab_size, *(token_id + 1 for token_id in special_ids if token_id is not None), 0)
    if len(tokenizer) > num_embeddings:  # tokens that its class adds, which no file names
        others = [n for token, n in tokenizer.get_vocab().items() if token not in allowed]
        needed = max(needed, *(n + 1 for n in others))
    # if the tokenizer's files are missing, transformers silently returns an empty tokenizer
    if tokenizer.vocab_size <= len(tokenizer.all_special_ids) or needed > num_embeddings:
        raise UserError(
            f"the tokenizer has {len(tokenizer)} tokens, the model {num_embeddings}",
            where=name,
            fix="check that the tokenizer's files are there and belong to this model.",
        )
