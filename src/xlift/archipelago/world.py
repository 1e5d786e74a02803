"""The small world that all generated languages describe: who does what to whom, where and when.

It has meanings only, no words. Its statistics are uneven on purpose: each kind of agent has a few typical verbs, objects
and places. Masked language modelling can align languages by them, and they are the answers of the commonsense questions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from xlift.archipelago.concepts import (
    ADJECTIVES,
    ANTONYM,
    CONVERSE,
    HYPERNYM,
    KIND,
    MEMBERS,
    NOUNS,
    NUM_GUILD_NAMES,
    NUM_PERSON_NAMES,
    NUM_PLACE_NAMES,
    TENSE_OF_TIME,
    TIMES,
    VERBS,
)
from xlift.archipelago.random_streams import random_stream, sample_zipf

WORLD_SEED = 1
TENSES = ("past", "present", "future")


@dataclass(frozen=True, slots=True)
class Entity:
    """A participant: a noun with an adjective and a number, or a name ("person:12", "place:3", "guild:7")."""

    concept: str
    adjective: str = ""
    plural: bool = False

    @property
    def is_name(self) -> bool:
        return ":" in self.concept


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `other` is the third party of a ditransitive verb: the recipient, or the source of receive, borrow, ..."""

    verb: str
    agent: Entity
    patient: Entity | None = None
    other: Entity | None = None
    place: Entity | None = None
    time: str = ""
    tense: str = "present"
    negated: bool = False

    @property
    def frame(self) -> str:
        return VERBS[self.verb][0]


@dataclass(frozen=True)
class AgentProfile:
    """The typical verbs, objects, places and adjectives of one kind of agent."""

    verbs: tuple[str, ...]
    objects: dict[str, tuple[str, ...]]
    """verb -> its two to four typical objects for this agent, commonest first."""
    places: tuple[str, ...]
    adjectives: tuple[str, ...]


class World:
    """The profile of every agent and the facts about every name; all are functions of `WORLD_SEED`."""

    @cached_property
    def adjectives(self) -> dict[str, tuple[str, ...]]:
        """Noun -> its typical adjectives, commonest first."""
        fitting: dict[str, list[str]] = {}
        for a, b, kinds in ADJECTIVES:
            for kind in kinds:
                fitting.setdefault(kind, []).extend((a, b))
        table = {}
        for noun, kind in KIND.items():
            rng = random_stream(WORLD_SEED, "adjectives", noun)
            table[noun] = tuple(rng.sample(fitting[kind], min(4, len(fitting[kind]))))
        return table

    @cached_property
    def agent_profiles(self) -> dict[str, AgentProfile]:
        """Agent noun (persons and animals, hypernyms included) -> its profile."""
        nouns = [noun for kind in ("person", "animal") for noun in (*MEMBERS[kind], *NOUNS[kind])]
        return {noun: self._make_profile(noun) for noun in nouns}

    def _make_profile(self, noun: str) -> AgentProfile:
        rng = random_stream(WORLD_SEED, "habits", noun)
        frames: dict[str, list[str]] = {}
        for verb, (frame, _) in VERBS.items():
            frames.setdefault(frame, []).append(verb)
        verbs = rng.sample(frames["intransitive"], 3) + rng.sample(frames["motion"], 2)
        if KIND[noun] == "person":
            verbs += rng.sample(frames["transitive"], 8) + rng.sample(frames["ditransitive"], 3)
        else:
            verbs += rng.sample(["eat", "see", "hear", "follow", "find", "hide", "hate", "guard"], 4)
        rng.shuffle(verbs)
        objects = {}
        for verb in verbs:
            groups = VERBS[verb][1]
            if groups and VERBS[verb][0] != "motion":
                pool = [n for group in groups for n in MEMBERS[group] if n != noun]
                objects[verb] = tuple(rng.sample(pool, rng.randint(3, 5)))
        places = tuple(rng.sample(MEMBERS["place"], 4))
        return AgentProfile(tuple(verbs), objects, places, self.adjectives[noun])

    @cached_property
    def people(self) -> dict[str, tuple[str, str]]:
        """Person name -> (profession, home as a place name)."""
        professions = MEMBERS["person"]
        return {
            f"person:{i}": (professions[random_stream(WORLD_SEED, "profession", i).randrange(len(professions))],
                            f"place:{random_stream(WORLD_SEED, 'home', i).randrange(NUM_PLACE_NAMES)}")
            for i in range(NUM_PERSON_NAMES)
        }  # fmt: skip

    @cached_property
    def guild_professions(self) -> dict[str, str]:
        """Guild name -> its profession."""
        professions = MEMBERS["person"]
        return {
            f"guild:{i}": professions[random_stream(WORLD_SEED, "guild", i).randrange(len(professions))]
            for i in range(NUM_GUILD_NAMES)
        }

    @cached_property
    def popularity(self) -> tuple[str, ...]:
        """Agent nouns, commonest first."""
        nouns = [*MEMBERS["person"], *MEMBERS["animal"]]
        random_stream(WORLD_SEED, "popularity").shuffle(nouns)
        return tuple(nouns)

    def profile_noun(self, concept: str) -> str:
        """The noun whose profile a name or noun has."""
        if concept.startswith("person:"):
            return self.people[concept][0]
        return self.guild_professions.get(concept, concept)

    # --- sampling ---------------------------------------------------------------------------------------------------

    def sample_agent(self, rng: random.Random) -> Entity:
        """Sample an agent: a named person, a guild, a person or an animal."""
        draw = rng.random()
        if draw < 0.40:
            return Entity(f"person:{rng.randrange(NUM_PERSON_NAMES)}")
        if draw < 0.47:
            return Entity(f"guild:{rng.randrange(NUM_GUILD_NAMES)}")
        return self.sample_noun(rng, sample_zipf(rng, self.popularity, 0.6))

    def sample_noun(self, rng: random.Random, noun: str, adjective: float = 0.3, plural: float = 0.2) -> Entity:
        """Make an entity of a noun. `adjective` and `plural` are the probabilities of a typical adjective and of a plural."""
        sampled = sample_zipf(rng, self.adjectives[noun]) if rng.random() < adjective else ""
        return Entity(noun, sampled, rng.random() < plural)

    def sample_place(self, rng: random.Random, agent: Entity) -> Entity:
        """Sample a place of this agent: a typical one, or a named one (for named persons often their home)."""
        if rng.random() < 0.3:
            person = self.people.get(agent.concept)
            if person and rng.random() < 0.5:
                return Entity(person[1])
            return Entity(f"place:{rng.randrange(NUM_PLACE_NAMES)}")
        return self.sample_noun(
            rng, sample_zipf(rng, self.agent_profiles[self.profile_noun(agent.concept)].places), 0.2, 0.0
        )

    def sample_event(self, rng: random.Random, agent: Entity | None = None, detail: float = 0.5) -> Event:
        """Sample a typical event of an agent. `detail` is the probability of a place, 0.7 times `detail` that of a time."""
        agent = agent or self.sample_agent(rng)
        profile = self.agent_profiles[self.profile_noun(agent.concept)]
        verb = sample_zipf(rng, profile.verbs, 0.7)
        frame = VERBS[verb][0]
        patient = other = place = None
        if verb in profile.objects:
            noun = sample_zipf(rng, profile.objects[verb])
            patient = self.sample_noun(rng, noun)
            if KIND[noun] == "person" and rng.random() < 0.5:
                patient = Entity(f"person:{rng.randrange(NUM_PERSON_NAMES)}")
                if patient.concept == agent.concept:
                    patient = self.sample_noun(rng, noun)
        if frame == "ditransitive":
            other = self.sample_person(rng, {agent.concept, patient.concept if patient else ""})
        if frame == "motion" or rng.random() < detail:
            place = self.sample_place(rng, agent)
        time = sample_zipf(rng, TIMES, 0.5) if rng.random() < detail * 0.7 else ""
        tense = TENSE_OF_TIME.get(time) or sample_zipf(rng, TENSES, 0.8)
        return Event(verb, agent, patient, other, place, time, tense, rng.random() < 0.08)

    def sample_person(self, rng: random.Random, exclude: set[str]) -> Entity:
        """Sample a named person or a person noun that is not in `exclude`."""
        while True:
            if rng.random() < 0.6:
                entity = Entity(f"person:{rng.randrange(NUM_PERSON_NAMES)}")
            else:
                entity = self.sample_noun(rng, rng.choice(MEMBERS["person"]), 0.15, 0.1)
            if entity.concept not in exclude:
                return entity

    def sample_document(self, rng: random.Random, sentences: int, restate: float = 0.33) -> list[Event]:
        """Sample a coherent story about one subject. A following sentence may be about the same object, or may restate the
        last one with less detail or a more general word (such pairs carry entailment)."""
        first = self.sample_event(rng)
        events = [first]
        while len(events) < sentences:
            last = events[-1]
            draw = rng.random()
            if draw < restate:
                events.append(weaken(rng, last))
            elif draw < restate + 0.35 and last.patient and last.patient.concept in HYPERNYM:
                events.append(self.sample_next_action(rng, last))
            else:
                events.append(change_tense(self.sample_event(rng, first.agent), last.tense))
        return events

    def sample_next_action(self, rng: random.Random, last: Event) -> Event:
        """Sample another action of the same agent on the same patient."""
        assert last.patient is not None
        noun = last.patient.concept
        fitting = [v for v, (frame, groups) in VERBS.items()
                   if frame == "transitive" and v != last.verb and (KIND[noun] in groups or HYPERNYM[noun] in groups)]  # fmt: skip
        return Event(rng.choice(fitting), last.agent, replace(last.patient, adjective=""), tense=last.tense)


def change_tense(event: Event, tense: str) -> Event:
    """The event in another tense, without a time that contradicts it ("tomorrow" with the past)."""
    fits = TENSE_OF_TIME.get(event.time, tense) == tense
    return replace(event, tense=tense, time=event.time if fits else "")


def weaken(rng: random.Random, event: Event, steps: int | None = None) -> Event:
    """An event that an affirmative event entails: drop details, or use a more general word.

    A negated event is returned unchanged, since dropping its details gives no entailment."""
    if event.negated:
        return event
    options = []
    if event.place and event.frame != "motion":
        options.append("place")
    if event.time:
        options.append("time")
    for role in ("agent", "patient", "other", "place"):
        entity: Entity | None = getattr(event, role)
        if entity and entity.adjective:
            options.append(f"adjective {role}")
        if entity and entity.concept in HYPERNYM:
            options.append(f"general {role}")
    rng.shuffle(options)
    for option in options[: steps or rng.randint(1, 2)]:
        event = _weaken_once(event, option)
    return event


def _weaken_once(event: Event, option: str) -> Event:
    if option == "place":
        return replace(event, place=None)
    if option == "time":
        return replace(event, time="")
    change, role = option.split()
    entity: Entity | None = getattr(event, role)
    if entity is None:  # a step before dropped the place
        return event
    if change == "adjective":
        return replace(event, **{role: replace(entity, adjective="")})
    return replace(event, **{role: Entity(HYPERNYM[entity.concept], "", entity.plural)})


def oppose(rng: random.Random, event: Event) -> Event | None:
    """An event that contradicts this one by an opposite verb or adjective; None if the event has neither."""
    options = ["verb"] * 2 if event.verb in ANTONYM else []
    options += [role for role in ("agent", "patient", "place") if (e := getattr(event, role)) and e.adjective]
    if not options:
        return None
    choice = rng.choice(options)
    if choice == "verb":
        return replace(event, verb=ANTONYM[event.verb])
    entity: Entity = getattr(event, choice)
    return replace(event, **{choice: replace(entity, adjective=ANTONYM[entity.adjective])})


def converse(event: Event) -> Event | None:
    """The same fact with the converse verb ("A gives B to C" as "C receives B from A"); None if the verb has none."""
    if event.verb not in CONVERSE or event.other is None:
        return None
    return replace(event, verb=CONVERSE[event.verb], agent=event.other, other=event.agent)


@lru_cache(maxsize=1)
def get_world() -> World:
    return World()
