"""Plain text, and pairs of a text and its translation, for masked language modelling (MLM, TLM).

Pretraining and intermediate stages use it and do the masking. It has no gold answer and nothing to decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Features


@dataclass(frozen=True)
class TextExample:
    id: str
    text: str
    translation: str | None = None
    """If given, the row is a pair (TLM of Lample and Conneau 2019)."""


class Text(Format):
    name = "text"
    output_kind = "lm"
    example_class = TextExample
    columns = {"text": ("text", "sentence", "source"), "translation": ("translation", "target")}
    is_plain_text = True
    no_text_mode = "plain text has no question and no answer"

    def check(self, example: TextExample, labels: Sequence[str]) -> str | None:
        return None if example.text.strip() else "the text is empty"

    def texts(self, example: TextExample) -> tuple[str, ...]:
        return (example.text,) if example.translation is None else (example.text, example.translation)

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> TextExample:
        return TextExample(name, fields.text("text"), fields.optional("translation"))

    def features(
        self, examples: Sequence[TextExample], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """One row per example, a pair if it has a translation, with the tokenizer's special tokens. No targets."""
        input_ids, token_type_ids = encoding.encode(
            tokenizer, [e.text for e in examples], [e.translation for e in examples], max_length=max_length
        )
        rows = np.arange(len(examples))
        return Features(input_ids, example_index=rows, unit=rows, token_type_ids=token_type_ids)

    def change_texts(self, example: TextExample, change: Change) -> TextExample:
        text, translation = apply_change(example.text, change), example.translation
        return replace(example, text=text, translation=translation and apply_change(translation, change))


FORMAT = Text()
