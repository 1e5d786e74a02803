"""Pairs of meanings with a known relation: NLI pairs (entailment, neutral, contradiction) and paraphrase pairs.

The convention of the gold labels: both sentences are about the same participants. Dropping a detail or using a more
general word gives an entailed sentence; opposite verbs and opposite adjectives contradict each other; negation reverses
the direction of entailment.

`sample_nli_pair` weights the ways to make a pair so that negation and long hypotheses occur with every label. In
`isle-nli`, a bag of words over the hypothesis alone guesses about half of the labels (fastText .67 of SNLI's and .54 of
MNLI's, Gururangan et al. 2018; chance is a third), and the numbers of shared and new words alone two thirds. In
`isle-nli-balanced` both are near chance, and learning takes more pairs. tests/archipelago/test_sentence_pairs.py bounds both.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from xlift.archipelago.concepts import (
    ADJECTIVES,
    ANTONYM,
    HYPERNYM,
    KIND,
    MEMBERS,
    NUM_PERSON_NAMES,
    NUM_PLACE_NAMES,
    TENSE_OF_TIME,
    TIMES,
    VERBS,
)
from xlift.archipelago.world import Entity, Event, converse, get_world, oppose, weaken

NLI_LABELS = ("entailment", "neutral", "contradiction")
PARAPHRASE_LABELS = ("different", "same")


class NLIPair(NamedTuple):
    premise: Event
    hypothesis: Event
    label: str


class ParaphrasePair(NamedTuple):
    first: Event
    second: Event
    front: str
    """Role that the second sentence moves (`front` of `Grammar.sentence`)."""
    label: str


def sample_nli_pair(rng: random.Random, balanced: bool = False) -> NLIPair:
    """Sample premise, hypothesis and label from an event and another one that it entails.

    Args:
        balanced: use weights under which the hypothesis alone predicts the label little better than chance.
    """
    specific, general = _sample_entailment(rng, rejection_rate=0.0 if balanced else 0.75)
    label = rng.choice(NLI_LABELS)
    if label == "entailment":
        ways = [
            (11 if balanced else 14, specific, general),
            (3 if balanced else 2, _negate(general), _negate(specific)),
        ]
        if specific.verb in ANTONYM:
            antonym = _negate(replace(general, verb=ANTONYM[specific.verb]))
            ways.append((7 if balanced else 2, specific, antonym))
    elif label == "contradiction":
        ways = [(7 if balanced else 12, specific, _negate(general)), (3 if balanced else 2, _negate(general), specific)]
        if opposite := oppose(rng, general):
            ways.append((11 if balanced else 4, specific, opposite))
    else:
        other = change_one_detail(rng, general, specific)
        ways = [
            (7 if balanced else 6, specific, other),
            (4 if balanced else 2, specific, _negate(other)),
            (3 if balanced else 8, general, specific),
            (2 if balanced else 1, general, _negate(specific)),
            (2 if balanced else 1, _negate(specific), general),
        ]
        if balanced:
            ways.append((1, _negate(specific), _negate(general)))
    _, premise, hypothesis = rng.choices(ways, [weight for weight, *_ in ways])[0]
    return NLIPair(premise, hypothesis, label)


def _sample_entailment(rng: random.Random, rejection_rate: float) -> tuple[Event, Event]:
    """Sample an affirmative event and a less specific one that it entails.

    Two thirds of the pairs rest on a more general word, since most words have one. A share of these, `rejection_rate`, is
    drawn again, since a model has to learn each such pair of words separately.
    """
    while True:
        event = get_world().sample_event(rng, detail=0.7)
        general = weaken(rng, event)
        if general == event:  # `weaken` returns negated events and events without details unchanged
            continue
        if rejection_rate and _has_more_general_word(event, general) and rng.random() < rejection_rate:
            continue
        return event, general


def _has_more_general_word(event: Event, general: Event) -> bool:
    """Whether a word of `general` is more general than that of `event`."""
    pairs = ((getattr(event, role), getattr(general, role)) for role in ("agent", "patient", "other", "place"))
    return any(a and b and a.concept != b.concept for a, b in pairs)


def _negate(event: Event) -> Event:
    return replace(event, negated=True)


def sample_paraphrase_pair(rng: random.Random) -> ParaphrasePair:
    """Sample two sentences and their label. Both labels rewrite the event by a converse verb (give / receive) or by another
    word order. For 'different', two persons are swapped first, so that both labels have the same words."""
    while True:
        event = get_world().sample_event(rng, detail=0.7)
        swapped = _swap_persons(rng, event)
        fronts = [role for role in ("place", "time") if getattr(event, role)]
        use_converse = converse(event) is not None and rng.random() < 0.7
        if swapped is not None and not event.negated and (use_converse or fronts):
            break
    label = rng.choice(PARAPHRASE_LABELS)
    second = event if label == "same" else swapped
    if use_converse:
        second = converse(second)
        assert second is not None, "swapping persons must keep the third party"
        return ParaphrasePair(event, second, rng.choice(["", *fronts]), label)
    return ParaphrasePair(event, second, rng.choice(fronts), label)


def _swap_persons(rng: random.Random, event: Event) -> Event | None:
    """The event with two of its persons swapped; None if it has no two different ones."""
    persons = [role for role in ("agent", "patient", "other") if (e := getattr(event, role)) and is_person(e)]
    options = [(a, b) for a in persons for b in persons if a < b and getattr(event, a) != getattr(event, b)]
    if not options:
        return None
    a, b = rng.choice(options)
    return replace(event, **{a: getattr(event, b), b: getattr(event, a)})


def is_person(entity: Entity) -> bool:
    return entity.concept.startswith("person:") or KIND.get(entity.concept) == "person"


# --- one thing changed ------------------------------------------------------------------------------------------------


def change_one_detail(rng: random.Random, event: Event, given: Event) -> Event:
    """Replace or add one detail of `event`, so that `given` neither entails nor contradicts the result.

    Args:
        event: `given` itself or something that it entails.
    """
    options = ["agent", "place", "place", "time"]
    options += ["patient"] * 2 if event.patient else []
    options += ["other"] if event.other else []
    options += ["adjective"] * 2 if _adjective_roles(event) else []
    related = (event.verb, ANTONYM.get(event.verb))
    verbs = [v for v, frame in VERBS.items() if frame == VERBS[event.verb] and v not in related]
    options += ["verb"] * 2 if verbs else []
    choice = rng.choice(options)
    if choice == "verb":
        return replace(event, verb=rng.choice(verbs))
    if choice == "time":
        times = [t for t in TIMES if t != given.time and TENSE_OF_TIME.get(t, event.tense) == event.tense]
        return replace(event, time=rng.choice(times))
    if choice == "adjective":
        role = rng.choice(_adjective_roles(event))
        return replace(event, **{role: _sample_other_adjective(rng, getattr(event, role), getattr(given, role))})
    if choice == "place" and event.frame != "motion":
        return replace(event, place=_sample_other_place(rng, event, given))
    excluded = {entity.concept for entity in (given.agent, given.patient, given.other, given.place) if entity}
    return replace(event, **{choice: sample_replacement(rng, getattr(event, choice), event.verb, choice, excluded)})


def sample_replacement(
    rng: random.Random, entity: Entity, verb: str, role: str, excluded: Collection[str] = ()
) -> Entity:
    """Sample another entity for the same role, of the same form; neither of the two words entails the other.

    Args:
        excluded: concepts that it must not be.
    """
    if entity.is_name:
        kind, count = (
            ("place", NUM_PLACE_NAMES) if entity.concept.startswith("place:") else ("person", NUM_PERSON_NAMES)
        )
        names = [f"{kind}:{index}" for index in range(count)]
        return Entity(rng.choice([name for name in names if name != entity.concept and name not in excluded]))
    fits_verb = role == "patient" or (role == "place" and VERBS[verb][0] == "motion")
    groups = VERBS[verb][1] if fits_verb else ()
    kind = MEMBERS[KIND[entity.concept]]
    fitting = [noun for group in groups for noun in MEMBERS[group]] or kind

    def allowed(nouns: Sequence[str]) -> list[str]:
        return [n for n in nouns if n not in excluded and n != entity.concept and HYPERNYM[n] != entity.concept]

    # After a hypernym ("to drink a beverage") no other patient of the verb remains; then take any noun of the kind.
    pool = allowed(fitting) or allowed(kind)
    noun = rng.choice(pool)
    return Entity(noun, rng.choice(get_world().adjectives[noun]) if entity.adjective else "", entity.plural)


def _sample_other_place(rng: random.Random, event: Event, given: Event) -> Entity:
    """Another place where this agent may be."""
    excluded = {place.concept for place in (event.place, given.place) if place}
    while (place := get_world().sample_place(rng, event.agent)).concept in excluded:
        pass
    return place


def _adjective_roles(event: Event) -> list[str]:
    """Roles that can have an adjective."""
    return [role for role in ("agent", "patient", "other", "place") if (e := getattr(event, role)) and not e.is_name]


def _sample_other_adjective(rng: random.Random, entity: Entity, given: Entity) -> Entity:
    """The entity with an adjective that is neither the given one nor its opposite."""
    kind = KIND[entity.concept]
    fitting = [a for *pair, kinds in ADJECTIVES if kind in kinds for a in pair]
    excluded = (entity.adjective, given.adjective, ANTONYM.get(given.adjective))
    return replace(entity, adjective=rng.choice([a for a in fitting if a not in excluded]))
