"""Read and validate the template files, once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from pydantic import Field, ValidationError

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.archipelago.lexicon import get_lexicon, spell
from xlift.errors import UserError
from xlift.language_tags import folded_code
from xlift.recipes import Settings
from xlift.tasks.formats.template import Template
from xlift.tasks.task import Task

ARCHIPELAGO_KEY = "isles"
"""Key of the texts for generated languages; `[book]` in them is replaced by the language's word for that concept."""
ANY_KEY = "any"
"""Key of texts that are the same for examples in any language without texts of its own."""


class TemplateTexts(Settings):
    """The texts of a template in one language; the fields are those of `Template`."""

    source: str
    label_words: dict[str, str] = {}
    source_if_empty: dict[str, str] = {}


class TemplateEntry(Settings):
    """One version of a template, in all its languages."""

    name: str = Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    """The version follows the dot."""
    format: str
    comment: str
    """Source of the template."""
    languages: dict[str, TemplateTexts]
    tasks: tuple[str, ...] = ()
    """The tasks of the template; if empty, all tasks of the format, or those with its `labels`."""
    labels: tuple[str, ...] = ()
    """If given, the template is for tasks with exactly these labels, in any order."""
    scheme: str = ""
    fewshot_delimiter: str = "\n\n"
    has_end_token: bool = True

    @property
    def version(self) -> str:
        return self.name.rpartition(".")[2]

    def fits(self, task: Task) -> bool:
        """Whether the template is for this task."""
        if task.format != self.format or (self.tasks and task.name not in self.tasks):
            return False
        return not self.labels or set(self.labels) == set(task.labels)

    @property
    def specificity(self) -> int:
        """The higher, the fewer tasks the template is for."""
        return 2 * bool(self.tasks) + bool(self.labels)

    def find_texts(self, language: str) -> TemplateTexts | None:
        """The texts in a language; None if there are none."""
        key = ARCHIPELAGO_KEY if language in GENERATED_LANGUAGES else folded_code(language)
        return self.languages.get(key) or self.languages.get(ANY_KEY)

    def get_template(self, language: str) -> Template | None:
        """The template in a language; None if it has no texts in it."""
        texts, is_generated = self.find_texts(language), language in GENERATED_LANGUAGES
        if texts is None:
            return None

        def translate(text: str) -> str:
            return _fill_in_words(text, language) if is_generated else text

        template = Template(
            self.name,
            language if is_generated else folded_code(language),
            translate(texts.source),
            label_words={label: translate(word) for label, word in texts.label_words.items()},
            fewshot_delimiter=self.fewshot_delimiter,
            source_if_empty={name: translate(text) for name, text in texts.source_if_empty.items()},
            scheme=self.scheme,
            has_end_token=self.has_end_token,
        )
        check_label_words(template, tuple(template.label_words), like=str.casefold)
        return template


def check_label_words(template: Template, labels: tuple[str, ...], like: Callable[[str], str] = str) -> None:
    """Raises UserError if two labels have the same word."""
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(like(template.label_word(label)), label)
        if other != label:
            raise UserError(
                f"the labels '{other}' and '{label}' have the same word, '{template.label_word(label)}'",
                where=f"template '{template.name}' ({template.language})",
                fix="answers would be ambiguous: choose another version of the template.",
            )


def _fill_in_words(text: str, code: str) -> str:
    """Replace each `[concept]` by the language's word for it, in its script."""
    language, words = GENERATED_LANGUAGES[code], get_lexicon(code)
    return re.sub(r"\[([a-z-]+)\]", lambda match: spell(language, words[match[1]].stem), text)


@cache
def load_templates() -> tuple[TemplateEntry, ...]:
    """All templates, in the order of the file names.

    Raises:
        UserError: a file is invalid (`parse_templates`), or two templates have the same name.
    """
    folder = files("xlift.tasks.prompts") / "templates"
    by_name: dict[str, TemplateEntry] = {}
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name):
        for entry in parse_templates(file.read_text(encoding="utf-8"), file.name):
            if by_name.setdefault(entry.name, entry) is not entry:
                raise UserError(f"two templates have the name '{entry.name}'", where=file.name)
    return tuple(by_name.values())


def parse_templates(text: str, where: str) -> list[TemplateEntry]:
    """Parse the templates of a file.

    Raises:
        UserError: the text is not a list of templates, or two labels of one have the same word.
    """
    try:
        templates = [TemplateEntry.model_validate_json(json.dumps(data)) for data in json.loads(text)]
    except (ValidationError, ValueError, TypeError) as error:
        raise UserError(f"not a list of templates: {error}", where=where) from None
    for entry in templates:
        for language in entry.languages:
            if language != ARCHIPELAGO_KEY:  # texts of generated languages are checked on first use
                entry.get_template(language)
    return templates
