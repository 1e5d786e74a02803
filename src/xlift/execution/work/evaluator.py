"""Evaluate whether a stage learned anything, by its dev score in its own languages, and retry the stage if not.

Fine-tuning sometimes ends in a model that gives every example the same answer, above all with small data and high learning
rates (Mosbach, Andriushchenko and Klakow 2021, who call a run failed if its dev accuracy is at most that of the most frequent
label). A part of the mixture has collapsed if

1. its dev score is not above that of the best constant answer, and
2. the mean of its last training losses is at least 0.98 of the entropy of its training labels.

For question answering, the bound of the loss is three quarters of that of a uniform guess over tokens. The usual positions of
answers are learned soon, and bring the loss of a model that reads nothing to about nine tenths of it. For free text, only the
first condition counts. For label words, loss and entropy are means over the tokens of the words. A stage has collapsed if all
of its evaluated parts have. It is then trained again from its start with half the learning rate, as is a stage whose loss was
not finite.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from xlift.execution.work.shared import Context, read_examples, resolve_max_length
from xlift.recipes import Recipe
from xlift.studies.job import Data, TrainSpec
from xlift.tasks import formats, metrics
from xlift.tasks.formats.features import Features
from xlift.tasks.task import Task
from xlift.training.progress import Progress

if TYPE_CHECKING:
    from xlift.evaluation.text_predictions import PromptContext
    from xlift.execution.work.prompt_features import PromptEncoder
    from xlift.models.model import Model
    from xlift.training.loop import Evaluate, TrainOutput

Result = TypeVar("Result")

LEARNED_SHARE = 0.98
"""The training loss of a stage that learned something is below this share of the labels' entropy."""
ATTEMPT = "attempt-"
"""Start of the name of a later attempt's folder."""
ATTEMPTS_FILE = "attempts.json"
"""Results of the previous attempts, beside the checkpoints of a stage."""


@dataclass(frozen=True)
class _DevSet:
    data: Data
    task: Task
    head: str
    examples: Sequence[Any]
    features: Features
    parts: tuple[int, ...]
    """Parts of the mixture with the same task and language."""
    constant_score: float
    """Highest score of a constant answer."""
    prompt: PromptContext | None = None
    """How to generate answers; None: a head predicts."""


class DevEvaluator:
    """The dev sets of a stage, tokenized."""

    def __init__(
        self,
        spec: TrainSpec,
        context: Context,
        tokenizer: Any,
        max_positions: int | None,
        prompt_encoder: PromptEncoder | None = None,
    ) -> None:
        """
        Args:
            max_positions: most tokens of a row that the model accepts.
            prompt_encoder: for text-to-text stages.
        """
        from xlift.training.stage import make_features

        self.dev_sets: list[_DevSet] = []
        for data in spec.dev:
            task = context.tasks[data.task]
            examples = read_examples(context, data)
            max_length = resolve_max_length(spec.recipe.max_length, task, max_positions)
            if prompt_encoder:
                features = prompt_encoder.features(task, examples, data.language, max_length=max_length, train=False)
            else:
                features = make_features(task, examples, tokenizer, max_length=max_length, train=False)
            parts = [
                i for i, part in enumerate(spec.mixture) if (part.task, part.language) == (data.task, data.language)
            ]
            constant = constant_score(task, examples, data.language)
            prompt = prompt_encoder.prompt_context(task, data.language) if prompt_encoder else None
            self.dev_sets.append(
                _DevSet(data, task, spec.head or task.head, examples, features, tuple(parts), constant, prompt)
            )

    @property
    def features(self) -> list[Features]:
        """Features of all dev sets."""
        return [dev_set.features for dev_set in self.dev_sets]

    def make_evaluate(self, model: Model, pad_id: int, progress: Progress) -> Evaluate | None:
        """A function that evaluates a model on the dev sets; None if there are none. It raises Diverged where the logits are not
        numbers."""
        from xlift.evaluation.predict import NotFinite, predict
        from xlift.training.loop import Diverged

        stop_only = Progress(should_stop=progress.should_stop)

        def evaluate() -> list[float]:
            return [
                compute_score(each.task, each.examples, answers(each), each.data.language) for each in self.dev_sets
            ]

        def answers(dev_set: _DevSet) -> list[Any]:
            try:
                return predict(
                    model,
                    pad_id,
                    dev_set.task,
                    dev_set.examples,
                    dev_set.features,
                    dev_set.head,
                    dict(dev_set.task.options),
                    progress=stop_only,
                    prompt=dev_set.prompt,
                )
            except NotFinite as error:
                raise Diverged(f"{error.what} on {dev_set.task.name} dev") from None

        return evaluate if self.dev_sets else None

    def summarize(self, output: TrainOutput, entropies: Sequence[float | None]) -> list[dict[str, Any]]:
        """For each dev set: its score, the training losses, the bounds that both are compared with, and whether the part has
        collapsed.

        Args:
            entropies: `label_entropy` of each part of the mixture.
        """
        scores = dict(output.dev_scores).get(output.best_step, [])
        summaries: list[dict[str, Any]] = []
        for dev_set, score in zip(self.dev_sets, scores, strict=True):
            pairs = [(output.last_losses.get(part), entropies[part]) for part in dev_set.parts]
            has_high_loss = all(
                entropy is None or (loss is not None and loss >= LEARNED_SHARE * entropy > 0) for loss, entropy in pairs
            )
            summaries.append(
                {
                    "task": dev_set.data.task,
                    "language": dev_set.data.language,
                    "examples": len(dev_set.examples),
                    "metric": dev_set.task.metrics[0],
                    "score": score,
                    "constant": dev_set.constant_score,
                    "losses": [loss for loss, _ in pairs],
                    "entropies": [entropy for _, entropy in pairs],
                    "collapsed": bool(score <= dev_set.constant_score and has_high_loss),
                }
            )
        return summaries


def compute_score(task: Task, examples: Sequence[Any], predictions: Sequence[Any], language: str) -> float:
    """Score by the task's first metric; 0 if the metric is not finite."""
    metric, gold = metrics.get(task.metrics[0]), formats.get(task.format).gold
    value = metric.score(metric.count_examples([gold(example) for example in examples], predictions, language))
    return value if math.isfinite(value) else 0.0


def constant_score(task: Task, examples: Sequence[Any], language: str) -> float:
    """The best score of a model that has learned nothing, by the rule of the format."""
    return formats.get(task.format).constant_score(
        examples, lambda predictions: compute_score(task, examples, predictions, language)
    )


def label_entropy(
    task: Task, examples: Sequence[Any], num_label_tokens: int | None = None, row_lengths: np.ndarray | None = None
) -> float | None:
    """Loss of a model that has learned only the label frequencies. None if there is no such bound (free text).

    Args:
        num_label_tokens: in text mode, the number of tokens of the labels of all examples.
        row_lengths: (rows,) tokens of each row in which a span is searched.
    """
    format = formats.get(task.format)
    if num_label_tokens is None:
        return format.loss_bound(examples, row_lengths)
    if not (format.candidates and format.has_classes and num_label_tokens):
        return None
    entropy = format.loss_bound(examples)
    num_labelled = sum(format.gold(example) is not None for example in examples)
    return entropy * num_labelled / num_label_tokens if entropy else None


@dataclass(frozen=True)
class Attempt(Generic[Result]):
    """One complete training of a stage."""

    result: Result
    output: TrainOutput
    dev: list[dict[str, Any]]
    """The evaluator's summary of each dev set."""

    @property
    def collapsed(self) -> bool:
        return bool(self.dev) and all(summary["collapsed"] for summary in self.dev)


def train_with_retries(
    recipe: Recipe, folder: Path, train_once: Callable[[Recipe, Path], Attempt[Result]]
) -> tuple[Attempt[Result], list[dict[str, Any]]]:
    """Train a stage, and while it collapses or diverges, retry with half the learning rate, at most `recipe.retries` times.

    A stage that diverges in bf16 is first retried in fp32 with the same learning rate, and stays in fp32. This retry is not one of
    `recipe.retries`, but does not happen where these are 0.

    The result of an attempt is saved before the next one starts, and each attempt has its own folder, so a killed stage
    resumes in its last attempt.

    Args:
        train_once: (recipe, folder for checkpoints) -> one complete attempt, from the start of the stage.

    Returns:
        The last attempt, and the results of all attempts.

    Raises:
        Diverged: the last attempt diverged.
        UserError, Interrupted: raised by `train_once`.
    """
    from xlift.training.checkpoint import CHECKPOINT_FILE
    from xlift.training.loop import Diverged

    results = _read_attempts(folder / ATTEMPTS_FILE)
    while True:
        overflows = sum(map(is_overflow, results))
        halvings = len(results) - overflows
        changes: dict[str, Any] = {"lr": recipe.lr / 2**halvings} | ({"precision": "fp32"} if overflows else {})
        attempt_recipe = recipe.model_copy(update=changes)
        attempt_folder = folder / f"{ATTEMPT}{len(results) + 1}" if results else folder
        attempt_folder.mkdir(exist_ok=True)
        is_last = halvings >= recipe.retries
        try:
            attempt = train_once(attempt_recipe, attempt_folder)
            outcome = "collapsed" if attempt.collapsed else "ok"
            precision = attempt.output.precision
            results.append({"lr": attempt_recipe.lr, "precision": precision, "outcome": outcome, "dev": attempt.dev})
            if is_last or not attempt.collapsed:
                return attempt, results
            del attempt  # two models might not fit into memory
        except Diverged as error:
            diverged = {"precision": error.precision, "outcome": "diverged", "reason": error.what}
            if is_last and not (recipe.retries and is_overflow(diverged)):
                raise
            results.append({"lr": attempt_recipe.lr, **diverged})
        _write_attempts(folder / ATTEMPTS_FILE, results)
        (attempt_folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def attempt_number(folder: Path) -> int:
    """The number of an attempt, from 1, by the folder of its checkpoints."""
    return int(folder.name.removeprefix(ATTEMPT)) if folder.name.startswith(ATTEMPT) else 1


def is_overflow(result: Mapping[str, Any]) -> bool:
    """Whether an attempt diverged in bf16, after which a stage goes to fp32."""
    return result["outcome"] == "diverged" and result.get("precision") == "bf16"


def _read_attempts(path: Path) -> list[dict[str, Any]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


def _write_attempts(path: Path, results: list[dict[str, Any]]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(results))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
