"""Every scorer on ten thousand random cases, against seqeval, scikit-learn or a second implementation (tests/suites/oracle.py).

Cases are drawn from alphabets in which the traps are common: punctuation of several scripts, articles, empty answers, ties.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from tests.suites import oracle

from xlift.tasks import metrics
from xlift.tasks.metrics import chunks, ranking
from xlift.tasks.metrics.squad import best_threshold

CASES = 10_000
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
    """Gold answers, and a prediction that is often one of them with something done to it."""
    rng = random.Random(language)
    for _ in range(cases):
        gold = [answer(rng, language) for _ in range(rng.choice((1, 1, 2, 3)))]
        said = rng.choice(gold) if rng.random() < 0.5 else answer(rng, language)
        yield gold, rng.choice((str, str.upper, lambda text: f"“{text}”", lambda text: text + ".", str.title))(said)


@pytest.mark.parametrize("language", PIECES)
def test_squad_v1(language: str):
    for gold, said in questions(language, CASES // 4):
        exact, f1 = oracle.answer_scores(gold, said, oracle.english_words)
        assert metrics.get("squad-em").counts(gold, said) == (exact, 1), (gold, said)
        assert metrics.get("squad-f1").counts(gold, said)[0] == pytest.approx(float(f1), abs=1e-12), (gold, said)


def test_squad_v2():
    rng = random.Random(2)
    for gold, said in questions("en", CASES):
        gold = gold if rng.random() < 0.7 else []
        exact, f1 = oracle.squad2_scores(gold, said)
        assert metrics.get("squad2-em").counts(gold, said) == (exact, 1), (gold, said)
        assert metrics.get("squad2-f1").counts(gold, said)[0] == pytest.approx(float(f1), abs=1e-12), (gold, said)


@pytest.mark.parametrize("language", [code for code in PIECES if code != "th"])
def test_mlqa(language: str):
    for gold, said in questions(language, CASES // 4):
        exact, f1 = oracle.answer_scores(gold, said, lambda text: oracle.mlqa_words(text, language))
        assert metrics.get("mlqa-em").counts(gold, said, language) == (exact, 1), (gold, said)
        assert metrics.get("mlqa-f1").counts(gold, said, language)[0] == pytest.approx(float(f1), abs=1e-12), (
            gold,
            said,
        )


def test_best_threshold():
    # Every cut tried: between different probabilities, and (officially) between any two in their order.
    rng = random.Random(3)
    for _ in range(CASES):
        n = rng.randint(1, 7)
        has = [rng.random() < 0.6 for _ in range(n)]
        said = [rng.random() < 0.7 for _ in range(n)]
        scores = [rng.choice((0.0, 0.5, 1.0)) if has[i] and said[i] else float(has[i] == said[i]) for i in range(n)]
        null = [rng.choice((0.1, 0.2, 0.3, 0.9)) for _ in range(n)]
        at_cut = {at: sum(scores[i] if null[i] <= at else not has[i] for i in range(n)) for at in (0.0, *null)}
        assert best_threshold(scores, said, has, null, repaired=True).score == pytest.approx(max(at_cut.values()) / n)
        order = sorted(range(n), key=null.__getitem__)
        cuts = [sum(scores[i] for i in order[:k]) + sum(not has[i] for i in order[k:]) for k in range(n + 1)]
        score, at = best_threshold(scores, said, has, null)
        assert score == pytest.approx(max(cuts) / n)
        assert at == (null[order[cuts.index(max(cuts)) - 1]] if max(cuts) > cuts[0] else 0.0)


def tagged(tags: Sequence[str], cases: int) -> Iterator[tuple[list[list[str]], list[list[str]]]]:
    """Files of one to three sentences, single words among them; predictions mostly right."""
    rng = random.Random(tags[-1])
    for _ in range(cases):
        gold = [rng.choices(tags, k=rng.choice((1, 1, 2, 5, 9))) for _ in range(rng.randint(1, 3))]
        yield gold, [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]


def counts(metric: str, gold: list[list[str]], said: list[list[str]]) -> tuple[float, ...]:
    rows = [metrics.get(metric).counts(g, s) for g, s in zip(gold, said, strict=True)]
    return tuple(np.sum(rows, axis=0))


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
@pytest.mark.parametrize("tags", [UPOS, BIO], ids=["upos", "bio"])
def test_chunks_of_seqeval_0_0_12(tags: list[str]):
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for gold, said in tagged(tags, CASES):
        # Both versions have the same tables and read tags differently: "N-NOUN" is to 1.2.2 what "NOUN" is to 0.0.12.
        there = [
            set(seqeval.get_entities([[f"{tag[0]}-{tag.split('-')[-1]}" for tag in tags] for tags in side]))
            for side in (gold, said)
        ]
        expected = (len(there[0] & there[1]), len(there[0]), len(there[1]))
        assert counts("chunk-f1-legacy", gold, said) == expected, (gold, said)
        here = [chunks.corpus_chunks(side, chunks.legacy_parts) for side in (gold, said)]
        assert here == there, (gold, said)
        f1 = oracle.chunk_f1(gold, said)["f1"]
        assert metrics.get("chunk-f1-legacy").value(np.array(expected)) == pytest.approx(float(f1), abs=1e-12)


@pytest.mark.filterwarnings("ignore:.*seems not to be NE tag")
def test_entities_of_seqeval():
    seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling")
    for gold, said in tagged(SCHEMES, CASES):
        # Behind an 'O', as every sentence but a file's first: it matters for tags without a type.
        there = [set(seqeval.get_entities([["O"], *side])) for side in (gold, said)]
        assert counts("entity-f1", gold, said) == (len(there[0] & there[1]), *map(len, there)), (gold, said)


def columns(seed: int, rows: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(rows, CASES) gold and predictions of as many cases of one thing that is so or not; some have none at all."""
    rng = np.random.default_rng(seed)
    gold = rng.random((rows, CASES)) < share * rng.random(CASES)
    return gold, np.where(rng.random((rows, CASES)) < 0.7, gold, rng.random((rows, CASES)) < share)


def test_accuracy_and_f1_of_paraphrases():
    sklearn = pytest.importorskip("sklearn.metrics")
    gold, said = columns(5, 12, 0.8)
    f1 = sklearn.precision_recall_fscore_support(gold, said, average=None, zero_division=0)[2]
    accuracy = 1 - np.array([sklearn.hamming_loss(gold[:, i], said[:, i]) for i in range(20)])
    both, plain = metrics.get("accuracy-f1"), metrics.get("accuracy")
    names = np.where(gold, "duplicate", "not_duplicate"), np.where(said, "duplicate", "not_duplicate")
    for case in range(CASES):
        pairs = list(zip(names[0][:, case].tolist(), names[1][:, case].tolist(), strict=True))
        right = float(plain.value(np.sum([plain.counts(g, s) for g, s in pairs], axis=0)))
        assert right == pytest.approx((gold[:, case] == said[:, case]).mean(), abs=1e-12)
        assert case >= len(accuracy) or right == pytest.approx(accuracy[case])
        value = float(both.value(np.sum([both.counts(g, s) for g, s in pairs], axis=0)))
        assert value == pytest.approx((right + f1[case]) / 2, abs=1e-12)


def test_f1_of_pairs():
    sklearn = pytest.importorskip("sklearn.metrics")
    gold, said = columns(7, 12, 0.4)
    f1 = sklearn.precision_recall_fscore_support(gold, said, average=None, zero_division=0)[2]
    metric = metrics.get("pair-f1")
    for case in range(CASES):
        # Three sentences with four possible partners each; a partner said twice counts once.
        sums = np.zeros(3)
        for at in range(0, 12, 4):
            right, found = ([str(i) for i in range(4) if side[at + i, case]] for side in (gold, said))
            sums += metric.counts(right, [*found, *found[:1]])
        assert float(metric.value(sums)) == pytest.approx(f1[case], abs=1e-12)


def rankings(cases: int) -> Iterator[tuple[list[str], list[str]]]:
    rng = random.Random(9)
    names = [f"Q{n}" for n in range(40)]
    for _ in range(cases):
        yield rng.sample(names, rng.choice((1, 1, 2, 5, 30))), rng.sample(names, rng.choice((0, 3, 20, 25, 40)))


@pytest.mark.parametrize(("metric", "rule"), [("map@20", oracle.average_precision), ("mrr@20", None)])
def test_rankings(metric: str, rule: Callable[..., Any] | None):
    for relevant, ranked in rankings(CASES):
        expected = rule(relevant, ranked) if rule else max(oracle.reciprocal_rank(name, ranked) for name in relevant)
        assert metrics.get(metric).counts(relevant, {"top": ranked})[0] == pytest.approx(float(expected), abs=1e-12)


def test_average_precision_of_the_whole_ranking_is_that_of_sklearn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(11)
    scores = rng.permuted(np.tile(np.arange(15.0), (CASES, 1)), axis=1)
    relevant = rng.random(scores.shape) < 0.2
    relevant[:, 0] |= ~relevant.any(axis=1)
    places = scores.shape[1] - scores  # the highest score stands first
    mine = [
        ranking.full_average_precision([int(place) for place in row[mask]])
        for row, mask in zip(places, relevant, strict=True)
    ]
    assert np.mean(mine) == pytest.approx(sklearn.label_ranking_average_precision_score(relevant, scores), abs=1e-12)
    assert mine[0] == pytest.approx(sklearn.average_precision_score(relevant[0], scores[0]))


def test_accuracy_per_word():
    for gold, said in tagged(UPOS, CASES):
        flat = [(g, s) for pair in zip(gold, said, strict=True) for g, s in zip(*pair, strict=True)]
        assert counts("tag-accuracy", gold, said) == (len([1 for g, s in flat if g == s]), len(flat))
