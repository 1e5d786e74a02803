"""Export a model with one head as a transformers class, in a folder that transformers can load."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from xlift.errors import UserError
from xlift.model_families import Family
from xlift.models.model import Model
from xlift.models.outputs import OUTPUTS
from xlift.models.pretrained import first_line, silence_transformers
from xlift.models.tokenizer_loading import save_tokenizer

CLASSES: dict[str, Any] = {
    kind: getattr(transformers, f"AutoModelFor{output.stock_class}")
    for kind, output in OUTPUTS.items()
    if output.stock_class
}
"""Kind of head -> the class that loads the exported model."""
BARE: dict[str, Any] = {
    "encoder": transformers.AutoModel,
    "decoder": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
}
"""Family -> the class of a model without a head, or with a head that transformers does not have."""
TOLERANCE = 1e-3
"""Largest accepted difference of logits, relative to the largest logit: other kernels round differently."""
PROBES = ("Tell me, is this the same answer?", "No.", "ꯀ 北京 مرحبا привет sana qta 123")


def auto_class(model: Model, head: str) -> Any:
    """The transformers class that loads the model with a head, '' for none."""
    kind = model.head(head).spec.kind if head else ""
    return class_of(kind, model.family) if kind in CLASSES else BARE[model.family]


def class_of(kind: str, family: Family) -> Any:
    """The class for a kind of head in CLASSES. Decoders have none for choices: each is a row of a classifier with one label."""
    auto = CLASSES[kind]
    is_missing = family == "decoder" and auto is transformers.AutoModelForMultipleChoice
    return transformers.AutoModelForSequenceClassification if is_missing else auto


def stock_logits(stock: Any, kind: str, inputs: dict[str, Tensor]) -> Tensor:
    """Logits of a transformers model, with the shapes of models/outputs.py. In a class of choices, each row is a question with
    one choice."""
    if "MultipleChoice" in type(stock).__name__:
        inputs = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}
    output = stock(**inputs)
    logits = [getattr(output, name) for name in OUTPUTS[kind].stock_outputs]
    if OUTPUTS[kind].is_scalar:
        return logits[0].squeeze(-1)
    return logits[0] if len(logits) == 1 else torch.stack(logits, dim=-1)


def stock_model(model: Model, tokenizer: Any, head: str) -> PreTrainedModel:
    """The transformers model with the weights of backbone and head. Without a head, or with a head that transformers does not
    have (vectors, text), it is the backbone.

    Raises:
        UserError: transformers has no such class for this type of model, or its weights differ.
    """
    spec = model.head(head).spec if head else None
    if spec is None or spec.kind not in CLASSES:
        return model.backbone
    config = copy.deepcopy(model.backbone.config)
    if spec.output.num_labels is None:
        config.id2label = dict(enumerate(spec.labels))
        config.label2id = {label: index for index, label in enumerate(spec.labels)}
    else:
        config.num_labels = spec.num_labels
    config.problem_type = spec.output.problem_type
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id  # some classes find a row's last token by it
    auto = class_of(spec.kind, model.family)
    try:
        stock_class: Any = auto._model_mapping[type(config)]
    except KeyError:
        raise UserError(
            f"transformers has no {auto.__name__.removeprefix('Auto')} of type '{config.model_type}'",
            fix="`xlift store export` writes its backbone and heads to a folder. Models with `mode: text` can be exported.",
        ) from None
    try:
        with silence_transformers():
            stock, info = stock_class.from_pretrained(
                None, config=config, state_dict=_to_cpu(model.stock_state_dict(head)), dtype=torch.float32,
                output_loading_info=True, trust_remote_code=False,
            )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{stock_class.__name__} cannot load the weights: {first_line(error)}") from error
    if wrong := sorted([*info["missing_keys"], *info["unexpected_keys"]]):
        raise UserError(f"{stock_class.__name__} has other weights than this model: {', '.join(map(str, wrong[:3]))}")
    return stock.eval()


def _to_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


def write_model(
    model: Model, tokenizer: Any, head: str, folder: Path, *, max_length: int, max_new_tokens: int | None = None
) -> float:
    """Write a model for transformers: weights, config, tokenizer, and a generation config for text mode.

    The written model is loaded again, and its outputs are compared with the model's.

    Args:
        head: name of the head to export; '' for none, or a head that transformers does not have.
        max_length: tokens of a row. The tokenizer truncates to it where a text or a pair is one row.
        max_new_tokens: of an answer in text mode; None for other models.

    Returns:
        The largest difference between the logits of the loaded and the original model (hidden states without a head).

    Raises:
        UserError: as `stock_model`; or the written model gives other outputs.
    """
    tokenizer = _with_pad_token(tokenizer)
    stock = stock_model(model, tokenizer, head)
    probes = _probe_inputs(tokenizer)
    expected = _model_outputs(model, head, probes)
    if max_new_tokens is not None:
        stock.generation_config = greedy_generation_config(model, tokenizer, max_new_tokens)
    folder.mkdir(parents=True, exist_ok=True)
    with silence_transformers():
        stock.save_pretrained(folder)
        save_tokenizer(_with_max_length(tokenizer, model, head, max_length), folder)
    kind, auto = model.head(head).spec.kind if head else "", auto_class(model, head)
    del stock
    with silence_transformers():
        loaded = auto.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    with torch.no_grad():
        outputs = (
            stock_logits(loaded, kind, probes) if kind in CLASSES else Model(loaded).trunk(**probes).last_hidden_state
        )
    is_token = probes["attention_mask"].bool()
    if expected.dim() > 2:
        expected, outputs = expected[is_token], outputs[is_token]
    difference = float((expected - outputs).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise UserError(f"the exported model differs from the trained one: logits differ by {difference:.2g}")
    return difference


def greedy_generation_config(model: Model, tokenizer: Any, max_new_tokens: int) -> GenerationConfig:
    """Greedy generation up to an end token, without the checkpoint's sampling settings."""
    config = model.backbone.config
    return GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=getattr(config, "bos_token_id", None),
        decoder_start_token_id=getattr(config, "decoder_start_token_id", None),
    )  # fmt: skip


def _with_max_length(tokenizer: Any, model: Model, head: str, max_length: int) -> Any:
    """The tokenizer with `max_length` where a text is one row, else with the model's maximal length."""
    longest = model.max_length or tokenizer.model_max_length
    is_one_row = head and not model.head(head).spec.output.per_token
    copied = copy.deepcopy(tokenizer)
    copied.model_max_length = max_length if is_one_row else min(longest, tokenizer.model_max_length)
    return copied


def _with_pad_token(tokenizer: Any) -> Any:
    """The tokenizer. One without a padding token (Llama's) pads with its end token, as in training."""
    if tokenizer.pad_token_id is not None or tokenizer.eos_token_id is None:
        return tokenizer
    copied = copy.deepcopy(tokenizer)
    copied.pad_token = copied.eos_token
    return copied


def _probe_inputs(tokenizer: Any) -> dict[str, Tensor]:
    """A few rows of different lengths, padded on the right."""
    rows = [tokenizer(text, truncation=True, max_length=32)["input_ids"] for text in PROBES]
    rows = [row or [tokenizer.eos_token_id or 0] for row in rows]
    width = max(map(len, rows))
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return {
        "input_ids": torch.tensor([row + [pad_id] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }


@torch.no_grad()
def _model_outputs(model: Model, head: str, probes: dict[str, Tensor]) -> Tensor:
    model.eval()
    inputs = {name: tensor.to(model.device) for name, tensor in probes.items()}
    states = model.last_hidden_state(inputs)
    if not head or model.head(head).spec.kind not in CLASSES:
        return states.float().cpu()
    return model.head(head)(states.float(), inputs["attention_mask"]).cpu()
