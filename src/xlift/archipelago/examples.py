"""The examples of every task, with gold labels, generated from meanings.

`make_example(kind, code, split, seed, index)` is a pure function. The meaning does not depend on the language, so index
17 of a split has the same meaning in every language: test sets are parallel, as those of XNLI and XQuAD are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from xlift.archipelago import corpus
from xlift.archipelago.concepts import KIND, MEMBERS, VERBS
from xlift.archipelago.grammar import Grammar, Sentence, get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES, SOURCE_LANGUAGE
from xlift.archipelago.lexicon import get_names, spell
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.sentence_pairs import (
    change_one_detail,
    sample_nli_pair,
    sample_paraphrase_pair,
    sample_replacement,
)
from xlift.archipelago.world import Entity, Event, change_tense, get_world

ExampleFields = dict[str, Any]


def make_example(kind: str, code: str, split: str, seed: int, index: int) -> ExampleFields:
    """Make one example of a task in one language, as the fields of its format.

    Args:
        kind: a key of `EXAMPLE_KINDS`.
        code: of the language, a key of `languages.GENERATED_LANGUAGES`.
        split: 'train', 'dev' or 'test'; splits never share a random stream.
        seed, index: any whole numbers.
    """
    rng = random_stream(kind, split, seed, index)
    return {"id": f"{split}-{seed}-{index}", **EXAMPLE_KINDS[kind](rng, get_grammar(code), (split, seed, index))}


# --- pair classification --------------------------------------------------------------------------------------------


def _nli(balanced: bool) -> Callable[[random.Random, Grammar, tuple], ExampleFields]:
    def make(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
        """Entailment drops details, contradiction opposes or negates, neutral replaces or adds something."""
        premise, hypothesis, label = sample_nli_pair(rng, balanced)
        return {"text_a": grammar.sentence(premise).text, "text_b": grammar.sentence(hypothesis).text, "label": label}

    return make


def paraphrase(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """Adversarial: both labels keep nearly all words; for 'different', two persons are swapped."""
    first, second, front, label = sample_paraphrase_pair(rng)
    return {"text_a": grammar.sentence(first).text, "text_b": grammar.sentence(second, front).text, "label": label}


# --- tagging --------------------------------------------------------------------------------------------------------


def _tagging(field: str) -> Callable[[random.Random, Grammar, tuple], ExampleFields]:
    def make(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
        event = get_world().sample_event(rng, detail=0.6)
        front = rng.choice(("", "", "place", "time"))
        is_question = rng.random() < 0.1
        role = rng.choice(_question_roles(event)) if is_question else ""
        sentence = grammar.question(event, role) if is_question else grammar.sentence(event, front)
        tokens = sentence.tokens
        return {"words": tuple(t.form for t in tokens), "tags": tuple(getattr(t, field) for t in tokens)}

    return make


def _question_roles(event: Event) -> list[str]:
    """Roles of the event that a question can ask for."""
    return [role for role in ("agent", "patient", "other", "place") if getattr(event, role)]


# --- questions ------------------------------------------------------------------------------------------------------


def qa(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """Extractive: the answer is a constituent of one of four sentences about different people."""
    events = _sample_passage(rng, 4)
    position = rng.randrange(len(events))
    event = events[position]
    role = rng.choice(_question_roles(event))
    context, starts = _join_sentences([grammar.sentence(each) for each in events])
    start, answer = grammar.sentence(event).span(role)
    start += starts[position]
    if role in ("place", "other"):  # the adposition is not part of the answer
        start, answer = _strip_adposition(grammar, event, role, start, answer)
    question = grammar.question(replace(event, **_drop_details(rng, role)), role)
    return {"context": context, "question": question.text, "answers": (answer,), "starts": (start,)}


def qa_unanswerable(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """As `qa`, but a third of the questions have no answer in the passage."""
    if rng.random() < 2 / 3:
        return qa(rng, grammar, key)
    events = _sample_passage(rng, 4)
    absent = _sample_passage(rng, 1, excluded=events)[0]
    role = rng.choice(_question_roles(absent))
    present = rng.choice(events)  # the question is about an agent of the passage and an event that is not in it
    question = replace(absent, agent=present.agent) if role != "agent" else absent
    question = replace(question, **_drop_details(rng, role))
    context = _join_sentences([grammar.sentence(event) for event in events])[0]
    return {"context": context, "question": grammar.question(question, role).text, "answers": (), "starts": ()}


def _sample_passage(rng: random.Random, num_sentences: int, excluded: Sequence[Event] = ()) -> list[Event]:
    """Events that share no participant and no verb with each other or with `excluded`, so that a question has one answer."""
    used = {concept for event in excluded for concept in _participant_concepts(event)}
    verbs = {event.verb for event in excluded}
    events: list[Event] = []
    while len(events) < num_sentences:
        event = get_world().sample_event(rng, detail=0.5)
        concepts = _participant_concepts(event)
        if concepts & used or event.verb in verbs or len(_question_roles(event)) < 2 or event.negated:
            continue
        used |= concepts
        verbs.add(event.verb)
        events.append(event)
    return events


def _participant_concepts(event: Event) -> set[str]:
    return {entity.concept for entity in (event.agent, event.patient, event.other) if entity}


def _drop_details(rng: random.Random, role: str) -> dict[str, Any]:
    """Fields that a question leaves out: its time, and often its place."""
    dropped: dict[str, Any] = {"time": ""}
    if role != "place" and rng.random() < 0.5:
        dropped["place"] = None
    return dropped


def _join_sentences(sentences: list[Sentence]) -> tuple[str, list[int]]:
    starts, text = [], ""
    for sentence in sentences:
        starts.append(len(text))
        text += sentence.text + " "
    return text.rstrip(), starts


def _strip_adposition(grammar: Grammar, event: Event, role: str, start: int, answer: str) -> tuple[int, str]:
    phrase = next(p for p in grammar.sentence(event).phrases if p.role == role)
    text = " ".join(token.form for token in phrase.tokens if token.upos != "ADP")
    # The adposition is at one end; searching for the noun could match letters inside the adposition.
    return start + (len(answer) - len(text) if phrase.tokens[0].upos == "ADP" else 0), text


def reading(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """Reading comprehension with four choices of the same kind; up to two wrong ones are from the passage."""
    events = _sample_passage(rng, 3)
    event = rng.choice(events)
    role = rng.choice(_question_roles(event))
    answer: Entity = getattr(event, role)
    others = [getattr(other, r) for other in events if other is not event for r in _question_roles(other)]
    distractors = [entity for entity in others if _is_same_kind(entity, answer)]
    rng.shuffle(distractors)
    choices = _drop_duplicates([answer, *distractors])[:3]
    while len(choices) < 4:
        distractor = sample_replacement(rng, answer, event.verb, role, _participant_concepts(event))
        choices = _drop_duplicates([*choices, distractor])
    label, texts = _shuffle_choices(rng, [_phrase(grammar, choice) for choice in choices])
    context = _join_sentences([grammar.sentence(each) for each in events])[0]
    question = grammar.question(replace(event, **_drop_details(rng, role)), role).text
    return {"context": context, "question": question, "choices": tuple(texts), "label": label}


def _is_same_kind(a: Entity, b: Entity) -> bool:
    if a.is_name or b.is_name:
        return a.is_name and b.is_name and (a.concept.startswith("place:") == b.concept.startswith("place:"))
    return KIND[a.concept] == KIND[b.concept]


def _drop_duplicates(entities: list[Entity]) -> list[Entity]:
    """Keep the first entity of each concept, and the first of names that some language spells alike."""
    first: dict[str, Entity] = {}
    for entity in entities:
        first.setdefault(_first_homograph().get(entity.concept, entity.concept), entity)
    return list(first.values())


@lru_cache(maxsize=1)
def _first_homograph() -> dict[str, str]:
    """Name -> the first name with the same spelling in some language; a script may have one letter for two sounds."""
    table: dict[str, str] = {}
    for language in GENERATED_LANGUAGES.values():
        by_spelling: dict[str, str] = {}
        for name, sounds in get_names().items():
            earlier = by_spelling.setdefault(spell(language, sounds), name)
            if earlier != name:
                table[name] = earlier
    return table


def _phrase(grammar: Grammar, entity: Entity) -> str:
    return " ".join(token.form for token in grammar.noun_phrase(entity))


def _shuffle_choices(rng: random.Random, choices: list[str]) -> tuple[int, list[str]]:
    """Shuffle the choices; returns the new position of the first one (the right one), and the choices."""
    order = list(range(len(choices)))
    rng.shuffle(order)
    return order.index(0), [choices[i] for i in order]


def commonsense(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """No passage: what is the usual object of this kind of person's action, or its usual place? The splits ask for
    different facts, so a model must have learnt the statistics of the world in pretraining."""
    while True:
        noun = rng.choice(MEMBERS["person"])
        profile = get_world().agent_profiles[noun]
        if rng.random() < 0.3:
            verb = next(v for v in profile.verbs if VERBS[v][0] == "intransitive")
            answer = Entity(profile.places[0])
            event, role, usual = Event(verb, Entity(noun), place=answer), "place", set(profile.places)
        else:
            verb = rng.choice([v for v in profile.verbs if v in profile.objects and VERBS[v][0] == "transitive"])
            answer = Entity(profile.objects[verb][0])
            event, role, usual = Event(verb, Entity(noun), answer), "patient", set().union(*profile.objects.values())
        unusual = [n for n in MEMBERS[KIND[answer.concept]] if n not in usual]
        if len(unusual) >= 4 and _sample_split_of_fact(noun, verb) == key[0]:
            break
    choices = [answer, *(Entity(n) for n in rng.sample(unusual, 4))]
    label, texts = _shuffle_choices(rng, [_phrase(grammar, choice) for choice in choices])
    return {"context": "", "question": grammar.question(event, role).text, "choices": tuple(texts), "label": label}


def _sample_split_of_fact(noun: str, verb: str) -> str:
    return random_stream("split of fact", noun, verb).choices(("train", "dev", "test"), (6, 2, 2))[0]


def continuation(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """Choose the next sentence of a story. Wrong endings have another subject, or the right subject in another's event."""
    story = get_world().sample_document(rng, 3, restate=0.15)
    context = _join_sentences([grammar.sentence(event) for event in story[:2]])[0]
    right = story[2]
    wrong: list[Event] = []
    while len(wrong) < 3:
        event = change_tense(get_world().sample_event(rng), right.tense)
        if len(wrong) == 2:  # the last one has the story's subject in an event of another agent
            event = replace(event, agent=story[0].agent)
        if event not in (right, *wrong) and event.agent not in (event.patient, event.other):
            wrong.append(event)
    label, texts = _shuffle_choices(rng, [grammar.sentence(event).text for event in (right, *wrong)])
    return {"context": context, "question": "", "choices": tuple(texts), "label": label}


# --- pairs of sentences ---------------------------------------------------------------------------------------------


def retrieval(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """A sentence and its translation in the source language."""
    event = get_world().sample_event(rng, detail=0.7)
    return {"text": grammar.sentence(event).text, "translation": get_grammar(SOURCE_LANGUAGE).sentence(event).text}


def mining(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """As in BUCC: half of the sentences have a translation. The others are on one side only (the other field is empty).
    Half of those are hard negatives: the sentence of a pair a few examples before, with one detail changed."""
    is_paired, event = _sample_mining_event(rng)
    if is_paired:
        return {"text": grammar.sentence(event).text, "translation": get_grammar(SOURCE_LANGUAGE).sentence(event).text}
    previous = _previous_paired_event(*key) if rng.random() < 0.5 else None
    unpaired = change_one_detail(rng, previous, previous) if previous else event
    if rng.random() < 0.5:
        return {"text": grammar.sentence(unpaired).text, "translation": ""}
    return {"text": "", "translation": get_grammar(SOURCE_LANGUAGE).sentence(unpaired).text}


def _sample_mining_event(rng: random.Random) -> tuple[bool, Event]:
    """Whether the sentence has a translation, and its meaning."""
    return rng.random() < 0.5, get_world().sample_event(rng, detail=0.7)


def _previous_paired_event(split: str, seed: int, index: int) -> Event | None:
    """Meaning of the nearest of the eight earlier examples that has a translation; None if none has."""
    for earlier in range(index - 1, max(index - 9, -1), -1):
        is_paired, event = _sample_mining_event(random_stream("mining", split, seed, earlier))
        if is_paired:
            return event
    return None


def answer_retrieval(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """As in LAReQA: a question in the source language and the sentence of this language that answers it."""
    event, role = _sample_question(rng)
    question = get_grammar(SOURCE_LANGUAGE).question(event, role).text
    return {"text": grammar.sentence(event).text, "translation": question}


def answer_pair(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
    """A question and the sentence that answers it, in one language: LAReQA's training pairs and its candidate pool."""
    event, role = _sample_question(rng)
    return {"query": grammar.question(event, role).text, "passage": grammar.sentence(event).text}


def _sample_question(rng: random.Random) -> tuple[Event, str]:
    """Sample an event and one of its roles for a question."""
    while True:
        event = get_world().sample_event(rng, detail=0.7)
        if len(_question_roles(event)) >= 2 and not event.negated:
            return event, rng.choice(_question_roles(event))


def translation(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """A document of one to three sentences and its translation in the source language."""
    events = get_world().sample_document(rng, rng.choice((1, 2, 3)))
    text, translation = (corpus.write_document(c, events, key) for c in (grammar.language.code, SOURCE_LANGUAGE))
    return {"text": text, "translation": translation}


def _sentence_translation(into_source: bool) -> Callable[[random.Random, Grammar, tuple], ExampleFields]:
    def make(rng: random.Random, grammar: Grammar, _: tuple) -> ExampleFields:
        """A statement or a question with the same fronted phrase on both sides. A language that does not mark a tense or a
        case leaves it open, so some translations are ambiguous."""
        event = get_world().sample_event(rng, detail=0.7)
        front = rng.choice(("", "", "", "place", "time"))
        role = rng.choice(_question_roles(event)) if rng.random() < 0.15 else ""
        text, source_text = (
            (side.question(event, role) if role else side.sentence(event, front)).text
            for side in (grammar, get_grammar(SOURCE_LANGUAGE))
        )
        sides = ((grammar.language.code, text), (SOURCE_LANGUAGE, source_text))
        (source_language, source), (target_language, target) = sides if into_source else sides[::-1]
        languages = {"source_language": source_language, "target_language": target_language}
        return {"source": source, "translation": target, **languages}

    return make


def text(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """A monolingual document; every language has its own documents."""
    split, seed, index = key
    return {"text": corpus.make_document(grammar.language.code, _split_seed(split, seed), index), "translation": None}


def parallel(rng: random.Random, grammar: Grammar, key: tuple) -> ExampleFields:
    """A document and its translation in another language that has pretraining text."""
    split, seed, index = key
    text, translation = corpus.make_parallel_documents(grammar.language.code, _split_seed(split, seed), index)
    return {"text": text, "translation": translation}


def _split_seed(split: str, seed: int) -> int:
    return 3 * seed + ("train", "dev", "test").index(split)


EXAMPLE_KINDS: dict[str, Callable[[random.Random, Grammar, tuple], ExampleFields]] = {
    "nli": _nli(balanced=False),
    "nli-balanced": _nli(balanced=True),
    "paraphrase": paraphrase,
    "qa": qa,
    "qa-unanswerable": qa_unanswerable,
    "continuation": continuation,
    "reading": reading,
    "commonsense": commonsense,
    "supertags": _tagging("supertag"),
    "pos": _tagging("upos"),
    "names": _tagging("name"),
    "retrieval": retrieval,
    "mining": mining,
    "answers": answer_retrieval,
    "answer-pairs": answer_pair,
    "translation": translation,
    "text": text,
    "parallel": parallel,
    # "pivot" is the source language; the kind is hashed into the random stream, so it keeps its name.
    "to-pivot": _sentence_translation(into_source=True),
    "from-pivot": _sentence_translation(into_source=False),
}
