"""Pairs of meanings with a known relation: what follows, what is excluded, what is the same fact told otherwise.

The convention of the gold labels: both sentences speak of the same participants. What drops a detail or names a thing
more generally follows; opposite verbs and opposite adjectives exclude each other; a denial turns the direction round.

The ways to make a pair have weights (`nli_pair`) under which denials and long hypotheses stand with every label. Of
`isle-nli`, a bag of words over the hypothesis alone guesses about half of the labels (fastText .67 of SNLI's and .54 of
MNLI's, Gururangan et al. 2018; chance is a third), and the numbers of shared and new words alone two thirds.
`isle-nli-balanced` leaves little, and needs more pairs to learn. tests/archipelago/test_inference.py bounds both.
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
    PERSON_NAMES,
    PLACE_NAMES,
    TENSE_OF_TIME,
    TIMES,
    VERBS,
)
from xlift.archipelago.world import Entity, Event, converse, oppose, weaken, world

NLI_LABELS = ("entailment", "neutral", "contradiction")
PARAPHRASE_LABELS = ("different", "same")


class Inference(NamedTuple):
    premise: Event
    hypothesis: Event
    label: str


class Paraphrase(NamedTuple):
    first: Event
    second: Event
    front: str
    """What the second sentence moves (grammar.sentence)."""
    label: str


def nli_pair(rng: random.Random, balanced: bool = False) -> Inference:
    """Premise, hypothesis and label, from one event and something that follows from it.

    Args:
        balanced: the ways under weights that leave little to guess from half of the input.
    """
    specific, general = _specific_and_general(rng, redrawn=0.0 if balanced else 0.75)
    label = rng.choice(NLI_LABELS)
    if label == "entailment":
        ways = [
            (11 if balanced else 14, specific, general),
            (3 if balanced else 2, _denied(general), _denied(specific)),
        ]
        if specific.verb in ANTONYM:
            antonym = _denied(replace(general, verb=ANTONYM[specific.verb]))
            ways.append((7 if balanced else 2, specific, antonym))
    elif label == "contradiction":
        ways = [(7 if balanced else 12, specific, _denied(general)), (3 if balanced else 2, _denied(general), specific)]
        if opposite := oppose(rng, general):
            ways.append((11 if balanced else 4, specific, opposite))
    else:
        other = alter(rng, general, specific)
        ways = [
            (7 if balanced else 6, specific, other),
            (4 if balanced else 2, specific, _denied(other)),
            (3 if balanced else 8, general, specific),
            (2 if balanced else 1, general, _denied(specific)),
            (2 if balanced else 1, _denied(specific), general),
        ]
        if balanced:
            ways.append((1, _denied(specific), _denied(general)))
    _, premise, hypothesis = rng.choices(ways, [weight for weight, *_ in ways])[0]
    return Inference(premise, hypothesis, label)


def _specific_and_general(rng: random.Random, redrawn: float) -> tuple[Event, Event]:
    """An affirmative event and another one that follows from it and says less.

    Most words have a more general one, so pairs that rest on one are two thirds; a share of them is drawn again, since
    each such pair of words has to be learnt by itself.
    """
    while True:
        event = world().event(rng, detail=0.7)
        general = weaken(rng, event)
        if general == event:  # a denial, or an event without a detail, is left as it is
            continue
        if redrawn and _generalises(event, general) and rng.random() < redrawn:
            continue
        return event, general


def _generalises(event: Event, general: Event) -> bool:
    """Whether a word of `general` is a more general one than that of `event`."""
    pairs = ((getattr(event, role), getattr(general, role)) for role in ("agent", "patient", "other", "place"))
    return any(a and b and a.concept != b.concept for a, b in pairs)


def _denied(event: Event) -> Event:
    return replace(event, negated=True)


def paraphrase_pair(rng: random.Random) -> Paraphrase:
    """Both labels retell the event in the same ways: from the other side (give / receive), or in another order.
    'different' has exchanged two persons before, so that the words of both labels are the same."""
    while True:
        event = world().event(rng, detail=0.7)
        exchanged = _exchange(rng, event)
        fronts = [role for role in ("place", "time") if getattr(event, role)]
        other_side = converse(event) is not None and rng.random() < 0.7
        if exchanged is not None and not event.negated and (other_side or fronts):
            break
    label = rng.choice(PARAPHRASE_LABELS)
    told = event if label == "same" else exchanged
    if other_side:
        retold = converse(told)
        assert retold is not None, "an exchange of persons leaves the third party"
        return Paraphrase(event, retold, rng.choice(["", *fronts]), label)
    return Paraphrase(event, told, rng.choice(fronts), label)


def _exchange(rng: random.Random, event: Event) -> Event | None:
    """The event with two of its persons the other way round."""
    persons = [role for role in ("agent", "patient", "other") if (e := getattr(event, role)) and is_person(e)]
    options = [(a, b) for a in persons for b in persons if a < b and getattr(event, a) != getattr(event, b)]
    if not options:
        return None
    a, b = rng.choice(options)
    return replace(event, **{a: getattr(event, b), b: getattr(event, a)})


def is_person(entity: Entity) -> bool:
    return entity.concept.startswith("person:") or KIND.get(entity.concept) == "person"


# --- one thing changed ------------------------------------------------------------------------------------------------


def alter(rng: random.Random, event: Event, known: Event) -> Event:
    """`event` with one thing exchanged or added, so that it may or may not be true where `known` is.

    Args:
        event: `known` itself or something that follows from it.
        known: neither entails what is returned nor excludes it.
    """
    options = ["agent", "place", "place", "time"]
    options += ["patient"] * 2 if event.patient else []
    options += ["other"] if event.other else []
    options += ["adjective"] * 2 if _described(event) else []
    related = (event.verb, ANTONYM.get(event.verb))
    verbs = [v for v, frame in VERBS.items() if frame == VERBS[event.verb] and v not in related]
    options += ["verb"] * 2 if verbs else []
    choice = rng.choice(options)
    if choice == "verb":
        return replace(event, verb=rng.choice(verbs))
    if choice == "time":
        times = [t for t in TIMES if t != known.time and TENSE_OF_TIME.get(t, event.tense) == event.tense]
        return replace(event, time=rng.choice(times))
    if choice == "adjective":
        role = rng.choice(_described(event))
        return replace(event, **{role: _redescribed(rng, getattr(event, role), getattr(known, role))})
    if choice == "place" and event.frame != "motion":
        return replace(event, place=_elsewhere(rng, event, known))
    taken = {entity.concept for entity in (known.agent, known.patient, known.other, known.place) if entity}
    return replace(event, **{choice: another(rng, getattr(event, choice), event.verb, choice, taken)})


def another(rng: random.Random, entity: Entity, verb: str, role: str, taken: Collection[str] = ()) -> Entity:
    """Somebody or something else that could stand in the same role, dressed alike; neither word follows from the other.

    Args:
        taken: concepts that it must not be.
    """
    if entity.is_name:
        kind, count = ("place", PLACE_NAMES) if entity.concept.startswith("place:") else ("person", PERSON_NAMES)
        names = [f"{kind}:{index}" for index in range(count)]
        return Entity(rng.choice([name for name in names if name != entity.concept and name not in taken]))
    fits_verb = role == "patient" or (role == "place" and VERBS[verb][0] == "motion")
    groups = VERBS[verb][1] if fits_verb else ()
    kind = MEMBERS[KIND[entity.concept]]
    fitting = [noun for group in groups for noun in MEMBERS[group]] or kind

    def free(nouns: Sequence[str]) -> list[str]:
        return [n for n in nouns if n not in taken and n != entity.concept and HYPERNYM[n] != entity.concept]

    # "To drink a drink" leaves nothing else that can be drunk: then anything of its kind.
    pool = free(fitting) or free(kind)
    noun = rng.choice(pool)
    return Entity(noun, rng.choice(world().adjectives[noun]) if entity.adjective else "", entity.plural)


def _elsewhere(rng: random.Random, event: Event, known: Event) -> Entity:
    """Another place where this agent may be."""
    here = {place.concept for place in (event.place, known.place) if place}
    while (place := world().place(rng, event.agent)).concept in here:
        pass
    return place


def _described(event: Event) -> list[str]:
    """Roles that can have an adjective."""
    return [role for role in ("agent", "patient", "other", "place") if (e := getattr(event, role)) and not e.is_name]


def _redescribed(rng: random.Random, entity: Entity, known: Entity) -> Entity:
    """The entity with an adjective that neither is the known one nor its opposite."""
    kind = KIND[entity.concept]
    fitting = [a for *pair, kinds in ADJECTIVES if kind in kinds for a in pair]
    excluded = (entity.adjective, known.adjective, ANTONYM.get(known.adjective))
    return replace(entity, adjective=rng.choice([a for a in fitting if a not in excluded]))
