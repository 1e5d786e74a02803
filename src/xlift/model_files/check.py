"""Check a model folder before anything is trained: what kind of folder it is, then its config, weights, tokenizer and heads.

Nothing is loaded, so a check takes milliseconds: the numbers of the weights are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.errors import UserError
from xlift.model_families import Family, family_of_json, traits_of
from xlift.model_files.config import CONFIG, check_config
from xlift.model_files.contents import GGUF_ADVICE, read_object
from xlift.model_files.tensors import IGNORED, TIED_EMBEDDINGS, Required, required_tensors
from xlift.model_files.tokenizer import TOKENIZER, TokenizerFacts, check_tokenizer
from xlift.model_files.weights import INDEX, WEIGHTS, TensorHeader, missing_shards, read_header, read_weight_headers

FLOATS = ("F64", "F32", "F16", "BF16")
HEAD_SPECS, HEAD_WEIGHTS = "heads.json", "heads.safetensors"
CLASSES: dict[Family, str] = {
    "encoder": "AutoModel", "decoder": "AutoModelForCausalLM", "seq2seq": "AutoModelForSeq2SeqLM",
}  # fmt: skip


@dataclass(frozen=True)
class ModelFacts:
    """What a plan asks about a model."""

    config: Mapping[str, Any]
    tokenizer: TokenizerFacts | None
    """None where the folder has none yet."""

    @property
    def max_length(self) -> int | None:
        """Largest number of tokens in a row, as `Model.max_length`; None where the config sets no limit."""
        limit = self.config.get("max_position_embeddings")
        follows = traits_of(self.config["model_type"]).positions_follow_padding
        return limit - (self.config.get("pad_token_id", 1) or 0) - 1 if limit and follows else limit


def check_model_folder(
    folder: Path, name: str = "", *, weights: bool = True, heads: bool = True, exported: bool = False
) -> ModelFacts:
    """Check the files of a model that transformers is to load. Files that did not change since are not read again.

    Args:
        name: what the user calls the folder, for messages.
        weights: whether the folder must have weights and a tokenizer. A plan that is not to run needs a config only, but the
            files that are there must be whole.
        heads: whether the heads that xlift saved beside the model are to be loaded too.
        exported: whether the folder may hold one of transformers' classes with a head, without the output layer.

    Raises:
        UserError: the folder holds something else, or a file is missing, damaged, or does not fit the others.
    """
    name = name or folder.resolve().name
    _refuse_other_kinds(folder, name)
    signature = tuple(
        (path.name, (stat := path.stat()).st_size, stat.st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.suffix in (".json", ".safetensors", ".txt", ".model") and path.is_file()
    )
    return _check_files(folder, name, signature, weights, heads, exported)


@lru_cache(maxsize=64)
def _check_files(folder: Path, name: str, signature: Any, weights: bool, heads: bool, exported: bool) -> ModelFacts:
    config = check_config(folder)
    has_weights = any(folder.glob("*.safetensors"))
    if not has_weights and weights:
        raise _no_weights(folder, name)
    if has_weights and (weights or not missing_shards(folder)):
        _check_weights(folder, name, config, exported)
    has_tokenizer = weights or (folder / TOKENIZER).is_file()
    tokenizer = check_tokenizer(folder, config["model_type"], config.get("vocab_size")) if has_tokenizer else None
    if heads:
        _check_heads(folder, weights)
    return ModelFacts(config, tokenizer)


def _refuse_other_kinds(folder: Path, name: str) -> None:
    """Raises UserError where a folder is no folder of a full model: an adapter, a delta checkpoint, GGUF or ONNX files."""
    if (folder / "delta.json").is_file():
        raise UserError(
            f"'{name}' holds a delta checkpoint: only the changes of one stage to another model",
            fix="`xlift store export KEY DIR` writes the full model of an artifact to a folder.",
        )
    if (folder / "adapter_config.json").is_file():
        path = folder / "adapter_config.json"
        base = read_object(path).get("base_model_name_or_path") or "its base model"
        raise UserError(
            f"'{name}' holds an adapter (LoRA) for {base}, not a full model",
            fix="merge it into its model with peft: `AutoPeftModel.from_pretrained(folder).merge_and_unload().save_pretrained(out)`, "
            "and save the tokenizer to the same folder.",
        )
    if (folder / CONFIG).is_file():
        return
    inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    fix = "expected a folder that save_pretrained() wrote."
    if inside:
        fix = f"{len(inside)} folders inside of it have one, for instance '{inside[-1]}': name one of them."
    elif any(folder.glob("*.gguf")):
        fix = GGUF_ADVICE
    raise UserError(f"'{name}' is not a model: it has no config.json", fix=fix)


def _no_weights(folder: Path, name: str) -> UserError:
    for pattern, kind in (
        ("*.gguf", "GGUF"),
        ("*.onnx", "ONNX"),
        ("onnx/*.onnx", "ONNX"),
        ("*.h5", "TensorFlow"),
        ("*.msgpack", "Flax"),
    ):
        if any(folder.glob(pattern)) and not any(folder.glob("*.bin")):
            return UserError(
                f"'{name}' has no safetensors weights: it has {kind} files only",
                fix=GGUF_ADVICE if kind == "GGUF" else "take the safetensors of the model that they were made from.",
            )
    if any((folder / each).is_file() for each in ("pytorch_model.bin", "pytorch_model.bin.index.json")):
        fix = f"`xlift convert {name} DIR` writes a folder with safetensors weights. Studies do it by themselves."
    elif any(folder.glob("*.bin")):
        fix = "pickled weights are read from pytorch_model.bin, or from the shards that pytorch_model.bin.index.json names."
    else:
        fix = f"expected {WEIGHTS}, or {INDEX} and the files that it names."
    return UserError(f"'{name}' has no safetensors weights", fix=fix)


def _check_weights(folder: Path, name: str, config: Mapping[str, Any], exported: bool) -> None:
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        found = sorted(path.name for path in folder.glob("*.safetensors") if path.name != HEAD_WEIGHTS)
        raise UserError(
            f"'{name}' has no {WEIGHTS} and no {INDEX}" + (f", only {', '.join(found[:3])}" if found else ""),
            fix="shards need their index: copy or download it too."
            if any("-of-" in name for name in found)
            else f"expected {WEIGHTS}, or {INDEX} and the files that it names.",
        )
    tensors = read_weight_headers(folder)
    required = required_tensors(config)
    family = family_of_json(config)
    if required is None:
        _check_embeddings(folder, config, tensors)
    elif not (exported and family == "seq2seq"):  # mT5's tags are on the encoder alone
        _check_tensors(folder, config, tensors, required, exported)


_EMBEDDINGS = ("word_embeddings", "embed_tokens", "tok_embeddings", "wte", "shared", "word_embedding", "embed_in")


def _check_embeddings(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorHeader]) -> None:
    """Raises UserError where the embeddings have fewer rows than the config says. For types whose tensors are not known."""
    words = config.get("vocab_size")
    for name, tensor in tensors.items():
        part = name.removesuffix(".weight").rpartition(".")[2]
        if part in _EMBEDDINGS and len(tensor.shape) == 2 and words is not None and tensor.shape[0] != words:
            raise UserError(
                f"{name} has {tensor.shape[0]:,} rows, and config.json has `vocab_size` {words:,}", where=str(tensor.path),
                fix=_OTHER_CONFIG,
            )  # fmt: skip


_OTHER_CONFIG = "config.json and the weights are of different models: copy or download the folder again."


def _check_tensors(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, TensorHeader], required: Required, exported: bool
) -> None:
    """Raises UserError where a tensor is missing, of another shape, no number, or one too many."""
    found = {_bare_name(name, required.prefix): tensor for name, tensor in tensors.items()}
    wanted = {name: shape for name, shape in required.tensors.items() if not (exported and name == "lm_head.weight")}
    for name, others in TIED_EMBEDDINGS.items():
        other = next((each for each in others if each in found), None)
        if name in wanted and name not in found and other:
            found[name] = found[other]
    missing = [name for name in wanted if name not in found]
    parts = {name.partition(".")[0] for name in wanted}
    known = wanted.keys() | required.optional.keys() | {each for names in TIED_EMBEDDINGS.values() for each in names}
    extra = sorted(
        name
        for name in found
        if name not in known and name.partition(".")[0] in parts - {"lm_head"} and not IGNORED.search(name)
    )
    if missing or extra:
        raise UserError(
            f"the weights do not fit the config: {len(missing)} tensors missing, {len(extra)} too many, for instance "
            f"{(missing + extra)[0]}",
            where=str(folder),
            fix=_fix_missing(config, missing, extra, wanted),
        )
    for name, shape in (wanted | required.optional).items():
        tensor = found.get(name)
        if tensor is None or exported and name not in wanted:
            continue
        if tensor.shape != shape:
            raise UserError(
                f"{name} is {_shape(tensor.shape)}, and config.json makes it {_shape(shape)}{_which_size(config, tensor.shape, shape)}",
                where=str(tensor.path), fix=_OTHER_CONFIG,
            )  # fmt: skip
        if tensor.dtype not in FLOATS:
            raise UserError(
                f"{name} has the dtype {tensor.dtype}: the weights are quantized, and xlift trains full ones",
                where=str(tensor.path), fix="take the model that it was made from.",
            )  # fmt: skip


def _bare_name(name: str, prefix: str) -> str:
    """The name of a tensor without the prefix, and as newer versions of transformers call it."""
    name = name.removeprefix(f"{prefix}.") if prefix else name
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _fix_missing(config: Mapping[str, Any], missing: list[str], extra: list[str], wanted: Iterable[str]) -> str:
    if missing == ["lm_head.weight"]:
        return (
            "its output layer is missing, and config.json has tie_word_embeddings: false: save it with "
            f"{CLASSES[family_of_json(config)]}.from_pretrained(...).save_pretrained(folder), since AutoModel drops it. If the model really generates with its input "
            "embeddings, set tie_word_embeddings to true."
        )
    if len(missing) == len(list(wanted)):
        return f"none of the tensors of a model of type '{config['model_type']}' is there: the weights are of another model."
    return _OTHER_CONFIG


def _which_size(config: Mapping[str, Any], found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """The name of the only size of the config that has the expected value, or ''."""
    wrong = {want for has, want in zip(found, expected) if has != want}
    names = [
        name for name, value in config.items() if type(value) is int and value in wrong and not name.endswith("_id")
    ]
    return f" (`{names[0]}`)" if len(wrong) == len(names) == 1 else ""


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "a single number"


def _check_heads(folder: Path, weights: bool) -> None:
    """Raises UserError where the heads that xlift saved beside a model are damaged."""
    path = folder / HEAD_SPECS
    if not path.is_file():
        return
    try:
        specs = read_object(path)
    except UserError as error:
        raise UserError(f"its heads cannot be read: {error.what}", where=str(path), fix=error.fix) from None
    for name, spec in specs.items():
        labels: Any = spec.get("labels") if isinstance(spec, dict) else None
        is_right = isinstance(labels, list) and isinstance(spec.get("kind"), str)
        if not is_right or not all(isinstance(label, str) for label in labels):
            raise UserError(f"its heads cannot be read: '{name}' has no kind and labels", where=str(path))
    has_weights = weights or (folder / HEAD_WEIGHTS).is_file()
    if (
        has_weights
        and any(spec["kind"] != "text" for spec in specs.values())
        and not read_header(folder / HEAD_WEIGHTS)
    ):
        raise UserError(f"there are no weights of the heads {', '.join(specs)}", where=str(folder / HEAD_WEIGHTS))
