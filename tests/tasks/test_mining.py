"""Mining: pairs by margins against a slow second implementation, thresholds, and repeated sentences."""

from __future__ import annotations

import math
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.profile import scaled

from xlift.tasks import catalog, formats, metrics
from xlift.tasks.formats.mining import MARGINS, MiningExample, mine_pairs
from xlift.tasks.metrics.mining import official_threshold, repaired_threshold
from xlift.tasks.nearest import unit_vectors
from xlift.tasks.sources.files import FileSource
from xlift.tasks.task import Task

FORMAT = formats.get("mining")
BUCC, REPAIRED = metrics.get("bucc-f1"), metrics.get("mining-f1")


# -- pairs -----------------------------------------------------------------------------------------------------------


def mine_slowly(x: np.ndarray, y: np.ndarray, k: int, margin: str) -> list[tuple[int, int, float]]:
    """Second implementation of `mine_bitext`, one pair at a time."""
    similarity = [[float(np.float32(v)) for v in row] for row in x @ y.T]
    turned = [list(column) for column in zip(*similarity, strict=True)]

    def nearest(row: list[float]) -> list[int]:
        return sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]

    near_x, near_y = [nearest(row) for row in similarity], [nearest(row) for row in turned]
    mean_x = [sum(row[j] for j in near) / len(near) for row, near in zip(similarity, near_x, strict=True)]
    mean_y = [sum(row[i] for i in near) / len(near) for row, near in zip(turned, near_y, strict=True)]

    def score(i: int, j: int) -> float:
        baseline = (mean_x[i] + mean_y[j]) / 2
        if margin == "absolute":
            return similarity[i][j]
        return similarity[i][j] - baseline if margin == "distance" else similarity[i][j] / baseline

    proposals = []
    for i, near in enumerate(near_x):
        best = max(near, key=lambda j: score(i, j))
        proposals.append((score(i, best), i, best))
    for j, near in enumerate(near_y):
        best = max(near, key=lambda i: score(i, j))
        proposals.append((score(best, j), best, j))
    pairs: list[tuple[int, int, float]] = []
    for value, i, j in sorted(proposals, key=lambda proposal: -proposal[0]):
        if value > 0 and i not in {p[0] for p in pairs} and j not in {p[1] for p in pairs}:
            pairs.append((i, j, value))
    return pairs


@settings(max_examples=scaled(150), deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 25), m=st.integers(1, 25), k=st.integers(1, 5),
    margin=st.sampled_from(sorted(MARGINS)),
)  # fmt: skip
def test_pairs_equal_those_of_the_script(seed, n, m, k, margin):
    rng = np.random.default_rng(seed)
    x, y = (unit_vectors(rng.standard_normal((size, 6)) + 1.5) for size in (n, m))
    mined, expected = mine_pairs(x, y, k=k, margin=margin), mine_slowly(x, y, k, margin)
    assert list(zip(mined.source.tolist(), mined.target.tolist(), strict=True)) == [(i, j) for i, j, _ in expected]
    np.testing.assert_allclose(mined.score, [value for _, _, value in expected], rtol=1e-6)


@settings(max_examples=scaled(60), deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 30), m=st.integers(1, 30))
def test_every_sentence_is_used_at_most_once_and_scores_descend(seed, n, m):
    rng = np.random.default_rng(seed)
    mined = mine_pairs(*(unit_vectors(rng.standard_normal((size, 4))) for size in (n, m)))
    assert len(set(mined.source.tolist())) == len(set(mined.target.tolist())) == len(mined.score)
    assert (np.diff(mined.score) <= 0).all()
    assert (mined.score > 0).all()


def test_ties_go_to_the_lower_indices():
    # all similarities and margins are 1: the proposals of x come first, each for the nearest, index 0
    same = unit_vectors(np.ones((4, 3)))
    mined = mine_pairs(same, same)
    assert (mined.source.tolist(), mined.target.tolist()) == ([0], [0])
    assert mined.score.tolist() == [1.0]


def test_a_baseline_of_zero_gives_finite_scores():
    x = np.array([[1.0, 0.0]], dtype=np.float32)
    y = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    assert all(math.isfinite(score) for score in mine_pairs(x, y).score)
    zero = mine_pairs(np.zeros((2, 2), np.float32), y)
    assert len(zero.score) == 0


def test_an_empty_side_gives_no_pairs():
    assert len(mine_pairs(np.zeros((0, 3), np.float32), np.zeros((4, 3), np.float32)).score) == 0


# -- the threshold ---------------------------------------------------------------------------------------------------


def f1(correct: int, accepted: int, gold: int) -> float:
    return 2 * correct / (accepted + gold) if accepted + gold else 0.0


def optimise_slowly(scores: list[float], correct: list[bool], gold: int) -> float | None:
    """Second implementation of `bucc_optimize`; None means its IndexError."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    best, threshold, right = 0.0, 0.0, 0
    for accepted, i in enumerate(order, start=1):
        right += correct[i]
        if right:
            precision, recall = right / accepted, right / gold
            value = 2 * precision * recall / (precision + recall)
            if value > best:
                best = value
                threshold = None if accepted == len(order) else (scores[i] + scores[order[accepted]]) / 2
    return threshold


CANDIDATES = st.lists(
    st.tuples(st.sampled_from([0.5, 0.75, 1.0, 1.25, 1.5, 2.0]) | st.floats(0.01, 3), st.booleans()), max_size=30
)


@settings(max_examples=scaled(400), deadline=None)
@given(candidates=CANDIDATES, unfound=st.integers(0, 5))
@example(candidates=[(1.2, True), (1.1, True)], unfound=0)  # best with all candidates: IndexError in the script
@example(candidates=[(1.2, True), (1.2, False)], unfound=0)  # threshold between equal scores
@example(candidates=[], unfound=2)
def test_the_official_threshold_equals_that_of_the_script(candidates, unfound):
    scores, correct = [s for s, _ in candidates], [c for _, c in candidates]
    gold = sum(correct) + unfound
    assert official_threshold(scores, correct, gold) == optimise_slowly(scores, correct, gold)


@settings(max_examples=scaled(400), deadline=None)
@given(candidates=CANDIDATES, unfound=st.integers(0, 5))
@example(candidates=[(1.2, True), (1.1, True)], unfound=0)
@example(candidates=[(1.0, True), (math.nextafter(1.0, 0), False)], unfound=0)
def test_the_repaired_threshold_is_optimal(candidates, unfound):
    scores, correct = [s for s, _ in candidates], [c for _, c in candidates]
    gold = sum(correct) + unfound

    def value(minimum: float) -> float:
        accepted = [c for s, c in candidates if s >= minimum]
        return f1(sum(accepted), len(accepted), gold)

    found = value(repaired_threshold(scores, correct, gold))
    assert found == pytest.approx(max(map(value, [*scores, math.inf]), default=0.0), abs=1e-12)


def test_the_last_candidate_and_no_candidate():
    assert official_threshold([1.2, 1.1], [True, True], 2) is None
    assert repaired_threshold([1.2, 1.1], [True, True], 2) == 1.1
    assert official_threshold([1.2, 1.1], [False, False], 2) == repaired_threshold([1.2, 1.1], [False, False], 2) == 0.0
    assert official_threshold([], [], 0) == repaired_threshold([], [], 0) == 0.0


def test_the_official_score_uses_the_repaired_threshold_where_the_script_fails():
    found = [{"text": "a", "translation": "a", "score": 1.2}, {"text": "b", "translation": "b", "score": 1.1}]
    apply_threshold = BUCC.fit_threshold(["a", "b"], found)
    assert [apply_threshold(p) for p in found] == ["a", "b"]


# -- examples to predictions -----------------------------------------------------------------------------------------


def decode(examples: list[MiningExample], meanings: dict[str, int], **options: Any) -> list[dict[str, Any] | None]:
    """Decode with hand-made vectors: the axis of a sentence's meaning plus a constant."""
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    texts = [
        (examples[i].text, examples[i].translation)[side].strip()
        for i, side in zip(features.example_index, features.targets["side"], strict=True)
    ]
    outputs = [np.eye(12)[meanings[text]] + 0.1 for text in texts]
    return FORMAT.decode(examples, features, outputs, (), **options)


def scored(metric: Any, examples: list[MiningExample], predictions: list[Any]) -> np.ndarray:
    gold = [FORMAT.gold(e) for e in examples]
    apply_threshold = metric.fit_threshold(gold, predictions)
    return np.sum(
        [metric.compute_counts(g, apply_threshold(p)) for g, p in zip(gold, predictions, strict=True)], axis=0
    )


def test_one_row_per_distinct_sentence_of_a_side():
    examples = [
        MiningExample("1", "der Mann", "the man"),
        MiningExample("2", "der Mann ", ""),
        MiningExample("3", "", "the book"),
        MiningExample("4", "the man", "the book"),  # the same sentence on the other side is distinct
    ]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
    assert features.targets["side"].tolist() == [0, 1, 1, 0]
    assert features.example_index.tolist() == features.unit.tolist() == [0, 0, 2, 3]


def test_pairs_are_found_among_sentences_without_a_partner():
    examples = [
        MiningExample("p1", "eins", "one", "de-1", "en-1"),
        MiningExample("l1", "zwei", "", "de-2"),
        MiningExample("l2", "", "three", "", "en-3"),
        MiningExample("p2", "vier", "four", "de-4", "en-4"),
    ]
    found = decode(examples, {"eins": 0, "one": 0, "zwei": 1, "three": 2, "vier": 3, "four": 3})
    pairs = {(p["text"], p["translation"]) for p in found if p}
    assert {("de-1", "en-1"), ("de-4", "en-4")} <= pairs
    assert [FORMAT.gold(e) for e in examples] == ["en-1", None, None, "en-4"]
    assert scored(BUCC, examples, found).tolist() == [2.0, 2.0, 2.0]


def test_a_wrong_pair_is_at_its_text_and_names_the_mined_translation():
    examples = [MiningExample("a", "eins", "one"), MiningExample("b", "zwei", ""), MiningExample("c", "", "two")]
    found = decode(examples, {"eins": 0, "one": 0, "zwei": 1, "two": 1})
    assert [(p["text"], p["translation"]) if p else None for p in found] == [("a", "a"), ("b", "c"), None]
    assert FORMAT.gold(examples[1]) is None


def test_a_sentence_of_two_gold_pairs_is_correct_with_either():
    examples = [
        MiningExample("1", "eins", "one", "de-1", "en-1"),
        MiningExample("2", "eins", "a one", "de-1", "en-2"),
        MiningExample("3", "zwei", "two", "de-3", "en-3"),
    ]
    found = decode(examples, {"eins": 0, "one": 5, "a one": 0, "zwei": 1, "two": 1})
    assert found[1] is not None
    assert (found[1]["text"], found[1]["translation"]) == ("de-1", "en-2")
    assert "repeated" not in found[1]  # one sentence with one id
    assert found[0] is None
    assert scored(REPAIRED, examples, found).tolist() == [2.0, 3.0, 2.0]


def test_repeated_sentences_by_the_official_rule_and_by_the_repaired_one():
    # "eins" has two ids: XTREME cannot decide which was mined and drops the pair, but gold still counts
    examples = [
        MiningExample("1", "eins", "one", "de-1", "en-1"),
        MiningExample("2", "eins", "one", "de-2", "en-2"),
        MiningExample("3", "zwei", "two", "de-3", "en-3"),
        MiningExample("4", "eins", "", "de-4"),
    ]
    found = decode(examples, {"eins": 0, "one": 0, "zwei": 1, "two": 1})
    assert [p and p.get("repeated", False) for p in found] == [True, True, False, None]
    assert scored(BUCC, examples, found).tolist() == [1.0, 3.0, 1.0]
    assert scored(REPAIRED, examples, found).tolist() == [3.0, 3.0, 3.0]


def test_decode_uses_the_margin():
    examples = [MiningExample("a", "eins", "one"), MiningExample("b", "zwei", "two")]
    meanings = {"eins": 0, "one": 0, "zwei": 1, "two": 1}
    ratio, absolute = (decode(examples, meanings, margin=margin)[0] for margin in ("ratio", "absolute"))
    assert ratio["score"] > 1 > absolute["score"] > 0.9


@pytest.mark.parametrize("side", [0, 1])
def test_an_empty_side_gives_no_predictions(side):
    texts = ("eins", "") if side == 0 else ("", "one")
    assert decode([MiningExample("a", *texts)], {"eins": 0, "one": 0}) == [None]


# -- against XTREME's whole pipeline ---------------------------------------------------------------------------------


def xtreme_score(
    x: dict[str, tuple[str, np.ndarray]],
    y: dict[str, tuple[str, np.ndarray]],
    gold: set[tuple[str, str]],
    cut: float | None,
) -> tuple[float, float]:
    """(F1, threshold) from id -> (sentence, vector), in the script's steps: unify texts, mine, map to ids, optimise."""
    unique = [list(dict(side.values()).items()) for side in (x, y)]
    vectors = [unit_vectors(np.array([vector for _, vector in side])) for side in unique]
    names: list[dict[str, str]] = []
    for side in (x, y):
        texts = [text for text, _ in side.values()]
        names.append({text: name for name, (text, _) in side.items() if texts.count(text) == 1})
    candidates = {
        (names[0][unique[0][i][0]], names[1][unique[1][j][0]]): score
        for i, j, score in mine_slowly(*vectors, 4, "ratio")
        if unique[0][i][0] in names[0] and unique[1][j][0] in names[1]
    }
    if cut is None:
        cut = optimise_slowly(list(candidates.values()), [pair in gold for pair in candidates], len(gold))
        assert cut is not None
    found = {pair for pair, score in candidates.items() if score >= cut}
    return f1(len(found & gold), len(found), len(gold)), cut


@pytest.mark.parametrize("seed", range(12))
def test_scores_from_files_equal_those_of_the_script(seed, tmp_path: Path):
    rng, random_ = np.random.default_rng(seed), random.Random(seed)
    task = Task(
        "bucc", "", "mining", ("bucc-f1",),
        FileSource("bucc", {s: (f"{s}.de", f"{s}.en", f"{s}.gold") for s in ("dev", "test")}, dict.fromkeys(("dev", "test"), ("de",))),
    )  # fmt: skip
    predictions, gold_ids, official, cut = {}, {}, {}, None
    for split in ("dev", "test"):
        meanings = rng.standard_normal((60, 16)) + 1.0
        sides: tuple[dict[str, tuple[str, np.ndarray]], ...] = ({}, {})
        for (side, code), number in product(enumerate(("de", "en")), range(40)):
            meaning = number if number < 20 else 20 * (side + 1) + number % 20
            text = f"{code} {meaning if random_.random() < 0.9 else 'again'}"
            existing = next((vector for other, vector in sides[side].values() if other == text), None)
            vector = meanings[meaning] + 0.8 * rng.standard_normal(16) if existing is None else existing
            sides[side][f"{code}-{number:03d}"] = (text, vector.astype(np.float32))
        gold = {(f"de-{number:03d}", f"en-{number:03d}") for number in range(20)}
        for side, code in enumerate(("de", "en")):
            lines = "".join(f"{name}\t{text}\n" for name, (text, _) in sides[side].items())
            (tmp_path / f"{split}.{code}").write_text(lines, encoding="utf-8")
        (tmp_path / f"{split}.gold").write_text("".join(f"{a}\t{b}\n" for a, b in sorted(gold)), encoding="utf-8")
        official[split], cut = xtreme_score(*sides, gold, cut)

        examples = list(task.source.read(task, "de", split, tmp_path))
        features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=16, train=False)
        outputs = []
        for i, side in zip(features.example_index, features.targets["side"], strict=True):
            outputs.append(sides[side][examples[i].ids[side]][1])
        predictions[split] = FORMAT.decode(examples, features, outputs, ())
        gold_ids[split] = [FORMAT.gold(e) for e in examples]
    apply_threshold = BUCC.fit_threshold(gold_ids["dev"], predictions["dev"])
    for split in ("dev", "test"):
        counts = [
            BUCC.compute_counts(g, apply_threshold(p)) for g, p in zip(gold_ids[split], predictions[split], strict=True)
        ]
        assert BUCC.compute_score(np.sum(counts, axis=0)) == pytest.approx(official[split], abs=1e-9)
    assert 0.1 < official["test"] < 1


# -- the archipelago -------------------------------------------------------------------------------------------------


def test_the_archipelago_has_a_mining_task_with_distractors():
    task = catalog.get("isle-mining")
    examples = list(task.source.read(task, "qka", "dev", None, size=60))
    assert task.format == "mining"
    assert all(isinstance(e, MiningExample) and not FORMAT.check(e, ()) for e in examples)
    assert 0 < sum(e.is_complete for e in examples) < 60
    assert "qta" not in task.source.languages("dev")  # the source language is the other side of every pair
