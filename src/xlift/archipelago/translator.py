"""Oracle translators: generate the same example in another language from its meaning.

`translate_exactly` makes no errors. `translate_with_errors` makes errors of machine translation, each at a given rate: a
wrong word of the same kind, a dropped word, an untranslated word, and the word order of the source language. Both return
gold spans, tags and labels, so training on these translations measures the effect of translation errors alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

from xlift.archipelago import examples
from xlift.archipelago.concepts import (
    ADJECTIVES,
    NOUNS,
    NUM_GUILD_NAMES,
    NUM_PERSON_NAMES,
    NUM_PLACE_NAMES,
    TIMES,
    VERBS,
)
from xlift.archipelago.examples import EXAMPLE_KINDS, ExampleFields
from xlift.archipelago.grammar import Grammar, Phrase, Sentence, Token, get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.world import Entity, Event

KINDS_WITHOUT_TRANSLATION = ("text", "parallel")
"""Kinds with other documents in every language, so examples have no translation."""
KINDS_WITHOUT_GRAMMAR = ("translation",)
"""Kinds that `NoisyGrammar` does not write, so they have no translation with errors."""
DROPPABLE_UPOS = ("ADJ", "ADP", "ADV", "PART", "VERB")
"""Parts of speech that may be dropped. Nouns, names and pronouns stay, so that every answer keeps its words."""


@dataclass(frozen=True)
class TranslationErrors:
    """Rate of each kind of translation error."""

    wrong: float = 0.0
    """Share of the words replaced by another one of the same kind: another tool, name, or verb of the same frame."""
    dropped: float = 0.0
    """Share of the words in `DROPPABLE_UPOS` that are dropped."""
    untranslated: float = 0.0
    """Share of the words that stay in the source language."""
    order: float = 0.0
    """Share of the sentences in the word order of the source language."""

    @classmethod
    def at_level(cls, level: float) -> TranslationErrors:
        """Rates for an error level: `level` / 3 for each error of words, `level` for the word order."""
        return cls(level / 3, level / 3, level / 3, level)


def translate_exactly(kind: str, name: str, target: str) -> ExampleFields:
    """Translate an example without errors.

    Args:
        kind: a key of `examples.EXAMPLE_KINDS` that is not in `KINDS_WITHOUT_TRANSLATION`.
        name: the example's id, 'test-0-17'.
    """
    assert kind not in KINDS_WITHOUT_TRANSLATION, f"examples of kind '{kind}' have no translation"
    return examples.make_example(kind, target, *_parse_example_id(name))


def translate_with_errors(
    kind: str, name: str, source: str, target: str, errors: TranslationErrors, seed: int = 0
) -> ExampleFields:
    """Translate an example from one language into another with errors.

    Args:
        kind: a key of `examples.EXAMPLE_KINDS`, not in `KINDS_WITHOUT_TRANSLATION` or `KINDS_WITHOUT_GRAMMAR`.
        name: the example's id, 'test-0-17'.
        seed: of the errors; the same seed makes the same errors.
    """
    excluded = KINDS_WITHOUT_TRANSLATION + KINDS_WITHOUT_GRAMMAR
    assert kind not in excluded, f"examples of kind '{kind}' have no translation with errors"
    split, example_seed, index = key = _parse_example_id(name)
    grammar = NoisyGrammar(source, target, errors, (kind, name, seed))
    return {"id": name, **EXAMPLE_KINDS[kind](random_stream(kind, split, example_seed, index), grammar, key)}


def _parse_example_id(name: str) -> tuple[str, int, int]:
    """'test-0-17' -> ('test', 0, 17)."""
    split, seed, index = name.split("-", 2)
    return split, int(seed), int(index)


class NoisyGrammar(Grammar):
    """The grammar of a target language with translation errors. The same sentence of an example always has the same errors,
    so an answer matches its passage."""

    def __init__(self, source: str, target: str, errors: TranslationErrors, name: tuple) -> None:
        super().__init__(GENERATED_LANGUAGES[target])
        self._target_grammar, self._source_grammar = get_grammar(target), get_grammar(source)
        self._errors, self._name = errors, (source, target, *name)
        self._rng: random.Random | None = None

    def word(self, concept: str, upos: str, supertag: str, *categories: str) -> Token:
        """A word of a sentence, perhaps with an error; a dropped word has an empty form."""
        if self._rng is None:
            return self._target_grammar.word(concept, upos, supertag, *categories)
        draw, errors = self._rng.random(), self._errors
        if draw < errors.wrong:
            concept = self._rng.choice(_substitutes()[concept]) if _substitutes().get(concept) else concept
        elif draw < errors.wrong + errors.dropped:
            if upos in DROPPABLE_UPOS:
                return Token("", upos, supertag, "O", "", "")
        elif draw < errors.wrong + errors.dropped + errors.untranslated:
            return self._source_grammar.word(concept, upos, supertag, *categories)
        return self._target_grammar.word(concept, upos, supertag, *categories)

    def sentence(self, event: Event, front: str = "") -> Sentence:
        with self._translating("sentence", event, front):
            return _drop_empty_tokens(super().sentence(event, front))

    def question(self, event: Event, role: str) -> Sentence:
        with self._translating("question", event, role):
            return _drop_empty_tokens(super().question(event, role))

    def noun_phrase(self, entity: Entity, case: str = "", supertag: str = "NP") -> tuple[Token, ...]:
        if self._rng is not None:  # inside a sentence, which removes dropped words itself
            return super().noun_phrase(entity, case, supertag)
        with self._translating("phrase", entity, case):
            return tuple(token for token in super().noun_phrase(entity, case, supertag) if token.form)

    @contextmanager
    def _translating(self, *key: object) -> Iterator[None]:
        """Draw the errors of one construction, and use the source language's word order at its error rate."""
        target, source = self.language, self._source_grammar.language
        self._rng = random_stream("translator", *self._name, *key)
        if self._rng.random() < self._errors.order:
            self.language = replace(
                target, order=source.order, adjective_first=source.adjective_first, prepositions=source.prepositions,
                wh_first=source.wh_first, negation=source.negation, time_first=source.time_first,
            )  # fmt: skip
        try:
            yield
        finally:
            self.language, self._rng = target, None


def _drop_empty_tokens(sentence: Sentence) -> Sentence:
    """The sentence without dropped words and without constituents that became empty."""
    phrases = (Phrase(p.role, tuple(token for token in p.tokens if token.form)) for p in sentence.phrases)
    return Sentence(tuple(phrase for phrase in phrases if phrase.tokens), sentence.end)


@lru_cache(maxsize=1)
def _substitutes() -> dict[str, list[str]]:
    """Concept -> the other concepts of its kind. 'Not' and the question particle have none."""
    groups = [list(nouns) for kinds in NOUNS.values() for nouns in kinds.values()]
    groups += [list(kinds) for kinds in NOUNS.values()]  # hypernyms of one kind
    frames: dict[str, list[str]] = {}
    for verb, (frame, _) in VERBS.items():
        frames.setdefault(frame, []).append(verb)
    groups += [*frames.values(), [word for first, second, _ in ADJECTIVES for word in (first, second)], list(TIMES)]
    groups += [["in", "to", "from"], ["who", "what", "where"]]
    num_names = {"person": NUM_PERSON_NAMES, "place": NUM_PLACE_NAMES, "guild": NUM_GUILD_NAMES}
    groups += [[f"{kind}:{n}" for n in range(count)] for kind, count in num_names.items()]
    return {concept: [other for other in group if other != concept] for group in groups for concept in group}
