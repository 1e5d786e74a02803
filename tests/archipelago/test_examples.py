"""The examples of every kind: reproducible, parallel across languages, with right answers and tags."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.archipelago.oracle import RecordingGrammar, answers
from tests.support.profile import scaled

from xlift.archipelago import corpus, examples
from xlift.archipelago.concepts import MEMBERS
from xlift.archipelago.examples import EXAMPLE_KINDS, make_example
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.world import Entity, get_world
from xlift.tasks.sources.generated import ISLES, NAME_TAGS, SUPERTAGS, UPOS

codes = st.sampled_from(sorted(GENERATED_LANGUAGES))
indices = st.integers(0, 10**9)
every_language = pytest.mark.parametrize("code", GENERATED_LANGUAGES)

# Digests of the first examples of each kind. If you change one on purpose, increment `xlift.archipelago.VERSION`.
DIGESTS = {
    "nli": "28cc3ee4c894",
    "nli-balanced": "f32b73ac06b8",
    "paraphrase": "905327788535",
    "qa": "eb15d0de675e",
    "qa-unanswerable": "13278d01d45a",
    "continuation": "5b0c81364df7",
    "reading": "aaafc6eb3704",
    "commonsense": "35d131261b89",
    "supertags": "56d32e18271c",
    "pos": "a83a9205f9b7",
    "names": "9304471877cf",
    "retrieval": "69c28dc0f988",
    "mining": "353641314bf6",
    "answers": "882bc356ab33",
    "answer-pairs": "84b72d4d7af5",
    "translation": "6443bea9b4c9",
    "text": "b13af39d290d",
    "parallel": "0d0f93bd0853",
    "to-pivot": "6938999aee7c",
    "from-pivot": "c26c7b0bcdb9",
}

DIGEST_SCRIPT = "from tests.archipelago.test_examples import digests; import json; print(json.dumps(digests()))"


def digests() -> dict[str, str]:
    found = {}
    for kind in EXAMPLE_KINDS:
        rows = [make_example(kind, code, "test", 0, index) for code in ("qto", "qka", "qeo") for index in range(5)]
        found[kind] = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:12]
    return found


def test_examples_equal_the_pinned_ones():
    assert digests() == DIGESTS


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_generates_the_same_examples(hash_seed):
    # The order of a set depends on PYTHONHASHSEED, so an example sampled from one would differ here.
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", DIGEST_SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == digests()


def test_splits_never_share_a_random_stream(monkeypatch):
    names: list[tuple] = []

    def recording(*name):
        names.append(name)
        return random_stream(*name)

    monkeypatch.setattr(examples, "random_stream", recording)
    monkeypatch.setattr(corpus, "random_stream", recording)
    # The split of a fact and the first document of a language are drawn once for all splits.
    constant = {"split of fact", "documents of"}
    used = {}
    for split in ("train", "dev", "test"):
        names.clear()
        for kind in EXAMPLE_KINDS:
            for seed in (0, 1, 2):
                for index in range(12):
                    make_example(kind, "qto", split, seed, index)
        used[split] = {name for name in names if name[0] not in constant}
    assert not used["train"] & used["dev"]
    assert not used["train"] & used["test"]
    assert not used["dev"] & used["test"]


@pytest.mark.parametrize("task", ISLES, ids=lambda task: task.name)
def test_smaller_subsets_are_prefixes_of_larger_ones(task):
    def read(size):
        return list(task.source.read(task, "qka", "train", None, size=size, seed=3))

    assert read(4) == read(9)[:4]


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLE_KINDS if kind not in ("text", "parallel")])
@settings(max_examples=scaled(25), deadline=None)
@given(index=indices)
def test_an_index_has_the_same_meaning_in_every_language(kind, index):
    meanings = []
    for code in GENERATED_LANGUAGES:
        row = make_example(kind, code, "test", 0, index)
        grammar = RecordingGrammar(code)
        EXAMPLE_KINDS[kind](random_stream(kind, "test", 0, index), grammar, ("test", 0, index))
        shared = {key: row[key] for key in ("id", "label") if key in row}
        shared["source_language_text"] = row.get("source" if kind == "from-pivot" else "translation")
        meanings.append((shared, grammar.statements, grammar.questions))
    assert all(other == meanings[0] for other in meanings)


# --- questions --------------------------------------------------------------------------------------------------------


@settings(max_examples=scaled(600), deadline=None)
@given(st.sampled_from(["qa", "qa-unanswerable"]), codes, indices)
def test_answers_are_whole_words_at_their_offsets(kind, code, index):
    row = make_example(kind, code, "test", 0, index)
    assert len(row["answers"]) == len(row["starts"])
    for answer, start in zip(row["answers"], row["starts"]):
        end = start + len(answer)
        assert answer
        assert row["context"][start:end] == answer
        assert start == 0 or row["context"][start - 1] == " "
        assert row["context"][end] in " ."


@settings(max_examples=scaled(400), deadline=None)
@given(codes, indices)
def test_a_question_has_one_answer_in_its_passage_or_none_if_unanswerable(code, index):
    grammar = RecordingGrammar(code)
    row = EXAMPLE_KINDS["qa-unanswerable"](
        random_stream("qa-unanswerable", "test", 0, index), grammar, ("test", 0, index)
    )
    ((question, role),) = grammar.questions
    passage = list(dict.fromkeys(grammar.statements))
    right = [event for event in passage if answers(event, question, role)]
    assert not question.time  # a time in only one kind of question would give away the kind
    if not row["answers"]:
        assert not right
        assert question.verb not in {event.verb for event in passage}
        return
    (event,) = right
    phrase = [token.form for token in get_grammar(code).noun_phrase(getattr(event, role))]
    # The answer is the noun phrase; cases only add endings, so the stems are the same.
    assert len(phrase) == len(row["answers"][0].split())
    assert all(word.startswith(stem[:2]) for word, stem in zip(row["answers"][0].split(), phrase))


@settings(max_examples=scaled(400), deadline=None)
@given(codes, indices)
def test_the_right_choice_of_reading_is_in_the_passage(code, index):
    grammar = RecordingGrammar(code)
    row = EXAMPLE_KINDS["reading"](random_stream("reading", "test", 0, index), grammar, ("test", 0, index))
    ((question, role),) = grammar.questions
    (event,) = (event for event in grammar.statements if answers(event, question, role))
    right = " ".join(token.form for token in get_grammar(code).noun_phrase(getattr(event, role)))
    assert row["choices"][row["label"]] == right
    assert len(set(row["choices"])) == 4


@settings(max_examples=scaled(400), deadline=None)
@given(st.sampled_from(["train", "dev", "test"]), indices)
def test_only_the_right_choice_of_commonsense_is_typical(split, index):
    grammar = RecordingGrammar("qta")
    row = EXAMPLE_KINDS["commonsense"](random_stream("commonsense", split, 0, index), grammar, (split, 0, index))
    ((question, role),) = grammar.questions
    profile = get_world().agent_profiles[question.agent.concept]
    usual = profile.places if role == "place" else [o for objects in profile.objects.values() for o in objects]
    written = {get_grammar("qta").words[concept].stem for concept in usual}
    nouns = {get_grammar("qta").noun_phrase(Entity(n))[0].form: n for kind in MEMBERS for n in MEMBERS[kind]}
    is_usual = [nouns[choice] in usual for choice in row["choices"]]
    assert written
    assert is_usual == [position == row["label"] for position in range(5)]


def test_splits_of_commonsense_ask_for_different_facts():
    questions = {
        split: {make_example("commonsense", "qta", split, 0, index)["question"] for index in range(400)}
        for split in ("train", "dev", "test")
    }
    assert not questions["train"] & questions["test"]
    assert not questions["train"] & questions["dev"]
    assert not questions["dev"] & questions["test"]


@settings(max_examples=scaled(200), deadline=None)
@given(codes, indices)
def test_the_right_continuation_is_the_end_of_the_story(code, index):
    row = make_example("continuation", code, "test", 0, index)
    story = get_world().sample_document(random_stream("continuation", "test", 0, index), 3, restate=0.15)
    assert row["choices"][row["label"]] == get_grammar(code).sentence(story[2]).text
    assert len(set(row["choices"])) == 4


def test_right_and_wrong_choices_have_equally_many_adjectives():
    right = wrong = 0
    rows = [make_example("reading", "qta", "test", 0, index) for index in range(1500)]
    for row in rows:
        words = [len(choice.split()) for choice in row["choices"]]
        right += words.pop(row["label"])
        wrong += sum(words)
    # Without an adjective on the wrong choices, the right one was the longer one by 0.1 words on average.
    assert abs(right - wrong / 3) / len(rows) < 0.04


def test_names_with_the_same_spelling_are_never_choices_together():
    grammar = get_grammar("qeo")
    assert grammar.noun_phrase(Entity("place:32"))[0].form == grammar.noun_phrase(Entity("place:33"))[0].form
    assert examples._drop_duplicates([Entity("place:33"), Entity("place:32")]) == [Entity("place:33")]


# --- tags and pairs ---------------------------------------------------------------------------------------------------


@every_language
@pytest.mark.parametrize(("kind", "labels"), [("supertags", SUPERTAGS), ("pos", UPOS), ("names", NAME_TAGS)])
def test_tags_are_declared_and_match_their_words(code, kind, labels):
    for index in range(300):
        row = make_example(kind, code, "train", 0, index)
        assert len(row["words"]) == len(row["tags"])
        assert set(row["tags"]) <= set(labels)
        assert row["words"][-1] in ".?"


@every_language
def test_the_supertag_of_where_depends_on_its_position(code):
    event = get_world().sample_event(random_stream("where"), Entity("smith"), detail=1.0)
    question = get_grammar(code).question(event, "place")
    tags = [token.supertag for phrase in question.phrases if phrase.role == "place" for token in phrase.tokens]
    assert tags == ["S/S" if question.phrases[0].role == "place" else r"S\S"]


def test_hard_negatives_of_mining_are_close_to_a_paired_sentence():
    rows = [make_example("mining", "qta", "test", 0, index) for index in range(600)]
    paired = [set(row["text"].split()) for row in rows if row["text"] and row["translation"]]
    unpaired = [
        set((row["text"] or row["translation"]).split()) for row in rows if not (row["text"] and row["translation"])
    ]
    near = sum(len(words) > 3 and any(len(words ^ other) <= 2 for other in paired) for words in unpaired)
    assert 0.45 < len(paired) / len(rows) < 0.55
    assert near / len(unpaired) > 0.25


@settings(max_examples=scaled(100), deadline=None)
@given(codes.filter(lambda code: code != "qta"), indices)
def test_mining_pairs_are_translations(code, index):
    row = make_example("mining", code, "test", 0, index)
    assert row["text"] or row["translation"]
    grammar = RecordingGrammar(code)
    EXAMPLE_KINDS["mining"](random_stream("mining", "test", 0, index), grammar, ("test", 0, index))
    if row["text"] and row["translation"]:
        assert row["translation"] == get_grammar("qta").sentence(grammar.statements[0]).text


@given(codes.filter(lambda code: code != "qta"), indices)
def test_both_directions_of_translation_pair_a_language_with_the_source_language(code, index):
    into, out = (make_example(kind, code, "test", 0, index) for kind in ("to-pivot", "from-pivot"))
    assert (into["source_language"], into["target_language"]) == (code, "qta")
    assert (out["source_language"], out["target_language"]) == ("qta", code)
    # Both sides are a question, or neither is.
    for row in (into, out):
        assert row["source"][-1] == row["translation"][-1]


def test_few_sentences_are_identical_in_a_close_relative_of_the_source_language():
    rows = [make_example("to-pivot", "qtm", "test", 0, index) for index in range(200)]
    assert sum(row["source"] == row["translation"] for row in rows) < 10
