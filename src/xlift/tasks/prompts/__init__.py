"""Prompts for text-to-text models: templates, few-shot examples, tokenization, and decoding of answers.

Templates are data (templates/*.json): each has a name with its version, its tasks, and texts in English, in other languages,
or with words of the generated languages. `find_template` selects that of a task (template_lookup.py), the format's `prompt`
fills in an example, fewshot.py prepends solved examples, and tokenization.py tokenizes prompts and decodes answers.
"""

from __future__ import annotations

from xlift.tasks.prompts.template_lookup import find_template, template_digest, template_languages, template_versions

__all__ = ["find_template", "template_digest", "template_languages", "template_versions"]
