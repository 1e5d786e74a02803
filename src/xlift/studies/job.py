"""A job: one unit of work, identified by everything that determines its result.

The key is the SHA-256 of the canonical JSON of the spec and the result version of the kind. The spec names the jobs whose
artifacts it reads by their keys. That JSON omits options at their default, so a new option does not change old keys. The key
does not cover paths, the machine, the number of workers, or names that a study gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from xlift.model_families import traits_of
from xlift.recipes import (
    Architecture,
    ClassifierPooling,
    Masking,
    Noise,
    Precision,
    PromptSettings,
    Recipe,
    Sampling,
    Settings,
    TextShare,
    TokenizerRecipe,
    Written,
)
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.task import Task

RESULT_VERSION = {"pretrain": 1, "train": 3, "merge": 1, "layer": 3, "predict": 4}
"""Incremented for a kind whenever the same spec would give another result."""


PROVISIONAL = "provisional:"
"""Start of the fingerprint of data or of a model that is not on this machine."""

Labels = Literal["given", "shuffled", "none"]
LABELS_NAMES: dict[Labels, str] = {"given": "", "shuffled": " with shuffled labels", "none": " as text"}


class Subset(Settings):
    """The examples of one (task, language, split) that another training stage reads."""

    task: str
    language: str
    split: str
    size: int | None = None
    seed: int = 0
    fingerprint: str


class Data(Settings):
    """The examples of one (task, language, split), with their number, sampling and fingerprint."""

    task: str
    language: str
    split: str
    size: int | None = None
    seed: int = 0
    """Of the random subset (training data) or 0 (the standard set)."""
    fingerprint: str
    max_length: int = 128
    """Tokens per sequence that the task declares; a stage's recipe may override it."""
    options: tuple[tuple[str, str | int], ...] = ()
    """Options of dual encoding that affect training: (name, value) as the task declares them, sorted."""
    noise: Noise | None = None
    revision: int = 0
    """Of the task's format (`Format.revision`)."""
    labels: Labels = "given"
    """'shuffled': gold answers that say nothing about their texts, drawn under `seed`. 'none': the texts alone."""
    excluded: tuple[Subset, ...] = ()
    """Examples that are left out, since targets of the study train on them (planning/same_task.py)."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of everything that determines the examples."""
        return (self.fingerprint, *(subset.fingerprint for subset in self.excluded))

    def name(self) -> str:
        parts = (self.task, self.language, str(self.size or ""), noise_name(self.noise) if self.noise else "")
        return "/".join(filter(None, parts)) + LABELS_NAMES[self.labels]

    def find_task(self, tasks: Mapping[str, Task]) -> Task:
        """The task of the examples: plain text without labels."""
        task = tasks[self.task]
        return task.as_text() if self.labels == "none" else task


def noise_name(noise: Noise) -> str:
    """'typos 10%'; other settings follow if they matter: 'code-switch 20% qka, seed 3'."""
    words = noise.into or noise.words
    name = f"{noise.kind} {100 * noise.level:g}%" + (f" {words}" if words else "")
    return f"{name}, seed {noise.seed}" if noise.seed else name


class TextMode(Settings):
    """How a model in text mode is prompted."""

    prompt: PromptSettings = PromptSettings()
    templates: tuple[tuple[str, str], ...] = ()
    """(task, SHA-256 of its template), sorted by task."""
    fewshot_data: tuple[Data, ...] = ()
    """Few-shot examples are drawn from it, under its seed: training data in the source language, one for each of `templates`."""


class ModelRef(Settings):
    """The model that a job starts from: the artifact of another job, or a pretrained model."""

    job: str = ""
    """Key of the job that made it; '' for a pretrained model."""
    fingerprint: str = ""
    """Of a pretrained model; '' for the artifact of a job."""

    @model_validator(mode="after")
    def _check_one_is_set(self) -> ModelRef:
        if bool(self.job) == bool(self.fingerprint):
            raise ValueError("a model is the artifact of a job or a pretrained model")
        return self

    @property
    def id(self) -> str:
        """What identifies the model: the key or the fingerprint."""
        return self.job or self.fingerprint


class PretrainSpec(Settings):
    kind: Literal["pretrain"] = "pretrain"
    text: tuple[Data, ...]
    tokenizer_text: tuple[Data, ...] = ()
    """Read by the tokenizer only."""
    architecture: Architecture
    tokenizer: TokenizerRecipe
    masking: Masking
    writes: Written = "spans"
    cut: float = 0.0
    recipe: Recipe
    half_precision: bool = False
    """Store the weights in float16 (half the bytes; they are loaded as float32)."""
    seed: int


class LearningRateChoice(Settings):
    """One of the learning rates that a stage chooses from."""

    lr: float
    job: str
    """Key of the job that trains the stage with it, under the first seed of the study."""


class TrainSpec(Settings):
    kind: Literal["train"] = "train"
    model: ModelRef
    mixture: tuple[Data, ...]
    sampling: Sampling = Sampling()
    weights: tuple[float, ...] = ()
    """Of the parts of `mixture`, with sum 1, under the sampling rule 'weights'."""
    text: tuple[Data, ...] = ()
    """Text for continued pretraining beside `mixture`."""
    mlm: TextShare | None = None
    """Share of the steps that is on `text`. (It keeps its name, so that keys stay.)"""
    recipe: Recipe
    more_steps: int = 0
    """Steps beyond those of the recipe: of a target stage without an intermediate one, as a control."""
    head: str = ""
    """Name of one head for all parts of `mixture`; '' gives each task a head of its own name."""
    keep_heads: tuple[str, ...] = ()
    """Names of the parent's heads to continue training; all others start new."""
    masking: Masking = Masking()
    """For the text parts."""
    classifier_pooling: ClassifierPooling = "last"
    """Of a decoder's heads. 'mean' only where a head of the stage reads one state for a whole text."""
    dev: tuple[Data, ...] = ()
    """Evaluated on during training (studies/dev_data.py)."""
    text_mode: TextMode | None = None
    """None: the model is in head mode."""
    lr_choices: tuple[LearningRateChoice, ...] = ()
    """The stage is trained with the rate whose job has the highest final score on dev; the lowest of equally good ones. That of
    `recipe` is not used. () trains with that of `recipe`."""
    seed: int

    def with_lr(self, lr: float) -> TrainSpec:
        """The same stage with one learning rate and no choice."""
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"lr": lr}), "lr_choices": ()})

    @property
    def parts(self) -> tuple[Data, ...]:
        """All training data: the parts of `mixture`, then those of `text`."""
        return self.mixture + self.text

    def part_names(self) -> tuple[str, ...]:
        """Short names of the training data; all languages of masked text together are '20% isle-text'."""
        names = [data.name() for data in self.mixture]
        if self.mlm:
            names.append(f"{self.mlm.share:.0%} {self.text[0].task}")
        return tuple(dict.fromkeys(names))


class MergeSpec(Settings):
    """Merge several models: start + sum of weight * (parent - start) (task arithmetic, Ilharco et al. 2023); with weights
    that sum to 1 it is their average."""

    kind: Literal["merge"] = "merge"
    model: ModelRef
    """The start."""
    merged: tuple[str, ...]
    """Keys of the jobs whose models are merged."""
    weights: tuple[float, ...]
    keep_heads: tuple[str, ...] = ()
    """Heads of the result, each from the first merged model that has it."""


class LayerSpec(Settings):
    """Score every layer on finding translations, in each of some languages, to choose a layer."""

    kind: Literal["layer"] = "layer"
    model: ModelRef
    data: tuple[Data, ...]
    options: dict[str, Any] = Field(default_factory=dict)
    """pooling, center; max_length."""
    precision: Precision = "auto"


class PredictSpec(Settings):
    kind: Literal["predict"] = "predict"
    model: ModelRef
    layer_job: str = ""
    """Key of the layer job that chooses the layer, where `options` has `layer: dev`."""
    data: Data
    head: str = ""
    """Name of the head that predicts (the task it was trained on); '' for retrieval."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the format: layer, pooling and centring of retrieval and mining; max_length."""
    precision: Precision = "auto"
    """As in the recipe of the target's stages."""
    text_mode: TextMode | None = None
    """None: a head predicts."""


def data_of(spec: Spec) -> tuple[Data, ...]:
    """All data that a job reads."""
    if isinstance(spec, PretrainSpec):
        return spec.text + spec.tokenizer_text
    if isinstance(spec, TrainSpec):
        return (*spec.parts, *spec.dev, *(spec.text_mode.fewshot_data if spec.text_mode else ()))
    if isinstance(spec, PredictSpec):
        return (spec.data, *(spec.text_mode.fewshot_data if spec.text_mode else ()))
    return spec.data if isinstance(spec, LayerSpec) else ()


Spec = PretrainSpec | TrainSpec | MergeSpec | LayerSpec | PredictSpec


@dataclass(frozen=True)
class Job:
    spec: Spec
    label: str
    """For display only: 'train isle-nli (from isle-qa qta 4000, seed 1)'."""
    key: str
    examples: int
    """Examples that go through the model, repetitions included."""

    @property
    def kind(self) -> str:
        return self.spec.kind

    @cached_property
    def start(self) -> ModelRef | None:
        """The model that the job starts from; None in pretraining."""
        return None if isinstance(self.spec, PretrainSpec) else self.spec.model

    @property
    def lr_choices(self) -> tuple[LearningRateChoice, ...]:
        """The jobs whose dev scores choose the learning rate of this one. It needs their manifests alone."""
        return self.spec.lr_choices if isinstance(self.spec, TrainSpec) else ()

    @cached_property
    def repeats_choice(self) -> bool:
        """Whether this job would train what one of `lr_choices` has trained: the stage under the same seed. It takes over that
        one's model."""
        if not isinstance(self.spec, TrainSpec) or not self.spec.lr_choices:
            return False
        first = self.spec.lr_choices[0]
        return job_key(self.spec.with_lr(first.lr)) == first.job

    @property
    def required(self) -> tuple[str, ...]:
        """Keys of all jobs that must be finished before this one."""
        return (*self.parents, *(choice.job for choice in self.lr_choices))

    @cached_property
    def parents(self) -> tuple[str, ...]:
        """Keys of all jobs whose models or layers this job starts from."""
        spec = self.spec
        merged = spec.merged if isinstance(spec, MergeSpec) else ()
        layer_job = spec.layer_job if isinstance(spec, PredictSpec) else ""
        return tuple(filter(None, (self.start.job if self.start else "", *merged, layer_job)))


def make_job(spec: Spec, label: str, examples: int) -> Job:
    return Job(spec, label, job_key(spec), examples)


def result_version(spec: Spec) -> int:
    """The version of the results of a spec. It changes whenever the same spec gives another result."""
    if isinstance(spec, PretrainSpec):
        return RESULT_VERSION[spec.kind] + traits_of(spec.architecture.family).pretraining_revision
    return RESULT_VERSION[spec.kind]


def job_key(spec: Spec) -> str:
    """The key of a job, 64 hexadecimal digits; equal jobs have equal keys."""
    content = {
        "kind": spec.kind,
        "version": result_version(spec),
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
