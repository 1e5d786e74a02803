"""Mining: find the pairs of translations in two collections of sentences, most of which have no translation.

As XTREME mines BUCC (Artetxe and Schwenk 2019): the score of a pair says how much nearer its two sentences are to each
other than to their neighbours, and the threshold is the best one on dev. Predictions are pairs with scores, so the
metric applies the threshold (tasks/metrics/mining.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Format
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.retrieval import PairExample, Retrieval
from xlift.tasks.nearest import Neighbours, find_neighbours, unit_vectors

NUM_NEIGHBOURS = 4
"""Neighbours in each direction, as in the scripts of LASER and XTREME."""


@dataclass(frozen=True)
class MiningExample(PairExample):
    """A gold pair; or one sentence without a translation, the other side empty.

    A sentence with two translations is in two examples.
    """

    text_id: str = ""
    """Id of the sentence in the task language; by default the example's id."""
    translation_id: str = ""
    """Id of the sentence in the source language; by default the example's id."""

    @property
    def ids(self) -> tuple[str, str]:
        return self.text_id or self.id, self.translation_id or self.id


class Mining(Retrieval):
    name = "mining"
    example_class = MiningExample
    columns = {**Retrieval.columns, "text_id": ("text_id",), "translation_id": ("translation_id",)}
    default_metrics = ("mining-f1", "bucc-f1")
    score_kind = ""  # the predictions have the scores
    one_language_per_pass = True  # the last bits of its scores depend on the other rows of a batch
    decode_options = {"center": False, "margin": "ratio"}

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> MiningExample:
        """A pair, or a sentence whose other side is empty; each sentence may have its own id."""
        text_id, translation_id = (
            fields.optional(side, in_some_rows=True) or "" for side in ("text_id", "translation_id")
        )
        return MiningExample(name, fields.text("text"), fields.text("translation"), text_id, translation_id)

    def features(
        self, examples: Sequence[MiningExample], tokenizer: Any, labels: Sequence[str], *, max_length: int, train: bool
    ) -> Features:
        """One row per distinct sentence of a side, in order of first appearance. Targets: 'side', 0 and 1."""
        indices: list[int] = []
        sides: list[int] = []
        texts: list[str] = []
        seen: tuple[set[str], set[str]] = set(), set()
        for i, example in enumerate(examples):
            for side, text in enumerate((example.text.strip(), example.translation.strip())):
                if text and text not in seen[side]:
                    seen[side].add(text)
                    indices.append(i)
                    sides.append(side)
                    texts.append(text)
        input_ids, token_type_ids = encoding.encode(tokenizer, texts, [None] * len(texts), max_length=max_length)
        example_index = np.array(indices, dtype=np.int64)
        return Features(
            input_ids,
            example_index=example_index,
            unit=example_index,
            token_type_ids=token_type_ids,
            targets={"side": np.array(sides, dtype=np.int64)},
        )

    decode_with_scores = Format.decode_with_scores

    def decode(
        self,
        examples: Sequence[MiningExample],
        features: Features,
        outputs: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[str],
        *,
        center: bool = False,
        margin: str = "ratio",
    ) -> list[dict[str, Any] | None]:
        """Mined pairs `{"text": id, "translation": id, "score": number}`, each at an example with its text; else None.

        A sentence with several ids is mined once and counts for all of its ids: each gold pair of two sentences that
        were mined together has its prediction. Pairs with such a sentence have `"repeated": true`, since XTREME leaves
        them out. A mined pair that is not gold is at the first example with its text.

        Args:
            outputs: one pooled (dimension,) vector per row.
            center: subtract each side's mean first.
            margin: 'ratio', 'distance' or 'absolute'.
        """
        predictions: list[dict[str, Any] | None] = [None] * len(examples)
        side = np.asarray(features.targets["side"])
        if not (side == 0).any() or not (side == 1).any():
            return predictions
        vectors = np.asarray(outputs, dtype=np.float32)
        x, y = (unit_vectors(vectors[side == which], center) for which in (0, 1))
        mined = mine_pairs(x, y, margin=margin)
        partner = dict(
            zip(mined.source.tolist(), zip(mined.target.tolist(), mined.score.tolist(), strict=True), strict=True)
        )
        texts, translations = _SentenceIndex(), _SentenceIndex()
        numbers = [(texts.add(e.text, e.ids[0]), translations.add(e.translation, e.ids[1])) for e in examples]

        def make_prediction(source: int, ids: tuple[str, str]) -> dict[str, Any]:
            target, score = partner[source]
            pair = {"text": ids[0], "translation": ids[1], "score": score}
            return pair | {"repeated": True} if source in texts.repeated or target in translations.repeated else pair

        predicted: set[int] = set()
        for i, (source, target) in enumerate(numbers):
            if source is not None and target is not None and partner.get(source, (None,))[0] == target:
                predictions[i] = make_prediction(source, examples[i].ids)
                predicted.add(source)
        for i, (source, _) in enumerate(numbers):
            if source is not None and source in partner and source not in predicted:
                ids = (examples[i].ids[0], translations.first_id[partner[source][0]])
                predictions[i] = make_prediction(source, ids)
                predicted.add(source)
        return predictions

    def gold(self, example: MiningExample) -> str | None:
        """The id of the translation."""
        return example.ids[1] if example.is_complete else None


class MinedPairs(NamedTuple):
    """Pairs in descending order of their scores; each source and each target is in at most one."""

    source: np.ndarray
    """(pairs,) int."""
    target: np.ndarray
    """(pairs,) int."""
    score: np.ndarray
    """(pairs,) float64, above 0."""


def mine_pairs(x: np.ndarray, y: np.ndarray, *, k: int = NUM_NEIGHBOURS, margin: str = "ratio") -> MinedPairs:
    """Pairs of similar vectors, as `mine_bitext` of XTREME's utils_retrieve.py selects them (retrieval='max').

    Every vector of both sides proposes the one of its k neighbours with the best margin. The proposals are taken from
    the best down, each only if both of its vectors are still free; scores of 0 or less are dropped. Ties go to the
    nearer neighbour, then to proposals of x, then to the lower index (in XTREME to the order of a quicksort).

    Args:
        x: (n, dimension) float32 unit vectors.
        y: (m, dimension) likewise.
        margin: how to compare a similarity with the mean of both vectors' mean similarity to their neighbours: 'ratio',
            'distance' (difference), or 'absolute' (the similarity alone).
    """
    if not len(x) or not len(y):
        return MinedPairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return choose_pairs(*find_neighbours(x, y, k), margin)


def choose_pairs(of_x: Neighbours, of_y: Neighbours, margin: str = "ratio") -> MinedPairs:
    """The second step of `mine_pairs`: pairs from the neighbours of both sides."""
    (best_x, score_x), (best_y, score_y) = (
        _best(of, scores) for of, scores in zip((of_x, of_y), score_candidates(of_x, of_y, margin), strict=True)
    )
    source = np.concatenate((np.arange(len(best_x)), best_y))
    target = np.concatenate((best_x, np.arange(len(best_y))))
    score = np.concatenate((score_x, score_y))
    order = np.argsort(-score, kind="stable")
    order = order[: np.count_nonzero(score > 0)]
    free_source, free_target = bytearray(b"\1") * len(best_x), bytearray(b"\1") * len(best_y)
    selected: list[int] = []
    for position, i, j in zip(order.tolist(), source[order].tolist(), target[order].tolist(), strict=True):
        if free_source[i] and free_target[j]:
            free_source[i] = free_target[j] = 0
            selected.append(position)
    return MinedPairs(source[selected], target[selected], score[selected])


def score_candidates(of_x: Neighbours, of_y: Neighbours, margin: str = "ratio") -> tuple[np.ndarray, np.ndarray]:
    """(n, k) and (m, k) float64 margins of all neighbours, for both sides."""
    mean_x, mean_y = (of.similarity.mean(axis=1, dtype=np.float64) for of in (of_x, of_y))
    margins: list[np.ndarray] = []
    for of, mean, other_mean in ((of_x, mean_x, mean_y), (of_y, mean_y, mean_x)):
        baseline = (mean[:, None] + other_mean[of.index]) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = MARGINS[margin](of.similarity.astype(np.float64), baseline)
        margins.append(np.nan_to_num(scores, nan=-np.inf, posinf=_LARGE, neginf=-np.inf))  # a baseline of 0
    return margins[0], margins[1]


def _best(of: Neighbours, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the neighbour with the best score, and that score."""
    best = scores.argmax(axis=1)
    rows = np.arange(len(best))
    return of.index[rows, best], scores[rows, best]


MARGINS = {
    "ratio": lambda similarity, baseline: similarity / baseline,
    "distance": lambda similarity, baseline: similarity - baseline,
    "absolute": lambda similarity, baseline: similarity,
}
_LARGE = 1e30


class _SentenceIndex:
    """The distinct sentences of a side, numbered in order of first appearance (the row order of `features`)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.first_id: list[str] = []
        self.repeated: set[int] = set()
        """Numbers of the sentences with several ids."""

    def add(self, text: str, id: str) -> int | None:
        """Number of a sentence; None for an empty one."""
        text = text.strip()
        if not text:
            return None
        number = self._numbers.setdefault(text, len(self.first_id))
        if number == len(self.first_id):
            self.first_id.append(id)
        elif id != self.first_id[number]:
            self.repeated.add(number)
        return number


FORMAT = Mining()
