"""Metrics against hand-made cases and against second implementations in this file."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.errors import UserError
from xlift.tasks import metrics
from xlift.tasks.metrics import answers
from xlift.tasks.metrics.base import Metric
from xlift.tasks.metrics.squad import best_threshold

UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-DATE", "I-DATE"]


def score(name, pairs):
    metric = metrics.get(name)
    return float(
        metric.compute_score(np.sum([metric.compute_counts(gold, prediction) for gold, prediction in pairs], axis=0))
    )


# --- second implementations -----------------------------------------------------------------------------------------


def legacy_chunks(tags):
    """XTREME's rule from its description: a run of one tag is one chunk, each tag with S is one."""
    found, i = set(), 0
    for tag, run in groupby(tags):
        n = len(list(run))
        found |= {(tag, j, j) for j in range(i, i + n)} if tag[0] == "S" else {(tag, i, i + n - 1)}
        i += n
    return found


def bio_chunks(tags):
    """Entities of any BIO sequence: an I that does not continue an entity begins one."""
    found, entity = [], None
    for i, tag in enumerate(tags):
        kind = tag[2:]
        if tag == "O":
            entity = None
        elif tag[0] == "B" or entity is None or entity[0] != kind:
            entity = [kind, i, i]
            found.append(entity)
        else:
            entity[2] = i
    return {tuple(entity) for entity in found}


def micro_f1(chunks, pairs):
    correct = sum(len(chunks(gold) & chunks(prediction)) for gold, prediction in pairs)
    gold, predicted = (sum(len(chunks(pair[side])) for pair in pairs) for side in (0, 1))
    precision, recall = correct / predicted if predicted else 0, correct / gold if gold else 0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def sentences(tags):
    pair = st.lists(st.tuples(st.sampled_from(tags), st.sampled_from(tags)), min_size=1, max_size=12)
    return st.lists(pair.map(lambda both: tuple(map(list, zip(*both, strict=True)))), min_size=1, max_size=5)


# --- chunks ---------------------------------------------------------------------------------------------------------


@given(sentences(UPOS))
def test_legacy_f1_counts_runs_of_tags(pairs):
    assert score("chunk-f1-legacy", pairs) == pytest.approx(micro_f1(legacy_chunks, pairs))


@given(sentences(BIO))
def test_entity_f1_on_any_bio_sequence(pairs):
    assert score("entity-f1", pairs) == pytest.approx(micro_f1(bio_chunks, pairs))


@given(sentences(BIO))
def test_both_rules_agree_on_bio(pairs):
    # Checked with both versions of seqeval; true for types without a hyphen.
    assert score("entity-f1", pairs) == score("chunk-f1-legacy", pairs)


@given(sentences([*BIO, "E-PER", "S-LOC", "B", "I", "E", "S"]))
def test_entity_f1_equals_seqeval(pairs):
    seqeval = pytest.importorskip("seqeval.metrics")
    # In seqeval every sentence but the first follows an 'O', which matters for tags of one letter. (For tags of no
    # scheme, such as 'X', seqeval makes chunks whose start is from a previous sentence.)
    pairs = [(["O"], ["O"]), *pairs]
    gold, prediction = (list(side) for side in zip(*pairs, strict=True))
    assert score("entity-f1", pairs) == pytest.approx(seqeval.f1_score(gold, prediction))


def test_one_wrong_tag_of_nine():
    # The case of the reference: accuracy .889, chunk F1 .800 under seqeval 0.0.12, where the wrong tag splits a run.
    gold = "DET ADJ NOUN NOUN VERB ADV ADV ADP PRON".split()
    prediction = "DET ADJ NOUN VERB VERB ADV ADV ADP PRON".split()
    assert score("tag-accuracy", [(gold, prediction)]) == pytest.approx(8 / 9)
    assert metrics.get("chunk-f1-legacy").compute_counts(gold, prediction) == (5, 7, 7)
    prediction = "DET ADJ NOUN NUM VERB ADV ADV ADP PRON".split()
    assert metrics.get("chunk-f1-legacy").compute_counts(gold, prediction) == (6, 7, 8)
    assert score("chunk-f1-legacy", [(gold, prediction)]) == pytest.approx(0.8)


def test_legacy_compares_whole_tags():
    # From 1.0 on seqeval removes the first letter: CCONJ for SCONJ then counts as correct ("CONJ").
    assert score("chunk-f1-legacy", [(["NOUN", "SCONJ", "VERB"], ["NOUN", "CCONJ", "VERB"])]) == pytest.approx(2 / 3)


def test_legacy_counts_a_last_x():
    # seqeval 1.x drops an X at the end of a sentence.
    assert metrics.get("chunk-f1-legacy").compute_counts(["NOUN", "X"], ["NOUN", "X"]) == (2, 2, 2)
    assert metrics.get("entity-f1").compute_counts(["X"], ["X"]) == (0, 0, 0)


def test_legacy_singletons():
    # S is the prefix of a singleton: two SCONJ are two chunks, two NOUN are one.
    assert metrics.get("chunk-f1-legacy").compute_counts(["SCONJ", "SCONJ"], ["NOUN", "NOUN"]) == (0, 2, 1)


def test_entity_needs_type_and_both_ends():
    gold = ["B-PER", "I-PER", "O", "B-LOC"]
    assert metrics.get("entity-f1").compute_counts(gold, ["B-PER", "I-PER", "O", "B-DATE"]) == (1, 2, 2)
    assert metrics.get("entity-f1").compute_counts(gold, ["B-PER", "O", "O", "B-LOC"]) == (1, 2, 2)


def test_entity_type_may_contain_hyphens():
    assert metrics.get("entity-f1").compute_counts(["B-A-X", "I-B-X"], ["B-A-X", "I-A-X"]) == (0, 2, 1)


@pytest.mark.parametrize("name", ["entity-f1", "chunk-f1-legacy", "tag-accuracy"])
def test_a_wrong_number_of_tags_is_refused(name):
    with pytest.raises(ValueError, match="1 tags predicted for 2 words|shorter|longer"):
        metrics.get(name).compute_counts(["O", "O"], ["O"])


def test_no_entity_anywhere_scores_zero_as_in_seqeval():
    assert score("entity-f1", [(["O", "O"], ["O", "O"])]) == 0


# --- SQuAD ----------------------------------------------------------------------------------------------------------


def official_f1(gold, prediction):
    """Second implementation of SQuAD v1.1's F1 of one answer."""

    def words(text):
        text = re.sub(r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]""", "", text.lower())
        return list(re.sub(r"\b(?:a|an|the)\b", " ", text).split())

    left, right = Counter(words(gold)), Counter(words(prediction))
    shared = sum(min(left[word], right[word]) for word in left)
    if not shared:
        return 0.0
    precision, recall = shared / sum(right.values()), shared / sum(left.values())
    return 2 * precision * recall / (precision + recall)


texts = st.text(alphabet="abc the.,'-AN 北京。", max_size=20)


@given(st.lists(texts, min_size=1, max_size=3), texts)
def test_squad_f1_is_the_maximum_over_answers(gold, prediction):
    assert score("squad-f1", [(gold, prediction)]) == pytest.approx(max(official_f1(g, prediction) for g in gold))


@pytest.mark.parametrize(
    ("gold", "prediction", "exact", "f1"),
    [
        (["the Eiffel Tower"], "Eiffel Tower!", 1, 1),
        (["308"], "308 points", 0, 2 / 3),
        (["in 1990", "1990"], "1990", 1, 1),  # the maximum over the answers
        (["北京"], "北京市", 0, 0),  # no spaces: one word, so nothing shared
        (["北京"], "北京。", 0, 0),  # only ASCII punctuation is removed
        (["Paris"], "«Paris»", 0, 0),
        (["x x y"], "x y y", 0, 2 / 3),  # words are counted with their number
        (["the"], "an", 1, 0),  # v1.1: equal after normalisation, but no shared word
        ([], "", 1, 1),  # v2.0: no answer, and none is predicted
        ([], "Paris", 0, 0),
        (["Paris"], "", 0, 0),
    ],
)
def test_squad_cases(gold, prediction, exact, f1):
    assert score("squad-em", [(gold, prediction)]) == exact
    assert score("squad-f1", [(gold, prediction)]) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("gold", "prediction", "exact", "f1"),
    [
        (["the"], "an", 1, 1),  # v2.0: both normalise to nothing
        (["the"], "", 1, 1),  # a gold answer that normalises to nothing is dropped
        (["the", "Paris"], "", 0, 0),
        (["Paris"], "the", 0, 0),
        ([], "the", 1, 1),
        ([], "Paris", 0, 0),
    ],
)
def test_squad_v2_with_empty_normalised_answers(gold, prediction, exact, f1):
    assert score("squad2-em", [(gold, prediction)]) == exact
    assert score("squad2-f1", [(gold, prediction)]) == f1


def test_best_threshold_after_the_last_question_and_with_ties():
    # All questions have answers and all are correct: the best threshold is after the last one.
    assert best_threshold([1, 1], [True, True], [True, True], [0.2, 0.9]) == (1.0, 0.9)
    # Answering gains nothing: the threshold stays 0.
    assert best_threshold([0, 0], [True, True], [False, False], [0.2, 0.9]) == (1.0, 0.0)
    # Both have the same probability, so no threshold answers only the first, as the official scan does.
    tied = ([1, 0], [True, True], [True, False], [0.5, 0.5])
    assert best_threshold(*tied) == (1.0, 0.5)
    assert best_threshold(*tied, repaired=True) == (0.5, 0.0)
    with pytest.raises(ValueError, match="no questions"):
        best_threshold([], [], [], [])


# --- MLQA and the repaired rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "gold", "prediction", "official", "repaired"),
    [
        ("zh", "北京", "北京市", (0, 0.8), (0, 0.8)),
        ("zh", "北京", "北京。", (1, 1), (1, 1)),
        ("zh", "NBA联盟", "nba 联盟", (1, 1), (1, 1)),
        ("zh", "㐀龦", "㐀", (0, 0), (0, 2 / 3)),  # MLQA joins rare characters
        ("ar", "السؤال", "سؤ", (1, 1), (0, 0)),  # MLQA removes the article from the middle of the word
        ("ar", "العالم المال", "ع م م", (1, 1), (0, 0)),
        ("ar", "السيارة", "سيارة", (1, 1), (1, 1)),
        ("vi", "của Hà Nội", "Hà Nội", (1, 1), (1, 1)),
        ("vi", unicodedata.normalize("NFD", "của Hà Nội"), "Hà Nội", (0, 0), (1, 1)),
        ("de", "dem Haus", "Häuser", (0, 0), (0, 0)),
        ("de", "des Hauses", "„Hauses“", (1, 1), (1, 1)),
        ("es", "¿los rayos?", "rayos", (1, 1), (1, 1)),
        ("hi", "दिल्ली।", "दिल्ली", (1, 1), (1, 1)),
        ("en", "the", "an", (1, 0), (1, 1)),
        ("en", "", "", (1, 0), (1, 1)),
    ],
)
def test_answers_by_language(language, gold, prediction, official, repaired):
    found = [
        tuple(metrics.get(f"{rule}-{what}").count_example([gold], prediction, language)[0] for what in ("em", "f1"))
        for rule in ("mlqa", "answer")
    ]
    assert found == [pytest.approx(official), pytest.approx(repaired)]


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("th", "กรุงเทพ 12", ["ก", "รุ", "ง", "เ", "ท", "พ", "12"]),  # marks stay with their base
        ("ja", "東京タワー!", ["東", "京", "タ", "ワ", "ー"]),
        ("ko", "서울시 «중구»", ["서울시", "중구"]),
        ("ar", "والكتاب الكتاب", ["والكتاب", "كتاب"]),
        ("ru", "«Москва», а не", ["москва", "а", "не"]),
        ("zh-Hant", "NBA的x", ["nba", "的", "x"]),
    ],
)
def test_words_of_the_repaired_rule(language, text, words):
    assert answers.tokenize_answer(text, language) == words


def test_the_repaired_rule_removes_quotes_of_any_script():
    assert metrics.get("squad-em").compute_counts(["Paris"], "«Paris»") == (0, 1)
    assert metrics.get("answer-em").compute_counts(["Paris"], "«Paris»", "fr") == (1, 1)


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_a_candidate_of_a_pool_is_not_scored():
    assert metrics.get("map@20").compute_counts(None, None) == (0, 0)
    assert metrics.get("map").compute_counts(None, None) == (0, 0)
    assert metrics.get("mrr@20").compute_counts(["a"], None) == (0, 1)


def test_paraphrases_without_a_positive_on_either_side():
    # F1 is 0 without positives, so a perfect prediction scores one half.
    assert score("accuracy-f1", [("0", "0"), ("0", "0")]) == 0.5
    assert score("accuracy-f1", [("duplicate", "duplicate"), ("not_duplicate", "not_duplicate")]) == 1


# --- all ------------------------------------------------------------------------------------------------------------


def test_accuracy_of_labels_choices_and_ids():
    assert score("accuracy", [("neutral", "neutral"), (2, 0), ("17", "17"), (1, 1)]) == 0.75


def test_counts_by_label_use_the_labels_of_all_examples():
    def compute_counts(gold, prediction, labels):
        return tuple(float(label in gold) + 10 * (label in prediction) for label in labels)

    metric = Metric("m", "m", ("n",), compute_counts, lambda sums: sums.sum(axis=-1), uses_labels=True)
    counts = metric.count_examples([["b"], []], [["a", "b"], ["c"]], "sw")
    assert counts.tolist() == [[10, 11, 0], [0, 0, 10]]
    assert metric.score(counts) == 31


SUMMED = [metric for metric in metrics.METRICS if metric.leave_one_out is None]


@pytest.mark.parametrize("metric", SUMMED, ids=lambda metric: metric.name)
def test_compute_score_takes_any_leading_shape_and_never_divides_by_zero(metric):
    sums = np.zeros((2, 3, len(metric.count_names)))
    sums[0, 0] = 1  # one correct example: (1, 1) or (1, 1, 1)
    with np.errstate(all="raise"):
        value = metric.compute_score(sums)
    assert value.shape == (2, 3)
    assert value[0, 0] == (metric.name != "pearson")  # one example has no correlation
    assert math.isnan(value[1, 2]) or value[1, 2] == 0
    assert metric.compute_score(np.zeros(len(metric.count_names))).shape == ()


def test_an_unknown_metric_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'accuracy'"):
        metrics.get("acuracy")
