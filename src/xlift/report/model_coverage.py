"""`xlift models --languages`: which of the models with a profile cover some languages.

A model covers a language that the published list of its pretraining languages names.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any, Literal, NamedTuple

from xlift import languages
from xlift.errors import UserError
from xlift.language_tags import EXTENDED, find_language, folded_code
from xlift.model_profiles import Languages, ModelProfile, all_profiles
from xlift.model_shape import parse_config
from xlift.report.model_list import GATED, download_bytes, short_count

Answer = Literal["yes", "no", "unknown"]
UNKNOWN = "?"
"""'unknown' in the table."""
MEMBERS = EXTENDED | {"no": "nb nn"}
"""A code that may stand in a list for several languages -> those of the table."""


class Coverage(NamedTuple):
    profile: ModelProfile
    answers: dict[str, Answer]
    """Requested code -> whether the model covers it."""

    @property
    def num_covered(self) -> int:
        return Counter(self.answers.values())["yes"]

    @property
    def num_parameters(self) -> int:
        return self.profile.parameters or parse_config(self.profile.config).num_parameters


def find_coverage(codes: list[str]) -> list[Coverage]:
    """Every model, those that cover most first, then the smaller."""
    found = [
        Coverage(profile, {code: covers(profile.languages, code) for code in codes})
        for profile in all_profiles().values()
    ]
    return sorted(found, key=lambda each: (-each.num_covered, each.num_parameters))


def covers(listed: Languages, code: str) -> Answer:
    """Whether a list of languages names a language.

    It is unknown where there is no list or only a part of it, and where the list names the language in another script
    ('zh' for 'zh-Hant') or by a code that may mean it ('no' for 'nn', 'ar' for 'arz').
    """
    wanted = folded_code(code)
    if not listed.codes:
        return "unknown"
    if wanted in _folded(listed.codes):
        return "yes"
    primaries = {each.partition("-")[0] for each in (*listed.codes, *_folded(listed.codes))}
    possible = {wanted.partition("-")[0]} | {macro for macro, members in MEMBERS.items() if wanted in members.split()}
    return "unknown" if listed.partial or possible & primaries else "no"


def parse_languages(text: str) -> list[str]:
    """The codes in 'de,sw, th'.

    Raises:
        UserError: one of them is no language of the table or of a profile.
    """
    codes = list(dict.fromkeys(text.replace(",", " ").split()))
    if not codes:
        raise UserError("no language is given", where="--languages", fix="Write codes, separated by commas: de,sw,th.")
    others = {code for profile in all_profiles().values() for code in profile.languages.codes}
    for code in codes:
        if find_language(code) is None and code not in others:
            try:
                languages.get(code)
            except UserError as error:
                raise UserError(error.what, where="--languages", fix=error.fix) from None
    return codes


def print_coverage(text: str, console: Any, as_json: bool) -> None:
    """Print the models for the languages in 'de,sw,th'. Those that cover none of them are only counted."""
    codes = parse_languages(text)
    found = find_coverage(codes)
    if as_json:
        print(json.dumps([_facts(each) for each in found], indent=1, ensure_ascii=False))
        return
    shown = [each for each in found if set(each.answers.values()) != {"no"}]
    rows = [_cells(each) for each in shown]
    headings = ["model", *codes, "weights", "licence", "kind"]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    if sum(widths) + 2 * len(widths) <= console.width:
        for row in (headings, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            console.print(
                "  ".join(cells).rstrip(), style="bold" if row is headings else None, markup=False, highlight=False
            )
        mark = f"{UNKNOWN} "
    else:
        mark = ""
        for each, row in zip(shown, rows, strict=True):
            console.print(row[0], style="bold", markup=False, highlight=False)
            answers = {
                answer: [code for code in codes if each.answers[code] == answer] for answer in ("yes", "no", "unknown")
            }
            listed = "; ".join(f"{answer}: {' '.join(given)}" for answer, given in answers.items() if given)
            console.print(f"  {listed}; {', '.join(row[-3:])}", markup=False, highlight=False)
    console.print()
    for note in _notes(found, shown, mark):
        console.print(note, markup=False, highlight=False)


def _notes(found: list[Coverage], shown: list[Coverage], mark: str) -> list[str]:
    """The lines below a list, where `mark` stands for 'unknown' ('' if the word itself is there)."""
    notes = []
    if any("unknown" in each.answers.values() for each in shown):
        notes.append(f"{mark}unknown: the published list of its languages is missing or does not settle it.")
    if len(shown) < len(found):
        are = "profile covers" if len(found) - len(shown) == 1 else "profiles cover"
        notes.append(f"{len(found) - len(shown)} other {are} none of these languages.")
    if any(each.profile.gated for each in shown):
        notes.append(f"{GATED} The Hub asks for an agreement before the download.")
    notes.append("A model covers a language that its published list of pretraining languages names.")
    notes.append("`xlift models NAME` shows one model with its sources.")
    return notes


def _cells(each: Coverage) -> list[str]:
    profile = each.profile
    return [
        profile.name,
        *(UNKNOWN if answer == "unknown" else answer for answer in each.answers.values()),
        short_count(each.num_parameters),
        profile.licence + (GATED if profile.gated else ""),
        parse_config(profile.config).family,
    ]


def _facts(each: Coverage) -> dict[str, Any]:
    profile = each.profile
    facts = {
        "name": profile.name,
        "languages": each.answers,
        "source": profile.languages.source,
        "parameters": each.num_parameters,
        "computed_download_bytes": download_bytes(profile),
        "licence": profile.licence,
        "gated": profile.gated,
        "kind": parse_config(profile.config).family,
    }
    return {key: value for key, value in facts.items() if value is not None}


@cache
def _folded(codes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(folded_code, codes))
