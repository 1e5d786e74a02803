"""Any number of labels for one text or a pair: emotions, topics of a document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from sys import intern
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats.base import ScoredAnswer, Scores, entropy
from xlift.tasks.formats.features import Features, Prompt
from xlift.tasks.formats.template import Template
from xlift.tasks.formats.text_pair import FIELDS, TextPairExample, TextPairs

NONE = "none"
"""Entry of a template's label words for an example without labels; by default this word itself."""

_SEPARATOR = re.compile(r"[,،、，;\n]")


@dataclass(frozen=True)
class MultiLabelExample(TextPairExample):
    labels: tuple[str, ...] | None = None
    """Empty if none applies; None if gold is unknown."""


class MultiLabel(TextPairs):
    name = "multi-label"
    output_kind = "labels"
    pools_row = True
    example_class = MultiLabelExample
    columns = {**TextPairs.columns, "labels": ("labels", "label", "categories")}
    pipeline_tag = "text-classification"
    score_kind = "probability"
    default_metrics = ("macro-f1", "micro-f1")
    label_fields = ("labels",)
    has_classes = True
    has_label_probabilities = True
    has_fixed_answers = True

    def check(self, example: MultiLabelExample, labels: Sequence[str]) -> str | None:
        if unknown := next((label for label in example.labels or () if label not in labels), None):
            return f"unknown label '{unknown}' (expected some of: {', '.join(labels)})"
        return None

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> MultiLabelExample:
        """The labels are a list, or a text with `|` between them. Their order and repetition mean nothing."""
        labels = tuple(map(intern, sorted(set(fields.items("labels"))))) if with_gold else None
        return MultiLabelExample(name, fields.text("text_a"), fields.optional("text_b"), labels)

    def example_labels(self, example: MultiLabelExample) -> tuple[str, ...]:
        return example.labels or ()

    def counted_answers(self, example: MultiLabelExample) -> tuple[str, ...]:
        return example.labels or (f"({NONE})",)

    def constant_predictions(self, examples: Sequence[MultiLabelExample]) -> list[list[list[str]]]:
        """The k most frequent labels, for every k: the best constant for F1 is one of these sets."""
        ranked = [label for label, _ in Counter(chain(*(e.labels or () for e in examples))).most_common()]
        return [[ranked[: k + 1]] * len(examples) for k in range(len(ranked))]

    def loss_bound(self, examples: Sequence[MultiLabelExample], row_lengths: np.ndarray | None = None) -> float | None:
        """Binary entropy of the share of each label, as a mean over the labels that occur."""
        known = [set(e.labels) for e in examples if e.labels is not None]
        labels = set(chain(*known))
        return float(np.mean([entropy(label in each for each in known) for label in labels])) if labels else None

    def features(
        self,
        examples: Sequence[MultiLabelExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> Features:
        """One row per example. Targets: 'labels', (rows, labels) float32 of 0 and 1, nan if unknown."""
        targets = np.full((len(examples), len(labels)), np.nan, dtype=np.float32)
        for row, example in zip(targets, examples, strict=True):
            if example.labels is not None:
                row[:] = [label in example.labels for label in labels]
        return self.make_features(examples, tokenizer, {"labels": targets}, max_length)

    def decode(
        self, examples: Sequence[MultiLabelExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[list[str]]:
        """The labels with a probability above one half."""
        return [[label for label, chosen in zip(labels, row, strict=True) if chosen] for row in outputs]

    def decode_with_scores(
        self,
        examples: Sequence[MultiLabelExample],
        features: Features,
        outputs: list[Any],
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[list[str]], list[Scores]]:
        """The scores are the probability of every label."""
        return self.decode(examples, features, outputs, labels), list(row_scores or [None] * len(examples))

    def decode_logits(
        self, examples: Sequence[MultiLabelExample], features: Features, logits: list[Any], labels: Sequence[str]
    ) -> list[ScoredAnswer]:
        """The score is the product of the probabilities of all labels, chosen or not."""
        answers = self.decode(examples, features, [row > 0 for row in logits], labels)
        rows = [row.astype(np.float64) for row in logits]
        scores = [float(np.prod(1 / (1 + np.exp(-np.abs(row))))) for row in rows]
        probabilities = [tuple((0.5 + 0.5 * np.tanh(row / 2)).tolist()) for row in rows]
        triples = zip(answers, scores, probabilities, strict=True)
        return [ScoredAnswer(answer, score, probabilities=own) for answer, score, own in triples]

    def apply_threshold(self, scored: ScoredAnswer, threshold: float, below: str, labels: Sequence[str]) -> list[str]:
        """The labels with a probability of at least `threshold`; `below` if there is none."""
        found = [label for label, own in zip(labels, scored.probabilities, strict=True) if own >= threshold]
        return found or [below] * bool(below)

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        code = "print([model.config.id2label[n] for n, each in enumerate(logits.sigmoid().tolist()) if each > 0.5])"
        return self.logits_code(
            metadata, model_class
        ) + code, "Each label has a probability of its own. The probabilities are not calibrated."

    def gold(self, example: MultiLabelExample) -> list[str] | None:
        return None if example.labels is None else list(example.labels)

    def fewshot_group(self, example: MultiLabelExample) -> tuple[str, ...]:
        return tuple(sorted(example.labels or ()))

    def answer_cell(self, answer: Sequence[str]) -> str:
        return "|".join(answer)

    def prompt(self, example: MultiLabelExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: text_a, text_b, and labels (the label words, joined by commas). The answer is the words of the
        example's labels in the order of `labels`, joined by commas, or the word for none.

        Raises:
            UserError: the template uses another field, or a label word has a separator in it.
        """
        words = [template.label_word(label) for label in labels]
        if odd := next((word for word in words if _SEPARATOR.search(word)), None):
            raise UserError(
                f"the label word '{odd}' contains a comma or semicolon, which separates labels",
                where=f"template '{template.name}' ({template.language})",
                fix="rename the label with `values`.",
            )
        filled = self.fill(example, template, labels=", ".join(words))
        answer = None
        if example.labels is not None:
            chosen = [word for label, word in zip(labels, words, strict=True) if label in example.labels]
            answer = ", ".join(chosen) or template.label_word(NONE)
        longest = len(", ".join(words)) + len(labels)  # a token has a character or more
        return Prompt(filled.text, answer, max_new_tokens=longest, truncatable=filled.longest_span(FIELDS))

    def parse(
        self, answer: int | str, example: MultiLabelExample, labels: Sequence[str], template: Template
    ) -> list[str]:
        """The labels that a generated text names, in the order of `labels`. Other words are ignored."""
        named = {template.find_label(part, labels) for part in _SEPARATOR.split(str(answer))}
        return [label for label in labels if label in named]


FORMAT = MultiLabel()
