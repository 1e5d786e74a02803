from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.profile import scaled

from xlift.tasks import formats
from xlift.tasks.formats import span_scores
from xlift.tasks.formats.span_qa import NO_ANSWER, SpanExample
from xlift.tasks.formats.span_scores import best_spans
from xlift.tasks.grapheme_clusters import widen_span

FORMAT = formats.get("span-qa")
CONTEXT = "the old man reads a long book in the garden of the village"


def example(answer: str, context: str = CONTEXT, question: str = "who reads?", nth: int = 0) -> SpanExample:
    start = context.index(answer, nth)
    return SpanExample("0", context, question, (answer,), (start,))


def make_perfect_outputs(features):
    """Scores of a make_perfect_outputs model: high at the targets of each window."""
    outputs = []
    for row, start, end in zip(features.input_ids, features.targets["start"], features.targets["end"], strict=True):
        scores = np.zeros((2, len(row)))
        scores[0, start] = scores[1, end] = 10.0
        outputs.append(scores)
    return outputs


@pytest.mark.parametrize("kind", tiny.TOKENIZERS)
@pytest.mark.parametrize("answer", ["the old man", "reads", "a long book", "village", "the village"])
@pytest.mark.parametrize("max_length", [64, 20])
def test_the_gold_span_decodes_to_the_gold_answer(kind, answer, max_length):
    examples = [example(answer)]
    features = FORMAT.features(examples, tiny.tokenizer(kind), (), max_length=max_length, train=False)
    assert max(map(len, features.input_ids)) <= max_length
    assert FORMAT.decode(examples, features, make_perfect_outputs(features), ()) == [answer]


TEXT = st.text(
    st.one_of(
        st.sampled_from("abe ริมน้ำ子川へ ́̈🙂👩‍🚀🇹🇭ßİﬁ½"),  # combining marks, joiners, flags, foldings
        st.characters(exclude_categories=["Cs", "Cc"]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=scaled(150), deadline=None)
@given(context=TEXT, question=TEXT, data=st.data())
@pytest.mark.parametrize("kind", ["bpe", "bpe-unspaced", "unigram"])
def test_offsets_round_trip_in_any_script(kind, context, question, data):
    tokenizer = tiny.tokenizer(kind)
    offsets = tokenizer([context], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"][0]
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, min(start + 5, len(context))))
    # Only a span that ends where tokens and grapheme clusters end round-trips exactly: grow it until it does.
    # (Tokens overlap: the bytes of one emoji share it, and "▁" has the first character of the next word.)
    for _ in offsets:
        inside = [(left, right) for left, right in offsets if left < end and right > start]
        start, end = min([start, *(left for left, _ in inside)]), max([end, *(right for _, right in inside)])
        start, end = widen_span(context, start, end)
    answer = context[start:end].strip()
    assume(answer and any(left < end and right > start for left, right in offsets))
    start += context[start:end].index(answer)
    examples = [SpanExample("0", context, question, (answer,), (start,))]
    assert FORMAT.check(examples[0], ()) is None
    features = FORMAT.features(examples, tokenizer, (), max_length=400, train=False)
    assert FORMAT.decode(examples, features, make_perfect_outputs(features), ()) == [answer]


def test_question_first_then_context_with_token_types():
    features = FORMAT.features([example("reads")], tiny.tokenizer("wordpiece"), (), max_length=64, train=False)
    (row,), (types,) = features.input_ids, features.token_type_ids
    first = features.extra["context"][0]
    assert tiny.tokenizer("wordpiece").decode(row[first : first + 2]) == "the old"
    assert types.tolist() == [0] * first + [1] * (len(row) - first)


def test_windows_overlap_and_cover_the_context():
    context = " ".join(["the book"] * 200)
    features = FORMAT.features([example("the book", context)], tiny.tokenizer(), (), max_length=64, train=False)
    begins, ends = features.extra["begins"], features.extra["ends"]
    assert len(features) > 3
    assert begins[0][0] == 0
    assert ends[-1][-1] == len(context)
    assert all(later[0] < earlier[-1] for earlier, later in zip(ends, begins[1:], strict=False))


def test_the_stride_is_the_distance_of_window_starts():
    context = " ".join(["book"] * 100)
    tokenizer = tiny.tokenizer("wordpiece")  # one token per word
    examples = [example("book", context, question="book")]
    features = FORMAT.features(examples, tokenizer, (), max_length=44, train=False, stride=15)
    assert [int(begins[0]) // 5 for begins in features.extra["begins"]] == [0, 15, 30, 45, 60]


def test_windows_without_the_answer_have_the_null_target():
    context = "Paris " + " ".join(["the book"] * 100)
    features = FORMAT.features([example("Paris", context)], tiny.tokenizer(), (), max_length=64, train=True)
    starts = features.targets["start"]
    assert starts[0] > 0
    assert set(starts[1:]) == {0}
    assert len(starts) > 1


def test_the_question_is_truncated_to_64_tokens_and_half_the_row():
    long = SpanExample("0", CONTEXT, "the " * 300, ("reads",), (12,))
    features = FORMAT.features([long], tiny.tokenizer("wordpiece"), (), max_length=384, train=False)
    assert features.extra["context"] == [1 + 64 + 1]
    features = FORMAT.features([long], tiny.tokenizer("wordpiece"), (), max_length=23, train=False)
    assert set(features.extra["context"]) == {1 + 10 + 1}


def test_the_span_is_in_the_context_and_at_most_30_tokens_long():
    context = " ".join(["book"] * 60)
    examples = [example("book", context, question="the the")]
    features = FORMAT.features(examples, tiny.tokenizer("wordpiece"), (), max_length=128, train=False)
    first = features.extra["context"][0]
    scores = np.zeros((2, len(features.input_ids[0])))
    scores[:, 1] = 99.0  # on the question: out of bounds
    scores[0, first] = 5.0
    scores[1, first + 30] = 5.0  # 31 tokens: too long
    scores[1, first + 29] = 4.0
    (prediction,) = FORMAT.decode(examples, features, [scores], ())
    assert prediction == " ".join(["book"] * 30)


SCORES = st.one_of(st.integers(-3, 3).map(float), st.floats(-9, 9, width=32), st.just(-np.inf))  # with many ties


def best_span_by_double_loop(start, end, longest):
    """The first of the best sums, over every pair of start and end."""
    best = (-np.inf, 0, 0)
    for i in range(len(start)):
        for j in range(i, min(i + longest, len(end))):
            if start[i] + end[j] > best[0]:
                best = (start[i] + end[j], i, j)
    return best


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.tuples(SCORES, SCORES), max_size=12)), max_size=6), st.data())
def test_best_spans_equal_the_double_loop(windows, data):
    longest, block_size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    rows = [np.array([(9.0, 9.0)] * first + context, np.float32).reshape(-1, 2).T for first, context in windows]
    firsts, lengths = [first for first, _ in windows], [len(context) for _, context in windows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(span_scores, "WINDOWS_PER_BLOCK", block_size)
        found = best_spans(rows, firsts, lengths, longest)
    for row, first, score, start, end in zip(rows, firsts, *found, strict=True):
        expected = best_span_by_double_loop(row[0, first:], row[1, first:], longest)
        assert score == expected[0]
        assert score == -np.inf or (start, end) == expected[1:]


def test_nan_scores_give_no_answer():
    # from a diverged model
    features = FORMAT.features([example("reads")], tiny.tokenizer(), (), max_length=64, train=False)
    scores = make_perfect_outputs(features)
    scores[0][:, 20] = np.nan
    assert FORMAT.decode([example("reads")], features, scores, ()) == [""]


def test_no_answer_only_if_the_task_allows_it():
    examples = [example("reads")]
    features = FORMAT.features(examples, tiny.tokenizer(), (NO_ANSWER,), max_length=64, train=False)
    scores = make_perfect_outputs(features)
    scores[0][:, 0] = 11.0
    assert FORMAT.decode(examples, features, scores, (NO_ANSWER,)) == [""]
    assert FORMAT.decode(examples, features, scores, ()) == ["reads"]


def test_the_lowest_null_score_of_the_windows_counts():
    # a window without the answer rightly has a high null score, which must not beat the window with the answer
    context = "Paris " + " ".join(["the book"] * 100)
    examples = [example("Paris", context)]
    features = FORMAT.features(examples, tiny.tokenizer(), (NO_ANSWER,), max_length=64, train=False)
    scores = make_perfect_outputs(features)
    for row in scores[1:]:
        row[:, 0] = 50.0
    assert FORMAT.decode(examples, features, scores, (NO_ANSWER,)) == ["Paris"]


def test_an_empty_context_gives_no_answer():
    examples = [SpanExample("0", "", "who?")]
    features = FORMAT.features(examples, tiny.tokenizer(), (NO_ANSWER,), max_length=64, train=False)
    assert FORMAT.decode(examples, features, [np.zeros((2, len(features.input_ids[0])))], ()) == [""]


def test_rows_of_several_examples_with_one_context():
    examples = [example("reads"), SpanExample("1", "Paris", "where?", ("Paris",), (0,)), example("garden")]
    features = FORMAT.features(examples, tiny.tokenizer(), (), max_length=24, train=False)
    assert features.example_index.tolist() == sorted(features.example_index)
    assert FORMAT.decode(examples, features, make_perfect_outputs(features), ()) == ["reads", "Paris", "garden"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (SpanExample("0", CONTEXT, "q", ("old man",), (5,)), "answer 'old man' is not at character 5"),
        (SpanExample("0", CONTEXT, "q", ("old man",), (-3,)), "is not at character -3"),
        (SpanExample("0", CONTEXT, "q", ("",), (0,)), "an answer is empty"),  # XTREME's stripped test files
        (SpanExample("0", CONTEXT, "q", ("old",), ()), "1 answers but 0 starts"),
        (SpanExample("0", CONTEXT, "q"), "no answer is given"),
    ],
)
def test_check(bad, message):
    assert message in (FORMAT.check(bad, ()) or "")


def test_check_counts_code_points():
    # offsets in UTF-16 units, as JavaScript counts, are too large by two after two emoji
    context = "🙂🙂 Paris"
    assert FORMAT.check(SpanExample("0", context, "q", ("Paris",), (3,)), ()) is None
    assert FORMAT.check(SpanExample("0", context, "q", ("Paris",), (5,)), ()) is not None


def test_check_accepts_no_answer_if_the_task_allows_it():
    assert FORMAT.check(SpanExample("0", CONTEXT, "q"), (NO_ANSWER,)) is None
