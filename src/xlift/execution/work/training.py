"""Run training jobs: pretraining, and the stages of a pipeline."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.execution.work.evaluator import Attempt, DevEvaluator, label_entropy, train_with_retries
from xlift.execution.work.model_loading import find_start_model_files, parent_model
from xlift.execution.work.prompt_features import PromptEncoder, count_label_tokens, truncation_numbers
from xlift.execution.work.shared import MODEL, Context, noise_numbers, read_examples, resolve_max_length
from xlift.recipes import Engine, Recipe
from xlift.studies.job import Data, Job, PretrainSpec, TrainSpec
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.tasks.formats.text import TextExample
from xlift.training.progress import Progress

if TYPE_CHECKING:
    from xlift.models.compact_vocabulary import CompactVocabulary
    from xlift.models.delta import StoredModel
    from xlift.models.model import Model
    from xlift.tasks.formats.base import Features
    from xlift.training.loop import TrainOutput
    from xlift.training.train_dataset import TrainDataset


def pretrain(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    """Train a tokenizer and a language model from text."""
    from xlift.models.pretrained import silence_transformers
    from xlift.training import pretraining
    from xlift.training.devices import select_device

    spec = job.spec
    assert isinstance(spec, PretrainSpec)
    parts = [read_documents(context, data) for data in spec.text]
    extra_parts = [read_documents(context, data) for data in spec.tokenizer_text]
    extra_texts = (text for part in extra_parts for example in part for text in formats.get("text").texts(example))
    tokenizer = pretraining.train_tokenizer(
        itertools.chain(pretraining.tokenizer_texts(parts, spec.tokenizer.documents), extra_texts),
        spec.tokenizer,
        pretraining.architecture_family(spec.architecture),
    )
    max_length = spec.recipe.max_length or 128
    rows = []
    for part in parts:
        part = pretraining.split_documents(part, spec.cut, spec.seed)
        features = formats.get("text").features(part, tokenizer, (), max_length=max_length, train=True)
        rows += features.input_ids
    model = pretraining.create_model(spec.architecture, tokenizer, spec.seed)
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
        progress=progress,
    )
    if spec.half_precision:
        model = model.half()
    with silence_transformers():
        model.save_pretrained(draft.folder / MODEL)
        tokenizer.save_pretrained(draft.folder / MODEL)
    write_training_record(draft, output, documents=len(rows), parameters=sum(p.numel() for p in model.parameters()))


def train(job: Job, context: Context, store: Store, draft: Draft, progress: Progress) -> None:
    """Train a stage, with retries (work/evaluator.py). Each attempt starts from the stored model with new heads. With several
    ranks, the main process writes the draft."""
    from xlift.models import adapters, backbone
    from xlift.models.text_mode import TEXT, check_can_generate
    from xlift.models.weight_transfer import WeightTransfer, transfer_weights
    from xlift.tasks.noise import NoiseCounts
    from xlift.training import stage
    from xlift.training.devices import current_process_group
    from xlift.training.masking import Masker

    spec = job.spec
    assert isinstance(spec, TrainSpec)
    stored = find_start_model_files(job, context, store)
    first_model, tokenizer = backbone.load_without_heads(stored)
    unused_models = [first_model]
    tasks = [context.tasks[data.task] for data in spec.parts]
    head = spec.head
    prompt_encoder = None
    if spec.text_mode:
        check_can_generate(first_model)
        head, prompt_encoder = TEXT, PromptEncoder(spec.text_mode, context, tokenizer, first_model.family)
    # `text` trains the head of text tasks, whatever head the parts of `mixture` share.
    head_names = [head] * len(spec.mixture) + [""] * len(spec.text)
    train_datasets, entropies, noise_counts = [], [], NoiseCounts()
    for data, task, head in zip(spec.parts, tasks, head_names, strict=True):
        max_length = resolve_max_length(spec.recipe.max_length, task, first_model.max_length)
        examples = read_examples(context, data, noise_counts)
        if prompt_encoder and head == TEXT:
            features = prompt_encoder.features(task, examples, data.language, max_length=max_length, train=True)
            entropies.append(label_entropy(task, examples, count_label_tokens(features)))
        else:
            features = stage.make_features(task, examples, tokenizer, max_length=max_length, train=True)
            entropies.append(label_entropy(task, examples, row_lengths=features.input_ids.lengths))
        masker = Masker(spec.masking, tokenizer) if task.format == "text" else None
        train_datasets.append(stage.TrainDataset(task, features, head, masker))
    evaluator = DevEvaluator(spec, context, tokenizer, first_model.max_length, prompt_encoder)
    del first_model

    def train_once(recipe: Recipe, folder: Path) -> Attempt[tuple[Model, CompactVocabulary | None, WeightTransfer]]:
        model = unused_models.pop() if unused_models else backbone.load_without_heads(stored)[0]
        for head_name in dict.fromkeys(head_names):
            head_tasks = [task for task, name in zip(tasks, head_names, strict=True) if name == head_name]
            stage.add_heads(model, head_tasks, spec.seed, head_name)
        compact = None
        # LoRA does not train the embeddings; Adafactor's steps depend on all of their rows
        if spec.recipe.lora is None and spec.recipe.optimizer == "adamw":
            compact = shrink_vocabulary(model, tokenizer, stored, train_datasets, evaluator.features, context.engine)
        if compact is None:
            backbone.restore_embeddings(model, stored)
        transfer = transfer_weights(model, stored, spec.keep_heads, compact)
        if spec.recipe.lora:
            adapters.add(model, spec.recipe.lora, spec.seed)
        # with several ranks, none may leave the others in the middle of an evaluation
        stop_progress = progress if context.engine.devices == 1 else Progress()
        output = stage.fine_tune(
            model,
            tokenizer.pad_token_id,
            train_datasets[: len(spec.mixture)],
            recipe,
            spec.sampling,
            seed=spec.seed,
            weights=spec.weights,
            text_datasets=train_datasets[len(spec.mixture) :],
            mlm=spec.mlm,
            folder=folder,
            engine=context.engine,
            progress=progress,
            evaluate=evaluator.make_evaluate(model, tokenizer.pad_token_id, stop_progress),
        )
        return Attempt((model, compact, transfer), output, evaluator.summarize(output, entropies))

    last, attempts = train_with_retries(spec.recipe, store.partial(job.key), train_once)
    (model, compact, transfer), output = last.result, last.output
    if not current_process_group(context.engine).is_main_process:
        return
    folder, parent = draft.folder / MODEL, parent_model(job)
    if spec.recipe.lora:
        backbone.save_adapter_delta(model, tokenizer, folder, stored, parent)
    elif compact is None:
        backbone.save(model, tokenizer, folder)
    else:
        backbone.save_vocabulary_delta(model, tokenizer, folder, compact, stored, parent, output.total_weight_decay)
        draft.numbers["vocabulary"] = len(compact.ids)
    write_training_record(
        draft, output, attempts, transferred_tensors=transfer.tensors, transferred_parameters=transfer.parameters
    )
    draft.numbers.update(noise_numbers(noise_counts))
    if prompt_encoder:
        draft.numbers.update(truncation_numbers(*(each.features for each in train_datasets if each.head == TEXT)))
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

    if engine.compact_vocabulary == "off" or any(dataset.masker for dataset in train_datasets):
        return None
    if model.embeddings_name not in stored.tensor_files:
        return None
    uses_output_layer = any(dataset.head == TEXT for dataset in train_datasets)
    features = [*(dataset.features for dataset in train_datasets), *dev_features]
    ids = find_used_tokens(model.backbone, features, tokenizer.all_special_ids, uses_output_layer=uses_output_layer)
    return None if ids is None else load_compact_vocabulary(model, stored, ids)


def write_training_record(
    draft: Draft, output: TrainOutput, attempts: Sequence[dict[str, Any]] = (), **numbers: Any
) -> None:
    """Add a training's numbers to the manifest, and write its history to training.json.

    Args:
        attempts: results of all attempts, the last of which produced `output` (work/evaluator.py).
    """
    draft.numbers.update(
        steps=output.global_step,
        tokens=output.num_tokens,
        loss=output.losses[-1],
        spikes=output.num_spikes,
        **numbers,
    )
    if output.token_budget:
        draft.numbers["token_budget"] = output.token_budget
    record: dict[str, Any] = {"losses": output.losses, "grad_norms": output.grad_norms, "spikes": output.spikes}
    if attempts:
        draft.numbers["attempts"] = len(attempts)
        record |= {"best_step": output.best_step, "dev": output.dev_scores, "attempts": attempts}
    if attempts and attempts[-1]["dev"]:  # empty if nothing was evaluated
        draft.numbers["collapsed"] = attempts[-1]["outcome"] == "collapsed"
    (draft.folder / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


def read_documents(context: Context, data: Data) -> list[TextExample]:
    """The documents of a text task, or the distinct texts of any other task."""
    examples = read_examples(context, data)
    format = formats.get(context.tasks[data.task].format)
    if format.example_class is TextExample:
        return examples
    texts = dict.fromkeys(text for example in examples for text in format.texts(example) if text.strip())
    return [TextExample(str(number), text) for number, text in enumerate(texts)]
