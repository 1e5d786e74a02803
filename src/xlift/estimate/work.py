"""The workload of each job of a plan: tokens, steps and operations. `rates.py` and `devices.py` turn it into
seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.estimate.tokens import Sampler, SampleStats
from xlift.memory import saves_memory
from xlift.model_shape import ADAPTING, FORWARD, TRAINING, ModelShape, shape_from_architecture
from xlift.recipes import MAX_LAYER_PAIRS, OPTIMIZERS, PRETRAINING_LENGTH, Engine, Lora, OptimizerTraits
from xlift.steps import divide_steps
from xlift.studies.job import Data, Job, LayerSpec, MergeSpec, PredictSpec, PretrainSpec, TextMode, TrainSpec
from xlift.studies.job_numbers import DataNumbers
from xlift.studies.placement import root_by_job
from xlift.studies.plan import Plan
from xlift.studies.store import Store
from xlift.tasks import formats
from xlift.tasks.sources.generated import DEFAULT_NUM_EXAMPLES

DISTINCT_GROWTH = 0.6
"""How the number of distinct tokens grows with the number of tokens: d * (N / n) ** 0.6 (Heaps' law; the exponent is an
assumption, between 0.4 and 0.7 for text)."""
MAX_MANIFESTS = 200
"""Manifests of the store that are read, at most."""


@dataclass(frozen=True)
class Workload:
    """What one job computes. Padding tokens are not counted."""

    kind: str
    shape: ModelShape | None
    """Of its model; None if unknown."""
    trained_tokens: float = 0.0
    """Tokens with a forward and a backward pass."""
    forward_tokens: float = 0.0
    """Tokens with a forward pass only."""
    row_length: float = 0.0
    """Mean tokens per row."""
    num_steps: int = 0
    tokens_per_step: float = 0.0
    num_examples: float = 0.0
    """Examples that are read and tokenized, once each."""
    num_model_loads: float = 1.0
    """Models that it loads. For a prediction this is a share, as a worker keeps a model for its next predictions."""
    trained_vocab_rows: int = 0
    """Rows of the embedding matrix that are trained."""
    trained_lm_head_tokens: float = 0.0
    """Tokens with a language-modelling loss (masked tokens or answers), each scored against the whole vocabulary."""
    trained_decoder_tokens: float = 0.0
    """Answer tokens in the decoder of an encoder-decoder model, forward and backward."""
    forward_decoder_tokens: float = 0.0
    """As `trained_decoder_tokens`, forward only."""
    forward_lm_head_tokens: float = 0.0
    """Answer tokens scored against the whole vocabulary without a backward pass."""
    generated_tokens: float = 0.0
    """Tokens generated one after the other."""
    is_text_mode: bool = False
    lora: Lora | None = None
    optimizer: OptimizerTraits = OPTIMIZERS["adamw"]

    @property
    def tokens(self) -> float:
        return self.trained_tokens + self.trained_decoder_tokens + self.forward_tokens + self.forward_decoder_tokens

    @property
    def operations(self) -> float:
        """Floating-point operations: attention, and 6 (trained), 4 (LoRA) or 2 per token and non-embedding parameter."""
        return self.training_operations + self.forward_operations

    @property
    def training_operations(self) -> float:
        passes = ADAPTING if self.lora else TRAINING
        return self._operations(self.trained_tokens, self.trained_decoder_tokens, self.trained_lm_head_tokens, passes)

    @property
    def forward_operations(self) -> float:
        return self._operations(self.forward_tokens, self.forward_decoder_tokens, self.forward_lm_head_tokens, FORWARD)

    def _operations(self, tokens: float, decoder_tokens: float, lm_head_tokens: float, passes: int) -> float:
        if self.shape is None:
            return 0.0
        shape, length = self.shape, self.row_length
        decoder = shape.decoder_operations(decoder_tokens, tokens, length, passes) if decoder_tokens else 0.0
        return (
            shape.operations(tokens, length, passes) + decoder + 2 * passes * lm_head_tokens * shape.output_parameters
        )

    @property
    def trained_parameters(self) -> int:
        """Without the vocabulary rows that are not trained."""
        if self.shape is None:
            return 0
        if self.lora:
            return self.shape.lora_parameters(self.lora.rank, attention_only=self.lora.where == "attention")
        text_only = self._text_mode_parameters if self.is_text_mode else 0
        return self._embedding_parameters + self.shape.main_stack_parameters + text_only

    @property
    def frozen_parameters(self) -> int:
        """Parameters in memory that are not trained."""
        if self.shape is None:
            return 0
        if self.lora:
            return self._embedding_parameters + self.shape.main_stack_parameters + self._text_mode_parameters
        return 0 if self.is_text_mode else self._text_mode_parameters

    @property
    def _embedding_parameters(self) -> int:
        shape = self.shape
        if shape is None:
            return 0
        return shape.embedding_parameters - (shape.vocab_size - self.trained_vocab_rows) * shape.hidden_size

    @property
    def _text_mode_parameters(self) -> int:
        """Parameters that only text mode uses: the decoder and an untied output layer."""
        if self.shape is None:
            return 0
        return self.shape.decoder_parameters + (0 if self.shape.tie_word_embeddings else self.shape.output_parameters)


class PlanWorkloads:
    """The workload of every job of a plan.

    Args:
        store: its finished jobs record their exact number of tokens, which also holds for similar jobs.
        workers: each worker reads the data of predictions once.
    """

    def __init__(self, plan: Plan, store: Store | None, workers: int) -> None:
        done = store.find_done(plan.jobs) if store else ()
        self.finished = [job for job in plan.jobs.values() if job.key in done]
        """The jobs that the store has."""
        self.plan, self.workers = plan, workers
        self.missing_counts = plan.missing_counts()
        self.sampler = Sampler(plan.tasks, plan.data, self.missing_counts)
        self.roots = root_by_job(plan)
        self.models = {f: (shape, plan.models.get(f)) for f, shape in plan.model_shapes().items()}
        predictions = [job for job in plan.jobs.values() if isinstance(job.spec, PredictSpec)]
        self.predictions_by_model = Counter(job.start.id for job in predictions if job.start)
        self.predictions_by_data = Counter(job.spec.data for job in predictions if isinstance(job.spec, PredictSpec))
        self.recorded_tokens = _recorded_tokens(self.finished, store, self.roots) if store else {}

    def workload(self, job: Job) -> Workload:
        """The sampled workload, corrected by the tokens that similar finished jobs recorded."""
        work = self._sampled(job)
        tokens = self.recorded_tokens.get(_similarity_key(job, self.roots)) if self.recorded_tokens else None
        if tokens is None or not work.tokens:
            return work
        share = tokens / (work.trained_tokens + work.trained_decoder_tokens or work.tokens)
        scaled = (
            "trained_tokens", "trained_decoder_tokens", "forward_tokens", "forward_decoder_tokens", "row_length",
            "tokens_per_step",
        )  # fmt: skip
        return replace(work, **{name: getattr(work, name) * share for name in scaled})

    def _sampled(self, job: Job) -> Workload:
        spec = job.spec
        shape, tokenizer = self._model(job)
        if isinstance(spec, PretrainSpec):
            return self._pretrain(job, spec, shape)
        if job.repeats_choice:
            return Workload("train", shape)
        if isinstance(spec, TrainSpec):
            return self._train(spec, shape, tokenizer, self.plan.engine_of(job.key))
        if isinstance(spec, MergeSpec):
            return Workload("merge", shape, num_model_loads=len(spec.weights) + 1)
        max_length = spec.options.get("max_length")
        if isinstance(spec, LayerSpec):
            samples = [self.sampler.sample(data, tokenizer, max_length) for data in spec.data]
            counts = [min(MAX_LAYER_PAIRS, self._num_examples(data)) for data in spec.data]
            tokens = sum(n * sample.tokens for n, sample in zip(counts, samples, strict=True))
            return Workload("layer", shape, 0.0, tokens, _row_length(samples), num_examples=sum(counts))
        sample = self._sample(spec.data, tokenizer, max_length, spec.text_mode, shape, train=False)
        count = job.examples * self._rows_per_question(spec.data)
        reads = min(self.workers, self.predictions_by_data[spec.data]) / self.predictions_by_data[spec.data]
        return Workload(
            "predict", shape, 0.0, count * sample.tokens, sample.row_length, num_examples=count * reads,
            num_model_loads=1 / self.predictions_by_model[spec.model.id],
            forward_decoder_tokens=count * sample.decoder_tokens, forward_lm_head_tokens=count * sample.lm_head_tokens,
            generated_tokens=count * sample.generated_tokens, is_text_mode=spec.text_mode is not None,
        )  # fmt: skip

    def _sample(
        self,
        data: Data,
        tokenizer: Path | None,
        max_length: int | None,
        mode: TextMode | None,
        shape: ModelShape | None,
        *,
        train: bool,
    ) -> SampleStats:
        if mode is None or self._format(data).is_plain_text:
            return self.sampler.sample(data, tokenizer, max_length)
        family = shape.family if shape else "decoder"
        return self.sampler.sample_text_mode(data, tokenizer, max_length, mode, family, train=train)

    def _pretrain(self, job: Job, spec: PretrainSpec, shape: ModelShape | None) -> Workload:
        max_length = spec.recipe.max_length or PRETRAINING_LENGTH
        counts = [self._num_examples(data) for data in spec.text]
        samples = [self.sampler.sample(data, None, max_length) for data in spec.text]
        mean = sum(n * sample.tokens for n, sample in zip(counts, samples, strict=True)) / max(1, sum(counts))
        steps = spec.recipe.count_pretraining_steps(sum(counts))
        tokens = job.examples * mean
        # Masked tokens, or the spans that replace them. A decoder predicts every token; so does an encoder-decoder that writes the text.
        predicts_all = (shape and shape.family == "decoder") or spec.writes == "text"
        predicted = tokens if predicts_all else tokens * spec.masking.share
        return Workload(
            "pretrain", shape, tokens, 0.0, _row_length(samples), steps, tokens / steps, sum(counts),
            trained_vocab_rows=shape.vocab_size if shape else 0, is_text_mode=True, trained_lm_head_tokens=predicted,
            trained_decoder_tokens=predicted if shape and shape.family == "seq2seq" else 0.0,
        )  # fmt: skip

    def _train(self, spec: TrainSpec, shape: ModelShape | None, tokenizer: Path | None, engine: Engine) -> Workload:
        recipe, counts = spec.recipe, [self._num_examples(data) for data in spec.parts]
        samples = [
            self._sample(data, tokenizer, recipe.max_length, spec.text_mode, shape, train=True) for data in spec.parts
        ]
        units = [max(1.0, n * sample.units) for n, sample in zip(counts, samples, strict=True)]
        tokens = decoder_tokens = lm_head_tokens = 0.0
        split, family = len(spec.mixture), shape.family if shape else "encoder"
        recipe = recipe.with_more_steps(spec.more_steps, [min(n, spec.sampling.cap or n) for n in units[:split]])
        divided = divide_steps(units[:split], recipe, spec.sampling, spec.weights, units[split:], spec.mlm)
        steps_by_part = np.concatenate(divided).tolist()
        for data, n, sample, steps in zip(spec.parts, units, samples, steps_by_part, strict=True):
            examples = _trained_units(n, steps, recipe.batch_size) / sample.units
            tokens += examples * sample.tokens
            decoder_tokens += examples * sample.decoder_tokens
            lm_head_tokens += examples * sample.lm_head_tokens
            if self._format(data).is_plain_text:
                # masked tokens, or the spans that an encoder-decoder model writes; a decoder predicts every token
                hidden = examples * sample.tokens * (1.0 if family == "decoder" else spec.masking.share)
                lm_head_tokens += hidden
                decoder_tokens += hidden if family == "seq2seq" else 0.0
        steps = max(1, round(sum(steps_by_part)))
        evaluated, dev_samples = self._dev_evaluation(spec, tokenizer, shape, steps)
        data = [*zip(counts, samples, strict=True), *dev_samples]
        has_text = any(self._format(data).is_plain_text for data in spec.parts)
        generates = spec.text_mode is not None or (has_text and family != "encoder")
        uses_every_row = (
            engine.compact_vocabulary == "off"
            or (has_text and family != "decoder")
            or (shape is not None and shape.tie_word_embeddings and generates)
        )
        return Workload(
            "train", shape, tokens, evaluated[0], _row_length(samples), steps, (tokens + decoder_tokens) / steps,
            sum(n for n, _ in data), is_text_mode=generates, lora=recipe.lora,
            trained_vocab_rows=0 if shape is None else self._trained_vocab_rows(shape, [] if uses_every_row else data),
            trained_lm_head_tokens=lm_head_tokens, trained_decoder_tokens=decoder_tokens,
            forward_decoder_tokens=evaluated[1], forward_lm_head_tokens=evaluated[2], generated_tokens=evaluated[3],
            optimizer=recipe.optimizer_traits,
        )  # fmt: skip

    def _dev_evaluation(
        self, spec: TrainSpec, tokenizer: Path | None, shape: ModelShape | None, steps: int
    ) -> tuple[tuple[float, ...], list[tuple[int, SampleStats]]]:
        """Tokens, decoder tokens, LM-head tokens and generated tokens of all evaluations on dev examples: one at the
        end of a stage, or one every `eval_steps` steps."""
        max_length = spec.recipe.max_length
        samples = [
            (self._num_examples(data), self._sample(data, tokenizer, max_length, spec.text_mode, shape, train=False))
            for data in spec.dev
        ]
        num_evaluations = ceil(steps / (spec.recipe.eval_interval or steps))
        names = ("tokens", "decoder_tokens", "lm_head_tokens", "generated_tokens")
        return tuple(num_evaluations * sum(n * getattr(each, name) for n, each in samples) for name in names), samples

    def _trained_vocab_rows(self, shape: ModelShape, data: list[tuple[int, SampleStats]]) -> int:
        """Vocabulary rows that a stage trains.

        Args:
            data: number of examples and sample of everything that it reads; empty if it needs every row.
        """
        sampled = all(sample.num_distinct_tokens for _, sample in data)
        if not data or not sampled:
            return shape.vocab_size
        used = min(shape.vocab_size, ceil(sum(_num_distinct(n * sample.tokens, sample) for n, sample in data)))
        return used if saves_memory(used, shape.vocab_size, shape.hidden_size) else shape.vocab_size

    def _num_examples(self, data: Data) -> int:
        if data.size is not None:
            return data.size
        if (missing := self.missing_counts.get((data.task, data.language, data.split))) is not None:
            return missing
        task = self.plan.tasks[data.task]
        size = task.source.size(task, data.language, data.split, self.plan.data)
        return DEFAULT_NUM_EXAMPLES[data.split] if size is None else size

    def _rows_per_question(self, data: Data) -> int:
        """Rows of a generated example of a pool: the question, and its answer in every language."""
        task = self.plan.tasks[data.task]
        pooled = self._format(data).ranks_pool and data.split != "train" and task.source.kind == "isles"
        return 1 + len(task.source.languages(data.split)) if pooled else 1

    def _format(self, data: Data) -> formats.Format:
        return formats.get(data.find_task(self.plan.tasks).format)

    def _model(self, job: Job) -> tuple[ModelShape | None, Path | None]:
        """Shape of the model that a job starts from, and the folder of its tokenizer."""
        root = self.roots[job.key]
        if root in self.models:
            return self.models[root]
        spec = self.plan.jobs[root].spec
        assert isinstance(spec, PretrainSpec)
        return shape_from_architecture(spec.architecture, spec.tokenizer.vocabulary), None


def _recorded_tokens(finished: list[Job], store: Store, roots: dict[str, str]) -> dict[tuple[str, str], float]:
    """Similarity key -> tokens that a finished job recorded, from one job of each key."""
    recorded: dict[tuple[str, str], float] = {}
    num_manifests = 0
    for job in finished:
        if num_manifests == MAX_MANIFESTS:
            break
        key = _similarity_key(job, roots)
        if key in recorded:
            continue
        num_manifests += 1
        try:
            artifact = store.find(job.key)
            numbers = artifact.numbers if artifact else None
        except UserError:
            continue  # damaged; `xlift store verify` reports it
        if isinstance(numbers, DataNumbers) and numbers.tokens:
            recorded[key] = float(numbers.tokens)
    return recorded


def _similarity_key(job: Job, roots: dict[str, str]) -> tuple[str, str]:
    """Jobs with the same key have the same number of tokens up to the random choice of examples."""
    spec = job.spec
    changed: dict[str, Any] = {}
    ignored = {"model", "merged", "layer_job"}
    if isinstance(spec, TrainSpec):
        ignored |= {"seed", "head", "keep_heads", "dev", "lr_choices"}
        for name in ("mixture", "text"):
            changed[name] = tuple(data.model_copy(update={"seed": 0}) for data in getattr(spec, name))
        changed["text_mode"] = _without_seed(spec.text_mode)
    elif isinstance(spec, PredictSpec):
        ignored |= {"head"}
        changed["text_mode"] = _without_seed(spec.text_mode)
    return roots[job.key], spec.model_copy(update=changed).model_dump_json(exclude_defaults=True, exclude=ignored)


def _without_seed(mode: TextMode | None) -> TextMode | None:
    return mode and mode.model_copy(update={"fewshot_data": ()})


def _trained_units(units: float, steps: float, batch_size: int) -> float:
    """Units in the steps of a part. The last batch of every pass may be smaller."""
    passes, rest = divmod(steps, ceil(units / batch_size))
    return passes * units + min(units, rest * batch_size)


def _num_distinct(tokens: float, sample: SampleStats) -> float:
    sampled = max(1, sample.num_sampled_tokens)
    return sample.num_distinct_tokens * (max(tokens, sample.num_sampled_tokens) / sampled) ** DISTINCT_GROWTH


def _row_length(samples: list[SampleStats]) -> float:
    return sum(each.tokens for each in samples) / max(1e-9, sum(each.rows for each in samples))
