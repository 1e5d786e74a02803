"""Translation of a text from one language into another.

It has no head, so the model must generate text (seq2seq, decoder). Either side may be the task language. Every example
names both languages, since scorers split words by the rules of the target language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.errors import UserError
from xlift.language_tags import find_language, match_code
from xlift.languages import canonical
from xlift.tasks.formats.base import Format
from xlift.tasks.formats.change import Change, apply_change
from xlift.tasks.formats.features import Direction, Prompt
from xlift.tasks.formats.template import Template

NEW_TOKENS_PER_CHARACTER = 1.5
"""Limit of an answer: no language needs more tokens per source character, except with byte-level tokenizers."""
MIN_NEW_TOKENS, MAX_NEW_TOKENS = 32, 512


@dataclass(frozen=True)
class TranslationExample:
    id: str
    source: str
    translation: str | None
    """None if there is no reference."""
    source_language: str
    target_language: str


class Translation(Format):
    name = "translation"
    output_kind = "text"
    example_class = TranslationExample
    columns = {
        "source": ("source", "text", "sentence"),
        "translation": ("translation", "target"),
        "source_language": ("source_language", "source_lang"),
        "target_language": ("target_language", "target_lang"),
    }
    input_fields = ("source",)
    input_files = (".txt",)
    pipeline_tag = "translation"
    default_metrics = ("chrf++", "bleu", "on-target")
    label_fields = ("translation",)
    has_head = False
    has_direction = True
    not_translatable = "its examples already are pairs of a text and its translation"

    def check(self, example: TranslationExample, labels: Sequence[str]) -> str | None:
        if not example.source.strip():
            return "the text to translate is empty"
        if example.translation is not None and not example.translation.strip():
            return "the translation is empty"
        if example.source_language == example.target_language:
            return f"source and translation are both in '{example.source_language}'"
        return None

    def texts(self, example: TranslationExample) -> tuple[str, ...]:
        return (example.source,) if example.translation is None else (example.source, example.translation)

    def read_record(self, fields: Any, name: str, *, with_gold: bool = True) -> TranslationExample:
        """A text and its translation, with languages from columns or from the layout."""
        source, translation = fields.text("source"), fields.text("translation") if with_gold else None
        names = ("source_language", "target_language") if with_gold else ()
        direction = tuple(canonical(code) or code for name in names if (code := fields.optional(name)))
        declared = fields.layout.direction
        both = len(direction) == len(declared) == 2
        if both and not all(match_code(code, (side,)) for code, side in zip(direction, declared, strict=True)):
            raise fields.problem(
                f"the row is from '{direction[0]}' into '{direction[1]}', but `direction` says "
                f"from '{declared[0]}' into '{declared[1]}'",
                "Remove `direction`, or correct the row.",
            )
        if len(declared) == 2:
            direction = tuple(declared)
        if len(direction) != 2:
            raise fields.problem(
                "the direction of the translation is not given",
                'Write `direction: ["{lang}", en]` (the rows\' language into English) or `direction: [en, "{lang}"]`.',
            )
        return TranslationExample(name, source, translation, *direction)

    def constant_predictions(self, examples: Sequence[TranslationExample]) -> list[list[Any]]:
        """No translation is frequent enough to guess."""
        return [[""] * len(examples)]

    def features(
        self,
        examples: Sequence[TranslationExample],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        train: bool,
    ) -> NoReturn:
        """Raises UserError: translation has no head."""
        raise UserError(
            "translation tasks have no head, and this model is used with `mode: head`",
            fix="use a seq2seq model or a decoder (mT5, NLLB, Qwen) and remove `mode: head`.",
        )

    def gold(self, example: TranslationExample) -> dict[str, str | None]:
        """The reference and its language."""
        return {"text": example.translation, "language": example.target_language}

    def prompt(self, example: TranslationExample, labels: Sequence[str], template: Template) -> Prompt:
        """Fields: source, and source_language and target_language, the languages' names in English (`Swahili`).

        Raises:
            UserError: the template uses another field.
        """
        source_language, target_language = example.source_language, example.target_language
        filled = template.fill({
            "source": example.source,
            "source_language": language_name(source_language),
            "target_language": language_name(target_language),
        })  # fmt: skip
        return Prompt(
            filled.text,
            example.translation,
            max_new_tokens=_max_new_tokens(example.source),
            truncatable=filled.spans.get("source"),
            direction=Direction(example.source, source_language, target_language),
        )

    def parse(self, answer: int | str, example: TranslationExample, labels: Sequence[str], template: Template) -> str:
        """The generated text on one line, since scorers read one translation per line."""
        return " ".join(str(answer).split())

    def change_texts(self, example: TranslationExample, change: Change) -> TranslationExample:
        """Changes the source only; the reference stays as it is, so `change` is called once."""
        return replace(example, source=apply_change(example.source, change))

    def shuffle_group(self, example: TranslationExample) -> tuple[str, str]:
        return example.source_language, example.target_language


def language_name(code: str) -> str:
    """English name: 'Swahili' for sw, 'Portuguese' for pt-BR, 'Merrin' for qtm; an unknown code itself."""
    language = GENERATED_LANGUAGES.get(code) or find_language(code)
    return language.name if language else code


def _max_new_tokens(text: str) -> int:
    return int(min(MAX_NEW_TOKENS, max(MIN_NEW_TOKENS, NEW_TOKENS_PER_CHARACTER * len(text))))


FORMAT = Translation()
