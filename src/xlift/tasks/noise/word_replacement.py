"""Replace words by a dictionary: translations into another language, or misspellings.

A dictionary is a text file with two words per line, separated by a space or a tab: the word and its replacement. A word with
several replacements has several lines. MUSE dictionaries (Conneau et al. 2018: `cat Katze`) have this format; published lists
of misspellings (Wikipedia, the GitHub Typo Corpus, Stickland et al. 2023) take it with the right word first. Words are looked
up unchanged, then in lower case; the replacement gets their capitals. Words of generated languages are translated by their
lexicons, with endings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from xlift.archipelago.languages import GENERATED_LANGUAGES, SOURCE_LANGUAGE
from xlift.archipelago.random_streams import random_stream
from xlift.archipelago.wordforms import translate_word_forms
from xlift.errors import UserError
from xlift.tasks.noise.editing import Rewrite, align_to_clusters

LANGUAGE = "{lang}"
"""Placeholder in the name of a dictionary for the language code."""
NEIGHBOUR_OF_SOURCE = "qtm"


class WordReplacementNoise:
    """Replace words by a table."""

    def __init__(self, table: Mapping[str, Sequence[str]], edit_type: str) -> None:
        self.table, self.edit_type = table, edit_type

    def can_change(self, word: Sequence[str]) -> bool:
        return bool(self._find_replacements("".join(word)))

    def propose_rewrites(self, word: Sequence[str], name: tuple[object, ...]) -> Iterator[Rewrite]:
        replacements = self._find_replacements("".join(word))
        for other in random_stream("switch", *name).sample(replacements, len(replacements)):
            yield Rewrite(align_to_clusters(word, other), self.edit_type)

    def _find_replacements(self, word: str) -> list[str]:
        others = self.table.get(word)
        if others is None:
            others = [_copy_capitals(word, other) for other in self.table.get(word.lower(), ())]
        return [other for other in others if other != word]


def _copy_capitals(model: str, word: str) -> str:
    """Give a word the capitals of the model."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def from_generated_languages(language: str, into: str) -> WordReplacementNoise:
    """Translate words of a generated language, by default into the source language; the source language into Merrin."""
    other = into or (SOURCE_LANGUAGE if language != SOURCE_LANGUAGE else NEIGHBOUR_OF_SOURCE)
    return WordReplacementNoise({form: (word,) for form, word in translate_word_forms(language, other).items()}, other)


def check_target_language(language: str, into: str) -> None:
    """Raises UserError: `into` is no generated language, or is the language itself."""
    if into and into not in GENERATED_LANGUAGES or into == language:
        others = ", ".join(code for code in GENERATED_LANGUAGES if code != language)
        raise UserError(f"words of {language} cannot be translated into '{into}'", fix=f"`into` is one of: {others}.")


def dictionary_path(words: str, language: str, data: Path | None) -> Path:
    """Path of a study's dictionary, under the folder of data files."""
    return (data or Path()) / words.replace(LANGUAGE, language)


def from_file(path: Path, edit_type: str) -> WordReplacementNoise:
    return WordReplacementNoise(_read(path)[0], edit_type)


def check_is_dictionary(path: Path, labels: Sequence[str]) -> None:
    """Raises UserError if the second word of every line is a tag: then the file has tagged words, not replacements."""
    others = {other for several in _read(path)[0].values() for other in several}
    if labels and others <= set(labels):
        raise UserError(
            "this is not a dictionary: every second word is a tag", where=str(path),
            fix="if these are misspelt rows of a tagging task, rename the file to end in .conll.",
        )  # fmt: skip


def dictionary_digest(path: Path) -> str:
    """SHA-256 of a dictionary; the file is validated."""
    return _read(path)[1]


@lru_cache(maxsize=8)
def _read(path: Path) -> tuple[dict[str, tuple[str, ...]], str]:
    try:
        raw = path.read_bytes()
        lines = raw.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(
            f"cannot read the dictionary: {reason}", where=str(path),
            fix="`words:` of a noise is a file under the data folder; {lang} in it is replaced by the language code.",
        ) from None  # fmt: skip
    table: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 2:
            raise UserError(
                f"expected two words, found {len(parts)}", where=f"{path}:{number}", fix="give a word and its replacement.",
            )  # fmt: skip
        table.setdefault(parts[0], []).append(parts[1])
    if not table:
        raise UserError("the dictionary is empty", where=str(path), fix="give two words per line.")
    return {word: tuple(dict.fromkeys(others)) for word, others in table.items()}, hashlib.sha256(raw).hexdigest()
