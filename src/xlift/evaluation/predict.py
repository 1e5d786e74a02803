"""Predict the examples of one task, in one language or in several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from xlift.errors import UserError
from xlift.evaluation.batching import concatenate_features, default_token_budget, inference_autocast, iterate_batches
from xlift.evaluation.embeddings import Pooling, compute_dual_vectors, compute_pooled_vectors
from xlift.evaluation.text_predictions import PromptContext, RowOutputs, predict_texts_with_scores
from xlift.models.model import Model
from xlift.recipes import Precision
from xlift.tasks import formats
from xlift.tasks.formats.base import ScoreKind
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.retrieval import official_layer
from xlift.tasks.task import Task
from xlift.training.precision import no_autocast
from xlift.training.progress import Progress


class NotFinite(UserError):
    """The outputs of a model are not numbers."""


@dataclass(frozen=True)
class PredictionRequest:
    """The examples of one language, and how to predict them."""

    examples: Sequence[Any]
    features: Features
    options: dict[str, Any] = field(default_factory=dict)
    """Retrieval and mining: `layer` ('official', 'last' or a number, 0 being the embeddings), `pooling` ('mean' or 'cls') and
    `center`; mining also `margin`."""
    prompt: PromptContext | None = None
    """How the prompts were made; None where a head or hidden states answer."""


def predict(
    model: Model,
    pad_token_id: int,
    task: Task,
    examples: Sequence[Any],
    features: Features,
    head: str,
    options: dict[str, Any],
    *,
    budget: int | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
    prompt: PromptContext | None = None,
) -> list[Any]:
    """One prediction per example, as JSON values of the format's shape. Arguments: see `compute_outputs`."""
    request = PredictionRequest(examples, features, options, prompt)
    (outputs,) = compute_outputs(
        model, pad_token_id, task, [request], head, budget=budget, precision=precision, progress=progress
    )
    return decode(task, request, outputs)


def compute_outputs(
    model: Model, pad_token_id: int, task: Task, requests: Sequence[PredictionRequest], head: str, **options: Any
) -> list[Any]:
    """The values of `compute_row_outputs`, which has the same arguments."""
    return [each.values for each in compute_row_outputs(model, pad_token_id, task, requests, head, **options)]


@torch.inference_mode()
def compute_row_outputs(
    model: Model,
    pad_token_id: int,
    task: Task,
    requests: Sequence[PredictionRequest],
    head: str,
    *,
    budget: int | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> list[RowOutputs]:
    """Compute the outputs that `decode` needs for each request. The rows of all requests are batched together, sorted by length.

    Requests with the same features, for another layer or pooling, share their rows. Batching requests together changes
    scores by rounding only.

    Args:
        head: name of the head. Not used by retrieval and mining, nor where requests have prompts.
        budget: tokens of one forward pass.
        precision: of matrix products ('auto': see training/precision.py). Decoding always uses float32. Where the logits of
            a head are not numbers in bf16, all rows are computed again in fp32.

    Raises:
        UserError: the model has no such layer, the pooling is unknown, or the logits of a head are not numbers in fp32 either.
        Interrupted: `progress.should_stop()` returned true. Nothing is kept.
    """
    if requests and requests[0].prompt is not None:
        return _text_outputs(model, requests, budget, precision, progress)
    model.eval()
    format = formats.get(task.format)
    budget, progress = budget or default_token_budget(model), progress or Progress()
    arguments = model, pad_token_id, format, requests, head, budget, progress
    with inference_autocast(model, precision) as autocast:
        try:
            return _head_outputs(*arguments)
        except NotFinite:
            if not autocast._enabled:
                raise
    with inference_autocast(model, "fp32"):  # as training does (execution/work/evaluator.py)
        return _head_outputs(*arguments)


def _head_outputs(
    model: Model, pad_token_id: int, format: formats.Format, requests: Sequence[PredictionRequest], head: str,
    budget: int, progress: Progress,
) -> list[RowOutputs]:  # fmt: skip
    parts = list({id(each.features): each.features for each in requests}.values())
    part_index = {id(part): index for index, part in enumerate(parts)}
    index_of_request = [part_index[id(each.features)] for each in requests]
    if not format.is_trainable:
        poolings = [_resolve_pooling(model, each.options) for each in requests]
        wanted: list[set[Pooling]] = [set() for _ in parts]
        for index, pooling in zip(index_of_request, poolings, strict=True):
            wanted[index].add(pooling)
        vectors = compute_pooled_vectors(model, parts, wanted, pad_token_id, budget, progress)
        pairs = zip(index_of_request, poolings, strict=True)
        return [RowOutputs(vectors[index][pooling]) for index, pooling in pairs]
    if format.ranks_pool:
        args = pad_token_id, budget, progress
        outputs = [RowOutputs(compute_dual_vectors(model, head, part, *args) if len(part) else []) for part in parts]
    else:
        outputs = _reduced_outputs(model, head, parts, pad_token_id, budget, progress)
    return [outputs[index] for index in index_of_request]


def _text_outputs(
    model: Model, requests: Sequence[PredictionRequest], budget: int | None, precision: Precision,
    progress: Progress | None,
) -> list[RowOutputs]:  # fmt: skip
    """For each row the index of its best candidate, or the generated text. Requests with equal prompt settings share a pass."""
    outputs: dict[int, RowOutputs] = {}
    prompts = [each.prompt for each in requests if each.prompt is not None]
    for settings in dict.fromkeys(each.prompt_settings for each in prompts):
        chosen = [each for each, prompt in zip(requests, prompts, strict=True) if prompt.prompt_settings == settings]
        parts = list({id(each.features): each.features for each in chosen}.values())
        answers = predict_texts_with_scores(model, prompts[0].tokenizer, parts, settings, budget, precision, progress)
        outputs |= {id(part): answer for part, answer in zip(parts, answers, strict=True)}
    return [outputs[id(each.features)] for each in requests]


def decode(task: Task, request: PredictionRequest, outputs: Any) -> list[Any]:
    """Decode the outputs of `compute_outputs` to predictions."""
    format = formats.get(task.format)
    if request.prompt is not None:
        template = request.prompt.template
        rows = zip(outputs, request.examples, strict=True)
        return [format.parse(answer, example, task.labels, template) for answer, example in rows]
    options = {name: request.options.get(name, default) for name, default in format.decode_options.items()}
    return format.decode(request.examples, request.features, outputs, task.labels, **options)


def decode_with_scores(task: Task, request: PredictionRequest, outputs: RowOutputs) -> tuple[list[Any], list[Any]]:
    """Decode the outputs of `compute_row_outputs` to predictions, and for each the scores by which it was decided."""
    if request.prompt is not None:
        return decode(task, request, outputs.values), list(outputs.scores or ())
    format = formats.get(task.format)
    options = {name: request.options.get(name, default) for name, default in format.decode_options.items()}
    return format.decode_with_scores(
        request.examples, request.features, outputs.values, outputs.scores, task.labels, **options
    )


def score_kind(task: Task, request: PredictionRequest) -> ScoreKind:
    """What the scores of `decode_with_scores` are."""
    if request.prompt is None:
        return formats.get(task.format).score_kind
    if not any(len(given) for given in request.features.extra["candidates"]):
        return ""
    return "log-likelihood per token" if request.prompt.prompt_settings.normalize else "log-likelihood"


def _reduced_outputs(
    model: Model, head_name: str, parts: Sequence[Features], pad_token_id: int, budget: int, progress: Progress
) -> list[RowOutputs]:
    """A head's reduced outputs, row by row, for each part."""
    head = model.head(head_name)
    outputs: list[Any] = [None] * sum(map(len, parts))
    scores: list[Any] = [None] * len(outputs)
    for rows, inputs in iterate_batches(model, concatenate_features(parts), pad_token_id, budget, progress):
        states = model.last_hidden_state(inputs)
        with no_autocast(model.device):  # a head costs little, and bfloat16 would make different logits equal
            logits = head(states.float(), inputs["attention_mask"])
            _check_finite(logits, inputs["attention_mask"])
            reduced, row_scores = head.reduce(logits), head.scores(logits)
        for found, into in ((reduced, outputs), (row_scores, scores)):
            if found is not None:
                for row, output in zip(rows.tolist(), head.split_rows(found, inputs["attention_mask"]), strict=True):
                    into[row] = output
    ends = np.cumsum([len(part) for part in parts]).tolist()
    slices = [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]
    has_scores = head.spec.output.scores is not None
    return [RowOutputs(outputs[each], scores[each] if has_scores else None) for each in slices]


def _check_finite(logits: torch.Tensor, attention_mask: torch.Tensor) -> None:
    """Raises NotFinite for a logit of a row, or of a token outside of the padding, that is not a number."""
    real = logits[attention_mask.bool()] if logits.dim() > 2 else logits
    if real.isnan().any():
        raise NotFinite(
            "the model's logits are not numbers",
            fix="check whether its training diverged, and that its weights are undamaged.",
        )


def _resolve_pooling(model: Model, options: dict[str, Any]) -> Pooling:
    mode, num_layers = options.get("pooling", "mean"), int(model.backbone.config.num_hidden_layers)
    layer = options.get("layer", "official")
    if layer == "official":
        return Pooling(official_layer(num_layers), mode)
    if layer == "last":
        return Pooling(num_layers, mode)
    if not isinstance(layer, int) or isinstance(layer, bool) or not 0 <= layer <= num_layers:
        raise UserError(
            f"no layer '{layer}' in a model of {num_layers} layers",
            where="options.layer",
            fix=f"expected 'official', 'last' or a number from 0 to {num_layers}.",
        )
    return Pooling(layer, mode)
