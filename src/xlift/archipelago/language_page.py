"""Write the page of one language: sounds, script, sound laws, words, morphology, syntax and a story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from xlift.archipelago import english
from xlift.archipelago.concepts import KIND, TENSE_OF_TIME, VERBS
from xlift.archipelago.glossing import (
    comparison_row,
    gloss,
    interlinear,
    link,
    native_text,
    paragraphs,
    percent,
    question,
    romanised_grammar,
    statement,
    table,
)
from xlift.archipelago.grammar import get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES, SCRIPTS, GeneratedLanguage
from xlift.archipelago.lexicon import FRONT_VOWELS, VOWELS, get_lexicon, get_names, spell
from xlift.archipelago.phonology import (
    HEIGHTS,
    LAW_NAMES,
    MANNERS,
    PLACES,
    cognates,
    derivations,
    law_examples,
    law_notation,
    name_phonemes,
    phoneme_counts,
)
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.world import Entity, Event, get_world

SCRIPT_NAMES = {
    "Latn": "Latin", "Cyrl": "Cyrillic", "Grek": "Greek", "Armn": "Armenian", "Hebr": "Hebrew", "Geor": "Georgian",
}  # fmt: skip
NO_BREAK = "\N{NO-BREAK SPACE}"
CASES = {"": "unmarked", "ACC": "accusative", "DAT": "dative"}
TENSES = {"present": "", "past": "PST", "future": "FUT"}
ENDINGS = {
    "PL": "plural", "ACC": "accusative", "DAT": "dative", "PST": "past", "FUT": "future", "AGR": "plural subject (3PL)",
}  # fmt: skip

BREAK_EVENT = Event(
    "break", Entity("smith", "old"), Entity("jar", "new"), place=Entity("mill"), time="yesterday", tense="past"
)
GIVE_EVENT = Event("give", Entity("fisher", "", True), Entity("bread"), Entity("person:2"), tense="future")
SLEEP_EVENT = Event("sleep", Entity("girl"), place=Entity("temple"), negated=True)
LEAVE_EVENT = Event("leave", Entity("sailor", "", True), place=Entity("harbour"), tense="past")
STATEMENTS = (
    ("Subject, object, adjectives, a place and a time", BREAK_EVENT),
    ("Three participants", GIVE_EVENT),
    ("Negation", SLEEP_EVENT),
    ("Motion", LEAVE_EVENT),
)
QUESTIONS = ((BREAK_EVENT, "agent"), (GIVE_EVENT, "other"), (SLEEP_EVENT, "place"))


def language_page(language: GeneratedLanguage) -> str:
    return paragraphs(
        f"# {language.name}",
        f"[The archipelago](index.md) · {' · '.join(link(other) for other in GENERATED_LANGUAGES.values() if other != language)}",
        f"> {language.description}",
        _classification(language),
        "## Sounds",
        _sounds(language),
        "## Script",
        _script(language),
        "## Sound laws",
        _laws(language),
        "## Words",
        _words(language),
        "## Morphology",
        _morphology(language),
        "## Syntax",
        _syntax(language),
        "## A story",
        _story(language),
        "## Among its relatives",
        _relatives(language),
    )


def origins(language: GeneratedLanguage) -> Counter[str]:
    return Counter(word.origin for word in get_lexicon(language.code).values())


def text_share(language: GeneratedLanguage) -> float:
    return language.text_weight / sum(other.text_weight for other in GENERATED_LANGUAGES.values())


def _classification(language: GeneratedLanguage) -> str:
    text = f"{percent(text_share(language))} of the pretraining text" if language.text_weight else "no pretraining text"
    rows = (
        ("Code", f"`{language.code}`"),
        ("Classification", f"{language.family} › {language.subgroup} › {language.name}"),
        ("Script", SCRIPT_NAMES[language.script] + (", from right to left" if language.script == "Hebr" else "")),
        ("Tier", f"{language.tier}: {text}"),
        ("Order", f"{language.order}, {_adjectives(language)}, {_adpositions(language)}"),
    )
    return table(("", language.name), rows)


def _adjectives(language: GeneratedLanguage) -> str:
    return "adjective–noun" if language.adjective_first else "noun–adjective"


def _adpositions(language: GeneratedLanguage) -> str:
    return "prepositions" if language.prepositions else "postpositions"


def _sounds(language: GeneratedLanguage) -> str:
    counts = phoneme_counts(language.code)
    only_in_names = name_phonemes() - set(counts)

    def cell(sounds: str) -> str:
        present = [sound for sound in sounds if sound in counts.keys() | only_in_names]
        return " ".join(sound if sound in counts else f"({sound})" for sound in present)

    consonants = [(manner, *map(cell, cells)) for manner, cells in MANNERS.items() if any(map(cell, cells))]
    vowels = [(height, *map(cell, cells)) for height, cells in HEIGHTS.items()]
    total = counts.total()
    commonest = ", ".join(f"{sound} {100 * count / total:.1f}%" for sound, count in counts.most_common(8))
    num_consonants = sum(sound not in VOWELS for sound in counts)
    return paragraphs(
        f"{num_consonants} consonants and {len(counts) - num_consonants} vowels in {len(get_lexicon(language.code))} stems"
        + ("; sounds in brackets occur only in proper names." if only_in_names else ".")
        + f" The most frequent: {commonest}.",
        table(("consonants", *PLACES), consonants),
        table(("vowels", "front", "central", "back"), vowels),
        "y is the close front rounded vowel." if "y" in counts else "",
    )


def _script(language: GeneratedLanguage) -> str:
    sounds = sorted(set(phoneme_counts(language.code)) | name_phonemes())
    letters = {sound: SCRIPTS[language.script].get(sound, sound) for sound in sounds}
    digraphs = ", ".join(
        f"{latin} = {sound}" for sound, latin in SCRIPTS["Latn"].items() if sound in letters and latin != sound
    )
    if language.script == "Latn":
        return f"Latin letters, one for each sound{f'; except {digraphs}' if digraphs else ''}."
    shared = [
        f"{letter} ({', '.join(s for s in sounds if letters[s] == letter)})"
        for letter, count in Counter(letters.values()).items()
        if count > 1
    ]
    spelled_names = [
        f"{native_text(language, spell(language, get_names()[name], True))} {english.phrase(Entity(name))}"
        for name in ("person:0", "person:1", "place:0")
    ]
    return paragraphs(
        table(("sound", *sounds), [("letter", *letters.values())]),
        f"Letters for more than one sound: {'; '.join(shared)}." if shared else "",
        f"Names: {', '.join(spelled_names)}. The aligned lines below are romanised{f': {digraphs}' if digraphs else ''}.",
    )


def _laws(language: GeneratedLanguage) -> str:
    rows = []
    for position, law in enumerate(language.sound_laws):
        notation = law_notation(language, law)
        shown = [f"{_chain(d.forms)} ‘{gloss(d.concept)}’" for d in law_examples(language.code, position)]
        rows.append((str(position + 1), f"`{notation.replace(' ', NO_BREAK)}`", LAW_NAMES[notation], "; ".join(shown)))
    longest = max(derivations(language.code), key=lambda d: len(d.laws))
    steps = " > ".join(f"{form} (law {law + 1})" for law, form in zip(longest.laws, longest.forms[1:]))
    return paragraphs(
        f"From Proto-{language.family}, in this order; each law applies to the result of the laws before it.",
        table(("", "law", "", "examples"), rows, "r"),
        f"The longest derivation, ‘{gloss(longest.concept)}’: \\*{longest.forms[0]} > {steps}.",
        "_V any vowel, C any consonant, X any sound, # the end of the word, ∅ nothing._",
    )


def _chain(forms: Sequence[str]) -> str:
    return " > ".join((f"\\*{forms[0]}", *forms[1:-1], f"**{forms[-1]}**"))


def _words(language: GeneratedLanguage) -> str:
    counts, total = origins(language), len(get_lexicon(language.code))
    labels = {"inherited": "inherited", "loan": "borrowed", "coined": "coined"}
    present = [(counts[origin], word) for origin, word in labels.items() if counts[origin]]
    shares = ", ".join(f"{count} {word} ({percent(count / total)})" for count, word in present)
    text = (
        f"Of {total} words: {shares}. Inherited words keep the family’s root. Coined words have a new root, because the "
        "inherited one was lost or had merged with another word."
    )
    loans = [(concept, word) for concept, word in get_lexicon(language.code).items() if word.origin == "loan"]
    if not loans:
        return f"{text} It has no loans."
    # Adapted loans come first: they show more than unchanged ones.
    selected = sorted(loans, key=lambda item: item[1].stem == item[1].etymon)[:10]
    lender = GENERATED_LANGUAGES[language.lender]
    rows = [(gloss(concept), word.etymon, word.stem) for concept, word in selected]
    return f"{text}\n\n" + table(("", lender.name, f"{language.name} (loan)"), rows)


# --- morphology -------------------------------------------------------------------------------------------------------


def _morphology(language: GeneratedLanguage) -> str:
    nouns = _stems(language, list(KIND))
    verbs = _stems(language, list(VERBS))
    return paragraphs(
        f"Suffixes only. {_morphophonology(language)}",
        table(("ending", "", "forms"), _endings(language)),
        "### Nouns",
        *(_noun_paradigm(language, concept) for concept in nouns),
        "### Verbs",
        *(_verb_paradigm(language, concept) for concept in verbs),
    )


def _has_vowel_harmony(language: GeneratedLanguage) -> bool:
    return any(letter in ending for ending in language.suffixes.values() for letter in "AI")


def _morphophonology(language: GeneratedLanguage) -> str:
    notes = []
    if _has_vowel_harmony(language):
        front = ", ".join(vowel for vowel in FRONT_VOWELS if vowel in phoneme_counts(language.code))
        notes.append(
            f"Endings have **vowel harmony** with the last vowel before them: A is e and I is i after a front vowel "
            f"({front}), a and u after any other."
        )
    if any(ending[0] in VOWELS + "AI" for ending in language.suffixes.values()):
        hiatus = "a glide j separates two vowels" if language.family == "Karstic" else "an ending loses its first vowel"
        condition = ", if it has another sound" if "u" in language.suffixes.values() else ""
        notes.append(f"After a vowel {hiatus}{condition}.")
    if "FUT" not in language.suffixes:
        notes.append("There is no future ending; the present is used.")
    return " ".join(notes)


def _endings(language: GeneratedLanguage) -> list[tuple[str, str, str]]:
    rows = []
    for category, ending in language.suffixes.items():
        pool = VERBS if category in ("PST", "FUT", "AGR") else KIND
        upos = "VERB" if pool is VERBS else "NOUN"
        tokens = (romanised_grammar(language.code).word(concept, upos, "", category) for concept in pool)
        forms = sorted({token.morphemes.split("-")[-1] for token in tokens})
        rows.append((f"-{ending}", ENDINGS[category], ", ".join(f"-{form}" for form in forms)))
    return rows


def _stems(language: GeneratedLanguage, concepts: Sequence[str]) -> list[str]:
    """Two stems with different endings: back and front with vowel harmony, else one in a consonant and one in a vowel."""

    def has_second_form(concept: str) -> bool:
        stem = get_lexicon(language.code)[concept].stem
        if _has_vowel_harmony(language):
            return next(sound for sound in reversed(stem) if sound in VOWELS) in FRONT_VOWELS
        return stem[-1] in VOWELS

    return [next(c for c in concepts if has_second_form(c) == expected) for expected in (False, True)]


def _cell(language: GeneratedLanguage, concept: str, upos: str, *categories: str) -> str:
    native = get_grammar(language.code).word(concept, upos, "", *categories)
    latin = romanised_grammar(language.code).word(concept, upos, "", *categories)
    return latin.morphemes if language.script == "Latn" else f"{native_text(language, native.form)} *{latin.morphemes}*"


def _noun_paradigm(language: GeneratedLanguage, concept: str) -> str:
    rows = [
        (name, *(_cell(language, concept, "NOUN", *number, *((case,) if case else ())) for number in ((), ("PL",))))
        for case, name in CASES.items()
        if not case or case in language.suffixes
    ]
    return table((f"‘{gloss(concept)}’", "singular", "plural"), rows)


def _verb_paradigm(language: GeneratedLanguage, concept: str) -> str:
    numbers = {"any subject": ()}
    if "AGR" in language.suffixes:
        numbers = {"singular subject": (), "plural subject": ("AGR",)}
    rows = [
        (
            tense,
            *(_cell(language, concept, "VERB", *([category] if category else []), *agr) for agr in numbers.values()),
        )
        for tense, category in TENSES.items()
        if not category or category in language.suffixes
    ]
    return table((f"‘to {gloss(concept)}’", *numbers), rows)


# --- syntax -----------------------------------------------------------------------------------------------------------


def _syntax(language: GeneratedLanguage) -> str:
    order = {
        "SVO": "subject – verb – object – recipient – place",
        "SOV": "subject – place – recipient – object – verb",
        "VSO": "verb – subject – object – recipient – place",
    }[language.order]
    recipient = "the dative" if "DAT" in language.suffixes else f"a {_adpositions(language)[:-1]}"
    rules = (
        f"- Order: {order}; adverbs of time come {'first' if language.time_first else 'last'}.",
        f"- Adjectives come {'before' if language.adjective_first else 'after'} their noun and do not agree with it.",
        f"- Relations are expressed by {_adpositions(language)}; the recipient has {recipient}, the object "
        f"{'the accusative' if 'ACC' in language.suffixes else 'no ending'}.",
        f"- The word for ‘not’ comes {language.negation} the verb.",
        f"- Question words {'come first' if language.wh_first else 'take the position of the answer'}"
        + ("; a particle ends every question." if language.question_particle else "."),
        "- There are no articles.",
    )
    blocks = [f"**{title}.**\n\n{statement(language, event)}" for title, event in STATEMENTS]
    questions = [question(language, event, role) for event, role in QUESTIONS]
    return paragraphs(
        "\n".join(rules),
        *blocks,
        "**Questions.**",
        *questions,
        "**Categories.** The first statement with the category of each word in combinatory categorial grammar: its "
        "arguments to the right (`/`) or to the left (`\\`).",
        statement(language, BREAK_EVENT, supertags=True),
    )


@lru_cache(maxsize=1)
def find_story() -> tuple[Event, ...]:
    """The story of every page: the first varied document in the past tense whose times fit this tense."""
    index = 0
    while True:
        events = get_world().sample_document(random_stream("gallery", index), 5, restate=0.0)
        words = {event.verb for event in events} | {event.patient.concept for event in events if event.patient}
        times_fit = all(TENSE_OF_TIME.get(event.time, event.tense) == event.tense for event in events)
        patients = [event.patient and event.patient.concept for event in events]
        repeats_patient = any(a and a == b for a, b in zip(patients, patients[1:]))
        has_name = events[0].agent.concept.startswith("person:")
        has_recipient = any(event.other for event in events)
        has_place_and_time = any(event.place for event in events) and any(event.time for event in events)
        has_two_places = any(
            event.place and KIND.get(patient or "") == "place" for event, patient in zip(events, patients)
        )
        is_varied = repeats_patient and has_recipient and has_place_and_time and len(words) >= 8
        if events[0].tense == "past" and not has_two_places and times_fit and has_name and is_varied:
            return tuple(events)
        index += 1


def _story(language: GeneratedLanguage) -> str:
    aligned, mentioned = [], set()
    for event in find_story():
        latin = romanised_grammar(language.code).sentence(event)
        aligned.append(interlinear(latin, english.sentence(event, mentioned)))
        mentioned |= {entity.concept for entity in (event.agent, event.patient, event.other, event.place) if entity}
    text = " ".join(get_grammar(language.code).sentence(event).text for event in find_story())
    return paragraphs(f"**{native_text(language, text)}**", *aligned)


def _relatives(language: GeneratedLanguage) -> str:
    family = [other for other in GENERATED_LANGUAGES.values() if other.family == language.family]
    relatives = [other for other in family if other != language]
    shares = [f"{other.name} {percent(cognates(language.code, other.code))}" for other in relatives]
    return paragraphs(
        f"‘{english.sentence(BREAK_EVENT)}’ Cognates (words that keep the family’s root in both): {', '.join(shares)}.",
        table(("", "", ""), [comparison_row(other, BREAK_EVENT) for other in family]),
    )
