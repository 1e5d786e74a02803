"""Run jobs that predict with a trained model, or evaluate its layers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlift.execution.work.model_loading import load_model, parent_model
from xlift.execution.work.prompt_features import PromptEncoder, set_truncation_numbers
from xlift.execution.work.shared import (
    LAYERS,
    Context,
    add_noise,
    count_tokens,
    model_folder,
    read_clean_examples,
    read_examples,
    resolve_max_length,
    set_noise_numbers,
    write_artifact,
)
from xlift.studies.job import Job, LayerSpec, PredictSpec
from xlift.studies.job_numbers import DataNumbers, PredictNumbers, TrainNumbers
from xlift.studies.predictions import DecisionScores, make_unit, write_predictions, write_scores
from xlift.studies.store import Draft, Store
from xlift.tasks import formats
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.retrieval import FORMAT as RETRIEVAL
from xlift.tasks.task import Task
from xlift.training.progress import Interrupted, Progress

if TYPE_CHECKING:
    from xlift.evaluation.predict import PredictionRequest
    from xlift.evaluation.text_predictions import PromptContext, RowOutputs
    from xlift.models.delta import ParentModel
    from xlift.models.model import Model
    from xlift.recipes import Precision
    from xlift.tasks.noise import NoiseCounts


def _precision(spec: LayerSpec | PredictSpec, store: Store) -> Precision:
    """That of the spec, but fp32 for a model that diverged in bf16 in training: its outputs would not be numbers either."""
    numbers = store.open(spec.model.job, verify=False).numbers if spec.model.job else None
    return "fp32" if isinstance(numbers, TrainNumbers) and numbers.went_to_fp32 else spec.precision


def evaluate_layers(job: Job, context: Context, store: Store, draft: Draft[DataNumbers], progress: Progress) -> None:
    """Write the retrieval accuracy of every layer on dev pairs, from which predictions choose a layer."""
    from xlift.evaluation.layer_selection import layer_accuracies, select_pairs

    spec = job.spec
    assert isinstance(spec, LayerSpec)
    model, tokenizer = cached_model(job, context, store)
    accuracies: dict[str, list[float]] = {}
    num_tokens = 0
    for number, data in enumerate(spec.data):
        progress.report(number, len(spec.data))
        max_length = resolve_max_length(spec.options.get("max_length"), context.tasks[data.task], model.max_length)
        pairs = select_pairs(read_examples(context, data))
        features = RETRIEVAL.features(pairs, tokenizer, (), max_length=max_length, train=False)
        accuracies[data.language] = layer_accuracies(
            model,
            tokenizer.pad_token_id,
            pairs,
            features,
            spec.options,
            progress,
            budget=context.engine.token_budget,
            precision=_precision(spec, store),
        )
        num_tokens += count_tokens(features)
    draft.numbers.tokens = num_tokens
    (draft.folder / LAYERS).write_text(json.dumps({"accuracies": accuracies}) + "\n", encoding="utf-8")


@dataclass
class _PreparedJob:
    """A job whose rows are ready for the pass."""

    job: Job
    request: PredictionRequest
    seconds: float
    """Time spent on it so far."""
    layer: int | None
    """The layer chosen on dev, if any."""
    noise_counts: NoiseCounts
    """Counts of the noise in its examples."""
    units: list[str | None]
    """For each example what it shares a text with (`Format.unit_text`)."""


def predict(
    jobs: Sequence[Job], context: Context, store: Store, progress: Progress
) -> Iterator[tuple[Job, float | Exception]]:
    """Predict several languages of one task with one model in one pass; see `run_jobs`.

    The time of the pass is divided among the jobs by their tokens.
    """
    from xlift.evaluation.predict import compute_row_outputs

    spec = jobs[0].spec
    assert isinstance(spec, PredictSpec)
    task = context.tasks[spec.data.task]
    model, tokenizer = cached_model(jobs[0], context, store)
    prepared: list[_PreparedJob] = []
    for job in jobs:
        if progress.should_stop():
            raise Interrupted
        try:
            prepared.append(_prepare(job, task, context, store))
        except Exception as error:  # an error in one language must not stop the others
            yield job, error
    if not prepared:
        return
    started = time.perf_counter()
    requests = [each.request for each in prepared]
    outputs: list[Any] = compute_row_outputs(
        model,
        tokenizer.pad_token_id,
        task,
        requests,
        spec.head,
        budget=context.engine.token_budget,
        precision=_precision(spec, store),
        progress=progress,
    )
    pass_seconds = time.perf_counter() - started
    for each, share in zip(prepared, _token_shares(requests), strict=True):
        each.seconds += share * pass_seconds
    for number, each in enumerate(prepared):
        started = time.perf_counter()
        try:
            with write_artifact(each.job, store, spent=each.seconds) as draft:
                _write_results(task, each, outputs[number], draft)
        except Exception as error:
            yield each.job, error
        else:
            yield each.job, each.seconds + time.perf_counter() - started
        outputs[number] = None  # vectors may be large


def _prepare(job: Job, task: Task, context: Context, store: Store) -> _PreparedJob:
    from xlift.evaluation.layer_selection import choose_layer
    from xlift.evaluation.predict import PredictionRequest

    spec, started = job.spec, time.perf_counter()
    assert isinstance(spec, PredictSpec)
    model, _ = cached_model(job, context, store)
    max_length = resolve_max_length(spec.options.get("max_length"), task, model.max_length)
    test_set = _load_test_set(job, context, store, max_length)
    options, layer = dict(spec.options), None
    if options.get("layer") == "dev":
        saved = json.loads(store.open(spec.layer_job).file(LAYERS).read_text(encoding="utf-8"))
        layer = options["layer"] = choose_layer(saved["accuracies"], spec.data.language)
    request = PredictionRequest(test_set.examples, test_set.features, options, test_set.prompt)
    return _PreparedJob(job, request, time.perf_counter() - started, layer, test_set.noise_counts, test_set.units)


def _token_shares(requests: Sequence[PredictionRequest]) -> list[float]:
    """Each request's share of the tokens of a pass. Requests with the same rows divide them."""
    num_requests = Counter(id(request.features) for request in requests)
    tokens = [count_tokens(request.features) / num_requests[id(request.features)] for request in requests]
    return [own / (sum(tokens) or 1) for own in tokens]


def _write_results(task: Task, prepared: _PreparedJob, outputs: RowOutputs, draft: Draft[PredictNumbers]) -> None:
    from xlift.evaluation.predict import decode_with_scores, score_kind

    format, request = formats.get(task.format), prepared.request
    predictions, scores = decode_with_scores(task, request, outputs)
    kept = [n for n, example in enumerate(request.examples) if not format.is_candidate(example)]
    examples = [request.examples[n] for n in kept]
    write_predictions(
        draft.folder,
        [example.id for example in examples],
        [format.gold(example) for example in examples],
        [predictions[n] for n in kept],
        [prepared.units[n] for n in kept],
    )
    if kind := score_kind(task, request):
        labels = task.labels if format.has_classes and not format.tags_words else ()
        write_scores(draft.folder, DecisionScores(kind, tuple(labels), [scores[n] for n in kept]))
    draft.numbers.tokens = count_tokens(request.features)
    set_noise_numbers(draft.numbers, prepared.noise_counts)
    if request.prompt is not None:
        set_truncation_numbers(draft.numbers, request.features)
    if prepared.layer is not None:
        draft.numbers.layer = prepared.layer


_MODEL: dict[ParentModel, tuple[Model, Any]] = {}
"""The last model used and its tokenizer. The queue gives all jobs of a model one after another."""


def cached_model(job: Job, context: Context, store: Store) -> tuple[Model, Any]:
    """The model of a job and its tokenizer, on the study's device."""
    from xlift.training.devices import select_device

    parent = parent_model(job)
    if parent not in _MODEL:
        clear_model_cache()  # before loading the next: two models may not fit
        model, tokenizer = load_model(job, context, store)
        _MODEL[parent] = model.to(select_device(context.engine.device)), tokenizer
    return _MODEL[parent]


def clear_model_cache() -> None:
    _MODEL.clear()


@dataclass(frozen=True)
class _TestSet:
    """Examples with the features of one tokenizer."""

    examples: list[Any]
    features: Features
    prompt: PromptContext | None
    """How to generate answers; None: a head or hidden states give them."""
    noise_counts: NoiseCounts
    """Counts of the noise in the examples."""
    units: list[str | None]
    """For each example what it shares a text with, without noise."""


_FEATURES: dict[tuple[Any, ...], _TestSet] = {}
"""Cache of tokenized test sets, the most recently used last. All models of a study predict on the same test sets."""
_FEATURES_TOKENS = 4_000_000
"""Most tokens in the cache. Rows take 4 bytes per token, but their texts are kept too."""


def _load_test_set(job: Job, context: Context, store: Store, max_length: int) -> _TestSet:
    from xlift.tasks.noise import NoiseCounts
    from xlift.training.stage import make_features

    assert isinstance(job.spec, PredictSpec)
    data, mode = job.spec.data, job.spec.text_mode
    model, tokenizer = cached_model(job, context, store)
    digest = tokenizer_digest(model_folder(job, context, store))
    key = (data, max_length, digest, mode, model.family if mode else None)
    test_set = _FEATURES.pop(key, None)
    if test_set is None:
        noise_counts = NoiseCounts()
        task, clean_examples = context.tasks[data.task], read_clean_examples(context, data)
        examples = add_noise(context, data, clean_examples, noise_counts)
        units = _find_units(task, clean_examples, examples)
        if mode:
            encoder = PromptEncoder(mode, context, tokenizer, model.family)
            features = encoder.features(task, examples, data.language, max_length=max_length, train=False)
            test_set = _TestSet(examples, features, encoder.prompt_context(task, data.language), noise_counts, units)
        else:
            features = make_features(task, examples, tokenizer, max_length=max_length, train=False)
            test_set = _TestSet(examples, features, None, noise_counts, units)
    _FEATURES[key] = test_set
    while len(_FEATURES) > 1 and sum(count_tokens(each.features) for each in _FEATURES.values()) > _FEATURES_TOKENS:
        del _FEATURES[next(iter(_FEATURES))]
    return test_set


def _find_units(task: Task, clean_examples: Sequence[Any], examples: Sequence[Any]) -> list[str | None]:
    """The unit of each example, from its texts without noise, which may change one text in two ways."""
    unit_text = formats.get(task.format).unit_text
    if examples is clean_examples:
        return [make_unit(unit_text(example)) for example in examples]
    units = {example.id: make_unit(unit_text(example)) for example in clean_examples}
    return [units[example.id] for example in examples]


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 of the files of a saved tokenizer."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()
