"""The tokenizer of a model folder: its files, its tokens against the rows of the embeddings, its special tokens."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.conversion import lacks_tokenizer_json
from xlift.conversion.probe import probe_texts
from xlift.errors import UserError
from xlift.model_families import traits_of
from xlift.model_files.contents import AGAIN, kind_of, read_object

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
CLASS_MODELS = {
    "AlbertTokenizer": "Unigram", "BertTokenizer": "WordPiece", "DebertaV2Tokenizer": "Unigram", "GPT2Tokenizer": "BPE",
    "GemmaTokenizer": "BPE", "LlamaTokenizer": "BPE", "MBart50Tokenizer": "Unigram", "MBartTokenizer": "Unigram",
    "NllbTokenizer": "BPE", "Qwen2Tokenizer": "BPE", "RobertaTokenizer": "BPE", "T5Tokenizer": "Unigram",
    "XGLMTokenizer": "Unigram", "XLMRobertaTokenizer": "Unigram",
}  # fmt: skip
"""Class of transformers with special tokens of its own -> the kind of tokenizer that it builds from tokenizer.json."""
_FAIRSEQ = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>",
    "mask_token": "<mask>",
}  # fmt: skip
CLASS_TOKENS: dict[str, dict[str, str]] = {
    "BertTokenizer": {
        "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    },
    "GemmaTokenizer": {
        "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>",
    },
    "MBartTokenizer": _FAIRSEQ, "NllbTokenizer": _FAIRSEQ, "RobertaTokenizer": _FAIRSEQ, "XLMRobertaTokenizer": _FAIRSEQ,
    "Qwen2Tokenizer": dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
    "T5Tokenizer": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
}  # fmt: skip
"""Class -> its special tokens where tokenizer_config.json names no others."""
T5_SENTINELS = 100
"""Tokens <extra_id_N> of T5's class where tokenizer_config.json has no `extra_ids`."""
DEFAULT_CLASSES = {
    "albert": "AlbertTokenizer", "bert": "BertTokenizer", "distilbert": "BertTokenizer", "electra": "BertTokenizer",
    "gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "gemma3_text": "GemmaTokenizer", "mbart": "MBartTokenizer",
    "mt5": "T5Tokenizer", "qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer", "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer", "xglm": "XGLMTokenizer", "xlm-roberta": "XLMRobertaTokenizer",
}  # fmt: skip
"""Model type -> class of its tokenizer where tokenizer_config.json names none."""
GENERIC_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")
"""Classes without special tokens of their own, without 'Fast' at the end."""
GENERIC_TYPES = ("llama", "mistral", "modernbert", "olmo2", "smollm3", "umt5", "xlm-roberta-xl")
"""Model types whose tokenizer has such a class where tokenizer_config.json names none."""
CLASS_NEEDED = ("m2m_100",)
"""Model types without such a default."""
CLASSES_IGNORED = ("modernbert",)
"""Model types for which transformers does not use the class in tokenizer_config.json: published ones are wrong."""
_LANGUAGE_TOKENS = {
    "NllbTokenizer": re.compile("[a-z]{3}_[A-Z][a-z]{3}"), "MBartTokenizer": re.compile("[a-z]{2}_[A-Z]{2}"),
    "MBart50Tokenizer": re.compile("[a-z]{2}_[A-Z]{2}"), "T5Tokenizer": re.compile(r"<2\w+>"),
}  # fmt: skip
"""Class -> its tokens of languages. T5's has some in MADLAD."""
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Special tokens by their names in transformers."""
OTHER_MODEL = "check that the tokenizer's files belong to this model."


@dataclass(frozen=True)
class TokenizerFacts:
    """What a plan asks about a tokenizer."""

    num_tokens: int
    """Largest id + 1."""
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    """Name of a special token ('mask_token') -> the token, as far as its files name them."""
    has_defaults: bool = True
    """Whether its class in transformers may have more special tokens than its files name."""
    languages: tuple[str, ...] = ()
    """Its tokens of languages: NLLB's and mBART's, and MADLAD's '<2en>'. Empty where it has none, or they are not known."""
    has_sentinels: bool = True
    """Whether it has, or may have, tokens that stand for the spans to write: <extra_id_0> and so on."""
    reads_bytes: bool = False
    """Whether each of its tokens is one byte of the text (ByT5)."""

    def has(self, special_token: str) -> bool:
        """Whether it has, or may have, a special token."""
        return special_token in self.special_tokens or self.has_defaults


def read_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` in a folder's tokenizer.json, without truncation and padding. Read once per content: callers share
    it.

    Raises:
        UserError: the file is damaged, or holds something else.
    """
    path = folder / TOKENIZER
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror or error}", where=str(path)) from None
    return _read_tokenizer(path, stat.st_size, stat.st_mtime_ns)


def probe_digest(folder: Path) -> str:
    """SHA-256 over the ids that a folder's tokenizer.json gives for the texts of `conversion.probe`, special tokens included; ''
    where there is no such file.

    The bytes of the file do not determine the ids: the version of the library `tokenizers` does too.

    Raises:
        UserError: as `read_tokenizer`.
    """
    if not (folder / TOKENIZER).is_file():
        return ""
    rows = read_tokenizer(folder).encode_batch(list(probe_texts()))
    return hashlib.sha256(json.dumps([row.ids for row in rows]).encode()).hexdigest()


@lru_cache(maxsize=8)
def _read_tokenizer(path: Path, size: int, mtime_ns: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # plain Exception, or the library's PanicException, which is no Exception
        read_object(path)  # says it better where the file holds something else
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"the tokenizer cannot be read: {reason}", where=str(path), fix="copy or download the file again; a file of a newer "
            "version of the library `tokenizers` needs that version.",
        ) from None  # fmt: skip
    # what transformers reads, and the library does not need
    content = path.read_bytes()
    if b'"added_tokens"' not in content:
        raise UserError("it has no `added_tokens`", where=str(path), fix=AGAIN)
    if re.search(rb'"normalizer"\s*:\s*\[', content):
        raise UserError("its `normalizer` is a list, expected an object", where=str(path), fix=AGAIN)
    tokenizer.no_padding()
    tokenizer.no_truncation()  # some files contain the last truncation length
    return tokenizer


def check_tokenizer(folder: Path, model_type: str, num_embeddings: int | None) -> TokenizerFacts:
    """
    Args:
        num_embeddings: rows of the model's input embeddings; None where they are not known.

    Raises:
        UserError: a file is missing, damaged, or belongs to another model.
    """
    settings = _read_settings(folder)
    path = folder / TOKENIZER
    if not path.is_file():
        _check_other_files(folder)
        return TokenizerFacts(0)
    tokenizer = read_tokenizer(folder)
    class_name = _check_class(settings["class"], model_type, type(tokenizer.model).__name__, folder)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    roles = CLASS_TOKENS.get(class_name, {}) | {role: settings[role] for role in ROLES if role in settings}
    special_tokens = {role: token for role, token in roles.items() if token is not None}
    named = dict.fromkeys(
        (*special_tokens.values(), *settings["added"], *_class_extras(class_name, settings, folder / CONFIG))
    )
    if vocabulary.keys() <= named.keys():
        raise UserError(
            f"the tokenizer has {len(vocabulary)} tokens, which are all special ones", where=str(path), fix=OTHER_MODEL
        )
    free = max(vocabulary.values()) + 1
    missing = [token for token in named if token not in vocabulary]
    added = {token: free + n for n, token in enumerate(missing)}  # transformers adds them
    allowed = set(traits_of(model_type).tokens_without_embedding) - set(special_tokens.values())
    if num_embeddings is not None and free + len(added) > num_embeddings:
        _refuse_outside(path, vocabulary | added, num_embeddings, allowed)
    has_none = class_name in GENERIC_CLASSES or (not class_name and model_type in GENERIC_TYPES)
    has_sentinels = not {"<extra_id_0>", "▁<extra_id_0>"}.isdisjoint(vocabulary | added)  # mT5's begin with the space
    has_defaults = not has_none and class_name not in CLASS_TOKENS
    languages = (
        tuple(filter(_LANGUAGE_TOKENS[class_name].fullmatch, vocabulary)) if class_name in _LANGUAGE_TOKENS else ()
    )
    facts = TokenizerFacts(
        free + len(added), special_tokens, has_defaults, languages, has_sentinels, _reads_bytes(tokenizer)
    )
    if not facts.has("pad_token") and not facts.has("eos_token"):
        raise UserError(
            "the tokenizer has no padding token and no end token", where=str(folder / CONFIG),
            fix="name one of its tokens as `pad_token` in this file.",
        )  # fmt: skip
    return facts


def _reads_bytes(tokenizer: Any) -> bool:
    """Whether the vocabulary is the 256 bytes, but for special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = ByteLevel.alphabet()
    own = tokenizer.get_vocab(with_added_tokens=False).keys()
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return own - special == set(alphabet)


def _refuse_outside(path: Path, ids: Mapping[str, int], num_embeddings: int, allowed: set[str]) -> None:
    """Raises UserError for tokens without a row in the embeddings, but for the allowed ones."""
    outside = sorted(
        (number, token) for token, number in ids.items() if number >= num_embeddings and token not in allowed
    )
    if not outside:
        return
    (number, token), more = outside[0], f" and {len(outside) - 1:,} more" if len(outside) > 1 else ""
    raise UserError(
        f"the tokenizer has {outside[-1][0] + 1:,} tokens, the model {num_embeddings:,}: '{token}' (id {number}){more} has no "
        "row in the embeddings",
        where=str(path),
        fix=f"{OTHER_MODEL} If tokens were added on purpose, add their rows too: in transformers "
        "`model.resize_token_embeddings(len(tokenizer))`, then save both.",
    )


def _check_class(declared: str | None, model_type: str, kind: str, folder: Path) -> str:
    """The class of transformers that reads the tokenizer; '' for one without special tokens of its own.

    Raises:
        UserError: the class builds a tokenizer of another kind than that of tokenizer.json.
    """
    if declared is None and model_type in CLASS_NEEDED:
        raise UserError(
            f"tokenizer_config.json names no `tokenizer_class`, which models of type {model_type} need", where=str(folder),
            fix="copy or download tokenizer_config.json of the model again.",
        )  # fmt: skip
    name = (declared or DEFAULT_CLASSES.get(model_type, "")).removesuffix("Fast")
    if model_type in CLASSES_IGNORED or CLASS_MODELS.get(name, kind) == kind:
        return "" if model_type in CLASSES_IGNORED else name
    source = "which tokenizer_config.json names" if declared else f"that of the type {model_type}"
    raise UserError(
        f"the class {name}, {source}, needs a tokenizer of the kind {CLASS_MODELS[name]}, and this one is {kind}",
        where=str(folder / TOKENIZER), fix="copy or download tokenizer.json and tokenizer_config.json of the model again.",
    )  # fmt: skip


def _class_extras(class_name: str, settings: Mapping[str, Any], path: Path) -> list[str]:
    """Tokens that a class adds beside its special ones. Raises UserError where NLLB's language tokens are not known."""
    if class_name == "NllbTokenizer" and not settings["has_extras"]:
        raise UserError(
            "it names no language tokens (`extra_special_tokens`), so that NllbTokenizer adds 202 of its own", where=str(path),
            fix="copy or download tokenizer_config.json of the model again.",
        )  # fmt: skip
    if class_name == "T5Tokenizer":
        number = T5_SENTINELS if settings["extra_ids"] is None else settings["extra_ids"]
        return [f"<extra_id_{n}>" for n in range(number)]
    return []


def _check_other_files(folder: Path) -> None:
    """Raises UserError for a folder without tokenizer.json that transformers cannot read a tokenizer from either."""
    if (folder / "vocab.txt").is_file() or ((folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()):
        return
    found = sorted(path.name for path in folder.glob("*.model"))
    raise UserError(
        "the folder has no tokenizer.json" + (f", only {', '.join(found)}" if found else ""), where=str(folder),
        fix=f"`xlift convert {folder} DIR` writes it, and checks that it gives the same tokens."
        if lacks_tokenizer_json(folder)
        else "copy or download the tokenizer's files of this model too.",
    )  # fmt: skip


_EXTRAS = ("extra_special_tokens", "additional_special_tokens")


def _read_settings(folder: Path) -> dict[str, Any]:
    """What the files beside tokenizer.json say: special tokens by role; all other tokens that they declare (`added`); the class of
    the tokenizer (`class`), and what decides which tokens it adds (`extra_ids`, `has_extras`).

    Raises:
        UserError: a file is damaged, or a value is of another kind than transformers expects.
    """
    path, map_path, ids_path = folder / CONFIG, folder / "special_tokens_map.json", folder / "added_tokens.json"
    config, special_tokens_map, ids = map(_read_if_there, (path, map_path, ids_path))
    if "auto_map" in config and not (folder / TOKENIZER).is_file():
        raise UserError(
            "the tokenizer needs code of its repository, which xlift does not run", where=str(path),
            fix="take a model with a tokenizer.json.",
        )  # fmt: skip
    _check_kinds(config, path)
    found: dict[str, Any] = {
        "added": [], "class": config.get("tokenizer_class"), "extra_ids": config.get("extra_ids"),
        "has_extras": any(
            values.get(name) is not None for name in _EXTRAS for values in (config, special_tokens_map)
        ),
    }  # fmt: skip
    sources = [(path, config), (map_path, special_tokens_map)]
    if "added_tokens_decoder" in config:  # then transformers lets tokenizer_config.json win
        sources.reverse()
    for source, values in sources:
        found |= {name: _token(value, f"`{name}`", source) for name, value in values.items() if name in ROLES}
    found["added"] += [value for name, value in config.items() if name.endswith("_token") and isinstance(value, str)]
    for number, token in config.get("added_tokens_decoder", {}).items():
        if not number.isdecimal() or not isinstance(token, dict):
            raise UserError(
                f"`added_tokens_decoder` has {kind_of(token)} under {number!r}, expected a token", where=str(path)
            )
        found["added"].append(_token(token, f"`added_tokens_decoder` of {number}", path))
    for name in _EXTRAS:
        tokens = config.get(name) or []
        tokens = tokens.values() if isinstance(tokens, dict) else tokens
        found["added"] += [_token(token, f"`{name}`", path, optional=False) for token in tokens]
    for token, number in ids.items():
        if type(number) is not int or number < 0:
            raise UserError(f"expected the id of '{token}', found {kind_of(number)}", where=str(ids_path))
        found["added"].append(token)
    return found


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _token(value: Any, name: str, path: Path, *, optional: bool = True) -> str | None:
    """The text of a token, which may be an object with options."""
    content = value.get("content") if isinstance(value, dict) else value
    if value is None and optional:
        return None
    flags = (
        {key: each for key, each in value.items() if key not in ("content", "__type", "id")}
        if isinstance(value, dict)
        else {}
    )
    if isinstance(content, str) and content and all(isinstance(each, bool) for each in flags.values()):
        return content
    raise UserError(f"{name} is {kind_of(value)}, expected the text of a token", where=str(path))


_KINDS: dict[str, tuple[type, ...]] = {
    "added_tokens_decoder": (dict,),
    "extra_special_tokens": (list, dict),
    "additional_special_tokens": (list, dict),
    "model_max_length": (int, float),
    "model_input_names": (list,),
    "tokenizer_class": (str,),
    "padding_side": (str,),
    "truncation_side": (str,),
    "add_prefix_space": (bool,),
    "extra_ids": (int,),
    "src_lang": (str,),
    "tgt_lang": (str,),
    "split_special_tokens": (bool,),
}


def _check_kinds(config: Mapping[str, Any], path: Path) -> None:
    for name, kinds in _KINDS.items():
        value = config.get(name)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        if wrong and (value is not None or name == "model_input_names" and name in config):
            raise UserError(f"`{name}` is {kind_of(value)}, expected {_KIND_NAMES[kinds[0]]}", where=str(path))
    for side in ("padding_side", "truncation_side"):
        if config.get(side, "left") not in ("left", "right"):
            raise UserError(f"`{side}` is {kind_of(config[side])}, expected 'left' or 'right'", where=str(path))


_KIND_NAMES = {bool: "true or false", dict: "an object", list: "a list", int: "a number", str: "a text"}
