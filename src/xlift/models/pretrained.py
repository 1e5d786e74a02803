"""Load pretrained models from a folder or from the Hub: safetensors only, in float32, without printing anything.

No code of a model repository is run, and no pickle is read. Some problems that transformers ignores are errors here: weights that
do not match the config, a tokenizer without its files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import safe_open
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)
from transformers.utils import logging

from xlift.errors import UserError
from xlift.model_families import BIDIRECTIONAL, Family, family_of_config, traits_of
from xlift.model_files import check_model_folder
from xlift.models.language_head import LanguageHead, has_tied_decoder
from xlift.models.outputs import HeadSpec
from xlift.models.tokenizer_loading import check_tokenizer, load_tokenizer

AUTO_CLASSES: dict[Family, tuple[Collection[str], Any]] = {
    "encoder": (MODEL_FOR_MASKED_LM_MAPPING_NAMES, AutoModel),
    "decoder": (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, AutoModelForCausalLM),
    "seq2seq": (MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, AutoModelForSeq2SeqLM),
}
"""Model types of a family, and the class that loads the full model. (AutoModel would drop the output layer.)"""


def load_pretrained(path_or_id: str | Path) -> tuple[PreTrainedModel, Any, dict[str, Tensor]]:
    """Load a model without pooler, its fast tokenizer, and the weights of the pretrained pooler ({} where there is none).

    Raises:
        UserError: no such folder, no network, an unknown family, or weights that are missing, pickled or do not fit the config.
    """
    name = str(path_or_id)
    check_folder(name)
    try:
        with silence_transformers():
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
            model, info = _auto_class(config, name).from_pretrained(
                name,
                config=config,
                dtype=torch.float32,  # else a bf16 checkpoint would be trained in bf16
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer = load_tokenizer(name)
            _set_decoder_start(model.config)
    except UserError:
        raise
    except Exception as error:  # transformers raises many types for damaged files
        raise UserError(
            f"the model cannot be loaded: {first_line(error)}",
            where=name,
            fix="expected a folder or a Hub id with config.json, model.safetensors and tokenizer.json, of a type that "
            "transformers supports. On a machine without network, download it into a folder first.",
        ) from error
    _check_weights(model, info, name)
    _check_output_layer(model, Path(name))
    check_tokenizer(tokenizer, config.vocab_size, name, traits_of(config.model_type).tokens_without_embedding)
    pooler = {}
    if getattr(model, "pooler", None) is not None:
        is_pretrained = traits_of(config.model_type).has_pretrained_pooler
        if is_pretrained and not any("pooler" in key for key in info["missing_keys"]):
            pooler = {key: tensor.clone() for key, tensor in model.pooler.state_dict().items()}
        model.pooler = None
    return model, tokenizer, pooler


def _auto_class(config: Any, name: str) -> Any:
    """The `AutoModel` class that loads the full model. Raises UserError for a model of an unknown family."""
    if getattr(config, "text_config", None) is not None:  # Gemma 3 from 4B on, among others
        raise UserError(
            f"a model of type '{config.model_type}' is a model of images and text",
            where=name,
            fix="extract its text model: save `AutoModelForImageTextToText.from_pretrained(...).model.language_model` of "
            "transformers, and the tokenizer, to a folder with save_pretrained.",
        )
    family = family_of_config(config)
    types, auto = AUTO_CLASSES[family]
    if getattr(config, BIDIRECTIONAL, None) is True:
        types = AUTO_CLASSES["decoder"][0]
    if config.model_type not in types:
        raise UserError(
            f"a model of type '{config.model_type}' is not an encoder, decoder or encoder-decoder model of text",
            where=name,
        )
    return auto


def build_model(folder: Path, tensors: dict[str, Tensor]) -> tuple[PreTrainedModel, Any]:
    """Build the model of a folder's config, without pooler, from these tensors, and load the folder's fast tokenizer.

    Raises:
        UserError: files are missing or damaged, or the tensors do not fit the config.
    """
    name = str(folder)
    try:
        with silence_transformers():
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
            model_class: Any = _auto_class(config, name)._model_mapping[type(config)]
            model, info = model_class.from_pretrained(
                None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True,
                trust_remote_code=False,
            )  # fmt: skip
            tokenizer = load_tokenizer(name)
            _set_decoder_start(model.config)
    except UserError:
        raise
    except Exception as error:  # as above
        raise UserError(f"the model cannot be loaded: {first_line(error)}", where=name) from error
    _check_weights(model, info, name)
    _check_output_layer(model, folder)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model, tokenizer


def _set_decoder_start(config: Any) -> None:
    """T5 starts its output with the padding token (Raffel et al. 2020). Not all of its configs say so."""
    if traits_of(config.model_type).is_always_tied and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = config.pad_token_id


def _check_output_layer(model: PreTrainedModel, folder: Path) -> None:
    """Set tie_word_embeddings to false in the config of T5 models with a separate output layer: otherwise transformers 4 and
    other programs would tie it, and umT5 would scale its states.

    Raises:
        UserError: config.json announces a separate output layer that is missing. transformers would then generate with the input
            embeddings, which were not trained for that.
    """
    if not traits_of(model.config.model_type).is_always_tied:
        return
    output, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    assert output is not None
    if output.weight is not embeddings.weight:
        model.config.tie_word_embeddings = False
        return
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if config.get("tie_word_embeddings") is False and not _has_tensor(folder, "lm_head.weight"):
        raise UserError(
            "its output layer is missing: config.json has tie_word_embeddings: false, and there is no lm_head.weight",
            where=str(folder),
            fix="save it with AutoModelForSeq2SeqLM.from_pretrained(...).save_pretrained(folder), since AutoModel drops it. "
            "If the model really generates with its input embeddings, set tie_word_embeddings to true.",
        )


def _has_tensor(folder: Path, name: str) -> bool:
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            if name in file.keys():  # noqa: SIM118 (no dict)
                return True
    return False


def load_language_head(folder: Path, config: Any) -> dict[str, Tensor]:
    """Load the masked-LM head of a checkpoint, in float32, with the tensor names of `LanguageHead`; {} where the checkpoint has
    none, or only a part of it.

    Raises:
        UserError: the head does not fit the config.
    """
    if not traits_of(config.model_type).heads or not has_tied_decoder(config):
        return {}
    with torch.device("meta"):
        head = LanguageHead(HeadSpec("lm"), config)
    names = {stock: name for name, stock in head.stock_names().items()}
    tensors = {}
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (no dict)
                # old conversions of BERT name a norm's weight and bias gamma and beta
                stock = key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
                if stock in names:
                    tensors[names[stock]] = file.get_tensor(key).float()
    if tensors.keys() != head.state_dict().keys():
        return {}
    for name, tensor in head.state_dict().items():
        if tensors[name].shape != tensor.shape:
            raise UserError(
                f"the masked-LM head does not fit the config: {head.stock_names()[name]} is {tuple(tensors[name].shape)}, "
                f"expected {tuple(tensor.shape)}",
                where=str(folder),
            )
    return tensors


def check_folder(name: str, *, exported: bool = False) -> None:
    """Check the files of a local folder, where the messages of transformers would be misleading. Accepts a Hub id.

    Raises:
        UserError: as `check_model_folder`, or there is no such folder.
    """
    folder = Path(name)
    if not folder.exists():
        if name.startswith((".", "~")) or folder.is_absolute() or name.count("/") > 1 or "\\" in name:
            raise UserError("no such folder", where=name, fix="give a model folder, or a Hub id such as 'org/name'.")
        return
    try:
        check_model_folder(folder, heads=False, exported=exported)
    except UserError as error:
        raise UserError(error.what, where=error.where or name, fix=error.fix) from None


def _check_weights(model: PreTrainedModel, info: dict[str, Any], name: str) -> None:
    """Raises UserError where backbone weights other than the pooler's are missing, or where there are too many.

    Weights outside the backbone (LM heads, classifiers) are ignored.
    """
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    parts = {part for part, _ in model.named_children()} - {"pooler"}
    unexpected = []
    for key in sorted(info["unexpected_keys"]):
        part = key.removeprefix(f"{model.base_model_prefix}.").split(".")[0]
        if part in parts and not key.endswith("position_ids"):  # a buffer that older versions saved
            unexpected.append(key)
    if missing or unexpected:
        raise UserError(
            f"the weights do not fit the config: {len(missing)} tensors missing, {len(unexpected)} too many",
            where=name,
            fix=f"for instance {(missing + unexpected)[0]}.",
        )


def first_line(error: Exception) -> str:
    """First line of another library's error message, or the error's type."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Suppress transformers' load reports, progress bars, and requests to convert a model on the Hub."""
    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    conversion = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        if conversion is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = conversion
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
