"""Mining: find the pairs of translations in two collections of sentences, most of which have no counterpart.

As XTREME mines BUCC (Artetxe and Schwenk 2019): a pair is scored by how much nearer its two sentences are to each other
than to their neighbours, and the cut is the one that is best on dev. What is predicted are pairs with their scores, so
the cut is made when they are scored (tasks/metrics/mining.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xlift.tasks.formats import encoding
from xlift.tasks.formats.base import Features
from xlift.tasks.formats.retrieval import PairExample, Retrieval
from xlift.tasks.nearest import Neighbours, neighbours, unit_vectors

NEIGHBOURS = 4
"""As LASER's and XTREME's scripts ask for, in both directions."""


@dataclass(frozen=True)
class MiningExample(PairExample):
    """A gold pair; or one sentence without a counterpart, the other side empty.

    A sentence with two counterparts stands in two examples.
    """

    text_id: str = ""
    """Of the task language's sentence; by default the example's id."""
    translation_id: str = ""
    """Of the pivot's sentence; by default the example's id."""

    @property
    def ids(self) -> tuple[str, str]:
        return self.text_id or self.id, self.translation_id or self.id


class Mining(Retrieval):
    name = "mining"
    example = MiningExample
    decoding = {"center": False, "margin": "ratio"}

    def features(
        self,
        examples: Sequence[MiningExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> Features:
        """One row per different sentence of a side, in order of first appearance. Targets: 'side', 0 and 1."""
        owners: list[int] = []
        sides: list[int] = []
        texts: list[str] = []
        seen: tuple[set[str], set[str]] = set(), set()
        for i, example in enumerate(examples):
            for side, text in enumerate((example.text.strip(), example.translation.strip())):
                if text and text not in seen[side]:
                    seen[side].add(text)
                    owners.append(i)
                    sides.append(side)
                    texts.append(text)
        input_ids, token_type_ids = encoding.encode(tokenizer, texts, [None] * len(texts), max_length=max_length)
        owner = np.array(owners, dtype=np.int64)
        return Features(
            input_ids,
            example=owner,
            unit=owner,
            token_type_ids=token_type_ids,
            targets={"side": np.array(sides, dtype=np.int64)},
        )

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
        """Mined pairs as `{"text": id, "translation": id, "score": number}`, each at an example with its text; else None.

        A sentence that stands under several ids is one sentence when pairs are mined, and stands for all of its ids:
        each gold pair of two sentences that were mined together has its prediction. Pairs with such a sentence have
        `"repeated": true`, since XTREME leaves them out. A pair that is no gold pair stands at the first example with its text.

        Args:
            outputs: one pooled (dimension,) vector per row.
            center: subtract each side's mean first.
            margin: 'ratio', 'distance' or 'absolute'.
        """
        answers: list[dict[str, Any] | None] = [None] * len(examples)
        side = np.asarray(features.targets["side"])
        if not (side == 0).any() or not (side == 1).any():
            return answers
        vectors = np.asarray(outputs, dtype=np.float32)
        x, y = (unit_vectors(vectors[side == which], center) for which in (0, 1))
        mined = mine(x, y, margin=margin)
        partner = dict(
            zip(mined.source.tolist(), zip(mined.target.tolist(), mined.score.tolist(), strict=True), strict=True)
        )
        texts, translations = _Sentences(), _Sentences()
        numbers = [(texts.number(e.text, e.ids[0]), translations.number(e.translation, e.ids[1])) for e in examples]

        def answer(source: int, ids: tuple[str, str]) -> dict[str, Any]:
            target, score = partner[source]
            found = {"text": ids[0], "translation": ids[1], "score": score}
            return found | {"repeated": True} if source in texts.repeated or target in translations.repeated else found

        right: set[int] = set()
        for i, (source, target) in enumerate(numbers):
            if source is not None and target is not None and partner.get(source, (None,))[0] == target:
                answers[i] = answer(source, examples[i].ids)
                right.add(source)
        for i, (source, _) in enumerate(numbers):
            if source is not None and source in partner and source not in right:
                answers[i] = answer(source, (examples[i].ids[0], translations.first_id[partner[source][0]]))
                right.add(source)
        return answers

    def gold(self, example: MiningExample) -> str | None:
        """The id of the counterpart."""
        return example.ids[1] if example.whole else None


class Mined(NamedTuple):
    """Pairs in falling order of their scores; each source and each target stands in one at most."""

    source: np.ndarray
    """(pairs,) int."""
    target: np.ndarray
    """(pairs,) int."""
    score: np.ndarray
    """(pairs,) float64, above 0."""


def mine(x: np.ndarray, y: np.ndarray, *, k: int = NEIGHBOURS, margin: str = "ratio") -> Mined:
    """Pairs of like vectors, as `mine_bitext` of XTREME's utils_retrieve.py chooses them (retrieval='max').

    Every vector proposes that of its k neighbours with the best margin. Of all proposals, of both sides, the best is taken,
    then the best of those whose two vectors are still free, and so on; scores that are not above 0 are left out. Equal
    scores: the nearer neighbour, proposals of x before those of y, the lower number (there the order of a quicksort).

    Args:
        x: (n, dimension) float32 unit vectors.
        y: (m, dimension) likewise.
        margin: of a similarity and the mean of both vectors' means over their neighbours: their 'ratio', their 'distance',
            or 'absolute', the similarity alone.
    """
    if not len(x) or not len(y):
        return Mined(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return choose_pairs(*neighbours(x, y, k), margin)


def choose_pairs(of_x: Neighbours, of_y: Neighbours, margin: str = "ratio") -> Mined:
    """The pairs of `mine` from the neighbours of both sides."""
    (best_x, score_x), (best_y, score_y) = (
        _best(of, scores) for of, scores in zip((of_x, of_y), score_candidates(of_x, of_y, margin), strict=True)
    )
    source = np.concatenate((np.arange(len(best_x)), best_y))
    target = np.concatenate((best_x, np.arange(len(best_y))))
    score = np.concatenate((score_x, score_y))
    order = np.argsort(-score, kind="stable")
    order = order[: np.count_nonzero(score > 0)]
    free_source, free_target = bytearray(b"\1") * len(best_x), bytearray(b"\1") * len(best_y)
    taken: list[int] = []
    for place, one, other in zip(order.tolist(), source[order].tolist(), target[order].tolist(), strict=True):
        if free_source[one] and free_target[other]:
            free_source[one] = free_target[other] = 0
            taken.append(place)
    return Mined(source[taken], target[taken], score[taken])


def score_candidates(of_x: Neighbours, of_y: Neighbours, margin: str = "ratio") -> tuple[np.ndarray, np.ndarray]:
    """(n, k) and (m, k) float64 margins of all neighbours of both sides."""
    mean_x, mean_y = (of.similarity.mean(axis=1, dtype=np.float64) for of in (of_x, of_y))
    scored: list[np.ndarray] = []
    for of, mean, mean_other in ((of_x, mean_x, mean_y), (of_y, mean_y, mean_x)):
        around = (mean[:, None] + mean_other[of.index]) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = MARGINS[margin](of.similarity.astype(np.float64), around)
        scored.append(np.nan_to_num(scores, nan=-np.inf, posinf=_LARGE, neginf=-np.inf))  # a mean of 0 says nothing
    return scored[0], scored[1]


def _best(of: Neighbours, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the neighbour with the best score, and that score."""
    best = scores.argmax(axis=1)
    at = np.arange(len(best))
    return of.index[at, best], scores[at, best]


MARGINS = {
    "ratio": lambda similarity, around: similarity / around,
    "distance": lambda similarity, around: similarity - around,
    "absolute": lambda similarity, around: similarity,
}
_LARGE = 1e30


class _Sentences:
    """The different sentences of a side, numbered in order of first appearance (as `features` orders its rows)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.first_id: list[str] = []
        self.repeated: set[int] = set()
        """Those that stand under several ids."""

    def number(self, text: str, name: str) -> int | None:
        """Number of a sentence, None for an empty one."""
        text = text.strip()
        if not text:
            return None
        number = self._numbers.setdefault(text, len(self.first_id))
        if number == len(self.first_id):
            self.first_id.append(name)
        elif name != self.first_id[number]:
            self.repeated.add(number)
        return number


FORMAT = Mining()
