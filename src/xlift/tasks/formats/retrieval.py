"""Retrieval: find a sentence's translation among all sentences of the other language, by distance of pooled vectors.

The official direction is XTREME's: the task language's sentences are the index, those of the source language (English)
are the queries, the distance is L2 of normalised vectors, which ranks like cosine. mteb uses the other direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format, ScoreKind, Scores, load_code
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Features
from xlift.tasks.nearest import find_neighbours, unit_vectors


@dataclass(frozen=True)
class PairExample:
    """A pair of translations. If one side is empty, the other is a distractor: a candidate that is not scored."""

    id: str
    text: str
    """Sentence in the task language."""
    translation: str
    """Its translation in the source language."""

    @property
    def is_complete(self) -> bool:
        return bool(self.text.strip() and self.translation.strip())


class Retrieval(Format):
    name = "retrieval"
    output_kind = "pooled"
    example_class = PairExample
    columns: Mapping[str, tuple[str, ...]] = {
        "text": ("text", "sentence", "source"),
        "translation": ("translation", "target"),
    }
    pipeline_tag = "sentence-similarity"
    default_metrics: tuple[str, ...] = ("accuracy",)
    score_kind: ScoreKind = "similarity"
    is_trainable = False
    decode_options: Mapping[str, Any] = {"center": False}
    no_text_mode = "it compares hidden states"
    not_translatable = "its examples already are pairs of a text and its translation"

    def check(self, example: PairExample, labels: Sequence[str]) -> str | None:
        return None if example.text.strip() or example.translation.strip() else "both sides are empty"

    def texts(self, example: PairExample) -> tuple[str, ...]:
        return tuple(text for text in (example.text, example.translation) if text.strip())

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> PairExample:
        return PairExample(name, fields.text("text"), fields.text("translation"))

    def row_texts(self, example: PairExample) -> list[tuple[str, ...]]:
        return [(example.text,), (example.translation,)]

    def features(
        self, examples: Sequence[PairExample], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """Two rows per example, one unit: the text, then the translation. Targets: 'side', 0 and 1."""
        texts = [text for e in examples for text in (e.text, e.translation)]
        input_ids, token_type_ids = encoding.encode(tokenizer, texts, [None] * len(texts), max_length=max_length)
        example_index = np.repeat(np.arange(len(examples)), 2)
        return Features(
            input_ids,
            example_index=example_index,
            unit=example_index,
            token_type_ids=token_type_ids,
            targets={"side": np.tile(np.array([0, 1], dtype=np.int64), len(examples))},
        )

    def decode(
        self,
        examples: Sequence[PairExample],
        features: Features,
        outputs: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[str],
        *,
        center: bool = False,
    ) -> list[Any]:
        """For each pair the id of the text nearest to its translation (ties go to the first); None for a distractor.

        Args:
            outputs: one pooled (dimension,) vector per row.
            center: subtract each side's mean first, which removes what all vectors of a language share.
        """
        return self.decode_with_scores(examples, features, outputs, None, labels, center=center)[0]

    def decode_with_scores(
        self,
        examples: Sequence[PairExample],
        features: Features,
        outputs: Sequence[np.ndarray] | np.ndarray,
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
        *,
        center: bool = False,
    ) -> tuple[list[Any], list[Scores]]:
        """The score is the cosine similarity of the nearest text."""
        indexed = [i for i, example in enumerate(examples) if example.text.strip()]
        queried = [i for i, example in enumerate(examples) if example.is_complete]
        predictions: list[str | None] = [None] * len(examples)
        scores: list[Scores] = [None] * len(examples)
        if not queried:
            return predictions, scores
        vectors = np.asarray(outputs, dtype=np.float32)
        index = unit_vectors(vectors[[2 * i for i in indexed]], center)
        queries = unit_vectors(vectors[[2 * i + 1 for i in queried]], center)
        nearest, _ = find_neighbours(queries, index, 1)
        for i, position, similarity in zip(queried, nearest.index[:, 0], nearest.similarity[:, 0], strict=True):
            predictions[i], scores[i] = examples[indexed[position]].id, [float(similarity)]
        return predictions, scores

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        layer, how = metadata.pooling["layer"], metadata.pooling["pooling"]
        pooled = {
            "mean": "mask = rows.attention_mask.unsqueeze(-1)\nvectors = (states * mask).sum(dim=1) / mask.sum(dim=1)",
            "cls": "vectors = states[:, 0]",
            "pooler": "vectors = states[:, 0]  # then the layer in 2_Dense, and tanh",
        }[how]
        code = (
            load_code(model_class)
            + 'rows = tokenizer(["A text.", "Another one."], padding=True, truncation=True, return_tensors="pt")\n'
            "with torch.no_grad():\n"
            f"    states = model(**rows, output_hidden_states=True).hidden_states[{layer}]\n{pooled}\n"
            "vectors = torch.nn.functional.normalize(vectors, dim=-1)"
        )
        source = (
            f"the mean of the hidden states of layer {layer} (0 is the embeddings), including special tokens"
            if how == "mean"
            else f"computed from the hidden state of the first token at layer {layer}"
        )
        sentences = f"The vector of a text is {source}. Compare texts by cosine similarity."
        if metadata.pooling.get("center"):
            sentences += " For the scores below, the mean vector of each language is subtracted first."
        return code, sentences + " If there is a `modules.json`, sentence-transformers computes the same vectors."

    def gold(self, example: PairExample) -> str | None:
        return example.id if example.is_complete else None

    def change_texts(self, example: PairExample, change: Change) -> PairExample:
        text, translation = apply_change(example.text, change), apply_change(example.translation, change)
        return replace(example, text=text, translation=translation)


def official_layer(num_layers: int) -> int:
    """Index into `hidden_states` (0 = embeddings) of the layer that XTREME pools for retrieval.

    Its Tatoeba script takes hidden_states[8] of mBERT's 12 layers and hidden_states[14] of XLM-R large's 24. No fixed
    fraction gives both (7/12 of 12 is 7), but the line through the two points does: two layers above the middle. This
    function uses that line for every depth.
    """
    return min(num_layers, num_layers // 2 + 2)


FORMAT = Retrieval()
