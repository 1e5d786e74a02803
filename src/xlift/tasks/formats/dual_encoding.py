"""Dual encoding: one encoder turns queries and passages into vectors, and relevant passages are near their query.

Training uses pairs with in-batch negatives (the head's loss, models/heads.py); scoring ranks a pool of candidates for
every query. LAReQA's candidates are sentences with their paragraph, in all languages at once; Mewsli-X's are
descriptions of entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from xlift.errors import UserError
from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format, Scores
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.retrieval import FORMAT as RETRIEVAL

TOP_K = 20
"""Candidates kept for each query, as many as XTREME-R's metrics use (mAP@20, MRR@20)."""
SCORES_PER_BLOCK = 1 << 24
"""Similarities in memory at a time while ranking: 64 MB."""


@dataclass(frozen=True)
class DualExample:
    """A training pair; or a query whose answers are in the pool; or a candidate of the pool.

    To score a language, a source yields its queries and, in any order, every candidate of the pool. A pair is both: its
    passage is a candidate under the pair's id.
    """

    id: str
    query: str
    """Empty if the example is only a candidate."""
    passage: str = ""
    """Empty if the example is only a query."""
    context: str = ""
    """The paragraph around the passage, if the model reads it: the second text of the passage's row."""
    relevant: tuple[str, ...] = ()
    """Ids of the candidates that answer the query; the default for a pair is its own passage."""


class DualEncoding(Format):
    name = "dual-encoding"
    output_kind = "dual"
    example_class = DualExample
    columns = {
        "query": ("query", "question"),
        "passage": ("passage", "answer", "positive"),
        "context": ("context", "premise"),
        "relevant": ("relevant",),
    }
    optional_texts = ("context",)
    pipeline_tag = "sentence-similarity"
    default_metrics = ("map@20",)
    label_fields = ("passage", "context")
    score_kind = "similarity"
    ranks_pool = True
    one_language_per_pass = True  # the candidates are embedded once for all languages anyway
    feature_options = ("query_length",)
    no_text_mode = "it compares the vectors of queries and passages"

    def check(self, example: DualExample, labels: Sequence[str]) -> str | None:
        query, passage = example.query.strip(), example.passage.strip()
        if not query and not passage:
            return "neither a query nor a passage"
        if query and not passage and not example.relevant:
            return "a query without a passage or relevant candidates"
        if not query and example.relevant:
            return "a candidate with relevant candidates but no query"
        return "a context without a passage" if example.context.strip() and not passage else None

    def texts(self, example: DualExample) -> tuple[str, ...]:
        return tuple(text for text in (example.query, example.passage, example.context) if text.strip())

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> DualExample:
        """A pair; with a `relevant` column (a list of ids) a query, or a candidate if the query is empty."""
        relevant = fields.texts("relevant") if fields.column("relevant") else ()
        passage = (fields.optional("passage", in_some_rows=True) if relevant else fields.text("passage")) or ""
        context = (fields.optional("context") if passage else None) or ""
        return DualExample(name, fields.text("query"), passage, context, relevant)

    def row_texts(self, example: DualExample) -> list[tuple[str, ...]]:
        return [(example.query,), (example.passage, example.context)]

    def is_candidate(self, example: DualExample) -> bool:
        return not example.query.strip()

    def features(
        self,
        examples: Sequence[DualExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
        query_length: int | None = None,
    ) -> Features:
        """One row for the query and one for the passage (a pair with its context), if the example has them.

        Targets: 'side', 0 for a query and 1 for a passage; 'text', a number that is the same for equal rows.

        Args:
            query_length: maximal tokens of a query's row, by default `max_length` (LAReQA: 96, passages 256).

        Raises:
            UserError: a training example is not a pair.
        """
        single = next((e for e in examples if train and not (e.query.strip() and e.passage.strip())), None)
        if single is not None:
            raise UserError(
                f"the training example '{single.id}' has no {'query' if single.passage.strip() else 'passage'}",
                fix="train on pairs of a query and a passage; candidates of a pool belong in dev and test.",
            )
        sides = [
            (i, side) for i, e in enumerate(examples) for side, text in enumerate((e.query, e.passage)) if text.strip()
        ]
        lengths = (min(query_length or max_length, max_length), max_length)
        input_ids, token_type_ids = encoding.encode(
            tokenizer,
            [examples[i].passage if side else examples[i].query for i, side in sides],
            [(examples[i].context or None) if side else None for i, side in sides],
            max_length=[lengths[side] for _, side in sides],
        )
        example_index = np.array([i for i, _ in sides], dtype=np.int64)
        return Features(
            input_ids,
            example_index=example_index,
            unit=example_index,
            token_type_ids=token_type_ids,
            targets={
                "side": np.array([side for _, side in sides], dtype=np.int64),
                "text": np.array([_hash(ids) for ids in input_ids], dtype=np.int64),
            },
        )

    def decode(
        self,
        examples: Sequence[DualExample],
        features: Features,
        outputs: list[Any] | np.ndarray,
        labels: Sequence[str],
    ) -> list[dict[str, list[Any]] | None]:
        return self.decode_with_scores(examples, features, outputs, None, labels)[0]

    def decode_with_scores(
        self,
        examples: Sequence[DualExample],
        features: Features,
        outputs: list[Any] | np.ndarray,
        row_scores: Sequence[np.ndarray] | None,
        labels: Sequence[str],
    ) -> tuple[list[dict[str, list[Any]] | None], list[Scores]]:
        """For each query the ids of its `TOP_K` nearest candidates and the rank (from 1) of every relevant one, in the
        order of `gold` (None if it is not in the pool); None for an example that is only a candidate. The scores are the
        similarities of the nearest candidates.

        Ties go to the first candidate. (The official script leaves them to an unstable sort.)

        Args:
            outputs: (rows, dimension), vectors of length 1.
        """
        side = np.asarray(features.targets["side"])
        passages, queries = np.flatnonzero(side == 1), np.flatnonzero(side == 0)
        ids = [examples[i].id for i in features.example_index[passages].tolist()]
        position = {id: i for i, id in enumerate(ids)}
        predictions: list[dict[str, list[Any]] | None] = [None] * len(examples)
        decision_scores: list[Scores] = [None] * len(examples)
        if not len(queries) or not ids:
            return predictions, decision_scores
        vectors = np.asarray(outputs, dtype=np.float32)
        pool = vectors[passages]
        block_size = max(1, SCORES_PER_BLOCK // len(ids))
        for start in range(0, len(queries), block_size):
            rows = queries[start : start + block_size]
            for row, scores in zip(rows, vectors[rows] @ pool.T, strict=True):
                query = int(features.example_index[row])
                relevant = [position.get(id) for id in self.gold(examples[query]) or ()]
                top = top_k_indices(scores, TOP_K)
                predictions[query] = {
                    "top": [ids[i] for i in top],
                    "ranks": [None if i is None else rank_of(scores, i) for i in relevant],
                }
                decision_scores[query] = scores[top]
        return predictions, decision_scores

    def usage(self, metadata: Any, model_class: str) -> tuple[str, str]:
        return RETRIEVAL.usage(metadata, model_class)

    def gold(self, example: DualExample) -> list[str] | None:
        """Ids of the relevant candidates; None for an example that is only a candidate."""
        return None if self.is_candidate(example) else list(example.relevant or (example.id,))

    def change_texts(self, example: DualExample, change: Change) -> DualExample:
        query, passage = apply_change(example.query, change), apply_change(example.passage, change)
        return replace(example, query=query, passage=passage, context=apply_change(example.context, change))


def top_k_indices(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest scores, highest first; ties in the order of the positions."""
    if len(scores) > count:
        least = np.partition(scores, -count)[-count]
        above = np.flatnonzero(scores > least)
        chosen = np.concatenate([above, np.flatnonzero(scores == least)[: count - len(above)]])
    else:
        chosen = np.arange(len(scores))
    return chosen[np.lexsort((chosen, -scores[chosen]))]


def rank_of(scores: np.ndarray, position: int) -> int:
    """Rank (from 1) of a position in the order of `top_k_indices`."""
    own = scores[position]
    return 1 + int((scores > own).sum()) + int((scores[:position] == own).sum())


def _hash(input_ids: np.ndarray) -> int:
    """63 bits of a hash: two different rows of a batch collide once in about 10^15 batches."""
    digest = blake2b(input_ids.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


FORMAT = DualEncoding()
