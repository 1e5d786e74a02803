"""Every metric on random cases (ten thousand with the profile `full`), against seqeval, scikit-learn or a second one (tests/suites/oracle.py).

The cases are rich in difficulties: punctuation of several scripts, articles, empty answers, ties.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from tests.suites import oracle
from tests.support.profile import by_profile

from xlift.tasks import metrics
from xlift.tasks.metrics import chunks, ranking
from xlift.tasks.metrics.squad import best_threshold

pytestmark = pytest.mark.fuzz

CASES = by_profile(1000, 10_000, 100_000)
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
BIO = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
SCHEMES = [*BIO, "E-PER", "S-LOC", "I-A-X", "B-A-X", "B", "I", "E", "S", "O"]
PIECES = {
    "en": "the a an Theatre Paris paris 308 points, . ' - \u2019 « » (the) a-an \u00a0".split(" "),
    "es": "el la los Las un unas París rey-sol ¿ ? él láser".split(" "),
    "de": "der die das dem Des ein eines Haus häuser „ “ ß Ein-Euro".split(" "),
    "vi": "của là cái chiếc những Cái của\u0301 Hà Nội năm , cu\u0309a".split(" "),
    "hi": "का एक दिल्ली । ॥ १२ - पहला".split(" "),
    "ar": "ال العالم سؤال المال بالمال ، ؟ و ألف الال كتاب".split(" "),
    "zh": "北京 北京市 308 分 。 、 NBA 的 龥 龦 㐀 abc京 ·".split(" "),
    "th": "กรุงเทพ ที่ ฯ 12".split(" "),
}  # fmt: skip


def answer(rng: random.Random, language: str) -> str:
    pieces = rng.choices(PIECES[language] if rng.random() < 0.9 else PIECES["en"], k=rng.choice((0, 1, 1, 2, 3, 4)))
    return rng.choice((" ", " ", "", "  ", "\t")).join(pieces)


def questions(language: str, cases: int) -> Iterator[tuple[list[str], str]]:
    """Gold answers, and a prediction that is often a modified gold answer."""
    rng = random.Random(language)
    for _ in range(cases):
        gold = [answer(rng, language) for _ in range(rng.choice((1, 1, 2, 3)))]
        predicted = rng.choice(gold) if rng.random() < 0.5 else answer(rng, language)
        yield (
            gold,
            rng.choice((str, str.upper, lambda text: f"“{text}”", lambda text: text + ".", str.title))(predicted),
        )


@pytest.mark.parametrize("language", PIECES)
def test_squad_v1(language: str):
    for gold, predicted in questions(language, CASES // 4):
        exact, f1 = oracle.answer_scores(gold, predicted, oracle.english_words)
        assert metrics.get("squad-em").compute_counts(gold, predicted) == (exact, 1), (gold, predicted)
        assert metrics.get("squad-f1").compute_counts(gold, predicted)[0] == pytest.approx(float(f1), abs=1e-12), (
            gold,
            predicted,
        )


def test_squad_v2():
    rng = random.Random(2)
    for gold, predicted in questions("en", CASES):
        gold = gold if rng.random() < 0.7 else []
        exact, f1 = oracle.squad2_scores(gold, predicted)
        assert metrics.get("squad2-em").compute_counts(gold, predicted) == (exact, 1), (gold, predicted)
        assert metrics.get("squad2-f1").compute_counts(gold, predicted)[0] == pytest.approx(float(f1), abs=1e-12), (
            gold,
            predicted,
        )


@pytest.mark.parametrize("language", [code for code in PIECES if code != "th"])
def test_mlqa(language: str):
    for gold, predicted in questions(language, CASES // 4):
        exact, f1 = oracle.answer_scores(gold, predicted, lambda text: oracle.mlqa_words(text, language))
        assert metrics.get("mlqa-em").compute_counts(gold, predicted, language) == (exact, 1), (gold, predicted)
        assert metrics.get("mlqa-f1").compute_counts(gold, predicted, language)[0] == pytest.approx(
            float(f1), abs=1e-12
        ), (
            gold,
            predicted,
        )


def test_best_threshold():
    # Tries every threshold: between different probabilities, and (officially) between any two in their order.
    rng = random.Random(3)
    for _ in range(CASES):
        n = rng.randint(1, 7)
        has = [rng.random() < 0.6 for _ in range(n)]
        predicted = [rng.random() < 0.7 for _ in range(n)]
        scores = [
            rng.choice((0.0, 0.5, 1.0)) if has[i] and predicted[i] else float(has[i] == predicted[i]) for i in range(n)
        ]
        null = [rng.choice((0.1, 0.2, 0.3, 0.9)) for _ in range(n)]
        totals = {at: sum(scores[i] if null[i] <= at else not has[i] for i in range(n)) for at in (0.0, *null)}
        assert best_threshold(scores, predicted, has, null, repaired=True).score == pytest.approx(
            max(totals.values()) / n
        )
        order = sorted(range(n), key=null.__getitem__)
        official_totals = [sum(scores[i] for i in order[:k]) + sum(not has[i] for i in order[k:]) for k in range(n + 1)]
        score, threshold = best_threshold(scores, predicted, has, null)
        assert score == pytest.approx(max(official_totals) / n)
        assert threshold == (
            null[order[official_totals.index(max(official_totals)) - 1]]
            if max(official_totals) > official_totals[0]
            else 0.0
        )


def tagged(tags: Sequence[str], cases: int) -> Iterator[tuple[list[list[str]], list[list[str]]]]:
    """Files of one to three sentences, some of one word, with mostly correct predictions."""
    rng = random.Random(tags[-1])
    for _ in range(cases):
        gold = [rng.choices(tags, k=rng.choice((1, 1, 2, 5, 9))) for _ in range(rng.randint(1, 3))]
        yield gold, [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]


def counts(metric: str, gold: list[list[str]], predicted: list[list[str]]) -> tuple[float, ...]:
    rows = [metrics.get(metric).compute_counts(g, s) for g, s in zip(gold, predicted, strict=True)]
    return tuple(np.sum(rows, axis=0))


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
@pytest.mark.parametrize("tags", [UPOS, BIO], ids=["upos", "bio"])
def test_chunks_equal_seqeval_0_0_12(tags: list[str]):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for gold, predicted in tagged(tags, CASES):
        # Both versions have the same rules and parse tags differently: "N-NOUN" in 1.2.2 is "NOUN" in 0.0.12.
        expected_chunks = [
            set(seqeval.get_entities([[f"{tag[0]}-{tag.split('-')[-1]}" for tag in tags] for tags in side]))
            for side in (gold, predicted)
        ]
        expected = (len(expected_chunks[0] & expected_chunks[1]), len(expected_chunks[0]), len(expected_chunks[1]))
        assert counts("chunk-f1-legacy", gold, predicted) == expected, (gold, predicted)
        found_chunks = [chunks.find_corpus_chunks(side, chunks.parse_legacy_tag) for side in (gold, predicted)]
        assert found_chunks == expected_chunks, (gold, predicted)
        f1 = oracle.chunk_f1(gold, predicted)["f1"]
        assert metrics.get("chunk-f1-legacy").compute_score(np.array(expected)) == pytest.approx(float(f1), abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
def test_entities_equal_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for gold, predicted in tagged(SCHEMES, CASES):
        # After an 'O', like every sentence of a file but the first: it matters for tags without a type.
        expected_chunks = [set(seqeval.get_entities([["O"], *side])) for side in (gold, predicted)]
        assert counts("entity-f1", gold, predicted) == (
            len(expected_chunks[0] & expected_chunks[1]),
            *map(len, expected_chunks),
        ), (gold, predicted)


def columns(seed: int, rows: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(rows, CASES) binary gold labels and predictions; some cases have no positive."""
    rng = np.random.default_rng(seed)
    gold = rng.random((rows, CASES)) < share * rng.random(CASES)
    return gold, np.where(rng.random((rows, CASES)) < 0.7, gold, rng.random((rows, CASES)) < share)


def test_accuracy_and_f1_of_paraphrases():
    sklearn = pytest.importorskip("sklearn.metrics")
    gold, predicted = columns(5, 12, 0.8)
    f1 = sklearn.precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)[2]
    accuracy = 1 - np.array([sklearn.hamming_loss(gold[:, i], predicted[:, i]) for i in range(20)])
    both, plain = metrics.get("accuracy-f1"), metrics.get("accuracy")
    names = np.where(gold, "duplicate", "not_duplicate"), np.where(predicted, "duplicate", "not_duplicate")
    for case in range(CASES):
        pairs = list(zip(names[0][:, case].tolist(), names[1][:, case].tolist(), strict=True))
        right = float(plain.compute_score(np.sum([plain.compute_counts(g, s) for g, s in pairs], axis=0)))
        assert right == pytest.approx((gold[:, case] == predicted[:, case]).mean(), abs=1e-12)
        assert case >= len(accuracy) or right == pytest.approx(accuracy[case])
        value = float(both.compute_score(np.sum([both.compute_counts(g, s) for g, s in pairs], axis=0)))
        assert value == pytest.approx((right + f1[case]) / 2, abs=1e-12)


def test_f1_of_pairs():
    sklearn = pytest.importorskip("sklearn.metrics")
    gold, predicted = columns(7, 12, 0.4)
    f1 = sklearn.precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)[2]
    metric = metrics.get("pair-f1")
    for case in range(CASES):
        # Three sentences with four possible partners each; a repeated partner counts once.
        sums = np.zeros(3)
        for at in range(0, 12, 4):
            right, found = ([str(i) for i in range(4) if side[at + i, case]] for side in (gold, predicted))
            sums += metric.compute_counts(right, [*found, *found[:1]])
        assert float(metric.compute_score(sums)) == pytest.approx(f1[case], abs=1e-12)


def rankings(cases: int) -> Iterator[tuple[list[str], list[str]]]:
    rng = random.Random(9)
    names = [f"Q{n}" for n in range(40)]
    for _ in range(cases):
        yield rng.sample(names, rng.choice((1, 1, 2, 5, 30))), rng.sample(names, rng.choice((0, 3, 20, 25, 40)))


@pytest.mark.parametrize(("metric", "rule"), [("map@20", oracle.average_precision), ("mrr@20", None)])
def test_rankings(metric: str, rule: Callable[..., Any] | None):
    for relevant, ranked in rankings(CASES):
        expected = rule(relevant, ranked) if rule else max(oracle.reciprocal_rank(name, ranked) for name in relevant)
        assert metrics.get(metric).compute_counts(relevant, {"top": ranked})[0] == pytest.approx(
            float(expected), abs=1e-12
        )


def test_average_precision_of_the_whole_ranking_equals_sklearn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(11)
    scores = rng.permuted(np.tile(np.arange(15.0), (CASES, 1)), axis=1)
    relevant = rng.random(scores.shape) < 0.2
    relevant[:, 0] |= ~relevant.any(axis=1)
    ranks = scores.shape[1] - scores  # the highest score has rank 1
    ours = [
        ranking.full_average_precision([int(rank) for rank in row[mask]])
        for row, mask in zip(ranks, relevant, strict=True)
    ]
    assert np.mean(ours) == pytest.approx(sklearn.label_ranking_average_precision_score(relevant, scores), abs=1e-12)
    assert ours[0] == pytest.approx(sklearn.average_precision_score(relevant[0], scores[0]))


def test_accuracy_per_word():
    for gold, predicted in tagged(UPOS, CASES):
        flat = [(g, s) for pair in zip(gold, predicted, strict=True) for g, s in zip(*pair, strict=True)]
        assert counts("tag-accuracy", gold, predicted) == (len([1 for g, s in flat if g == s]), len(flat))
