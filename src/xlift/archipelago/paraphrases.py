"""Examples with paraphrased sentences: another word order, or the converse verb (give / receive).

An example is generated again from its meaning, with a grammar that paraphrases some of its sentences. So its labels, tags
and answers are gold too.
"""

from __future__ import annotations

import random
from itertools import groupby
from typing import Any

from xlift.archipelago.examples import EXAMPLE_KINDS
from xlift.archipelago.grammar import Grammar, Phrase, Sentence, get_grammar
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.world import Event, converse


class ParaphrasingGrammar(Grammar):
    """The grammar of a language that paraphrases a share of the sentences, the same sentence always in the same way."""

    def __init__(self, code: str, share: float, *name: object) -> None:
        super().__init__(get_grammar(code).language)
        self.share, self.name = share, name
        self.is_paraphrased: dict[tuple[Event, str], bool] = {}
        """Whether each sentence that has a paraphrase was paraphrased."""

    def sentence(self, event: Event, front: str = "") -> Sentence:
        rng = random_stream("retold", *self.name, event, front)
        alternatives = self._list_alternatives(event, front)
        if alternatives:
            self.is_paraphrased[event, front] = rng.random() < self.share
        if self.is_paraphrased.get((event, front)):
            return self._express(event, *rng.choice(alternatives))
        return super().sentence(event, front)

    def _list_alternatives(self, event: Event, front: str) -> list[tuple[bool, str]]:
        """Pairs (use the converse verb, role that is moved) whose text differs from the plain sentence."""
        converse_options = [False, True] if converse(event) else [False]
        fronts = ["", *(role for role in ("place", "time") if getattr(event, role))]
        plain = super().sentence(event, front).text
        options = [(use, moved) for use in converse_options for moved in fronts if (use, moved) != (False, front)]
        return [option for option in options if self._express(event, *option).text != plain]

    def _express(self, event: Event, use_converse: bool, front: str) -> Sentence:
        converse_event = converse(event) if use_converse else None
        if converse_event is None:
            return super().sentence(event, front)
        # Keep the roles of the original event, and adpositions apart, so that an answer is found under its own role.
        original_role = {"agent": "other", "other": "agent"}
        phrases = []
        for phrase in super().sentence(converse_event, front).phrases:
            parts = [phrase.tokens]
            if phrase.role == "other":
                parts = [tuple(tokens) for _, tokens in groupby(phrase.tokens, lambda token: token.upos == "ADP")]
            for part in parts:
                is_adposition = part[0].upos == "ADP" and phrase.role == "other"
                role = "relation" if is_adposition else original_role.get(phrase.role, phrase.role)
                phrases.append(Phrase(role, part))
        return Sentence(tuple(phrases))


def make_paraphrased_example(
    kind: str, code: str, split: str, seed: int, index: int, share: float, noise_seed: int
) -> tuple[dict[str, Any], list[bool]]:
    """Make the example of `examples.make_example` with a share of its sentences paraphrased.

    Args:
        kind: a key of `examples.EXAMPLE_KINDS`. Documents written by corpus.py stay unchanged.

    Returns:
        The example's fields, and for each sentence that has a paraphrase whether it was paraphrased.
    """
    rng: random.Random = random_stream(kind, split, seed, index)
    grammar = ParaphrasingGrammar(code, share, noise_seed, kind, split, seed, index)
    fields = {"id": f"{split}-{seed}-{index}", **EXAMPLE_KINDS[kind](rng, grammar, (split, seed, index))}
    return fields, [*grammar.is_paraphrased.values()]
