"""Dual encoding: rows of queries and passages, rankings of a pool, and XTREME-R's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from tests.support import tiny

from xlift.errors import UserError
from xlift.tasks import catalog, metrics
from xlift.tasks.formats.dual_encoding import FORMAT, DualExample
from xlift.tasks.formats.features import Features
from xlift.tasks.formats.ragged import Ragged
from xlift.tasks.metrics.ranking import average_precision, full_average_precision, reciprocal_rank

PAIR = DualExample("1", "who reads?", "the old man reads a long book", "the old man reads a long book in the garden")
QUERY = DualExample("2", "where lies Paris", relevant=("a", "b"))
CANDIDATE = DualExample("a", "", "Paris in France")


def features(examples: list[DualExample], family: str = "xlm-roberta", train: bool = False, **options: Any) -> Features:
    options = {"max_length": 40} | options
    return FORMAT.features(examples, tiny.tokenizer_of(family), (), train=train, **options)


# -- examples and rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        (DualExample("1", " "), "neither a query nor a passage"),
        (DualExample("1", "who?"), "without a passage or relevant"),
        (DualExample("1", "", "a man", relevant=("2",)), "relevant candidates but no query"),
        (DualExample("1", "who?", "", "in the garden", ("2",)), "a context without a passage"),
    ],
)
def test_check_names_the_problem_of_an_invalid_example(example: DualExample, problem: str) -> None:
    assert problem in (FORMAT.check(example, ()) or "")


@pytest.mark.parametrize("example", [PAIR, QUERY, CANDIDATE])
def test_pairs_queries_and_candidates_are_valid(example: DualExample) -> None:
    assert FORMAT.check(example, ()) is None


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_a_query_is_one_text_and_a_passage_a_pair_with_its_context(family: str) -> None:
    tokenizer = tiny.tokenizer_of(family)
    rows = features([PAIR, QUERY, CANDIDATE], family)
    expected = [tokenizer("who reads?"), tokenizer(PAIR.passage, PAIR.context)]
    expected += [tokenizer(QUERY.query), tokenizer(CANDIDATE.passage)]
    assert rows.input_ids.tolist() == [row["input_ids"] for row in expected]
    assert rows.example_index.tolist() == rows.unit.tolist() == [0, 0, 1, 2]
    assert rows.targets["side"].tolist() == [0, 1, 0, 1]
    if family == "bert":
        assert rows.token_type_ids.tolist() == [row["token_type_ids"] for row in expected]
    else:
        assert rows.token_type_ids is None


def test_query_length_truncates_queries_more_than_passages() -> None:
    long = DualExample("1", "where " * 30, "book " * 30)
    assert [len(ids) for ids in features([long], max_length=16, query_length=8).input_ids] == [8, 16]
    assert [len(ids) for ids in features([long], max_length=16).input_ids] == [16, 16]
    # max_length limits both
    assert [len(ids) for ids in features([long], max_length=16, query_length=99).input_ids] == [16, 16]


def test_only_equal_rows_share_a_number() -> None:
    again = DualExample("9", "who else?", PAIR.passage, PAIR.context)
    bare = DualExample("8", "who reads?", PAIR.passage)  # a sentence in another paragraph is another passage
    one, passage, other, same, repeated, without = features([PAIR, again, bare]).targets["text"].tolist()
    assert passage == same
    assert one == repeated
    assert len({one, passage, other, without}) == 4


@pytest.mark.parametrize(("example", "missing"), [(QUERY, "'2' has no passage"), (CANDIDATE, "'a' has no query")])
def test_training_accepts_only_pairs(example: DualExample, missing: str) -> None:
    with pytest.raises(UserError, match=missing):
        features([PAIR, example], train=True)


def test_texts_returns_every_text_for_the_contamination_check() -> None:
    assert FORMAT.texts(PAIR) == (PAIR.query, PAIR.passage, PAIR.context)
    assert FORMAT.texts(CANDIDATE) == (CANDIDATE.passage,)


# -- rankings --------------------------------------------------------------------------------------------------------


def ranked(examples: list[DualExample], vectors: list[list[float]]) -> list[Any]:
    return FORMAT.decode(examples, features(examples), np.array(vectors), ())


def test_decode_ranks_candidates_and_finds_the_relevant_ones() -> None:
    pool = [DualExample(name, "", f"the {name}") for name in "abc"]
    first, *rest = ranked([QUERY, *pool], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert first == {"top": ["b", "c", "a"], "ranks": [3, 1]}
    assert rest == [None, None, None]
    assert [FORMAT.gold(example) for example in (QUERY, pool[0])] == [["a", "b"], None]


def test_a_pair_is_its_own_candidate() -> None:
    pairs = [DualExample("1", "who?", "the man"), DualExample("2", "where?", "in Paris", relevant=("1", "2"))]
    one, two = ranked(pairs, [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.9, 0.1]])
    assert one == {"top": ["1", "2"], "ranks": [1]}
    assert two == {"top": ["2", "1"], "ranks": [2, 1]}
    assert [FORMAT.gold(pair) for pair in pairs] == [["1"], ["1", "2"]]


def test_a_relevant_candidate_outside_the_pool_has_no_rank() -> None:
    (first, _) = ranked([QUERY, CANDIDATE], [[1.0], [1.0]])
    assert first == {"top": ["a"], "ranks": [1, None]}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.data())
def test_rankings_equal_a_plain_sort(scores: list[int], data: st.DataObject) -> None:
    # few different scores: most candidates tie, and ties keep the order of the pool
    pool = [DualExample(f"c{i}", "", "the man") for i in range(len(scores))]
    relevant = data.draw(st.lists(st.sampled_from([c.id for c in pool]), min_size=1, max_size=5, unique=True))
    query = DualExample("q", "who?", relevant=tuple(relevant))
    rows = Features(
        Ragged.from_rows([[0]] * (len(pool) + 1)),
        np.arange(len(pool) + 1),
        np.arange(len(pool) + 1),
        targets={"side": np.array([0] + [1] * len(pool))},
    )
    (found, *_) = FORMAT.decode([query, *pool], rows, np.array([[1.0], *[[float(s)] for s in scores]]), ())
    order = [pool[i].id for i in sorted(range(len(pool)), key=lambda i: (-scores[i], i))]
    assert found == {"top": order[:20], "ranks": [order.index(name) + 1 for name in relevant]}


def test_a_large_pool_is_scored_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pool = [DualExample(f"c{i}", "", "the man") for i in range(30)]
    queries = [DualExample(f"q{i}", "who?", relevant=(f"c{i}",)) for i in range(7)]
    vectors = generator.normal(size=(37, 4)).tolist()
    whole = ranked([*queries, *pool], vectors)
    monkeypatch.setattr("xlift.tasks.formats.dual_encoding.SCORES_PER_BLOCK", 60)  # two queries at a time
    assert ranked([*queries, *pool], vectors) == whole


# -- scores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relevant", "ranking", "score"),
    [
        (["a"], ["a"], 1.0),
        (["a"], ["b", "a"], 1 / 2),
        (["a", "b"], ["a", "x", "b"], (1 + 2 / 3) / 2),
        (["a"], [*"xxxxxxxxxxxxxxxxxxxx", "a"], 0.0),  # rank 21
        (["a", "b"], ["a", "a", "b"], (1 + 2 / 3) / 2),  # a repeated candidate counts at its first rank
        ([f"r{i}" for i in range(30)], [f"r{i}" for i in range(20)], 1.0),  # no more than 20 can be found
        (["a"], [], 0.0),
    ],
)
def test_average_precision_at_20_by_hand(relevant: list[str], ranking: list[str], score: float) -> None:
    assert average_precision(relevant, ranking) == pytest.approx(score, abs=1e-12)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True), st.permutations(range(61)))
def test_average_precision_equals_a_second_implementation(relevant: list[int], order: list[int]) -> None:
    # the sum of the precision at every relevant rank, by slicing
    gold, ranking = [str(r) for r in relevant], [str(i) for i in order]
    relevant_ranks = [k for k in range(1, 21) if ranking[k - 1] in gold]
    expected = sum(len(set(ranking[:k]) & set(gold)) / k for k in relevant_ranks) / min(len(gold), 20)
    assert average_precision(gold, ranking) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_full_average_precision_equals_sklearn(relevant: list[bool]) -> None:
    scores = np.arange(len(relevant), 0, -1)
    ranks = [rank for rank, is_relevant in enumerate(relevant, start=1) if is_relevant]
    assert full_average_precision(ranks[::-1]) == pytest.approx(average_precision_score(relevant, scores), abs=1e-12)


def test_a_candidate_outside_the_pool_counts_zero() -> None:
    assert full_average_precision([None, 1]) == 0.5


@pytest.mark.parametrize(("ranking", "score"), [("ab", 1.0), ("xxxb", 1 / 4), ("x" * 20 + "a", 0.0), ("", 0.0)])
def test_reciprocal_rank_uses_the_first_20(ranking: str, score: float) -> None:
    assert reciprocal_rank(["a", "b"], list(ranking)) == score


def test_the_archipelago_task_queries_one_language_and_searches_in_all() -> None:
    task = catalog.get("isle-answer-pairs")
    examples = list(task.source.read(task, "qka", "test", None, size=3, seed=0))
    languages = task.source.languages("test")
    queries, pool = examples[:3], examples[3:]
    assert all(not query.passage and len(query.relevant) == len(languages) for query in queries)
    assert all(not candidate.query and candidate.passage for candidate in pool)
    assert {name for query in queries for name in query.relevant} == {candidate.id for candidate in pool}
    other = list(task.source.read(task, "qen", "test", None, size=3, seed=0))
    assert other[3:] == pool  # the same pool, queried in another language
    assert [e.relevant for e in other[:3]] == [e.relevant for e in queries]
    assert other[0].query != queries[0].query
    assert task.metrics[0] == "map@20"
    perfect = {"top": list(queries[0].relevant), "ranks": list(range(1, len(languages) + 1))}
    assert metrics.get("map@20").compute_counts(FORMAT.gold(queries[0]), perfect) == (1.0, 1.0)
