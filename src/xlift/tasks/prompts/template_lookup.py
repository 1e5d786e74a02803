"""Find the template of a task, and its digest for the keys of jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict

from xlift.archipelago.languages import GENERATED_LANGUAGES, SOURCE_LANGUAGE
from xlift.errors import UserError
from xlift.language_tags import find_language
from xlift.languages import canonical
from xlift.recipes import PromptSettings
from xlift.tasks import formats
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts.template_files import TemplateEntry, check_label_words, load_templates
from xlift.tasks.sources.base import canonical_json
from xlift.tasks.task import Task

VERSION = 1
"""Increment it whenever a format fills the same example into the same template in another way."""
SCHEME_VERSIONS = {"spans": 2}
"""Scheme of a template -> a number to increment whenever a format reads the same answer in another way."""


def find_template(task: Task, prompt_settings: PromptSettings, language: str) -> Template:
    """Find the template of a task for examples in a language.

    A template for named tasks has priority over one for the task's labels, and that over the format's template. With English
    instructions, those of generated languages are in their source language, which has the role of English.

    Raises:
        UserError: the task has no such version, the version lacks the language, or two labels have the same word.
    """
    matching = _find_matching(task, prompt_settings)
    for entry in matching:
        for code in _instruction_languages(language, prompt_settings):
            template = entry.get_template(code)
            if template is not None:
                check_label_words(template, task.labels)
                return template
    available = _available_languages(matching, task)
    raise UserError(
        f"the template '{matching[0].name}' has no texts in '{language}'",
        where=f"task '{task.name}'",
        fix=f"it has texts in {', '.join(available) or 'no language of the task'}; `instructions: en` works for all languages.",
    )


def template_versions(task: Task) -> tuple[str, ...]:
    """The template versions of a task; empty for formats without a text-to-text mode (retrieval, text)."""
    return tuple(dict.fromkeys(entry.version for entry in _find_entries(task)))


def template_languages(task: Task, prompt_settings: PromptSettings) -> tuple[str, ...]:
    """The languages of a task in which its template has instructions.

    Raises:
        UserError: the task has no such version.
    """
    return _available_languages(_find_matching(task, prompt_settings), task)


def template_digest(task: Task, prompt_settings: PromptSettings) -> str:
    """SHA-256 of the template in all languages of the task.

    Raises:
        UserError: the task has no such version, or the version has none of its languages.
    """
    templates: dict[str, dict[str, object]] = {}
    for language in _task_languages(task):
        codes = _instruction_languages(language, prompt_settings)
        if any(entry.get_template(code) for entry in _find_matching(task, prompt_settings) for code in codes):
            template = find_template(task, prompt_settings, language)
            templates[template.language] = asdict(template)
            if template.has_end_token:  # left out, so that templates older than this field keep their digest
                del templates[template.language]["has_end_token"]
    if not templates:
        find_template(task, prompt_settings, next(iter(_task_languages(task))))
    content: dict[str, object] = {"version": VERSION, "labels": list(task.labels), "templates": templates}
    schemes = {template.get("scheme") for template in templates.values()}
    if versions := {scheme: version for scheme, version in SCHEME_VERSIONS.items() if scheme in schemes}:
        content["schemes"] = versions
    if names := _folded_names(task):
        content["names"] = names
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _folded_names(task: Task) -> dict[str, str]:
    """The names that prompts of translation have for codes that are not in the table of languages but mean one of it."""
    if not formats.get(task.format).has_direction:
        return {}
    codes = (*_task_languages(task), *getattr(task.source, "direction", ()))
    return {code: known.name for code in codes if (known := find_language(code)) and canonical(code) is None}


def _find_entries(task: Task) -> list[TemplateEntry]:
    """Templates of all versions for a task, the most specific first."""
    return sorted((entry for entry in load_templates() if entry.fits(task)), key=lambda entry: -entry.specificity)


def _find_matching(task: Task, prompt_settings: PromptSettings) -> list[TemplateEntry]:
    """Matching templates, the most specific first; at least one."""
    matching = [entry for entry in _find_entries(task) if entry.version == prompt_settings.template]
    if not matching:
        versions = template_versions(task)
        fix = f"its versions are {', '.join(versions)}." if versions else (
            f"the format '{task.format}' has no text-to-text mode: use a model with `mode: head`."
        )  # fmt: skip
        raise UserError(f"no template '{prompt_settings.template}' for the task", where=f"task '{task.name}'", fix=fix)
    return matching


def _instruction_languages(language: str, prompt_settings: PromptSettings) -> tuple[str, ...]:
    """The languages that the instructions may be in, the preferred one first."""
    if prompt_settings.instructions == "own":
        return (language,)
    return (SOURCE_LANGUAGE, "en") if language in GENERATED_LANGUAGES else ("en",)


def _task_languages(task: Task) -> Iterable[str]:
    """Every language of a task once, in order."""
    split = (code for name in task.source.splits() for code in task.source.languages(name))
    return dict.fromkeys([*split, *([task.train_language] if task.train_language else [])])


def _available_languages(matching: list[TemplateEntry], task: Task) -> tuple[str, ...]:
    return tuple(code for code in _task_languages(task) if any(entry.find_texts(code) for entry in matching))
