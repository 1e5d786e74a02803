"""A small oracle for NLI labels and answers over meanings, written from the definitions, independent of the generator.

The convention: two sentences are about the same participants. Dropping a detail or using a more general word gives an
entailed sentence; opposite verbs or adjectives contradict each other; negation reverses the direction of entailment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xlift.archipelago.concepts import ADJECTIVES, ANTONYM_VERBS, NOUNS, VERBS
from xlift.archipelago.grammar import Grammar, Sentence
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.world import Entity, Event

ROLES = ("agent", "patient", "other", "place")
GENERAL = {noun: general for groups in NOUNS.values() for general, nouns in groups.items() for noun in nouns}
OPPOSITES = {frozenset(pair) for pair in ANTONYM_VERBS} | {frozenset(pair[:2]) for pair in ADJECTIVES}


def relation(premise: Event, hypothesis: Event) -> str:
    """'entailment', 'contradiction' or 'neutral'."""
    p, h = replace(premise, negated=False), replace(hypothesis, negated=False)
    if not premise.negated and not hypothesis.negated:
        if entails(p, h):
            return "entailment"
        return "contradiction" if contradicts(p, h, verbs_only=False) else "neutral"
    if not premise.negated:
        if entails(p, h):
            return "contradiction"
        # An event of an old smith entails nothing about a young one, so only opposite verbs count here.
        return "entailment" if contradicts(p, h, verbs_only=True) else "neutral"
    if entails(h, p):
        return "entailment" if hypothesis.negated else "contradiction"
    return "neutral"


def entails(premise: Event, hypothesis: Event) -> bool:
    """Whether an affirmative event entails another one."""
    return (
        (premise.verb, premise.tense) == (hypothesis.verb, hypothesis.tense)
        and hypothesis.time in ("", premise.time)
        and all(
            _same_or_more_general(premise, getattr(premise, role), getattr(hypothesis, role), role) for role in ROLES
        )
    )


def _same_or_more_general(event: Event, entity: Entity | None, other: Entity | None, role: str) -> bool:
    if other is None:  # only a place can be dropped, except the goal of a motion
        return entity is None or (role == "place" and VERBS[event.verb][0] != "motion")
    if entity is None or entity.plural != other.plural:
        return False
    if entity.concept == other.concept:
        return other.adjective in ("", entity.adjective)
    return GENERAL.get(entity.concept) == other.concept and not other.adjective


def contradicts(premise: Event, hypothesis: Event, verbs_only: bool) -> bool:
    return any(entails(premise, opposite) for opposite in _opposites(hypothesis, verbs_only))


def _opposites(event: Event, verbs_only: bool) -> Iterator[Event]:
    """The event with its verb, or one adjective, replaced by the opposite."""
    yield from (replace(event, verb=other) for other in _opposite(event.verb))
    if verbs_only:
        return
    for role in ROLES:
        entity: Entity | None = getattr(event, role)
        if entity:
            yield from (replace(event, **{role: replace(entity, adjective=a)}) for a in _opposite(entity.adjective))


def _opposite(word: str) -> list[str]:
    return [other for pair in OPPOSITES if word in pair for other in pair if other != word]


def answers(event: Event, question: Event, role: str) -> bool:
    """Whether an event answers the question for a role."""
    if (event.verb, event.tense) != (question.verb, question.tense) or getattr(event, role) is None:
        return False
    others = [(getattr(event, r), getattr(question, r)) for r in ROLES if r != role]
    return all(expected is None or entity == expected for entity, expected in others) and question.time in (
        "",
        event.time,
    )


class RecordingGrammar(Grammar):
    """A grammar that records the events of its statements and questions."""

    def __init__(self, code: str) -> None:
        super().__init__(GENERATED_LANGUAGES[code])
        self.statements: list[Event] = []
        self.questions: list[tuple[Event, str]] = []

    def sentence(self, event: Event, front: str = "") -> Sentence:
        self.statements.append(event)
        return super().sentence(event, front)

    def question(self, event: Event, role: str) -> Sentence:
        self.questions.append((event, role))
        return super().question(event, role)
