"""English translations of events and of questions about them, for the pages in docs/archipelago."""

from __future__ import annotations

from collections.abc import Collection

from xlift.archipelago.concepts import SOURCE_VERBS
from xlift.archipelago.grammar import spell_name
from xlift.archipelago.world import Entity, Event

PAST = {
    present: past
    for present, _, past in (
        pair.partition(":")
        for pair in "sleep:slept wake:woke weep:wept sing:sang keep:kept swim:swam fall:fell rise:rose leave:left "
        "run:ran ride:rode eat:ate drink:drank find:found lose:lost buy:bought make:made break:broke hide:hid see:saw "
        "hear:heard lead:led catch:caught feed:fed build:built read:read write:wrote grow:grew steal:stole give:gave sell:sold "
        "send:sent teach:taught lend:lent drop:dropped".split()
    )
}
PLURALS = {"child": "children", "goose": "geese", "knife": "knives", "midwife": "midwives", "scarf": "scarves"} | {
    same: same for same in "fish trout herring carp salmon pike perch cod tuna sheep deer".split()
}
MASS = frozenset(
    "bread garlic milk wine ale tea cider broth porridge wool clay iron salt honey wax timber silver amber flax".split()
)
"""Mass nouns: no plural, no indefinite article."""
ON = frozenset("hill cliff moor beach reef road bridge stair".split())
AT = frozenset("river lake harbour spring lagoon canal market crossing pass water passage".split())
MOTION_PREPOSITIONS = {"arrive": "at", "run": "to", "ride": "to"}
"""Prepositions of motion verbs; the other motion verbs take the place as a direct object."""


def sentence(event: Event, mentioned: Collection[str] = ()) -> str:
    """Translate the event into a statement. Concepts in `mentioned` take 'the'."""
    words = [phrase(event.agent, mentioned, definite=True), _verb(event), *_complements(event, mentioned)]
    if event.time:
        words.insert(0, event.time.replace("-", " "))
    return _join_words(words, ".")


def question(event: Event, role: str, mentioned: Collection[str] = ()) -> str:
    """Ask for one participant of the event, or for its place."""
    time = event.time.replace("-", " ")
    if role == "agent":
        singular = Event(event.verb, Entity("who"), tense=event.tense, negated=event.negated)
        return _join_words(["who", _verb(singular), *_complements(event, mentioned), time], "?")
    question_word = {
        "place": "where",
        "patient": "whom" if event.patient and _is_animate(event.patient) else "what",
        "other": "from whom" if event.verb in SOURCE_VERBS else "to whom",
    }[role]
    auxiliary = {"past": "did", "future": "will"}.get(event.tense, "do" if event.agent.plural else "does")
    verb = event.verb.replace("-", " ")
    subject = phrase(event.agent, mentioned, definite=True)
    negation = "not" if event.negated else ""
    complements = _complements(event, mentioned, without=role)
    return _join_words([question_word, auxiliary, subject, negation, verb, *complements, time], "?")


def phrase(entity: Entity, mentioned: Collection[str] = (), definite: bool = False) -> str:
    """Translate a participant, with its article."""
    kind, _, _ = entity.concept.partition(":")
    if entity.is_name:
        name = spell_name(entity.concept)
        return f"the guild {name}" if kind == "guild" else name
    noun = plural(entity.concept) if entity.plural else entity.concept
    described = f"{entity.adjective} {noun}".strip()
    if definite or entity.concept in mentioned:
        return f"the {described}"
    if entity.plural or entity.concept in MASS:
        return described
    return f"{'an' if described[0] in 'aeiou' else 'a'} {described}"


def plural(noun: str) -> str:
    if noun in PLURALS:
        return PLURALS[noun]
    if noun in MASS:
        return f"kinds of {noun}"
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ies" if noun[-1] == "y" and noun[-2] not in "aeiou" else noun + "s"


def _verb(event: Event) -> str:
    """Inflect the verb for tense, agreement and negation; 'keep-silent' inflects its first part."""
    stem, _, particle = event.verb.partition("-")
    plain = f"{stem} {particle}".strip()
    if event.tense == "future":
        return f"will not {plain}" if event.negated else f"will {plain}"
    if event.negated:
        auxiliary = "did" if event.tense == "past" else "do" if event.agent.plural else "does"
        return f"{auxiliary} not {plain}"
    if event.tense == "past":
        form = PAST.get(stem) or (stem + "d" if stem[-1] == "e" else _replace_final_y(stem, "ied") or stem + "ed")
    elif event.agent.plural:
        form = stem
    else:
        form = stem + "es" if stem.endswith(("s", "x", "ch", "sh")) else _replace_final_y(stem, "ies") or stem + "s"
    return f"{form} {particle}".strip()


def _replace_final_y(stem: str, ending: str) -> str:
    return stem[:-1] + ending if stem[-1] == "y" and stem[-2] not in "aeiou" else ""


def _complements(event: Event, mentioned: Collection[str], without: str = "") -> list[str]:
    words = []
    if event.patient and without != "patient":
        words.append(phrase(event.patient, mentioned))
    if event.other and without != "other":
        words += ["from" if event.verb in SOURCE_VERBS else "to", phrase(event.other, mentioned)]
    if event.place and without != "place":
        words += [_preposition(event), phrase(event.place, mentioned, definite=True)]
    return words


def _preposition(event: Event) -> str:
    if event.frame == "motion":
        return MOTION_PREPOSITIONS.get(event.verb, "")
    assert event.place is not None
    return "on" if event.place.concept in ON else "at" if event.place.concept in AT else "in"


def _is_animate(entity: Entity) -> bool:
    return entity.concept.split(":")[0] in ("person", "guild")


def _join_words(words: list[str], end: str) -> str:
    text = " ".join(word for word in words if word)
    return text[0].upper() + text[1:] + end
