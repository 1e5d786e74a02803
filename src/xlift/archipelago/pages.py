"""Write the Markdown pages in docs/archipelago: an index and one page for each language (language_page.py)."""

from __future__ import annotations

from pathlib import Path

from xlift.archipelago import english
from xlift.archipelago.glossing import comparison_row, gloss, link, page_name, paragraphs, percent, table
from xlift.archipelago.language_page import BREAK_EVENT, SCRIPT_NAMES, language_page, origins, text_share
from xlift.archipelago.languages import FAMILIES, GENERATED_LANGUAGES, GeneratedLanguage
from xlift.archipelago.lexicon import get_lexicon, get_proto_lexicon
from xlift.archipelago.phonology import correspondences

COMPARED_CONCEPTS = (
    "child bird fish dog bee fruit milk salt iron river lake road hill eat sing sleep see hear give swim big small "
    "old new hot cold not who what"
).split()
"""Concepts of the comparative word list: those of this world that are close to Swadesh's list."""


def write_pages(out: Path) -> list[Path]:
    """Write index.md and one page for each language into a folder. Returns their paths."""
    pages = {"index.md": index_page()} | {
        page_name(language): language_page(language) for language in GENERATED_LANGUAGES.values()
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (out / name).write_text(text + "\n", encoding="utf-8", newline="\n")
    return [out / name for name in pages]


def index_page() -> str:
    return paragraphs(
        "# The archipelago",
        "Ten languages in three families, generated from proto-languages by regular sound change. They describe one "
        "small world. xlift trains and evaluates models on them, since their relations, their loans and the amounts "
        "of pretraining text are known exactly. Every form on these pages is computed; "
        "`xlift archipelago --out docs/archipelago` writes the pages.",
        "## The family tree",
        _tree(),
        "## The languages",
        _overview(),
        "## Words compared",
        "In phonemes; \\* is the proto-language. °: borrowed. †: coined, because the root was lost or had merged with "
        "another word. All other words are the regular reflexes of the root, so every column shows its sound laws.",
        *(_word_comparison(family) for family in FAMILIES),
        "## Sounds compared",
        "Reflexes of the consonants of the proto-languages at the beginning of inherited words, the most frequent "
        "first.",
        *(_correspondence_table(family) for family in FAMILIES),
        "## One sentence, ten languages",
        f"‘{english.sentence(BREAK_EVENT)}’",
        table(("", "", ""), [comparison_row(language, BREAK_EVENT) for language in GENERATED_LANGUAGES.values()]),
        "## Glosses",
        "Aligned lines follow the Leipzig glossing rules. 3PL third person plural subject, ACC accusative, DAT dative, "
        "FUT future, NEG negation, PL plural, PST past, Q question particle. Categories without an ending (singular, "
        "present, subject) have no gloss. Names are glossed in Talassi spelling. Codes are private-use codes of ISO "
        "639, so they never name a real language.",
    )


def _tree() -> str:
    lines = ["```text"]
    for family in FAMILIES:
        lines.append(f"Proto-{family}")
        groups: dict[str, list[GeneratedLanguage]] = {}
        for language in GENERATED_LANGUAGES.values():
            if language.family == family:
                groups.setdefault(language.subgroup, []).append(language)
        for place, (group, members) in enumerate(groups.items()):
            last = place == len(groups) - 1
            lines.append(f"{'└' if last else '├'}── {group}")
            for language in members:
                branch = "└" if language is members[-1] else "├"
                lines.append(f"{' ' if last else '│'}   {branch}── {language.name} ({language.code})")
        lines.append("")
    return "\n".join([*lines[:-1], "```"])


def _overview() -> str:
    rows = []
    for language in GENERATED_LANGUAGES.values():
        counts, total = origins(language), len(get_lexicon(language.code))
        adjective, adposition = "AN" if language.adjective_first else "NA", "Prep" if language.prepositions else "Post"
        grammar = (language.order, adjective, adposition)
        shares = (percent(counts[origin] / total) for origin in ("inherited", "loan", "coined"))
        named = (f"{link(language)} `{language.code}`", language.family, SCRIPT_NAMES[language.script], language.tier)
        rows.append((*named, percent(text_share(language)), *grammar, *shares))
    head = ("", "family", "script", "tier", "text", "order", "adj.", "adp.", "inherited", "borrowed", "coined")
    return paragraphs(
        table(head, rows, "llllrlllrrr"),
        "_text_: share of the pretraining text. _adj._: adjective before (AN) or after (NA) its noun. _adp._: "
        "prepositions or postpositions. The last three columns: the origins of the words in its lexicon.",
    )


def _word_comparison(family: str) -> str:
    members = [language for language in GENERATED_LANGUAGES.values() if language.family == family]
    mark = {"inherited": "", "loan": "°", "coined": "†"}
    rows = []
    for concept in COMPARED_CONCEPTS:
        words = [get_lexicon(language.code)[concept] for language in members]
        rows.append(
            (gloss(concept), f"\\*{get_proto_lexicon(family)[concept]}", *(w.stem + mark[w.origin] for w in words))
        )
    return table(("", f"Proto-{family}", *map(link, members)), rows)


def _correspondence_table(family: str) -> str:
    members = [language for language in GENERATED_LANGUAGES.values() if language.family == family]
    rows = [(f"\\*{sound}", *(row[t.code] for t in members)) for sound, row in sorted(correspondences(family).items())]
    return table((f"Proto-{family}", *(language.name for language in members)), rows)
