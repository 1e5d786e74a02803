"""What the formats of one text or a pair have in common: classification, multi-label classification, regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format, load_code
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.formats.template import FilledTemplate, Template

FIELDS = ("text_a", "text_b")


@dataclass(frozen=True)
class TextPairExample:
    id: str
    text_a: str
    text_b: str | None = None


Example = TypeVar("Example", bound=TextPairExample)


class TextPairs(Format):
    """A format whose examples are `TextPairExample`s."""

    columns: Mapping[str, tuple[str, ...]] = {
        "text_a": ("text_a", "text", "premise", "sentence1", "sentence"),
        "text_b": ("text_b", "hypothesis", "sentence2"),
    }
    input_fields = FIELDS
    input_files = (".txt",)

    def texts(self, example: TextPairExample) -> tuple[str, ...]:
        return (example.text_a,) if example.text_b is None else (example.text_a, example.text_b)

    def unit_text(self, example: TextPairExample) -> str:
        """The first text of a pair."""
        return "" if example.text_b is None else example.text_a

    def change_texts(self, example: Example, change: Change) -> Example:
        text_a, text_b = apply_change(example.text_a, change), example.text_b
        return replace(example, text_a=text_a, text_b=text_b and apply_change(text_b, change))

    @staticmethod
    def make_features(
        examples: Sequence[TextPairExample], tokenizer: Any, targets: dict[str, np.ndarray | Ragged], max_length: int
    ) -> Features:
        """One row per example, which is also its unit."""
        input_ids, token_type_ids = encoding.encode(
            tokenizer, [e.text_a for e in examples], [e.text_b for e in examples], max_length=max_length
        )
        rows = np.arange(len(examples))
        return Features(input_ids, example_index=rows, unit=rows, token_type_ids=token_type_ids, targets=targets)

    @staticmethod
    def logits_code(metadata: Any, model_class: str) -> str:
        """The first lines of `usage`: the logits of a text or a pair."""
        texts = '"The first text.", "The second one."' if metadata.is_pair else '"A text."'
        note = "  # or a first and a second text" if metadata.is_pair is None else ""
        return load_code(model_class) + (
            f'row = tokenizer({texts}, truncation=True, return_tensors="pt"){note}\n'
            "with torch.no_grad():\n    logits = model(**row).logits[0]\n"
        )

    @staticmethod
    def fill(example: TextPairExample, template: Template, **fields: str) -> FilledTemplate:
        """The template with the two texts and other fields.

        Raises:
            UserError: the template uses another field.
        """
        return template.fill({**_fields(example), **fields})

    @staticmethod
    def fill_words(example: TextPairExample, template: Template) -> Template:
        """The template with the two texts in its label words.

        Raises:
            UserError: a label word uses another field.
        """
        return template.with_filled_words(_fields(example))


def _fields(example: TextPairExample) -> dict[str, str]:
    return {"text_a": example.text_a, "text_b": example.text_b or ""}
