"""Classification of one text or of a pair: entailment, paraphrase, topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

import numpy as np

from xlift.tasks.formats.base import WHERE, ScoredAnswer, Scores, entropy, softmax
from xlift.tasks.formats.features import IGNORE_INDEX, Features, Prompt
from xlift.tasks.formats.template import Template
from xlift.tasks.formats.text_pair import FIELDS, TextPairExample, TextPairs


@dataclass(frozen=True)
class ClassificationExample(TextPairExample):
    label: str | None = None


class Classification(TextPairs):
    name = "classification"
    output_kind = "sequence"
    pools_row = True
    example_class = ClassificationExample
    columns = {**TextPairs.columns, "label": ("label", "gold_label", "category")}
    pipeline_tag = "text-classification"
    score_kind = "probability"
    has_probabilities = True
    has_label_probabilities = True
    default_metrics = ("accuracy", "macro-f1")
    label_fields = ("label",)
    has_classes = True
    has_fixed_answers = True
    candidates = "label texts"

    def check(self, example: ClassificationExample, labels: Sequence[str]) -> str | None:
        if example.label is not None and example.label not in labels:
            return f"unknown label '{example.label}' (expected one of: {', '.join(labels)})"
        return None

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> ClassificationExample:
        text_a, text_b = fields.text("text_a"), fields.optional("text_b")
        return ClassificationExample(name, text_a, text_b, intern(fields.text("label")) if with_gold else None)

    def example_labels(self, example: ClassificationExample) -> tuple[str, ...]:
        return () if example.label is None else (example.label,)

    def loss_bound(
        self, examples: Sequence[ClassificationExample], row_lengths: np.ndarray | None = None
    ) -> float | None:
        return entropy(e.label for e in examples if e.label is not None)

    def features(
        self,
        examples: Sequence[ClassificationExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> Features:
        """One row per example. Targets: 'label', the index in `labels`."""
        index = {label: i for i, label in enumerate(labels)}
        targets = np.array([IGNORE_INDEX if e.label is None else index[e.label] for e in examples], dtype=np.int64)
        return self.make_features(examples, tokenizer, {"label": targets}, max_length)

    def decode(
        self, examples: Sequence[ClassificationExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[str]:
        """The label with the highest score; ties go to the first in `labels`."""
        return [labels[int(class_index)] for class_index in outputs]

    def decode_with_scores(
        self,
        examples: Sequence[ClassificationExample],
        features: Features,
        outputs: list[Any],
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[str], list[Scores]]:
        """The scores are the probability of every label."""
        return self.decode(examples, features, outputs, labels), list(row_scores or [None] * len(examples))

    def decode_logits(
        self, examples: Sequence[ClassificationExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        probabilities = [tuple(softmax(row).tolist()) for row in logits]
        best = [int(row.argmax()) for row in logits]
        return [ScoredAnswer(labels[n], row[n], probabilities=row) for n, row in zip(best, probabilities, strict=True)]

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        texts = '{"text": "The first text.", "text_pair": "The second one."}' if metadata.is_pair else '"A text."'
        return (
            "from transformers import pipeline\n\n"
            f'{WHERE}ask = pipeline("text-classification", model=where)\n'
            f"print(ask({texts}, truncation=True))",
            "" if metadata.is_pair is not None else 'Give a pair of texts as `{"text": ..., "text_pair": ...}`.',
        )

    def gold(self, example: ClassificationExample) -> str | None:
        return example.label

    def prompt(self, example: ClassificationExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: text_a, text_b, and labels (the label words, joined by commas). The answer is one of the label words.

        Raises:
            UserError: the template uses another field.
        """
        template = self.fill_words(example, template)
        words = tuple(template.label_word(label) for label in labels)
        filled = self.fill(example, template, labels=", ".join(words))
        answer = None if example.label is None else template.label_word(example.label)
        return Prompt(filled.text, answer, words, truncatable=filled.longest_span(FIELDS))

    def parse(
        self, answer: int | str, example: ClassificationExample, labels: Sequence[str], template: Template
    ) -> str:
        """The label of the chosen candidate; for generated text, the label that it names, else the first one."""
        if isinstance(answer, int):
            return labels[answer]
        return self.fill_words(example, template).find_label(answer, labels) or labels[0]


FORMAT = Classification()
