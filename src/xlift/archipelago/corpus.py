"""Monolingual and parallel documents for pretraining."""

from __future__ import annotations

from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.world import Event, get_world


def sample_story(seed: int, index: int) -> list[Event]:
    """Sample the meaning of text document `index`: two or three coherent sentences."""
    rng = random_stream("text", seed, index)
    return get_world().sample_document(rng, rng.choice((2, 3, 3)))


def write_document(code: str, events: list[Event], rng_name: tuple[object, ...] = ()) -> str:
    """Write a story in one language. A place or a time is sometimes moved, so that word order alone is a weak cue."""
    rng = random_stream("tell", *rng_name) if rng_name else None
    sentences = []
    for event in events:
        front = rng.choice(("", "", "", "place", "time")) if rng else ""
        sentences.append(get_grammar(code).sentence(event, front).text)
    return " ".join(sentences)


def make_document(code: str, seed: int, index: int) -> str:
    """Monolingual document `index` of a language. Languages do not share documents: each has its own stories."""
    return write_document(code, sample_story(seed, _document_index(code, index)), (code, seed, index))


def choose_parallel_language(code: str, seed: int, index: int) -> str:
    """Sample the other language of parallel document `index`, in proportion to the text of each language."""
    others = [other for other in GENERATED_LANGUAGES.values() if other.text_weight and other.code != code]
    rng = random_stream("partner", code, seed, index)
    return rng.choices(others, [other.text_weight for other in others])[0].code


def make_parallel_documents(code: str, seed: int, index: int) -> tuple[str, str]:
    """Document `index` of a language and its translation into another (for translation language modelling)."""
    events = sample_story(seed, _document_index(f"{code}+", index))
    other = choose_parallel_language(code, seed, index)
    return write_document(code, events, (code, seed, index)), write_document(other, events, (other, seed, index))


def _document_index(code: str, index: int) -> int:
    return random_stream("documents of", code).randrange(1 << 40) + index
