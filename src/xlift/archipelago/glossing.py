"""Markdown helpers for the pages: tables, text in its script, and sentences with interlinear glosses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from xlift.archipelago import english
from xlift.archipelago.grammar import Grammar, Sentence, get_grammar
from xlift.archipelago.languages import GENERATED_LANGUAGES, GeneratedLanguage
from xlift.archipelago.world import Event


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A Markdown table; `align` has one letter for each column, 'l' or 'r'."""
    rules = ["--:" if letter == "r" else ":--" for letter in align.ljust(len(head), "l")]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rules, *rows))


def native_text(language: GeneratedLanguage, text: str) -> str:
    """Text in the language's script, marked as right-to-left for Hebrew script."""
    return f'<span dir="rtl" lang="{language.code}">{text}</span>' if language.script == "Hebr" else text


def gloss(concept: str) -> str:
    return concept.replace("-", " ")


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def paragraphs(*blocks: str) -> str:
    """Join the blocks of a page; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block)


def page_name(language: GeneratedLanguage) -> str:
    return f"{language.name.lower()}.md"


def link(language: GeneratedLanguage) -> str:
    return f"[{language.name}]({page_name(language)})"


# --- sentences with glosses ------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def romanised_grammar(code: str) -> Grammar:
    """The same grammar in Latin letters, for the aligned lines."""
    return Grammar(replace(GENERATED_LANGUAGES[code], script="Latn"))


def interlinear(sentence: Sentence, translation: str, supertags: bool = False) -> str:
    """A romanised sentence in aligned lines: morphemes, glosses (and supertags), then the free translation."""
    columns = []
    for token in sentence.tokens[:-1]:
        # The grammar has one agreement ending; the Leipzig rules name it by person and number.
        column = [token.morphemes, token.gloss.replace("AGR", "3PL")]
        columns.append([*column, token.supertag] if supertags else column)
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in zip(*columns)]
    return "\n".join(("```text", *lines, f"‘{translation}’", "```"))


def statement(language: GeneratedLanguage, event: Event, supertags: bool = False) -> str:
    """A statement of the event in its script, with the aligned lines below."""
    native, latin = get_grammar(language.code).sentence(event), romanised_grammar(language.code).sentence(event)
    return _with_native_text(language, native, interlinear(latin, english.sentence(event), supertags))


def question(language: GeneratedLanguage, event: Event, role: str) -> str:
    """A question about the event in its script, with the aligned lines below."""
    native = get_grammar(language.code).question(event, role)
    latin = romanised_grammar(language.code).question(event, role)
    mentioned = [entity.concept for entity in (event.patient, event.other, event.place) if entity]
    return _with_native_text(language, native, interlinear(latin, english.question(event, role, mentioned)))


def _with_native_text(language: GeneratedLanguage, native: Sentence, aligned: str) -> str:
    return f"**{native_text(language, native.text)}**\n\n{aligned}"


def comparison_row(language: GeneratedLanguage, event: Event) -> tuple[str, str, str]:
    """A table row: the language, the sentence in its script, and its romanisation where that differs."""
    native = get_grammar(language.code).sentence(event).text
    latin = romanised_grammar(language.code).sentence(event).text
    return link(language), native_text(language, native), "" if native == latin else f"*{latin}*"
