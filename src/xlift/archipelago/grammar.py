"""Generate sentences from meanings: word order, adpositions, endings and questions, with gold annotations.

Each word has its part of speech (UPOS), CCG supertag, name tag and segmentation. They are the gold labels of the tagging
tasks and the lines of the interlinear glosses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from xlift.archipelago.concepts import SOURCE_VERBS
from xlift.archipelago.languages import GENERATED_LANGUAGES, GeneratedLanguage
from xlift.archipelago.lexicon import get_lexicon, get_names, spell, suffix
from xlift.archipelago.world import Entity, Event

NAME_TAGS = {"person": "PER", "place": "LOC", "guild": "ORG"}


@dataclass(frozen=True, slots=True)
class Token:
    """One written word with its annotations."""

    form: str
    upos: str
    supertag: str
    name: str
    """'B-PER', 'B-LOC', 'B-ORG' or 'O'."""
    gloss: str
    """Leipzig-style gloss of the morphemes, 'net-ACC'."""
    morphemes: str
    """The form split into morphemes, 'kaz-u'."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """The words of one constituent; questions ask for it and answers are found in it."""

    role: str
    """'agent', 'patient', 'other', 'place', 'time', 'verb' or 'question'."""
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Sentence:
    phrases: tuple[Phrase, ...]
    end: str = "."

    @property
    def tokens(self) -> tuple[Token, ...]:
        tokens = tuple(token for phrase in self.phrases for token in phrase.tokens)
        return (*tokens, Token(self.end, "PUNCT", self.end, "O", self.end, self.end))

    @property
    def text(self) -> str:
        return " ".join(token.form for phrase in self.phrases for token in phrase.tokens) + self.end

    def span(self, role: str) -> tuple[int, str]:
        """Start (in characters of `text`) and text of a constituent; KeyError if the sentence has none of that role."""
        start = 0
        for phrase in self.phrases:
            words = " ".join(token.form for token in phrase.tokens)
            if phrase.role == role:
                return start, words
            start += len(words) + 1
        raise KeyError(role)


class Grammar:
    """The grammar of one language; `sentence` and `question` generate its two constructions."""

    def __init__(self, language: GeneratedLanguage) -> None:
        self.language = language
        self.words = get_lexicon(language.code)
        self._cache: dict[tuple, Token] = {}

    # --- words ------------------------------------------------------------------------------------------------------

    def word(self, concept: str, upos: str, supertag: str, *categories: str) -> Token:
        """A word with the endings of these categories, as far as the language marks them."""
        key = (concept, upos, supertag, categories)
        token = self._cache.get(key)
        if token is None:
            token = self._cache[key] = self._make_word(concept, upos, supertag, categories)
        return token

    def _make_word(self, concept: str, upos: str, supertag: str, categories: tuple[str, ...]) -> Token:
        is_name = ":" in concept
        stem = get_names()[concept] if is_name else self.words[concept].stem
        whole, parts, gloss = stem, [spell(self.language, stem, is_name)], [_gloss_of(concept)]
        for category in categories:
            if ending := suffix(self.language, whole, category):
                whole += ending
                parts.append(spell(self.language, ending))
                gloss.append(category)
        tag = f"B-{NAME_TAGS[concept.split(':')[0]]}" if is_name else "O"
        return Token(spell(self.language, whole, is_name), upos, supertag, tag, "-".join(gloss), "-".join(parts))

    def noun_phrase(self, entity: Entity, case: str = "", supertag: str = "NP") -> tuple[Token, ...]:
        """A noun or name with its adjective on the side that the language requires; the ending goes on the noun."""
        categories = (("PL",) if entity.plural else ()) + ((case,) if case else ())
        noun = self.word(entity.concept, "PROPN" if entity.is_name else "NOUN", supertag, *categories)
        if not entity.adjective:
            return (noun,)
        slash = "/" if self.language.adjective_first else "\\"
        adjective = self.word(entity.adjective, "ADJ", f"{_bracket(supertag)}{slash}{_bracket(supertag)}")
        return (adjective, noun) if self.language.adjective_first else (noun, adjective)

    def adposition_phrase(self, adposition: str, nouns: tuple[Token, ...], result: str) -> tuple[Token, ...]:
        slash = "/" if self.language.prepositions else "\\"
        relation = self.word(adposition, "ADP", f"{_bracket(result)}{slash}NP")
        return (relation, *nouns) if self.language.prepositions else (*nouns, relation)

    def verb_phrase(self, event: Event) -> tuple[Token, ...]:
        category = self.verb_category(event)
        tense = {"past": "PST", "future": "FUT"}.get(event.tense)
        endings = ((tense,) if tense else ()) + (("AGR",) if event.agent.plural else ())
        verb = self.word(event.verb, "VERB", category, *endings)
        if not event.negated:
            return (verb,)
        slash = "/" if self.language.negation == "before" else "\\"
        negation = self.word("not", "PART", f"{_bracket(category)}{slash}{_bracket(category)}")
        return (negation, verb) if self.language.negation == "before" else (verb, negation)

    def verb_category(self, event: Event) -> str:
        """CCG category of the verb: its arguments and their sides in this language's order."""
        takes_object, takes_other = event.patient is not None, event.other is not None
        if self.language.order == "SVO":
            category = r"S\NP"
            for wanted, argument in ((takes_other, "PP"), (takes_object, "NP")):
                category = f"{_bracket(category)}/{argument}" if wanted else category
        elif self.language.order == "SOV":
            category = r"S\NP"
            for wanted, argument in ((takes_other, "PP"), (takes_object, "NP")):
                category = rf"{_bracket(category)}\{argument}" if wanted else category
        else:
            category = "S"
            for wanted, argument in ((takes_other, "PP"), (takes_object, "NP"), (True, "NP")):
                category = f"{_bracket(category)}/{argument}" if wanted else category
        return category

    # --- constituents -----------------------------------------------------------------------------------------------

    def argument_phrase(self, role: str, entity: Entity, event: Event) -> Phrase:
        """One participant with the marking of its role; the recipient is a dative if the language has one."""
        if role == "agent":
            return Phrase(role, self.noun_phrase(entity))
        if role == "patient":
            return Phrase(role, self.noun_phrase(entity, "ACC"))
        if role == "other":
            is_source = event.verb in SOURCE_VERBS
            if "DAT" in self.language.suffixes and not is_source:
                return Phrase(role, self.noun_phrase(entity, "DAT", "PP"))
            return Phrase(role, self.adposition_phrase("from" if is_source else "to", self.noun_phrase(entity), "PP"))
        raise KeyError(role)

    def place_phrase(self, entity: Entity, event: Event, first: bool) -> Phrase:
        adposition = "from" if event.verb == "leave" else "to" if event.frame == "motion" else "in"
        return Phrase(
            "place", self.adposition_phrase(adposition, self.noun_phrase(entity), r"S/S" if first else r"S\S")
        )

    def time_phrase(self, concept: str, first: bool) -> Phrase:
        return Phrase("time", (self.word(concept, "ADV", r"S/S" if first else r"S\S"),))

    # --- constructions ----------------------------------------------------------------------------------------------

    def sentence(self, event: Event, front: str = "") -> Sentence:
        """Generate a statement. `front` 'place' moves the place to the front, 'time' moves the time to the other end."""
        return Sentence(tuple(self._order_phrases(event, front)))

    def _order_phrases(self, event: Event, front: str, replaced: dict[str, Phrase] | None = None) -> list[Phrase]:
        language = self.language
        replaced = replaced or {}

        def phrase(role: str, make_phrase: Callable[[], Phrase]) -> list[Phrase]:
            return [replaced[role] if role in replaced else make_phrase()]

        def participant(role: str) -> list[Phrase]:
            entity: Entity | None = getattr(event, role)
            return phrase(role, lambda: self.argument_phrase(role, entity, event)) if entity else []  # type: ignore[arg-type]

        subject, patient, other = participant("agent"), participant("patient"), participant("other")
        verb = [Phrase("verb", self.verb_phrase(event))]
        place_first = front == "place"
        place_entity = event.place
        place = phrase("place", lambda: self.place_phrase(place_entity, event, place_first)) if place_entity else []
        time_first = language.time_first != (front == "time")
        time = phrase("time", lambda: self.time_phrase(event.time, time_first)) if event.time else []
        if language.order == "SVO":
            core = subject + verb + patient + other
            core = core if place_first else core + place
        elif language.order == "SOV":  # the verb comes last, so places come before it
            core = subject + ([] if place_first else place) + other + patient + verb
        else:
            core = verb + subject + patient + other
            core = core if place_first else core + place
        core = (place if place_first else []) + core
        return time + core if time_first else core + time

    def question(self, event: Event, role: str) -> Sentence:
        """Ask for one constituent of the event: who, what, to or from whom, where."""
        question_phrase = self._question_phrase(event, role)
        phrases = self._order_phrases(event, "", {role: question_phrase})
        if self.language.wh_first:
            phrases = [question_phrase, *(p for p in phrases if p is not question_phrase)]
        if self.language.question_particle:
            phrases.append(Phrase("question", (self.word("question", "PART", r"S\S"),)))
        return Sentence(tuple(phrases), "?")

    def _question_phrase(self, event: Event, role: str) -> Phrase:
        entity: Entity | None = getattr(event, role)
        assert entity is not None, f"{event} has no {role}, so no question can ask for it"
        if role == "place":
            return Phrase(role, (self.word("where", "ADV", "S/S" if self.language.wh_first else r"S\S"),))
        is_animate = role in ("agent", "other") or entity.concept.split(":")[0] in ("person", "guild")
        pronoun = "who" if is_animate else "what"
        if role == "other":
            is_source = event.verb in SOURCE_VERBS
            if "DAT" in self.language.suffixes and not is_source:
                return Phrase(role, (self.word(pronoun, "PRON", "PP", "DAT"),))
            return Phrase(
                role, self.adposition_phrase("from" if is_source else "to", (self.word(pronoun, "PRON", "NP"),), "PP")
            )
        return Phrase(role, (self.word(pronoun, "PRON", "NP", *(("ACC",) if role == "patient" else ())),))


def _bracket(category: str) -> str:
    return f"({category})" if "/" in category or "\\" in category else category


def _gloss_of(concept: str) -> str:
    if ":" in concept:
        return spell_name(concept)
    return {"not": "NEG", "question": "Q"}.get(concept, concept.replace("-", "."))


def spell_name(concept: str) -> str:
    """Spell a name in Latin letters, as glosses do."""
    return spell(GENERATED_LANGUAGES["qta"], get_names()[concept], True)


@lru_cache(maxsize=32)
def get_grammar(code: str) -> Grammar:
    return Grammar(GENERATED_LANGUAGES[code])
