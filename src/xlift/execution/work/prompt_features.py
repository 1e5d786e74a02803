"""Tokenized prompts for models that answer as text: the template of a task, few-shot examples, rows of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from xlift.errors import UserError
from xlift.execution.work.shared import Context, read_examples
from xlift.model_families import Family
from xlift.studies.job import Data, TextMode
from xlift.studies.job_numbers import DataNumbers
from xlift.tasks import formats
from xlift.tasks.formats.features import IGNORE_INDEX, Features
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.fewshot import draw_fewshot_examples, make_prompts
from xlift.tasks.prompts.tokenization import adapt_template, text_features
from xlift.tasks.task import Task

if TYPE_CHECKING:
    from xlift.evaluation.text_predictions import PromptContext


class PromptEncoder:
    """Encodes the examples of a job as prompts.

    Args:
        mode: the job's text mode.
        family: family of the model that answers.
    """

    def __init__(self, mode: TextMode, context: Context, tokenizer: Any, family: Family) -> None:
        self.mode, self.context, self.tokenizer = mode, context, tokenizer
        self.family: Family = family
        self._cached_fewshot_examples = cache(self._draw_fewshot_examples)

    def template(self, task: Task, language: str) -> Template:
        """The template of a task. Raises UserError if the task has none of that version in that language."""
        return adapt_template(find_template(task, self.mode.prompt, language), self.tokenizer)

    def prompt_context(self, task: Task, language: str) -> PromptContext:
        """What text prediction needs: tokenizer, prompt settings and template."""
        from xlift.evaluation.text_predictions import PromptContext

        return PromptContext(self.tokenizer, self.mode.prompt, self.template(task, language))

    def features(self, task: Task, examples: Sequence[Any], language: str, *, max_length: int, train: bool) -> Features:
        """Tokenize one row per example."""
        num_fewshot = self.mode.prompt.num_fewshot
        prompts = make_prompts(
            examples,
            formats.get(task.format),
            task.labels,
            self.template(task, language),
            fewshot_examples=self._cached_fewshot_examples(task.name) if num_fewshot else (),
        )
        return text_features(prompts, self.tokenizer, self.family, max_length=max_length, train=train)

    def _draw_fewshot_examples(self, task_name: str) -> tuple[Any, ...]:
        task = self.context.tasks[task_name]
        data = self._find_fewshot_data(task)
        examples, format = read_examples(self.context, data), formats.get(task.format)
        return draw_fewshot_examples(examples, format, self.mode.prompt.num_fewshot, task=data.task, seed=data.seed)

    def _find_fewshot_data(self, task: Task) -> Data:
        """The data of a task's few-shot examples: its own training data, or that of a task it is trained on."""

        def matches(data: Data) -> bool:
            other = self.context.tasks[data.task]
            return other.format == task.format and set(other.labels) == set(task.labels)

        matching = [data for data in self.mode.fewshot_data if matches(data)]
        own = [data for data in matching if data.task == task.name]
        if not matching:
            raise UserError(
                f"no training data with the task's format and labels for {self.mode.prompt.num_fewshot} few-shot examples",
                where=f"task '{task.name}'",
                fix="set `num_fewshot: 0`, or add training data of this task.",
            )
        return (own or matching)[0]


def set_truncation_numbers(numbers: DataNumbers, *parts: Features) -> None:
    """Set the numbers of a job in text mode: its rows, and how many of them were truncated."""
    numbers.rows = sum(map(len, parts))
    numbers.truncated_rows = sum(int(np.count_nonzero(features.extra["shortened"])) for features in parts)


def count_label_tokens(features: Features) -> int:
    """Number of tokens to write, including end tokens."""
    if features.decoder_labels is not None:
        return len(features.decoder_labels.values)
    return int(np.count_nonzero(features.targets["label"].values != IGNORE_INDEX))  # type: ignore[union-attr]
