"""Settings of training, prompts, noise and the engine: plain data that studies set and job keys cover.

Every part of xlift may import this module, so it imports none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from xlift.errors import did_you_mean

Precision = Literal["auto", "bf16", "fp32"]
WIDE = 512
"""Hidden size from which 'auto' means bf16. At 768 it is faster (docs/benchmarks.md); narrower models were not timed alone yet
(`python -m benchmarks.training --precision`)."""
TOKENS_PER_BATCH = 2048
"""Tokens of one forward pass of predictions on a CPU: its activations fit the caches (docs/log.md). Affects memory and speed,
and results by rounding only."""
TOKENS_ON_GPU = 16384
PRETRAINING_LENGTH = 128
"""Tokens of a row in pretraining, unless the recipe sets `max_length`."""
MAX_LAYER_PAIRS = 1000
"""Pairs of a language that choose a layer, from the start of its dev set. All layers' vectors are in memory at once (200 MB at
24 layers of 1,024)."""
Device = Literal["auto", "cpu", "cuda"]
Strategy = Literal["ddp", "fsdp"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]

NAME = r"[a-z0-9][a-z0-9._-]*"
"""Pattern of the names of custom tasks and heads."""
NAME_RULE = "lower-case letters, digits, '.', '_' and '-', with a letter or digit first"
"""The pattern in words."""


def setting_error(what: str, fix: str, *keys: str | int) -> PydanticCustomError:
    """An error for a validator to raise.

    Args:
        keys: from the validated object to the wrong value.
    """
    return PydanticCustomError("setting_error", "{what}", {"what": what, "fix": fix, "keys": keys})


class Settings(BaseModel):
    """Base class of all settings: frozen; refuses unknown keys, so a misspelt option is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, given: Any) -> Any:
        """Refuse unknown keys with a list of the allowed ones, and two spellings of one key."""
        if not isinstance(given, dict):
            return given
        names = _accepted_keys(cls)
        used: dict[str, str] = {}
        for key in given:
            if key not in names:
                fix = f"{did_you_mean(str(key), tuple(names))}Allowed keys: {', '.join(cls.model_fields)}."
                raise setting_error(f"unknown key '{key}'", fix, key)
            if names[key] in used:
                raise setting_error(f"`{used[names[key]]}` and `{key}` are the same setting", "keep one of them.", key)
            used[names[key]] = key
        return given

    @classmethod
    def spellings(cls, name: str) -> tuple[str, ...]:
        """The keys that a field accepts: its name and its synonyms."""
        alias = cls.model_fields[name].validation_alias
        return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (name,)


@cache
def _accepted_keys(settings: type[Settings]) -> dict[str, str]:
    """Each key that settings accept -> the name of its field. A plan makes them a hundred thousand times."""
    return {spelling: name for name in settings.model_fields for spelling in settings.spellings(name)}


class EarlyStopping(Settings):
    """Stop early and keep the best checkpoint, by the mean score on dev data of the languages that the stage trains on
    (never of languages that are only scored)."""

    eval_steps: int = Field(ge=1)
    """Evaluate on dev every so many steps, and after the last one."""
    patience: int = Field(default=3, ge=1)
    """Evaluations without a new best score after which the stage stops."""


class Lora(Settings):
    """Train low-rank matrices beside the frozen matrices of the backbone (Hu et al. 2021); heads are trained whole."""

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    """The output of the low-rank matrices is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    where: Literal["linear", "attention"] = "linear"
    """Beside every linear layer of the blocks, or those of attention only."""
    quantize: bool = False
    """Hold the frozen matrices in 4 bits (QLoRA, Dettmers et al. 2023); on a GPU, with bitsandbytes."""


def check_warmup(warmup_steps: float | None) -> float | None:
    """Raises PydanticCustomError for a fraction above 1: it is neither a share nor a number of steps."""
    if warmup_steps is not None and warmup_steps > 1 and warmup_steps % 1:
        fix = f"write a whole number such as {warmup_steps:.0f}, or a share below 1 such as 0.1."
        raise setting_error(f"{warmup_steps:g} is neither a whole number of steps nor a share of them", fix)
    return warmup_steps


@dataclass(frozen=True)
class OptimizerTraits:
    name: str
    """For texts."""
    moment_bytes: int
    """Bytes of its moments per weight. Sums of rows and columns are negligible."""
    is_elementwise: bool
    """The step of a weight depends only on the gradients of that weight, not on those of its row and column. Shards (fsdp) and a
    compact vocabulary need that."""
    has_relative_steps: bool
    """The learning rate is relative to the size of each weight, except for LoRA's matrices."""


Optimizer = Literal["adamw", "adafactor"]
OPTIMIZERS: dict[Optimizer, OptimizerTraits] = {
    "adamw": OptimizerTraits("AdamW", moment_bytes=8, is_elementwise=True, has_relative_steps=False),
    "adafactor": OptimizerTraits("Adafactor", moment_bytes=0, is_elementwise=False, has_relative_steps=True),
}


class Recipe(Settings):
    """Optimisation of one stage. The defaults suit encoders of base size; small models need a higher learning rate."""

    lr: float = Field(default=2e-5, gt=0)
    """Peak learning rate. For Adafactor it is relative to the size of each weight, except for LoRA's matrices."""
    batch_size: int = Field(default=32, ge=1)
    """Examples of one optimizer step, over all devices (all choices of a question are one example)."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the mixture; a fraction means the first batches of one more pass. Ignored where `max_steps` is given."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps, instead of epochs."""
    warmup_steps: float = Field(default=0.1, ge=0)
    """Steps in which the learning rate rises linearly from zero; below 1 it is a share of all steps, as in transformers 5."""
    weight_decay: float = Field(default=0.01, ge=0)
    adam_beta2: float = Field(default=0.999, gt=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    initializer_range: float | None = Field(default=None, ge=0)
    """Standard deviation of the initial weights of the output layer of new heads. Default: that of the model's config, in most 0.02.
    0: from zeros. (The name is that of transformers' configs.)"""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens per sequence; default: the task's."""
    early_stopping: EarlyStopping | None = None
    """Default: train all steps and keep the last checkpoint."""
    eval_steps: int | None = Field(default=None, ge=1)
    """Evaluate on dev every so many steps, and after the last one, which is kept: for the dev curve. Early stopping has its own."""
    retries: int = Field(default=2, ge=0, le=5)
    """How often a stage restarts with half the learning rate if it ends at chance on dev data of its own languages, or its loss
    becomes NaN or infinite (execution/work/evaluator.py). In bf16 it first goes to fp32, which is not counted. 0: never, and without
    evaluation."""
    lr_scheduler_type: Literal["linear", "constant"] = "linear"
    """After the warm-up: linear decay to zero, or constant (mT5's fine-tuning)."""
    optimizer: Optimizer = "adamw"
    """Adafactor (Shazeer and Stern 2018) as mT5 was trained with: factored second moments, no first ones."""
    lora: Lora | None = None
    """Default: every weight is trained."""
    precision: Precision = "auto"
    """Of the arithmetic; weights and optimizer moments are always float32. 'auto' is bf16 where the machine is faster in
    it (processor.py) and the model is wide enough to gain from it, else fp32 (training/precision.py)."""

    _warmup = field_validator("warmup_steps")(check_warmup)

    @property
    def eval_interval(self) -> int | None:
        """Steps between two evaluations on dev; None if there is only one, at the end."""
        return self.early_stopping.eval_steps if self.early_stopping else self.eval_steps

    @property
    def optimizer_traits(self) -> OptimizerTraits:
        return OPTIMIZERS[self.optimizer]

    def num_warmup_steps(self, num_steps: int) -> float:
        """Warm-up steps of a stage of `num_steps`. A share stays a fraction; transformers rounds it up."""
        return self.warmup_steps * num_steps if self.warmup_steps < 1 else self.warmup_steps

    def count_steps(self, sizes: Iterable[float]) -> int:
        """Number of optimizer steps of a stage.

        A pass over n examples is ceil(n / batch_size) steps, the last of which has the remaining examples; the fraction r
        of a pass is ceil(r * n / batch_size) steps.

        Args:
            sizes: examples in each part of the mixture.
        """
        whole, rest = divmod(self.epochs, 1)

        def num_batches(share: float, n: float) -> int:
            # rounded first: (1.1 - 1) * 10 is a little more than 1, and would add an empty step
            return ceil(round(share * n / self.batch_size, 6))

        return self.max_steps or sum(int(whole) * num_batches(1, n) + num_batches(rest, n) for n in sizes)

    def with_more_steps(self, more: int, sizes: Iterable[float]) -> Recipe:
        """The recipe with more steps than `count_steps`."""
        return self.model_copy(update={"max_steps": self.count_steps(sizes) + more}) if more else self

    def count_pretraining_steps(self, num_documents: int) -> int:
        """Number of optimizer steps of pretraining, where batches run over the ends of passes."""
        return self.max_steps or max(1, round(self.epochs * num_documents / self.batch_size))


class PromptSettings(Settings):
    """How an example becomes a prompt for a model in text mode (tasks/prompts/)."""

    template: str = "v1"
    """Version of the templates. A task's own template is called TASK.VERSION, such as `xnli.v1`, else FORMAT.VERSION."""
    instructions: Literal["en", "own"] = "en"
    """Language of instructions and label words: English, or that of the example where the template has it."""
    num_fewshot: int = Field(default=0, ge=0, le=32)
    """Solved examples before the question, from training data in the source language."""
    normalize: bool = True
    """Choose between given answers by log likelihood per token; false: by that of the whole answer."""
    num_beams: int = Field(default=1, ge=1, le=16)
    """Beams of generation; 1 is greedy."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Default: the number that the format sets."""


NoiseKind = Literal["typos", "diacritics", "case", "script", "code-switch", "natural", "paraphrase"]


class Noise(Settings):
    """Noise that is added to the texts of examples (tasks/noise/)."""

    kind: NoiseKind
    level: float = Field(default=0.1, gt=0, le=1)
    """Share of changed words among the words that the kind can change."""
    seed: int = 0
    words: str = ""
    """Dictionary of code-switch and natural: a file under the data folder; {lang} in its name is the language code. For natural
    also a file of tagged rows (.conll, .conllu, .jsonl, .parquet)."""
    into: str = ""
    """Language of the inserted words for code-switch in the archipelago; default: the source language."""
    digest: str = ""
    """SHA-256 of the dictionary, or the language whose keyboard or rule of case a regional code has ('pt' for 'pt-BR'). The
    plan sets it; a study must not."""


class Engine(Settings):
    """How jobs use the machine. It affects memory and speed, and results by rounding only, so job keys do not cover it."""

    token_budget: int | None = Field(default=None, ge=64)
    """Tokens of one forward and backward pass; default: from the available memory (training/budget.py over memory.py)."""
    compact_vocabulary: Literal["auto", "off"] = "auto"
    """'auto' trains the input embeddings of only those tokens that occur, where that is exact and saves time or memory
    (models/compact_vocabulary.py)."""
    device: Device = "auto"
    """'auto' is a GPU if there is one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of a job on a CPU; default: 2 in pretraining and for models at least WIDE wide, else 1. Another number rounds
    differently, so the default does not depend on the machine."""
    devices: int = Field(default=1, ge=1)
    """Processes that share a training run, each with its own GPU (without GPUs, on the CPU)."""
    strategy: Strategy = "ddp"
    """Each process holds the whole model (ddp), or a shard of weights, gradients and moments (fsdp)."""
    gradient_checkpointing: bool = False
    """Recompute the activations of each layer for its gradient: less memory, a third more work."""
    offload: bool = False
    """Keep the optimizer's moments in the CPU's memory; with fsdp the weights too."""
    report_to: tuple[Tracker, ...] = ()
    """Experiment trackers that get the losses and dev scores of training (execution/work/trackers.py)."""

    @field_validator("report_to", mode="before")
    @classmethod
    def _accept_one_name(cls, value: Any) -> Any:
        """One name, and transformers' 'none', in place of a list."""
        return () if value == "none" else (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_strategy(self) -> Engine:
        if self.strategy == "fsdp" and self.devices == 1:
            fix = (
                "add `devices: 2` (or more); a model too large for one GPU may also train with "
                "`gradient_checkpointing: true` and `offload: true`."
            )
            raise setting_error("fsdp shards a model over several devices, and there is one", fix, "strategy")
        return self


BLAS_THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL", "BLIS")} | {"VECLIB_MAXIMUM_THREADS": "1"}
"""Environment for NumPy in a process that runs jobs. NumPy reads it when it is imported. All kinds of jobs that multiply matrices
with NumPy use one thread; `num_threads` gives the threads of torch."""

WORKERS_PER_GPU = "XLIFT_WORKERS_PER_GPU"
"""Environment variable of a worker: how many workers share its GPU and its memory; 1 if it is not set."""


def num_threads(kind: str, hidden_size: int | None, engine: Engine) -> int:
    """Threads of each process of a job. Independent of the machine and the number of workers: equal studies give equal bytes.

    Args:
        kind: of the job: pretrain, train, layer or predict.
        hidden_size: of the model that the job makes or starts from; None if unknown.
    """
    if engine.threads is not None:
        return engine.threads
    return 2 if kind == "pretrain" or (hidden_size or 0) >= WIDE else 1


class Sampling(Settings):
    """How the steps of a stage are divided among the parts of its mixture (each batch is of one part).

    With n_i examples in part i and cap K, m_i = min(n_i, K):
    proportional p_i ~ m_i; uniform p_i equal; temperature p_i ~ m_i ** (1 / T); weights p_i from the parts.
    Every rule has the number of steps of `proportional`. (jiant's samplers.)
    """

    rule: Literal["proportional", "uniform", "temperature", "weights"] = "proportional"
    temperature: float = Field(default=2.0, gt=0)
    cap: int | None = Field(default=None, ge=1)


class TextShare(Settings):
    """Continued pretraining beside the labels: a share of the steps is on text.

    The labelled parts keep their number of steps without text, N, so that they train as much as before: with share s the
    stage has N / (1 - s) steps. The text steps are divided ~ n_i ** alpha, n_i the documents of part i: small languages get
    more than their proportional share (Conneau et al. 2020 pretrain XLM-R with alpha 0.3).
    """

    share: float = Field(gt=0, lt=1)
    alpha: float = Field(default=0.3, ge=0, le=1)


ClassifierPooling = Literal["last", "mean"]
"""What a decoder's head reads where one state stands for a whole text: the state of the last token, or the mean of the states of
all tokens, the special tokens that the tokenizer adds included."""

Written = Literal["spans", "text"]
"""What an encoder-decoder model writes in pretraining: the spans that were cut out of its input (T5), or the whole text and the
translation of a document that has one."""


class Masking(Settings):
    """Masked language modelling: the model predicts a share of the tokens; 80% of them are masked, 10% replaced, 10% kept
    (Devlin et al. 2019)."""

    share: float = Field(default=0.25, gt=0, lt=1)


class Architecture(Settings):
    """A model with random weights: an encoder, a decoder (qwen3, llama) or an encoder-decoder model (mt5). `family` is a
    model type of transformers."""

    family: Literal["modernbert", "xlm-roberta", "bert", "qwen3", "llama", "mt5"] = "modernbert"
    layers: int = Field(default=4, ge=1)
    """Of an encoder-decoder model, in each half."""
    hidden_size: int = Field(default=128, ge=8)
    intermediate_size: int = Field(default=256, ge=8)
    heads: int = Field(default=4, ge=1)
    max_positions: int = Field(default=512, ge=16)

    @model_validator(mode="after")
    def _check_heads(self) -> Architecture:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        return self


class TokenizerRecipe(Settings):
    """A byte-level BPE tokenizer trained on text."""

    vocabulary: int = Field(default=6000, ge=300)
    documents: int = Field(default=40_000, ge=100)
    """Documents to train on, taken in order from every text in proportion to its size."""
