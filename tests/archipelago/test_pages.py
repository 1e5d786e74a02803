"""The pages in docs/archipelago, and the English translations on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlift.archipelago import english
from xlift.archipelago.glossing import interlinear, romanised_grammar
from xlift.archipelago.language_page import BREAK_EVENT
from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon
from xlift.archipelago.pages import COMPARED_CONCEPTS, write_pages
from xlift.archipelago.world import Entity, Event

PAGES = Path(__file__).parents[2] / "docs" / "archipelago"


def test_committed_pages_equal_the_output_of_the_command(tmp_path):
    written = {path.name: path.read_text(encoding="utf-8") for path in write_pages(tmp_path)}
    committed = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert written == committed, "run `xlift archipelago --out docs/archipelago`"


def test_every_language_has_a_page_with_rectangular_tables():
    assert len(list(PAGES.glob("*.md"))) == len(GENERATED_LANGUAGES) + 1
    for path in PAGES.glob("*.md"):
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            if block.startswith("|"):
                assert len({line.count(" |") for line in block.splitlines()}) == 1, block


def test_links_between_pages_exist():
    for path in PAGES.glob("*.md"):
        for part in path.read_text(encoding="utf-8").split("](")[1:]:
            assert (PAGES / part.split(")")[0]).is_file()


def test_compared_concepts_have_words():
    assert set(COMPARED_CONCEPTS) <= set(get_lexicon("qta"))


def test_aligned_lines_are_aligned():
    text = interlinear(romanised_grammar("qka").sentence(BREAK_EVENT), "", supertags=True).splitlines()
    forms, glosses, tags = text[1:4]
    starts = [
        [i for i, letter in enumerate(line) if letter != " " and (i == 0 or line[i - 1] == " ")]
        for line in (forms, glosses, tags)
    ]
    assert starts[0] == starts[1] == starts[2]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event("keep-silent", Entity("smith")), "The smith keeps silent."),
        (Event("carry", Entity("girl", "", True), Entity("knife", "old", True)), "The girls carry old knives."),
        (Event("buy", Entity("boy"), Entity("wool"), tense="past"), "The boy bought wool."),
        (Event("catch", Entity("owl"), Entity("eel", "fat")), "The owl catches a fat eel."),
        (Event("sleep", Entity("child", "", True), negated=True), "The children do not sleep."),
        (Event("write", Entity("scribe"), Entity("letter"), tense="past", negated=True), "The scribe did not write a letter."),
        (Event("leave", Entity("pilot"), place=Entity("harbour"), tense="future"), "The pilot will leave the harbour."),
        (Event("rest", Entity("goose"), place=Entity("hill"), time="at-dawn"), "At dawn the goose rests on the hill."),
    ],
)  # fmt: skip
def test_free_translations(event, expected):
    assert english.sentence(event) == expected


def test_mentioned_concepts_are_definite():
    event = Event("show", Entity("boy"), Entity("hat"), tense="past")
    assert english.sentence(event, mentioned=["hat"]) == "The boy showed the hat."


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("agent", "Who receives an apple from the cook in the inn?"),
        ("patient", "What do the boys receive from the cook in the inn?"),
        ("other", "From whom do the boys receive an apple in the inn?"),
        ("place", "Where do the boys receive an apple from the cook?"),
    ],
)
def test_questions_in_english(role, expected):
    event = Event("receive", Entity("boy", "", True), Entity("apple"), Entity("cook"), Entity("inn"))
    assert english.question(event, role, mentioned=["cook"]) == expected
