"""Run training jobs: pretraining, and the stages of a pipeline."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xlift.execution.work.evaluator import (
    Attempt,
    DevEvaluator,
    attempt_number,
    is_overflow,
    label_entropy,
    train_with_retries,
)
from xlift.execution.work.model_loading import find_start_model_files, parent_model
from xlift.execution.work.prompt_features import PromptEncoder, count_label_tokens, set_truncation_numbers
from xlift.execution.work.shared import MODEL, Context, read_examples, resolve_max_length, set_noise_numbers
from xlift.execution.work.trackers import report_metrics
from xlift.model_families import traits_of
from xlift.recipes import PRETRAINING_LENGTH, Engine, Recipe
from xlift.studies.job import Data, Job, PretrainSpec, TrainSpec
from xlift.studies.job_numbers import TrainNumbers
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.tasks.formats.text import FORMAT as TEXT_FORMAT
from xlift.tasks.formats.text import TextExample
from xlift.training.progress import Progress

if TYPE_CHECKING:
    from xlift.models.compact_vocabulary import CompactVocabulary
    from xlift.models.delta import StoredModel
    from xlift.models.model import Model
    from xlift.models.weight_transfer import WeightTransfer
    from xlift.tasks.formats.features import Features
    from xlift.tasks.noise import NoiseCounts
    from xlift.training.loop import TrainOutput
    from xlift.training.train_dataset import TrainDataset


def pretrain(job: Job, context: Context, store: Store, draft: Draft[TrainNumbers], progress: Progress) -> None:
    """Train a tokenizer and a language model from text."""
    from xlift.models.pretrained import silence_transformers
    from xlift.training import pretraining
    from xlift.training.devices import select_device

    spec = job.spec
    assert isinstance(spec, PretrainSpec)
    parts = [read_documents(context, data) for data in spec.text]
    extra_parts = [read_documents(context, data) for data in spec.tokenizer_text]
    extra_texts = (text for part in extra_parts for example in part for text in TEXT_FORMAT.texts(example))
    tokenizer = pretraining.train_tokenizer(
        itertools.chain(pretraining.tokenizer_texts(parts, spec.tokenizer.documents), extra_texts),
        spec.tokenizer,
        traits_of(spec.architecture.family).family,
    )
    max_length = spec.recipe.max_length or PRETRAINING_LENGTH
    rows = []
    for part in parts:
        part = pretraining.split_documents(part, spec.cut, spec.seed)
        features = TEXT_FORMAT.features(part, tokenizer, (), max_length=max_length, train=True)
        rows += features.input_ids
    model = pretraining.create_model(spec.architecture, tokenizer, spec.seed)
    with report_metrics(job, context, store, progress) as reporting:
        output = pretraining.pretrain(
            model,
            tokenizer,
            rows,
            spec.masking,
            spec.recipe,
            writes=spec.writes,
            seed=spec.seed,
            device=select_device(context.engine.device),
            folder=store.partial(job.key),
            progress=reporting,
        )
    if spec.half_precision:
        model = model.half()
    with silence_transformers():
        model.save_pretrained(draft.folder / MODEL)
        tokenizer.save_pretrained(draft.folder / MODEL)
    draft.numbers.documents, draft.numbers.parameters = len(rows), sum(p.numel() for p in model.parameters())
    write_training_record(draft, output)


@dataclass(frozen=True)
class _Stage:
    """A job, and what every attempt at it starts from."""

    job: Job
    spec: TrainSpec
    context: Context
    store: Store
    files: StoredModel
    tokenizer: Any
    unused_models: list[Model]
    """The model that was loaded first, until an attempt takes it. Every other attempt loads it again."""


@dataclass(frozen=True)
class _Inputs:
    """The tokenized data of a stage."""

    train_datasets: list[TrainDataset]
    entropies: list[float | None]
    """`label_entropy` of each part of the mixture."""
    noise_counts: NoiseCounts
    evaluator: DevEvaluator


class _Trained(NamedTuple):
    model: Model
    compact: CompactVocabulary | None
    transfer: WeightTransfer


def train(job: Job, context: Context, store: Store, draft: Draft[TrainNumbers], progress: Progress) -> None:
    """Train a stage, with retries (work/evaluator.py). Each attempt starts from the stored model with new heads. With several
    ranks, the main process writes the draft."""
    from xlift.training.devices import current_process_group

    stage = _load(job, context, store)
    inputs = _make_inputs(stage)
    last, attempts = train_with_retries(
        stage.spec.recipe, store.partial(job.key), partial(_attempt, stage, inputs, progress)
    )
    if current_process_group(context.engine).is_main_process:
        _save(stage, inputs, last, attempts, draft)


def _load(job: Job, context: Context, store: Store) -> _Stage:
    from xlift.models.backbone import load_without_heads
    from xlift.models.output_layer import check_vocabulary_logits
    from xlift.models.text_mode import check_can_generate

    assert isinstance(job.spec, TrainSpec)
    files = find_start_model_files(job, context, store)
    model, tokenizer = load_without_heads(files)
    if job.spec.text_mode:
        check_can_generate(model)
        check_vocabulary_logits(model)
    return _Stage(job, job.spec, context, store, files, tokenizer, [model])


def _make_inputs(stage: _Stage) -> _Inputs:
    """Read and tokenize the parts of the mixture and the dev sets."""
    from xlift.models.text_mode import TEXT
    from xlift.tasks.noise import NoiseCounts
    from xlift.training.stage import make_features
    from xlift.training.train_dataset import TrainDataset, make_text_dataset

    spec, context, tokenizer, model = stage.spec, stage.context, stage.tokenizer, stage.unused_models[0]
    mode = spec.text_mode
    prompt_encoder = PromptEncoder(mode, context, tokenizer, model.family) if mode else None
    train_datasets, entropies, noise_counts = [], [], NoiseCounts()
    for number, data in enumerate(spec.parts):
        task = data.find_task(context.tasks)
        max_length = resolve_max_length(spec.recipe.max_length, task, model.max_length)
        examples = read_examples(context, data, noise_counts)
        if formats.get(task.format).is_plain_text:
            # `text` trains the head of text tasks, whatever head the parts of `mixture` share
            head = "" if number >= len(spec.mixture) else spec.head
            rows = _text_rows(stage, data, examples, max_length=max_length)
            train_datasets.append(
                make_text_dataset(task, rows, tokenizer, model.family, spec.masking, max_length=max_length, head=head)
            )
            entropies.append(None)
            continue
        if prompt_encoder:
            features = prompt_encoder.features(task, examples, data.language, max_length=max_length, train=True)
            entropies.append(label_entropy(task, examples, count_label_tokens(features)))
        else:
            features = make_features(task, examples, tokenizer, max_length=max_length, train=True)
            entropies.append(label_entropy(task, examples, row_lengths=features.input_ids.lengths))
        train_datasets.append(TrainDataset(task, features, TEXT if prompt_encoder else spec.head))
    evaluator = DevEvaluator(spec, context, tokenizer, model.max_length, prompt_encoder)
    return _Inputs(train_datasets, entropies, noise_counts, evaluator)


def _text_rows(stage: _Stage, data: Data, examples: Sequence[Any], *, max_length: int) -> Features:
    """Rows of tokens of a text part. The texts of labelled examples make the rows that their labels are learned from in head
    mode, so that a stage has equally many steps and tokens with and without the labels. In text mode, where labels are a part of
    the rows, all texts of an example make one row."""
    from xlift.training.stage import make_features

    task = stage.context.tasks[data.task]
    if data.labels == "none" and stage.spec.text_mode:
        texts = formats.get(task.format).texts
        examples = [TextExample(str(number), " ".join(texts(example))) for number, example in enumerate(examples)]
        task = task.as_text()
    return make_features(task, examples, stage.tokenizer, max_length=max_length, train=True)


def _attempt(stage: _Stage, inputs: _Inputs, progress: Progress, recipe: Recipe, folder: Path) -> Attempt[_Trained]:
    """Train the stage once with a recipe, whose learning rate depends on the attempt.

    Args:
        folder: folder for checkpoints.
    """
    from xlift.models import adapters
    from xlift.models.backbone import load_without_heads, restore_embeddings
    from xlift.models.weight_transfer import transfer_weights
    from xlift.training.stage import add_heads, fine_tune

    spec, engine, files, tokenizer = stage.spec, stage.context.engine, stage.files, stage.tokenizer
    model = stage.unused_models.pop() if stage.unused_models else load_without_heads(files)[0]
    for name, dataset in {each.head_name: each for each in inputs.train_datasets}.items():
        add_heads(model, [dataset.task], spec.seed, name, spec.classifier_pooling, recipe.initializer_range)
    compact = None
    # LoRA does not train the embeddings
    if spec.recipe.lora is None and spec.recipe.optimizer_traits.is_elementwise:
        compact = shrink_vocabulary(model, tokenizer, files, inputs.train_datasets, inputs.evaluator.features, engine)
    if compact is None:
        restore_embeddings(model, files)
    transfer = transfer_weights(model, files, spec.keep_heads, compact)
    if spec.recipe.lora:
        adapters.add(model, spec.recipe.lora, spec.seed)
    # with several ranks, none may leave the others in the middle of an evaluation
    stop_progress = progress if engine.devices == 1 else Progress()
    num_labelled = len(spec.mixture)
    with _reporting(stage, progress, folder) as reporting:
        output = fine_tune(
            model,
            tokenizer.pad_token_id,
            inputs.train_datasets[:num_labelled],
            recipe,
            spec.sampling,
            seed=spec.seed,
            weights=spec.weights,
            text_datasets=inputs.train_datasets[num_labelled:],
            text_share=spec.mlm,
            more_steps=spec.more_steps,
            folder=folder,
            engine=engine,
            progress=reporting,
            evaluate=inputs.evaluator.make_evaluate(model, tokenizer.pad_token_id, stop_progress),
        )
    return Attempt(_Trained(model, compact, transfer), output, inputs.evaluator.summarize(output, inputs.entropies))


def _reporting(stage: _Stage, progress: Progress, folder: Path) -> AbstractContextManager[Progress]:
    """The progress of an attempt that trackers follow too, in the main process."""
    from xlift.training.devices import current_process_group

    if not current_process_group(stage.context.engine).is_main_process:
        return nullcontext(progress)
    return report_metrics(stage.job, stage.context, stage.store, progress, attempt_number(folder))


def _save(
    stage: _Stage,
    inputs: _Inputs,
    last: Attempt[_Trained],
    attempts: Sequence[dict[str, Any]],
    draft: Draft[TrainNumbers],
) -> None:
    """Write the model of the last attempt and the record of the training."""
    from xlift.models import backbone

    (model, compact, transfer), output = last.result, last.output
    files, tokenizer, folder, parent = stage.files, stage.tokenizer, draft.folder / MODEL, parent_model(stage.job)
    if stage.spec.recipe.lora:
        backbone.save_adapter_delta(model, tokenizer, folder, files, parent)
    elif compact is None:
        backbone.save(model, tokenizer, folder)
    else:
        backbone.save_vocabulary_delta(model, tokenizer, folder, compact, files, parent, output.total_weight_decay)
        draft.numbers.trained_embeddings = len(compact.ids)
    write_training_record(draft, output, attempts)
    numbers = draft.numbers
    numbers.transferred_tensors, numbers.transferred_parameters = transfer.tensors, transfer.parameters
    set_noise_numbers(numbers, inputs.noise_counts)
    if stage.spec.text_mode:
        prompted = [dataset for dataset in inputs.train_datasets if not formats.get(dataset.task.format).is_plain_text]
        text_features = [dataset.features for dataset in prompted]
        set_truncation_numbers(numbers, *text_features)
    record = {key: value for key, value in transfer.__dict__.items() if value or key != "checkpoint"}
    (draft.folder / "weight_transfer.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def shrink_vocabulary(
    model: Model,
    tokenizer: Any,
    stored: StoredModel,
    train_datasets: Sequence[TrainDataset],
    dev_features: Sequence[Features],
    engine: Engine,
) -> CompactVocabulary | None:
    """Keep only the input embeddings of tokens that a stage reads, if the result is exact and saves enough memory
    (models/compact_vocabulary.py). Returns None if all embeddings are kept."""
    from xlift.models.backbone import load_compact_vocabulary
    from xlift.models.compact_vocabulary import find_used_tokens
    from xlift.models.text_mode import TEXT

    if engine.compact_vocabulary == "off" or any(dataset.corruption for dataset in train_datasets):
        return None
    if model.embeddings_name not in stored.tensor_files:
        return None
    uses_output_layer = any(dataset.head == TEXT for dataset in train_datasets)
    features = [*(dataset.features for dataset in train_datasets), *dev_features]
    ids = find_used_tokens(model.backbone, features, tokenizer.all_special_ids, uses_output_layer=uses_output_layer)
    return None if ids is None else load_compact_vocabulary(model, stored, ids)


def write_training_record(
    draft: Draft[TrainNumbers], output: TrainOutput, attempts: Sequence[dict[str, Any]] = ()
) -> None:
    """Add a training's numbers to the manifest, and write its history to training.json.

    Args:
        attempts: results of all attempts, the last of which produced `output` (work/evaluator.py).
    """
    numbers = draft.numbers
    numbers.steps, numbers.tokens = output.global_step, output.num_tokens
    numbers.loss, numbers.spikes = output.losses[-1], output.num_spikes
    numbers.precision = output.precision
    if output.token_budget:
        numbers.token_budget = output.token_budget
    record: dict[str, Any] = {"losses": output.losses, "grad_norms": output.grad_norms, "spikes": output.spikes}
    if attempts:
        numbers.attempts = len(attempts)
        numbers.went_to_fp32 = True if any(map(is_overflow, attempts)) else None
        record |= {"best_step": output.best_step, "dev": output.dev_scores, "attempts": attempts}
    numbers.loss_curve = list(zip(output.loss_steps, output.losses, strict=True))
    curve = [(step, float(np.mean(scores))) for step, scores in output.dev_scores]
    if output.best_step in dict(curve):
        numbers.dev_score = dict(curve)[output.best_step]
    if len(curve) > 1:
        numbers.dev_curve = curve
    if attempts and attempts[-1]["dev"]:  # empty if nothing was evaluated
        numbers.collapsed = attempts[-1]["outcome"] == "collapsed"
    (draft.folder / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


def read_documents(context: Context, data: Data) -> list[TextExample]:
    """The documents of a text task, or the distinct texts of any other task."""
    examples = read_examples(context, data)
    format = formats.get(context.tasks[data.task].format)
    if format.is_plain_text:
        return examples
    texts = dict.fromkeys(text for example in examples for text in format.texts(example) if text.strip())
    return [TextExample(str(number), text) for number, text in enumerate(texts)]
