"""Classification of one text or of a pair: entailment, paraphrase, topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import IGNORE_INDEX, Features, Prompt
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.template import Template


@dataclass(frozen=True)
class ClassificationExample:
    id: str
    text_a: str
    text_b: str | None = None
    label: str | None = None


class Classification:
    name = "classification"
    output_kind = "sequence"
    example_class = ClassificationExample

    def check(self, example: ClassificationExample, labels: Sequence[str]) -> str | None:
        if example.label is not None and example.label not in labels:
            return f"unknown label '{example.label}' (expected one of: {', '.join(labels)})"
        return None

    def texts(self, example: ClassificationExample) -> tuple[str, ...]:
        return (example.text_a,) if example.text_b is None else (example.text_a, example.text_b)

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
        input_ids, token_type_ids = encoding.encode(
            tokenizer, [e.text_a for e in examples], [e.text_b for e in examples], max_length=max_length
        )
        index = {label: i for i, label in enumerate(labels)}
        rows = np.arange(len(examples))
        targets = np.array([IGNORE_INDEX if e.label is None else index[e.label] for e in examples], dtype=np.int64)
        return Features(
            input_ids, example_index=rows, unit=rows, token_type_ids=token_type_ids, targets={"label": targets}
        )

    def decode(
        self, examples: Sequence[ClassificationExample], features: Features, outputs: list[Any], labels: Sequence[str]
    ) -> list[str]:
        """The label with the highest score; ties go to the first in `labels`."""
        return [labels[int(class_index)] for class_index in outputs]

    def gold(self, example: ClassificationExample) -> str | None:
        return example.label

    def prompt(self, example: ClassificationExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: text_a, text_b, and labels (the label words, joined by commas). The answer is one of the label words.

        Raises:
            UserError: the template uses another field.
        """
        words = tuple(template.label_word(label) for label in labels)
        filled = template.fill({
            "text_a": example.text_a, "text_b": example.text_b or "", "labels": ", ".join(words)
        })  # fmt: skip
        answer = None if example.label is None else template.label_word(example.label)
        return Prompt(filled.text, answer, words, truncatable=filled.longest_span(("text_a", "text_b")))

    def parse(
        self, answer: int | str, example: ClassificationExample, labels: Sequence[str], template: Template
    ) -> str:
        """The label of the chosen candidate; for generated text, the label that it names, else the first one."""
        if isinstance(answer, int):
            return labels[answer]
        return template.find_label(answer, labels) or labels[0]

    def change_texts(self, example: ClassificationExample, change: Change) -> ClassificationExample:
        text_a, text_b = apply_change(example.text_a, change), example.text_b
        return replace(example, text_a=text_a, text_b=text_b and apply_change(text_b, change))


FORMAT = Classification()
