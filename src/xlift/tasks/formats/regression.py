"""A number for one text or a pair: semantic textual similarity, estimated quality of a translation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlift.tasks.formats.base import ScoredAnswer
from xlift.tasks.formats.features import Features, Prompt
from xlift.tasks.formats.template import Template
from xlift.tasks.formats.text_pair import FIELDS, TextPairExample, TextPairs

T5 = "t5"
"""Scheme of a template that writes numbers as T5 does for STS-B (Raffel et al. 2020): rounded to steps of 0.2, with one
decimal. The default scheme writes two decimals."""
UNREADABLE = 0.0
"""The prediction from an answer without a number."""

_NUMBER = re.compile(r"[-−]?(\d{1,12}([.,٫]\d{1,12})?|[.,٫]\d{1,12})")
_TO_ASCII = str.maketrans({",": ".", "٫": ".", "−": "-"})


@dataclass(frozen=True)
class RegressionExample(TextPairExample):
    score: float | None = None


class Regression(TextPairs):
    name = "regression"
    output_kind = "number"
    pools_row = True
    example_class = RegressionExample
    columns = {**TextPairs.columns, "score": ("score", "label", "similarity_score")}
    pipeline_tag = "text-classification"
    default_metrics = ("pearson", "spearman")
    label_fields = ("score",)
    has_fixed_answers = True

    def check(self, example: RegressionExample, labels: Sequence[str]) -> str | None:
        if example.score is not None and not math.isfinite(example.score):
            return f"the score is {example.score}, expected a finite number"
        return None

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> RegressionExample:
        score = fields.decimal("score") if with_gold else None
        return RegressionExample(name, fields.text("text_a"), fields.optional("text_b"), score)

    def constant_predictions(self, examples: Sequence[RegressionExample]) -> list[list[float]]:
        """The mean, which no correlation rewards."""
        scores = [e.score for e in examples if e.score is not None]
        return [[float(np.mean(scores))] * len(examples)] if scores else []

    def loss_bound(self, examples: Sequence[RegressionExample], row_lengths: np.ndarray | None = None) -> float:
        """The variance: the squared error of the mean."""
        return float(np.var([e.score for e in examples if e.score is not None] or [0.0]))

    def features(
        self,
        examples: Sequence[RegressionExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> Features:
        """One row per example. Targets: 'score', float32, nan if unknown."""
        scores = np.array([math.nan if e.score is None else e.score for e in examples], dtype=np.float32)
        return self.make_features(examples, tokenizer, {"score": scores}, max_length)

    def decode(
        self, examples: Sequence[RegressionExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[float]:
        """The number that the head computes."""
        return [float(number) for number in outputs]

    def decode_logits(
        self, examples: Sequence[RegressionExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        return [ScoredAnswer(number, None) for number in self.decode(examples, features, logits, labels)]

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        return self.logits_code(metadata, model_class) + "print(float(logits))", ""

    def gold(self, example: RegressionExample) -> float | None:
        return example.score

    def fewshot_group(self, example: RegressionExample) -> bool:
        return True

    def prompt(self, example: RegressionExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: text_a, text_b. The answer is the number in digits.

        Raises:
            UserError: the template uses another field.
        """
        filled = self.fill(example, template)
        answer = None if example.score is None else _write(example.score, template.scheme)
        return Prompt(filled.text, answer, max_new_tokens=16, truncatable=filled.longest_span(FIELDS))

    def parse(self, answer: int | str, example: RegressionExample, labels: Sequence[str], template: Template) -> float:
        """The first number in a generated text, with a point or a comma, in the digits of any script."""
        found = _NUMBER.search(str(answer))
        return float(found[0].translate(_TO_ASCII)) if found else UNREADABLE


def _write(score: float, scheme: str) -> str:
    text = f"{round(5 * score) / 5:.1f}" if scheme == T5 else f"{score:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text


FORMAT = Regression()
