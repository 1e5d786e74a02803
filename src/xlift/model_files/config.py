"""The config.json of a model folder: the type of the model, and the kinds and ranges of the values that transformers reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xlift.errors import UserError, did_you_mean
from xlift.model_families import BIDIRECTIONAL, Family, family_of_json, traits_of
from xlift.model_files.config_values import check_values
from xlift.model_files.contents import kind_of, read_object
from xlift.model_files.known_types import KNOWN_TYPES, LISTED_VERSION
from xlift.model_files.tensors import REQUIRED, required_tensors

CONFIG = "config.json"


def check_config(folder: Path) -> dict[str, Any]:
    """The config.json of a folder.

    Raises:
        UserError: it is damaged, of a type that is not supported, or a value cannot be right.
    """
    path = folder / CONFIG
    try:
        config = read_object(path)
    except UserError as error:
        raise UserError(f"the model's config cannot be read: {error.what}", where=str(path), fix=error.fix) from None
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        found = f"`model_type` is {kind_of(model_type)}" if "model_type" in config else "it has no `model_type`"
        raise UserError(
            found, where=str(path), fix="expected the config.json that save_pretrained() of transformers writes."
        )
    for name, is_right, expected in (
        (
            "architectures",
            lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
            "a list of names",
        ),
        ("is_encoder_decoder", lambda value: isinstance(value, bool), "true or false"),
    ):
        if config.get(name) is not None and not is_right(config[name]):
            raise UserError(f"`{name}` is {kind_of(config[name])}, expected {expected}", where=str(path))
    _check_type(config, path)
    if model_type in REQUIRED:
        check_values(config, path)
        _check_sizes(config, path)
    elif type(config.get("vocab_size", 1)) is not int:
        raise UserError(f"`vocab_size` is {kind_of(config['vocab_size'])}, expected a whole number", where=str(path))
    return config


def _check_type(config: Mapping[str, Any], path: Path) -> None:
    model_type: str = config["model_type"]
    if config.get("text_config") is not None:  # Gemma 3 from 4B on, among others
        raise UserError(
            f"a model of type '{model_type}' is a model of images and text",
            where=str(path),
            fix="extract its text model: save `AutoModelForImageTextToText.from_pretrained(...).model.language_model` of "
            "transformers, and the tokenizer, to a folder with save_pretrained.",
        )
    if config.get("quantization_config") is not None:
        raise UserError(
            "the weights are quantized, and xlift trains full ones", where=str(path),
            fix="take the model that it was made from; `lora: {quantize: true}` quantizes it for training.",
        )  # fmt: skip
    family = family_of_json(config)
    types = KNOWN_TYPES["decoder"] if config.get(BIDIRECTIONAL) is True else KNOWN_TYPES[family]
    if model_type in types or not _is_listed_version():
        return
    if "auto_map" in config:
        raise UserError(
            f"models of type '{model_type}' need code of their repository, which xlift does not run", where=str(path),
            fix="take a model of a type that transformers itself has.",
        )  # fmt: skip
    raise UserError(
        f"a model of type '{model_type}' is not an encoder, decoder or encoder-decoder model of text that transformers has",
        where=str(path),
        fix=did_you_mean(model_type, KNOWN_TYPES[family])
        + f"{_FAMILIES[family]} of transformers {LISTED_VERSION} are for "
        f"instance {', '.join(_examples(family))}.",
    )


_FAMILIES: dict[Family, str] = {
    "encoder": "Encoders", "decoder": "Decoders", "seq2seq": "Encoder-decoder models",
}  # fmt: skip


def _examples(family: Family) -> Iterable[str]:
    return sorted(name for name in REQUIRED if name in KNOWN_TYPES[family] and traits_of(name).family == family)


def _is_listed_version() -> bool:
    """Whether the installed transformers has the types of KNOWN_TYPES; another version may have more."""
    try:
        return version("transformers") == LISTED_VERSION
    except PackageNotFoundError:
        return False


MODERNBERT_PADDING = 50283
"""`pad_token_id` of a ModernBERT whose config has none. That of other types is smaller than every vocabulary."""
_HEADS = (
    ("hidden_size", "num_attention_heads"), ("d_model", "encoder_attention_heads"), ("d_model", "decoder_attention_heads"),
)  # fmt: skip
"""A width, and a number of heads that divides it unless `head_dim` says how wide a head is."""


def _check_sizes(config: Mapping[str, Any], path: Path) -> None:
    """Raises UserError where sizes are missing or do not fit together."""
    try:
        required_tensors(config)
    except KeyError as error:
        raise UserError(
            f"it has no `{error.args[0]}`", where=str(path),
            fix="copy or download the file again; save_pretrained() of transformers writes all sizes.",
        ) from None  # fmt: skip
    has_head_dim = config.get("head_dim") is not None and config["model_type"] not in ("llama", "gemma2", "gemma3_text")
    pairs = [(large, small) for large, small in _HEADS if not has_head_dim]
    for large, small in [*pairs, ("num_attention_heads", "num_key_value_heads")]:
        if config.get(large) and config.get(small) and config[large] % config[small]:
            raise UserError(
                f"`{large}` {config[large]} is not a multiple of `{small}` {config[small]}", where=str(path)
            )
    pad = config.get("pad_token_id", MODERNBERT_PADDING if config["model_type"] == "modernbert" else None)
    if pad is not None and not -config["vocab_size"] <= pad < config["vocab_size"]:
        raise UserError(f"`pad_token_id` {pad} is not below `vocab_size` {config['vocab_size']}", where=str(path))
