"""Noise in the texts of examples: typos, lost diacritics or capitals, another script, words of another language.

The level is the share of changed words among those that the kind of noise can change (a word without diacritics has none
to lose). Noise is generated when examples are read, from (seed, id of the example, text) alone, and is never stored. For a
tagging task it may also be read from a file of rows that people misspelt (`misspelt_rows.py`).

Gold labels stay valid: words never move, so tags keep their words, and no change crosses the boundary of an answer. Answers
have the noise of their context. Texts in another language stay clean: translations, and the pool of answer retrieval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.errors import UserError
from xlift.language_tags import find_language
from xlift.languages import canonical
from xlift.recipes import Noise
from xlift.tasks import formats
from xlift.tasks.formats.base import Format
from xlift.tasks.formats.change import Change, ChangedText
from xlift.tasks.noise import keyboards, letters, misspelt_rows, scripts, word_replacement
from xlift.tasks.noise.editing import Edit, NoiseCounts, NoiseKind, NoisyText, add_noise, undo_edits
from xlift.tasks.noise.paraphrase import check_task, paraphrase_examples
from xlift.tasks.noise.typos import TypoNoise
from xlift.tasks.task import Task

__all__ = [
    "Edit", "NoiseCounts", "NoisyText", "add_noise_to_examples", "add_noise_to_text", "check_noise", "make_text_change",
    "get_input_language", "noise_notes", "undo_edits", "unknown_language", "with_digest",
]  # fmt: skip

DICTIONARY_KINDS = ("code-switch", "natural")
SCRIPTS_WITHOUT_SPACES = ("Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr")
"""Scripts without spaces, so a dictionary cannot look up words."""


def check_noise(noise: Noise, task: Task, language: str) -> None:
    """Check that a kind of noise is available for a task in a language.

    Raises:
        UserError: it is not available, with the reason.
    """
    if noise.kind == "paraphrase":
        return check_task(task)
    language = get_input_language(task, language)
    if noise.words and noise.kind not in DICTIONARY_KINDS:
        raise UserError(f"noise of kind {noise.kind} takes no `words`", fix="it is for code-switch and natural.")
    if misspelt_rows.is_rows_file(noise.words):
        return _check_rows(noise, task)
    script = _script(language)
    if noise.kind == "diacritics" and script and not _has_diacritics(language, script):
        raise _unavailable(noise, language, "its letters have no diacritics to lose")
    if noise.kind == "case" and script and script not in letters.WITH_CASE:
        raise _unavailable(noise, language, "its script has no capital letters")
    if noise.kind == "script" and not scripts.has_table(language):
        raise _unavailable(noise, language, "it has no published transliteration table")
    if noise.kind in DICTIONARY_KINDS and script in SCRIPTS_WITHOUT_SPACES:
        raise _unavailable(noise, language, "its words are not separated by spaces, so no dictionary can look them up")
    if noise.kind == "code-switch" and language in GENERATED_LANGUAGES and not noise.words:
        return word_replacement.check_target_language(language, noise.into)
    if noise.into:
        raise UserError("`into` is only for generated languages", fix="for others, give a dictionary: `words: FILE`.")
    if noise.kind in DICTIONARY_KINDS and not noise.words:
        content = "translations" if noise.kind == "code-switch" else "human misspellings"
        fix = "give `words: FILE`, a file under the data folder with two words per line ({lang} is replaced by the language)."
        if noise.kind == "natural":
            fix += (
                " Published test sets with natural typos are separate tasks: xnli-typos. For a tagging task, `words` may also be "
                f"a file of misspelt rows: {', '.join(misspelt_rows.READER_BY_EXTENSION)}."
            )
        raise UserError(f"noise of kind {noise.kind} in {language} needs a dictionary of {content}", fix=fix)


def _check_rows(noise: Noise, task: Task) -> None:
    if noise.kind != "natural":
        raise UserError(
            f"noise of kind {noise.kind} needs a dictionary, but '{noise.words}' is a file of rows",
            fix="write `kind: natural`, or give a .txt file with two words per line.",
        )
    if not formats.get(task.format).tags_words:
        raise UserError(
            f"misspelt rows are only for tagging tasks, and {task.name} is not one",
            fix="declare a custom task with the noisy file, or give a dictionary: a .txt file with two words per line.",
        )


def _unavailable(noise: Noise, language: str, reason: str) -> UserError:
    return UserError(f"no noise of kind {noise.kind} in {language}: {reason}", fix="remove the language or the noise.")


def _has_diacritics(language: str, script: str) -> bool:
    if language in GENERATED_LANGUAGES:
        from xlift.tasks.noise.keyboards import neighbouring_keys

        return any(letters.strip_diacritics(letter) != letter for letter in neighbouring_keys(language))
    return script in letters.WITH_DIACRITICS


def _script(language: str) -> str:
    """ISO 15924 script of a language; '' if the language is unknown."""
    if language in GENERATED_LANGUAGES:
        return GENERATED_LANGUAGES[language].script
    known = find_language(language)
    return known.script if known else ""


def unknown_language(noise: Noise, language: str) -> str:
    """What noise does in a language without a table for its kind; '' if it has one or needs none."""
    if noise.kind != "typos" or language in GENERATED_LANGUAGES or keyboards.find_layout(language):
        return ""
    if find_language(language) is None:
        return "the usual keyboard of each script is used"
    return "characters are swapped, dropped and doubled"


def with_digest(noise: Noise, language: str, data: Path | None, *, text_language: str = "") -> Noise:
    """The noise with the digest of its dictionary or file of rows, for the key of a job; without one, with the language
    that has its table if the code is another one ('pt' for 'pt-BR').

    Args:
        text_language: of the texts, if it is not `language` (translation).

    Raises:
        UserError: the file is missing or invalid, or misspelt rows have no `level`.
    """
    if not noise.words:
        table = _table_language(noise, text_language or language)
        return noise.model_copy(update={"digest": table}) if table else noise
    if misspelt_rows.is_rows_file(noise.words):
        if "level" not in noise.model_fields_set:
            raise UserError(
                "the noise of these rows has no `level`", where=noise.words,
                fix="give the share that their authors report, `level: 0.2` for a fifth of the words: tables show it.",
            )  # fmt: skip
        path = word_replacement.dictionary_path(noise.words, language, data)
        return noise.model_copy(update={"digest": misspelt_rows.rows_digest(path, language)})
    path = word_replacement.dictionary_path(noise.words, language, data)
    return noise.model_copy(update={"digest": word_replacement.dictionary_digest(path)})


def _table_language(noise: Noise, language: str) -> str:
    """The language that has the table of a kind of noise, if a code means it and is no code of the table of languages."""
    known = None if canonical(language) else find_language(language)
    tables = {"typos": keyboards.BY_LANGUAGE, "case": letters.WITH_DOTTED_I}
    return known.code if known and known.code in tables.get(noise.kind, ()) else ""


@lru_cache(maxsize=64)
def _load_kind(kind: str, words: str, digest: str, into: str, language: str, data: Path | None) -> NoiseKind:
    if kind == "typos":
        return TypoNoise(language)
    if kind == "diacritics":
        return letters.DiacriticsNoise()
    if kind == "case":
        return letters.CaseNoise(language)
    if kind == "script":
        return scripts.ScriptNoise(language)
    if kind in DICTIONARY_KINDS and words and not misspelt_rows.is_rows_file(words):
        path = word_replacement.dictionary_path(words, language, data)
        if digest and word_replacement.dictionary_digest(path) != digest:
            raise UserError("the dictionary has changed since the plan was made", where=str(path), fix="run again.")
        return word_replacement.from_file(path, kind)
    if kind == "code-switch" and language in GENERATED_LANGUAGES:
        return word_replacement.from_generated_languages(language, into)
    raise UserError(f"no noise of kind {kind} in {language}")


def add_noise_to_text(
    text: str, noise: Noise, language: str, key: str, *, data: Path | None = None, boundaries: Collection[int] = ()
) -> NoisyText:
    """Add noise to one text.

    Args:
        key: id of the example of this text.
        data: folder of data files, for dictionaries.
        boundaries: character offsets of the text that no change may cross.
    """
    name = (noise.seed, noise.kind, key)
    kind = _load_kind(noise.kind, noise.words, noise.digest, noise.into, language, data)
    return add_noise(text, kind, noise.level, name, boundaries)


def make_text_change(
    noise: Noise, language: str, key: str, *, data: Path | None = None,
    boundaries: Mapping[str, Collection[int]] | None = None, noise_counts: NoiseCounts | None = None,
) -> Change:  # fmt: skip
    """Make the function that a format's `change_texts` applies to the texts of one example.

    Args:
        boundaries: text -> character offsets that no change may cross.
        noise_counts: the function adds its counts to it.
    """

    def change(text: str) -> ChangedText:
        noisy = add_noise_to_text(text, noise, language, key, data=data, boundaries=(boundaries or {}).get(text, ()))
        if noise_counts is not None:
            noise_counts.add(noisy)
        return noisy.changed

    return change


def add_noise_to_examples(
    task: Task, examples: Sequence[Any], noise: Noise, language: str, *,
    data: Path | None = None, noise_counts: NoiseCounts | None = None,
) -> list[Any]:  # fmt: skip
    """Add noise to the texts of examples; ids and labels stay. For misspelt rows, return the examples that have one.

    Raises:
        UserError: the noise is not available for the task or the language.
    """
    check_noise(noise, task, language)
    noise_counts = noise_counts if noise_counts is not None else NoiseCounts()
    noise = noise.model_copy(update={"words": noise.words.replace(word_replacement.LANGUAGE, language)})
    if misspelt_rows.is_rows_file(noise.words):
        return _read_misspelt(task, examples, noise, language, data, noise_counts)
    format = formats.get(task.format)
    if noise.words and format.tags_words:
        word_replacement.check_is_dictionary(word_replacement.dictionary_path(noise.words, language, data), task.labels)
    to_change = [example for example in examples if not format.is_candidate(example)]  # all languages share the pool
    if noise.kind == "paraphrase":
        changed = iter(paraphrase_examples(task, to_change, noise, language, noise_counts))
    else:
        changed = (
            format.change_texts(e, _make_change(e, format, noise, language, data, noise_counts)) for e in to_change
        )
    return [example if format.is_candidate(example) else next(changed) for example in examples]


def _read_misspelt(
    task: Task, examples: Sequence[Any], noise: Noise, language: str, data: Path | None, noise_counts: NoiseCounts
) -> list[Any]:
    path = word_replacement.dictionary_path(noise.words, language, data)
    if noise.digest and misspelt_rows.rows_digest(path, language) != noise.digest:
        raise UserError("the misspelt rows have changed since the plan was made", where=str(path), fix="run again.")
    noisy_examples = []
    for clean, words in misspelt_rows.match_noisy_words(examples, path, language, task.labels):
        noise_counts.num_texts += 1
        noise_counts.num_words += len(words)
        noise_counts.num_changeable += len(words)
        num_changed = sum(a != b for a, b in zip(clean.words, words, strict=True))
        noise_counts.num_changed += num_changed
        noise_counts.edit_counts["natural"] += num_changed
        noisy_examples.append(replace(clean, words=words))
    return noisy_examples


def noise_notes(noise: Noise, task: Task, language: str, split: str, data: Path | None) -> tuple[str, ...]:
    """Notes for the user about the misspelt rows of a split that could not be paired. Computed once for the same files.

    Raises:
        UserError: as `add_noise_to_examples`.
    """
    if not misspelt_rows.is_rows_file(noise.words):
        return ()
    path = word_replacement.dictionary_path(noise.words, language, data)
    key = (misspelt_rows.rows_digest(path, language), task.name, task.source.fingerprint(task, language, split, data))
    if key not in _NOTES:
        clean = list(task.source.read(task, language, split, data))
        _NOTES[key] = misspelt_rows.unpaired_row_notes(clean, path, language, task.labels)
    return _NOTES[key]


_NOTES: dict[tuple[str, str, str], tuple[str, ...]] = {}


def _make_change(
    example: Any, format: Format, noise: Noise, language: str, data: Path | None, noise_counts: NoiseCounts
) -> Change:
    """The change of an example's texts. A translation is in another language and stays clean."""
    other = getattr(example, "translation", None)
    text_language = getattr(example, "source_language", language)
    change = make_text_change(
        noise, text_language, example.id, data=data, boundaries=format.fixed_offsets(example),
        noise_counts=noise_counts,
    )  # fmt: skip
    return lambda text: ChangedText(text, tuple(range(len(text) + 1))) if text == other else change(text)


def get_input_language(task: Task, language: str) -> str:
    """The language of the input text: for translation its source language, else the language itself."""
    direction = getattr(task.source, "direction", None)
    return direction[0].replace(word_replacement.LANGUAGE, language) if direction else language
