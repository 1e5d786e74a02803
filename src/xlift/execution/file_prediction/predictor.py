"""Predictions and scores of an exported model, computed with the stock class of transformers.

A head's scores are those of the format (`Format.decode_logits`). In text mode the score is the likelihood of the chosen
candidate divided by that of all candidates (per token if `normalize`), and None for generated text. Logits and log
likelihoods are first divided by the temperature of the export, if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlift.backbones import family_in
from xlift.errors import UserError
from xlift.execution.file_prediction.input_rows import InputRow
from xlift.language_tags import match_code
from xlift.models.export import CLASSES, ExportMetadata, class_of, read_export_metadata, stock_logits
from xlift.models.model import Model
from xlift.models.outputs import OUTPUTS
from xlift.models.pretrained import check_folder, first_line, load_pretrained, silence_transformers
from xlift.models.tokenizer_loading import load_tokenizer
from xlift.recipes import TOKENS_ON_GPU, TOKENS_PER_BATCH, Device, PromptSettings
from xlift.tasks import formats
from xlift.tasks.formats.base import softmax
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.template import Template
from xlift.training.batches import collate, split_into_micro_batches
from xlift.training.devices import select_device

CHUNK = 1000
"""Rows of a file that are processed together."""


@dataclass(frozen=True)
class Prediction:
    id: str
    label: Any
    """A label, a list of tags, the text of an answer, or the index of a choice (from 0)."""
    score: float | None
    example: Any = None
    scores: tuple[float, ...] = ()
    """Tagging: the score of each word."""
    probabilities: tuple[float, ...] = ()
    """Of each label of the model; empty if it has none."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """The columns of the input row."""


@dataclass
class LoadedModel:
    """An exported model with its tokenizer and prompt."""

    metadata: ExportMetadata
    tokenizer: Any
    model: Any
    """The stock class; in text mode a `Model`."""
    fewshot_examples: tuple[Any, ...] = ()
    """Text mode: few-shot examples before each question."""
    num_shortened: int = 0
    """Text mode: prompts so far that were too long and lost few-shot examples or text."""
    templates: dict[str, Template] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return self.model.device


def load_exported_model(folder: Path, device: Device = "auto") -> LoadedModel:
    """Load a folder that `xlift export` wrote, or one with a stock class for classification, tagging, span QA or choices.

    Raises:
        UserError: the folder holds another model, or a file of it is missing or damaged.
    """
    metadata = read_export_metadata(folder)
    if metadata.is_text_mode:
        backbone, tokenizer, _ = load_pretrained(folder)
        loaded = LoadedModel(metadata, tokenizer, Model(backbone).to(select_device(device)).eval())
        _check_prompt(loaded, folder)
        return loaded
    if metadata.kind not in CLASSES:
        raise UserError(
            "this model computes vectors and predicts no labels", where=str(folder), fix="README.md in it shows how to use it."
        )  # fmt: skip
    check_folder(str(folder), exported=True)
    try:
        with silence_transformers():
            tokenizer = load_tokenizer(folder)
            model, info = class_of(metadata.kind, family_in(folder)).from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except UserError:
        raise
    except Exception as error:  # transformers raises many types for damaged files
        raise UserError(f"the model cannot be loaded: {first_line(error)}", where=str(folder)) from error
    if info["missing_keys"]:
        raise UserError(
            f"weights are missing: {', '.join(sorted(info['missing_keys'])[:3])}", where=str(folder),
            fix="Export the model again.",
        )  # fmt: skip
    if OUTPUTS[metadata.kind].num_labels is None and len(metadata.labels) != model.config.num_labels:
        raise UserError(
            f"the model has {model.config.num_labels} classes, but xlift.json has {len(metadata.labels)} labels",
            where=str(folder),
        )
    return LoadedModel(metadata, tokenizer, model.to(select_device(device)).eval())


def predict_rows(
    loaded: LoadedModel,
    rows: Iterator[InputRow],
    *,
    language: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Prediction]:
    """Yield the prediction of each row, in order. Works on `CHUNK` rows at a time.

    Args:
        language: of the rows; selects the template of a model in text mode that has several.
        progress: called with the number of rows done.

    Raises:
        UserError: as `InputRows`.
    """
    done, predict = 0, _predict_with_prompt if loaded.metadata.is_text_mode else _predict_with_head
    while chunk := list(islice(rows, CHUNK)):
        predictions = predict(loaded, [row.example for row in chunk], language)
        for row, prediction in zip(chunk, predictions, strict=True):
            yield replace(prediction, record=row.record)
        done += len(chunk)
        progress(done)


# --- heads ------------------------------------------------------------------------------------------------------------


def _predict_with_head(loaded: LoadedModel, examples: Sequence[Any], language: str) -> Iterator[Prediction]:
    metadata = loaded.metadata
    format = formats.get(metadata.format)
    features = format.features(examples, loaded.tokenizer, metadata.labels, max_length=metadata.max_length, train=False)
    logits = [row / metadata.temperature for row in _compute_logits(loaded, features)]
    answers = format.decode_logits(examples, features, logits, metadata.labels)
    for example, (answer, score, word_scores, probabilities) in zip(examples, answers, strict=True):
        yield Prediction(example.id, answer, score, example, word_scores, probabilities)


@torch.inference_mode()
def _compute_logits(loaded: LoadedModel, features: Features) -> list[np.ndarray]:
    """Return the logits of each row without padding (shapes: models/outputs.py)."""
    kind, pad = loaded.metadata.kind, loaded.tokenizer.pad_token_id or 0
    logits_of_rows: list[Any] = [None] * len(features)
    budget = TOKENS_PER_BATCH if loaded.device.type == "cpu" else TOKENS_ON_GPU
    has_padding = loaded.tokenizer.pad_token_id is not None
    all_rows = np.arange(len(features))
    batches = (
        all_rows[:, None]
        if not has_padding
        else split_into_micro_batches(all_rows, features.input_ids.lengths, budget, packed=False)
    )
    uses_token_types = getattr(loaded.model.config, "type_vocab_size", 0) >= 2
    for rows in batches:
        inputs, _ = collate(features, rows, pad)
        model_inputs = {
            name: tensor.to(loaded.device)
            for name, tensor in inputs.items()
            if name in ("input_ids", "attention_mask") or (uses_token_types and name == "token_type_ids")
        }
        logits = stock_logits(loaded.model, kind, model_inputs).float().cpu().numpy()
        for row, one in zip(rows.tolist(), logits, strict=True):
            logits_of_rows[row] = one[: features.input_ids.lengths[row]] if OUTPUTS[kind].per_token else one
    return logits_of_rows


# --- text mode ------------------------------------------------------------------------------------------------------------


def _check_prompt(loaded: LoadedModel, folder: Path) -> None:
    """Read templates and few-shot examples from the export metadata. Raises UserError if they are damaged."""
    prompt = loaded.metadata.prompt
    try:
        loaded.templates = {code: Template(**each) for code, each in prompt["templates"].items()}
        make_example = formats.get(loaded.metadata.format).example_class
        loaded.fewshot_examples = tuple(
            make_example(**_lists_to_tuples(each)) for each in prompt.get("fewshot_examples", ())
        )
        PromptSettings(**prompt["settings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"the prompt in xlift.json is damaged: {error}", where=str(folder), fix="Export the model again."
        ) from None


def _lists_to_tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


def _predict_with_prompt(loaded: LoadedModel, examples: Sequence[Any], language: str) -> Iterator[Prediction]:
    from xlift.tasks.prompts.fewshot import make_prompts
    from xlift.tasks.prompts.tokenization import text_features

    metadata, format = loaded.metadata, formats.get(loaded.metadata.format)
    matching = match_code(language, [code for code in loaded.templates if code])
    template = loaded.templates.get(matching[0] if matching else "") or next(iter(loaded.templates.values()))
    prompt_settings = PromptSettings(**metadata.prompt["settings"])
    prompts = list(make_prompts(examples, format, metadata.labels, template, fewshot_examples=loaded.fewshot_examples))
    features = text_features(
        prompts, loaded.tokenizer, loaded.model.family, max_length=metadata.max_length, train=False
    )
    loaded.num_shortened += int(features.extra["shortened"].sum())
    outputs = _generate_or_choose(loaded, features, prompt_settings)
    for example, (output, probabilities) in zip(examples, outputs, strict=True):
        score = probabilities[output] if isinstance(output, int) else None
        answer, of_labels = format.parse(output, example, metadata.labels, template), format.has_label_probabilities
        yield Prediction(example.id, answer, score, example, probabilities=probabilities if of_labels else ())


@torch.inference_mode()
def _generate_or_choose(
    loaded: LoadedModel, features: Features, prompt_settings: PromptSettings
) -> list[tuple[int | str, tuple[float, ...]]]:
    """Return for each example (index of the chosen candidate, probability of each candidate) or (generated text, ())."""
    from xlift.evaluation.text_predictions import join_candidates, predict_texts
    from xlift.models.text_mode import candidate_scores, compared_scores

    candidates = features.extra["candidates"]
    if not all(candidates):
        (texts,) = predict_texts(loaded.model, loaded.tokenizer, [features], prompt_settings)
        return [(text, ()) for text in texts]
    compared: list[Any] = [None] * len(features)
    costs = features.input_ids.lengths + np.array([sum(map(len, row)) for row in candidates])
    pad, budget = loaded.tokenizer.pad_token_id or 0, TOKENS_PER_BATCH if loaded.device.type == "cpu" else TOKENS_ON_GPU
    for rows in split_into_micro_batches(np.arange(len(features)), costs, budget, packed=False):
        batch_candidates = [candidates[row] for row in rows]
        scores = candidate_scores(
            loaded.model, [features.input_ids[row] for row in rows], batch_candidates, pad, budget=2 * budget
        )
        for row, row_scores, tokens in zip(rows.tolist(), scores, batch_candidates, strict=True):
            compared[row] = compared_scores(row_scores, tokens, prompt_settings.normalize)
    best = [int(np.argmax(each)) for each in compared]
    outputs = join_candidates(features, best, compared)
    return [
        (answer, tuple(softmax(each / loaded.metadata.temperature).tolist()))
        for answer, each in zip(outputs.values, outputs.scores or (), strict=True)
    ]
